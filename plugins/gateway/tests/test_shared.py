"""Limits in a real Redis: replicas share them exactly, and go on without it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pace import given_time

pytest.importorskip("redis", reason="pip install polyport-gateway[redis]")

from polyport_gateway.limits import Held, Limit, MemoryLimits, Refusal, Reservation, period
from polyport_gateway.shared import SharedLimits

from .services import Redis, redis

KEY = Limit(about=(("key", "k"),), rpm=6, tpm=100, parallel=4, budget=1000, duration="1h")
TEAM = Limit(about=(("team", "t"),), rpm=9, parallel=5, budget=1500, soft=700, duration="1d")
MODEL = Limit(about=(("team", "t"), ("model", "m")), tpm=120, budget=900)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A running Redis."""
    with redis(tmp_path_factory.mktemp("redis")) as made:
        yield made


async def nothing(about: Mapping[str, str], since: float | None) -> int:
    """Nothing was spent before."""
    return 0


def fresh(name: str) -> str:
    """Return a prefix that nobody has used."""
    return f"{name}-{time.time_ns()}"


def test_rpm_is_exact_over_replicas(server: Redis) -> None:
    """Of 200 at once on two replicas, exactly as many get in as may; the first refused hear when to come back."""

    async def run() -> None:
        prefix, limit = fresh("rpm"), Limit(about=(("key", "k"),), rpm=50)
        replicas = [SharedLimits(server.url, nothing, prefix=prefix) for _ in range(2)]
        begun = time.monotonic()
        found = await asyncio.gather(
            *(replicas[number % 2].reserve([limit], 1, 0, time.time()) for number in range(200))
        )
        refused = [one for one in found if isinstance(one, Refusal)]
        assert len(refused) == 150
        assert {one.kind for one in refused} == {"rpm"}
        took = time.monotonic() - begun
        assert all(58 - took < (one.seconds or 0) <= 62 for one in refused)
        for one in replicas:
            await one.aclose()

    asyncio.run(run())


SPENDER = """
import asyncio, random, sys, time
from polyport_gateway.limits import Limit, Reservation
from polyport_gateway.shared import SharedLimits

async def nothing(about, since):
    return 0

async def main():
    limits = SharedLimits(sys.argv[1], nothing, prefix=sys.argv[2], timeout=60)
    dollar = Limit(about=(("team", "t"),), budget=1_000_000_000)
    spent = calls = 0
    async def client():
        nonlocal spent, calls
        luck = random.Random()
        while True:
            taken = await limits.reserve([dollar], 10, 2_000_000, time.time())
            if not isinstance(taken, Reservation):
                return
            await asyncio.sleep(luck.random() / 100)
            cost = luck.randrange(1_000_000, 2_000_001)
            spent, calls = spent + cost, calls + 1
            await limits.settle(taken, 10, cost, time.time())
    await asyncio.gather(*(client() for _ in range(32)))
    await limits.aclose()
    print(spent, calls)

asyncio.run(main())
"""


def test_two_processes_with_64_clients_share_one_dollar(server: Redis) -> None:
    """Estimates that hold are never overspent; and what little is left does not hold another estimate."""
    command = [sys.executable, "-c", SPENDER, server.url, fresh("dollar")]
    spenders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [one.communicate()[0].split() for one in spenders]
    spent, calls = (sum(int(one[place]) for one in told) for place in (0, 1))
    print(f"$1: {spent / 1e9:.6f} spent by {calls} calls")
    assert spent <= 1_000_000_000
    assert spent > 1_000_000_000 - 64 * 2_000_000


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"),
            st.sets(st.sampled_from([0, 1, 2]), min_size=1),
            st.integers(0, 60),
            st.integers(0, 400),
        ),
        st.tuples(st.just("settle"), st.integers(0, 9), st.none() | st.integers(0, 90), st.integers(0, 500)),
    ),
    max_size=40,
)


async def compare(shared: SharedLimits, steps) -> None:
    """Take the same steps in both places."""
    memory = MemoryLimits(nothing)
    flying: list[tuple[Reservation, Reservation]] = []
    for kind, *said in steps:
        now = time.time()
        if kind == "reserve":
            chosen = [(KEY, TEAM, MODEL)[place] for place in sorted(said[0])]
            one = await shared.reserve(chosen, said[1], said[2], now)
            two = await memory.reserve(chosen, said[1], said[2], now)
            assert isinstance(one, Refusal) == isinstance(two, Refusal)
            if isinstance(one, Refusal) and isinstance(two, Refusal):
                assert (one.limit, one.kind, one.seconds is None) == (two.limit, two.kind, two.seconds is None)
            elif isinstance(one, Reservation) and isinstance(two, Reservation):
                assert (one.requests, one.tokens_left) == (two.requests, two.tokens_left)
                flying.append((one, two))
        elif flying:
            one, two = flying.pop(said[0] % len(flying))
            crossed = await shared.settle(one, said[1], said[2], now)
            assert crossed == await memory.settle(two, said[1], said[2], now)
    for one, _ in flying:
        await shared.settle(one, 0, 0, time.time())
    for limit in (KEY, TEAM, MODEL):
        counts, leases = shared._keys(limit)
        assert int(await shared._client.hget(counts, "held") or 0) == 0
        assert await shared._client.zcard(leases) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_redis_decides_as_memory_does(server: Redis, steps) -> None:
    """The same steps, the same answers: one meaning, two places."""

    async def run() -> None:
        shared = SharedLimits(server.url, nothing, prefix=fresh("same"))
        try:
            await compare(shared, steps)
        finally:
            await shared.aclose()

    asyncio.run(run())


def test_what_a_killed_process_reserved_is_given_back_with_its_lease(server: Redis) -> None:
    """Both the money and the place among the calls in flight; settling it after that counts nothing twice."""

    async def run(lease: float) -> None:
        prefix, limit = fresh("lease"), Limit(about=(("key", "k"),), parallel=1, budget=100)
        killed = SharedLimits(server.url, nothing, prefix=prefix, lease=lease)
        other = SharedLimits(server.url, nothing, prefix=prefix)
        async with aclosing(killed), aclosing(other):
            await killed.reserve([limit], 0, 100, time.time())
            assert isinstance(await other.reserve([limit], 0, 1, time.time()), Refusal)
            end = time.monotonic() + 60
            while isinstance(again := await other.reserve([limit], 0, 100, time.time()), Refusal):
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            for _ in range(2):
                await other.settle(again, 0, 60, time.time())
            left = await other.reserve([limit], 0, 40, time.time())
            assert isinstance(left, Reservation)

    given_time(lambda lease: asyncio.run(run(lease)), 3, 20)


def test_a_new_period_begins_anew(server: Redis) -> None:
    """At its instant; and what was spent before the first use is asked of the ledger once."""
    asked = []

    async def spent(about: Mapping[str, str], since: float | None) -> int:
        asked.append((dict(about), since))
        return 400

    async def run() -> None:
        now = datetime(2026, 11, 23, 12, 59, 59, tzinfo=UTC).timestamp()
        limits = SharedLimits(server.url, spent, prefix=fresh("period"))
        first = await limits.reserve([KEY], 0, 600, now)
        assert isinstance(first, Reservation)
        await limits.settle(first, 0, 600, now)
        full = await limits.reserve([KEY], 0, 1, now)
        assert isinstance(full, Refusal)
        assert (full.kind, full.seconds) == ("budget", 1.0)
        assert isinstance(await limits.reserve([KEY], 0, 1000, now + 1), Reservation)
        await limits.aclose()
        assert asked == [({"key": "k"}, period("1h", now)[0])]

    asyncio.run(run())


def test_without_redis_each_process_goes_by_its_own_and_settles_later(tmp_path: Path) -> None:
    """Calls go on, limits too; what began with Redis and ended without it is settled when it is back."""

    async def run(server: Redis, timeout: float) -> None:
        limit = Limit(about=(("key", "k"),), rpm=2, budget=100)
        limits = SharedLimits(server.url, nothing, prefix=fresh("away"), timeout=timeout, retry_after=0.2)
        async with aclosing(limits):
            taken = await limits.reserve([limit], 0, 10, time.time())
            assert isinstance(taken, Reservation)
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            await limits.settle(taken, 0, 10, time.time())
            local = [await limits.reserve([limit], 0, 10, time.time()) for _ in range(3)]
            assert [type(one) for one in local] == [Held, Held, Refusal]
            server.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.3)
            back = await limits.reserve([limit], 0, 90, time.time())
            assert isinstance(back, Reservation)
            assert type(back) is not Held
            for one in local[:2]:
                assert isinstance(one, Reservation)
                await limits.settle(one, 0, 10, time.time())
            await limits.settle(back, 0, 90, time.time())
            counts, _ = limits._keys(limit)
            assert int(await limits._client.hget(counts, "spent")) == 100

    def attempt(timeout: float) -> None:
        with redis(tmp_path) as server:
            asyncio.run(run(server, timeout))

    given_time(attempt, 1, 10)
