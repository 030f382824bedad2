"""Limits hold whatever comes in between, come back to nothing, and begin anew at known instants."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport_gateway.limits import Limit, MemoryLimits, Refusal, Reservation, period

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC).timestamp()
KEY = Limit(about=(("key", "k"),), rpm=6, tpm=100, parallel=4, budget=1000, duration="1h")
TEAM = Limit(about=(("team", "t"),), rpm=9, parallel=5, budget=1500, soft=700, duration="1h")
MODEL = Limit(about=(("team", "t"), ("model", "m")), tpm=120, budget=900)


async def nothing(about: Mapping[str, str], since: float | None) -> int:
    """Nothing was spent before."""
    return 0


def instant(text: str) -> float:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("duration", "start", "end"),
    [
        ("30s", "2026-11-23T12:34:30", "2026-11-23T12:35:00"),
        ("15m", "2026-11-23T12:30:00", "2026-11-23T12:45:00"),
        ("1h", "2026-11-23T12:00:00", "2026-11-23T13:00:00"),
        ("1d", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
        ("daily", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
        ("1w", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("1mo", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("monthly", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("3mo", "2026-10-01T00:00:00", "2027-01-01T00:00:00"),
        ("yearly", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_periods_begin_at_known_instants(duration: str, start: str, end: str) -> None:
    """Whoever asks, and whenever a process started."""
    assert period(duration, NOW) == (instant(start), instant(end))
    assert period(duration, instant(start)) == (instant(start), instant(end))
    assert period(duration, instant(end))[0] == instant(end)


def test_a_budget_without_a_duration_is_for_ever() -> None:
    """It has no period."""
    assert period("", NOW) == (None, None)


@pytest.mark.parametrize("wrong", ["0s", "1y", "-1d", "soon", "99999999mo", "1d 2h"])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    """Not taken for another."""
    with pytest.raises(BadRequestError):
        period(wrong, NOW)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"), st.sets(st.sampled_from([0, 1, 2]), min_size=1), st.integers(0, 60), st.integers(0, 400)
        ),
        st.tuples(st.just("settle"), st.integers(0, 9), st.none() | st.integers(0, 90), st.integers(0, 500)),
        st.tuples(st.just("wait"), st.sampled_from([0.3, 5.0, 70.0, 1800.0, 3600.0])),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_interleaving_overspends(steps) -> None:
    """What is spent in a period exceeds its budget by no more than calls exceed their estimates; and all comes back."""

    async def run() -> None:
        limits, now = MemoryLimits(nothing), NOW
        flying: list[Reservation] = []
        taken: list[tuple[str, float]] = []  # every reservation that was let in, by account
        spent: list[tuple[str, float, int, int]] = []  # account, when, nano, above its estimate
        for kind, *given_ in steps:
            if kind == "wait":
                now += given_[0]
            elif kind == "reserve":
                chosen = [(KEY, TEAM, MODEL)[place] for place in sorted(given_[0])]
                found = await limits.reserve(chosen, given_[1], given_[2], now)
                if isinstance(found, Reservation):
                    flying.append(found)
                    taken += [(limit.account, now) for limit in chosen]
            elif flying:
                one = flying.pop(given_[0] % len(flying))
                await limits.settle(one, given_[1], given_[2], now)
                spent += [(limit.account, now, given_[2], max(0, given_[2] - one.nano)) for limit in one.limits]
            for limit in (KEY, TEAM, MODEL):
                held = [one for one in flying if limit in one.limits]
                assert limit.parallel is None or len(held) <= limit.parallel
                minute = [at for account, at in taken if account == limit.account and at > now - 60]
                assert limit.rpm is None or len(minute) <= limit.rpm
                since = period(limit.duration, now)[0] or 0
                mine = [(nano, more) for account, at, nano, more in spent if account == limit.account and at >= since]
                assert sum(nano - more for nano, more in mine) <= limit.budget
        for one in flying:
            await limits.settle(one, 0, 0, now)
        assert limits.in_flight() == 0
        for limit in (KEY, TEAM, MODEL):
            account = limits._account(limit.account, now)
            assert (account.busy, account.reserved) == (0, 0)
            later = now + 3700
            if limit.duration:
                account.renew(later)
                assert account.spent == 0
            assert account.idle(later)

    asyncio.run(run())


def test_a_refusal_takes_of_no_account() -> None:
    """All or nothing: what the second account refuses, the first has not counted."""

    async def run() -> None:
        limits = MemoryLimits(nothing)
        none = Limit(about=(("team", "t"),), rpm=0)
        refused = await limits.reserve([KEY, none], 1, 1, NOW)
        assert refused == Refusal(none, "rpm", None)
        assert limits._account(KEY.account, NOW).idle(NOW)

    asyncio.run(run())


def test_a_refusal_says_when_to_come_back() -> None:
    """Requests and tokens within about a minute, money when the period ends."""

    async def run() -> None:
        limits = MemoryLimits(nothing)
        for _ in range(6):
            await limits.settle(await limits.reserve([KEY], 0, 0, NOW), 0, 0, NOW)
        full = await limits.reserve([KEY], 0, 0, NOW + 10)
        assert (full.kind, round(full.seconds)) == ("rpm", 51)
        poor = await limits.reserve([TEAM], 0, 1501, NOW)
        assert (poor.kind, poor.seconds) == ("budget", 3600 - 34 * 60 - 56)
        long = await limits.reserve([KEY], 101, 0, NOW + 100)
        assert (long.kind, long.seconds) == ("tpm", None)

    asyncio.run(run())


def test_64_at_once_stay_within_one_dollar() -> None:
    """Reserved before anybody waits: exact where estimates hold, however many come at once."""

    async def run() -> None:
        limits, budget = MemoryLimits(nothing), Limit(about=(("team", "t"),), budget=1_000_000_000)
        spent = 0

        async def client() -> None:
            nonlocal spent
            for _ in range(50):
                found = await limits.reserve([budget], 10, 1_000_000, NOW)
                if isinstance(found, Reservation):
                    await asyncio.sleep(0)
                    spent += 900_000
                    await limits.settle(found, 10, 900_000, NOW)

        await asyncio.gather(*(client() for _ in range(64)))
        assert 999_000_000 < spent <= 1_000_000_000

    asyncio.run(run())


def test_what_was_spent_before_is_asked_of_the_ledger_once() -> None:
    """However many calls come at once; and again when the duration changes."""
    asked = []

    async def spent(about: Mapping[str, str], since: float | None) -> int:
        asked.append((dict(about), since))
        await asyncio.sleep(0)
        return 995

    async def run() -> None:
        limits = MemoryLimits(spent)
        found = await asyncio.gather(*(limits.reserve([KEY], 0, 5, NOW) for _ in range(3)))
        assert sorted(type(one).__name__ for one in found) == ["Held", "Refusal", "Refusal"]
        daily = Limit(about=KEY.about, budget=2000, duration="1d")
        assert isinstance(await limits.reserve([daily], 0, 5, NOW), Reservation)

    asyncio.run(run())
    assert asked == [({"key": "k"}, period("1h", NOW)[0]), ({"key": "k"}, period("1d", NOW)[0])]


def test_a_soft_budget_is_told_of_once_a_period() -> None:
    """By the settlement that crosses it; nothing is refused."""

    async def run() -> list[int]:
        limits, told = MemoryLimits(nothing), []
        for number, now in enumerate((NOW, NOW, NOW, NOW + 3600, NOW + 3600, NOW + 3600)):
            taken = await limits.reserve([TEAM], 0, 0, now)
            if await limits.settle(taken, 0, 400, now):
                told.append(number)
        return told

    assert asyncio.run(run()) == [1, 4]


def test_accounts_that_stand_at_nothing_are_forgotten() -> None:
    """Any number of customers may come by; what they spent is in the ledger."""

    async def run() -> None:
        limits = MemoryLimits(nothing)
        limits._many = 10
        for number in range(500):
            one = Limit(about=(("customer", str(number)),), rpm=5, budget=5)
            await limits.settle(await limits.reserve([one], 0, 0, NOW + number), 0, 0, NOW + number)
            limits._many = min(limits._many, 100)
        assert len(limits._accounts) <= 100

    asyncio.run(run())


def test_a_call_that_began_under_another_duration_leaves_the_new_one_as_it_is() -> None:
    """What was spent today is not forgotten because an hour is over that no budget is for any more."""

    async def run() -> None:
        async def spent(about: Mapping[str, str], since: float | None) -> int:
            return 600

        limits, about = MemoryLimits(spent), (("key", "k"),)
        hourly = Limit(about=about, budget=1000, duration="1h")
        daily = Limit(about=about, budget=1000, duration="1d")
        old = await limits.reserve([hourly], 0, 100, NOW)
        assert isinstance(await limits.reserve([daily], 0, 100, NOW), Reservation)
        await limits.settle(old, 0, 100, NOW + 3600)
        refused = await limits.reserve([daily], 0, 250, NOW + 3600)
        assert isinstance(refused, Refusal)
        assert refused.kind == "budget"

    asyncio.run(run())
