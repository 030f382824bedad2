"""Limits: requests and tokens a minute, calls at a time, money per period. One path: reserve, then settle.

A call reserves on every account it touches (its key, user, team, project, customer, each for all models or for one),
all or nothing; what it settles replaces what it reserved. So what is spent never exceeds a budget by more than the
calls on their way exceed their estimates. Periods begin at instants that everybody knows: see `period`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

import msgspec

from polyport.budgets import DURATIONS
from polyport.errors import BadRequestError
from polyport.states import WINDOW, Window

#: When the first week began: Monday, 5 January 1970.
MONDAY = 4 * 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
#: Words -> the durations that they are.
WORDS = {"hourly": "1h", "daily": "1d", "weekly": "1w", "monthly": "1mo", "yearly": "12mo"}
#: Above so many accounts, those that stand at nothing are forgotten; their spending is in the ledger.
MANY = 50_000

#: The period that each duration was last found in: it holds for a while.
_periods: dict[str, tuple[float, float]] = {}

#: Asks the ledger what was spent on an account since an instant, or ever.
Spent = Callable[[Mapping[str, str], float | None], Awaitable[int]]


#: Asks what batches that are open hold of an account: the number of the change that was seen, and nano-dollars.
Opened = Callable[[Mapping[str, str]], Awaitable[tuple[int, int]]]

#: Is told of a soft budget.
Crossed = Callable[["Limit"], None]


class Limit(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What an account may use. Money in nano-dollars; None is no limit; a budget without a duration is for ever.

    `about` says whose it is: (("team", "t1"), ("model", "gpt-4o")). `soft` is an amount that is only told of.
    """

    about: tuple[tuple[str, str], ...]
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget: int | None = None
    soft: int | None = None
    duration: str = ""

    @cached_property
    def account(self) -> str:
        """The account's name."""
        return "/".join([f"{kind}:{name}" for kind, name in self.about]) or "gateway"

    @cached_property
    def counts_money(self) -> bool:
        """Whether it must be known what was spent."""
        return self.budget is not None or self.soft is not None

    @property
    def says_something(self) -> bool:
        """Whether it limits or tells anything."""
        return any(one is not None for one in (self.rpm, self.tpm, self.parallel, self.budget, self.soft))


class Together(msgspec.Struct, frozen=True):
    """Limits that requests fall under together; whether it matters for them what one may cost, and its tokens."""

    each: tuple[Limit, ...]
    money: bool
    tokens: bool


def together(limits: Iterable[Limit]) -> Together:
    """Return limits as requests fall under them: those that say something."""
    each = tuple(limit for limit in limits if limit.says_something)
    money = any(limit.budget is not None for limit in each)
    return Together(each, money, money or any(limit.tpm is not None for limit in each))


class Reservation(msgspec.Struct):
    """What a call took, to be settled once. `second` is when; `requests` and `tokens_left` are (limit, left).

    `id` names it among the calls in flight, where others see them, too; "" in memory.
    """

    id: str
    limits: Sequence[Limit]
    tokens: int
    nano: int
    second: int
    requests: tuple[int, int] | None = None
    tokens_left: tuple[int, int] | None = None


class Held(Reservation):
    """A reservation in this process, with the accounts that it was taken of: one in use is not forgotten."""

    accounts: Sequence[tuple[Limit, _Account]] = ()


class Refusal(msgspec.Struct, frozen=True):
    """Which limit does not hold: `kind` is rpm, tpm, parallel or budget; free again in `seconds`, where known."""

    limit: Limit
    kind: str
    seconds: float | None = None


class Limits(Protocol):
    """Where accounts are kept. `now` is in seconds since 1970.

    `crossed` is told of soft budgets that turn out to be used up already, when what was spent is looked up; `opened`
    is asked then what batches hold.
    """

    crossed: Crossed
    opened: Opened

    async def reserve(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Reservation | Refusal:
        """Take of every account, or of none."""

    def reserve_now(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Held | Refusal | None:
        """Do the same at once; None where something must be waited for, and then nothing was done."""

    async def settle(self, taken: Reservation, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Put what was used in place of what was taken. Returns soft budgets that were crossed by it, each once.

        `tokens` is None where nobody knows: then what was taken was used.
        """

    def settle_now(self, taken: Held, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Do the same at once, of what is held in this process."""

    async def charge(self, accounts: Sequence[str], nano: int) -> None:
        """Count money that was spent without a reservation on those of the accounts that are known here."""

    async def hold(self, amounts: Mapping[str, int], version: int) -> None:
        """Have accounts that are known here know what batches hold of them, in all; what is newer already stays."""

    async def full(self, limits: Sequence[Limit], now: float) -> Refusal | None:
        """Return a budget that does not have room for all that was spent and is held of it."""

    async def aclose(self) -> None:
        """Let go of connections."""


def period(duration: str, now: float) -> tuple[float | None, float | None]:
    """Return when the period around an instant began and ends (UTC); (None, None) where it is for ever.

    Seconds, minutes, hours and days are counted from 1970, so 1d begins at midnight; weeks begin on Monday, months on
    the first, several months with January 1970. Raises BadRequestError for what is no duration.
    """
    if not duration:
        return None, None
    found = _periods.get(duration)
    if found is None or not found[0] <= now < found[1]:
        found = _reckon(duration, now)
        if len(_periods) > 1000:
            _periods.clear()
        _periods[duration] = found
    return found


def _reckon(duration: str, now: float) -> tuple[float, float]:
    duration = WORDS.get(duration, duration)
    match = re.fullmatch(r"([1-9]\d{0,8})(mo|[smhdw])", duration)
    if match is None:
        words = ", ".join(DURATIONS)
        raise BadRequestError(f"{duration[:40]!r} is no budget_duration: write 30s, 15m, 12h, 7d, 1mo or {words}.")
    count, unit = int(match[1]), match[2]
    if unit == "mo":
        return _months(count, now)
    length = count * UNITS[unit]
    origin = MONDAY if unit == "w" else 0
    start = (now - origin) // length * length + origin
    return start, start + length


def _months(count: int, now: float) -> tuple[float, float]:
    today = datetime.fromtimestamp(now, UTC)
    first = ((today.year - 1970) * 12 + today.month - 1) // count * count
    return _month(first), _month(first + count)


def _month(number: int) -> float:
    """Return when a month begins, counted from January 1970."""
    year, month = divmod(number, 12)
    if year > 8000:
        raise BadRequestError("A budget_duration of that many months ends beyond the calendar.")
    return datetime(1970 + year, month + 1, 1, tzinfo=UTC).timestamp()


class _Account:
    __slots__ = (
        "busy", "duration", "ends", "known", "opened", "requests", "reserved", "seeding", "settled", "spent", "tokens",
        "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.busy = self.reserved = self.spent = self.settled = 0
        #: What of `reserved` batches hold, and the number of the change that said so.
        self.opened = self.version = 0
        self.duration = ""
        #: When the period ends that `spent` is of.
        self.ends = math.inf
        self.known = False
        self.seeding = asyncio.Lock()

    def learn(self, spent: int, duration: str, ends: float | None) -> None:
        """Take note of what was spent in a period."""
        self.spent, self.duration, self.known = spent, duration, True
        self.ends = math.inf if ends is None else ends

    def hold(self, nano: int, version: int) -> None:
        """Take note of what batches hold, unless something newer is known."""
        if version >= self.version:
            self.reserved += nano - self.opened
            self.opened, self.version = nano, version

    def renew(self, now: float) -> None:
        """Begin anew, since the period has ended."""
        self.learn(0, self.duration, period(self.duration, now)[1])

    def knows(self, limit: Limit) -> bool:
        """Whether what was spent is known for a limit's duration."""
        return self.known and self.duration == limit.duration

    def idle(self, now: float) -> bool:
        """Whether nothing would be lost with it."""
        return not (self.busy or self.reserved or self.requests.read(now) or self.tokens.read(now))


class MemoryLimits:
    """Accounts in this process. What was spent before is asked of the ledger when an account is first used."""

    def __init__(self, spent: Spent) -> None:
        self.crossed: Crossed = lambda _: None
        self.opened: Opened = nothing_opened
        self._spent = spent
        self._accounts: dict[str, _Account] = {}
        self._many = MANY

    async def reserve(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Reservation | Refusal:
        """Take of every account, or of none."""
        while (found := self.reserve_now(limits, tokens, nano, now)) is None:
            for limit in limits:
                if limit.counts_money:
                    await self._know(limit, now)
        return found

    def reserve_now(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Held | Refusal | None:
        """Take of every account, or of none; None where it must be looked up first what was spent."""
        accounts = []
        for limit in limits:
            account = self._accounts.get(limit.account) or self._account(limit.account, now)
            if limit.counts_money and not (account.known and account.duration == limit.duration):
                return None
            accounts.append((limit, account))
        for limit, account in accounts:
            refusal = _refusal(limit, account, tokens, nano, now)
            if refusal is not None:
                return refusal
        taken = Held("", limits, tokens, nano, int(now), None, None, accounts)
        for limit, account in accounts:
            _take(limit, account, taken)
        return taken

    async def settle(self, taken: Reservation, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Put what was used in place of what was taken."""
        assert isinstance(taken, Held)
        return self.settle_now(taken, tokens, nano, now)

    def settle_now(self, taken: Held, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Put what was used in place of what was taken."""
        crossed = []
        for limit, account in taken.accounts:
            account.busy -= 1
            account.reserved -= taken.nano
            if tokens is not None and tokens != taken.tokens:
                _correct(account.tokens, taken, tokens, now)
            if now >= account.ends:
                account.renew(now)
            if limit.soft is not None and account.spent < limit.soft <= account.spent + nano:
                crossed.append(limit)
            account.spent += nano
            account.settled += 1
        return crossed

    async def charge(self, accounts: Sequence[str], nano: int) -> None:
        """Count money that was spent without a reservation; who is not known here yet asks the ledger."""
        for name in accounts:
            account = self._accounts.get(name)
            if account is not None:
                account.spent += nano
                account.settled += 1

    async def hold(self, amounts: Mapping[str, int], version: int) -> None:
        """Have accounts know what batches hold; one that is not known here asks when it is first used."""
        for name, nano in amounts.items():
            account = self._accounts.get(name)
            if account is not None and account.known:
                account.hold(nano, version)

    async def full(self, limits: Sequence[Limit], now: float) -> Refusal | None:
        """Return a budget that does not have room for all that was spent and is held of it."""
        for limit in limits:
            if limit.budget is not None:
                await self._know(limit, now)
                money = Limit(about=limit.about, budget=limit.budget, duration=limit.duration)
                refusal = _refusal(money, self._account(limit.account, now), 0, 0, now)
                if refusal is not None:
                    return refusal
        return None

    async def aclose(self) -> None:
        """Nothing is held."""

    def in_flight(self) -> int:
        """Return how many reservations are not settled."""
        return sum(account.busy for account in self._accounts.values())

    async def _know(self, limit: Limit, now: float) -> None:
        """Learn what was spent in this period, once; anew where the budget's duration has changed."""
        account = self._account(limit.account, now)
        async with account.seeding:
            while not account.knows(limit):
                before, (start, end) = account.settled, period(limit.duration, now)
                spent = await self._spent(dict(limit.about), start)
                version, opened = await self.opened(dict(limit.about))
                if account.settled == before:  # else one was settled meanwhile, and is counted or is not
                    account.learn(spent, limit.duration, end)
                    account.hold(opened, version)
                    if limit.soft is not None and spent >= limit.soft:
                        self.crossed(limit)

    def _account(self, name: str, now: float) -> _Account:
        found = self._accounts.get(name)
        if found is None:
            if len(self._accounts) >= self._many:
                self._sweep(now)
            found = self._accounts[name] = _Account()
        return found

    def _sweep(self, now: float) -> None:
        """Forget accounts that stand at nothing, so that any number of customers may come by."""
        kept = {name: one for name, one in self._accounts.items() if one.seeding.locked() or not one.idle(now)}
        self._accounts = kept
        self._many = max(MANY, 2 * len(kept))


async def nothing_opened(_: Mapping[str, str]) -> tuple[int, int]:
    """Say that no batch holds anything."""
    return 0, 0


def _refusal(limit: Limit, account: _Account, tokens: int, nano: int, now: float) -> Refusal | None:
    if limit.parallel is not None and account.busy >= limit.parallel:
        return Refusal(limit, "parallel")
    if limit.rpm is not None and account.requests.read(now) + 1 > limit.rpm:
        return Refusal(limit, "rpm", account.requests.free_at(limit.rpm - 1, now) if limit.rpm else None)
    if limit.tpm is not None and account.tokens.read(now) + tokens > limit.tpm:
        fits = tokens <= limit.tpm
        return Refusal(limit, "tpm", account.tokens.free_at(limit.tpm - tokens, now) if fits else None)
    if limit.budget is not None:
        if now >= account.ends:
            account.renew(now)
        if account.spent >= limit.budget or account.spent + account.reserved + nano > limit.budget:
            end = period(limit.duration, now)[1]
            return Refusal(limit, "budget", None if end is None else end - now)
    return None


def _take(limit: Limit, account: _Account, taken: Held) -> None:
    """Take of an account, and note how much is left of its limit, where that is the least."""
    account.busy += 1
    account.reserved += taken.nano
    account.requests.add(1, taken.second)
    if taken.tokens:
        account.tokens.add(taken.tokens, taken.second)
    if limit.rpm is not None:
        left = limit.rpm - account.requests.total
        if taken.requests is None or left < taken.requests[1]:
            taken.requests = limit.rpm, left
    if limit.tpm is not None:
        left = limit.tpm - account.tokens.total
        if taken.tokens_left is None or left < taken.tokens_left[1]:
            taken.tokens_left = limit.tpm, left


def _correct(window: Window, taken: Reservation, used: int, now: float) -> None:
    """Count what was used in place of what was taken."""
    more = used - taken.tokens
    if more > 0:
        window.add(more, now)
    elif int(now) - taken.second <= WINDOW:
        window.give_back(-more, taken.second)


def tightest(rooms: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the (limit, left) of which least is left."""
    return min(rooms, key=lambda room: room[1], default=None)
