"""What several calls share about deployments: who is busy, what was used in the last minute, who failed and rests.

A state is small so that it can live elsewhere (`polyport-redis`): four flows, of which `take` must be atomic. Its
methods are flows, as an implementation may do I/O; this one, in memory, yields nothing. `now` is seconds on the
driver's clock; a state shared between processes goes by a clock of its own.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from typing import Protocol

import msgspec

from polyport.flow import Flow

#: Limits are per minute, in any sixty seconds.
WINDOW = 60
#: How much of an average latency the newest measure is.
WEIGHT = 0.3


class Limits(msgspec.Struct, frozen=True):
    """What a deployment may be asked for: requests and tokens a minute, calls at a time; None is no limit."""

    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None


#: The limits of a deployment that has none: one value, known by itself.
UNLIMITED = Limits()


class Standing(msgspec.Struct):
    """How a deployment stands: calls in flight; requests, tokens and failures of the last minute.

    `latency` is a moving average in seconds (of streams: to the first content), measured `age` seconds ago; after a
    minute without a measure it begins anew. `cooling` is how many seconds it still rests.
    """

    busy: int = 0
    requests: int = 0
    tokens: int = 0
    failures: int = 0
    latency: float | None = None
    age: float = 0.0
    cooling: float = 0.0


class Ticket(msgspec.Struct):
    """What was taken of a deployment, to be settled once. `second` is when, on the state's own clock.

    `lease` names it among the calls in flight, for a state that others see, too; "" in memory.
    """

    id: str
    tokens: int
    second: int
    lease: str = ""


class Refusal(msgspec.Struct):
    """Why a deployment could not be taken: `limit` is rpm, tpm, parallel, cooling or budget.

    It is free in `seconds`, if that is known; `why` says it in words, where somebody else than a state refused.
    """

    limit: str
    seconds: float | None = None
    why: str = ""


class Outcome(msgspec.Struct):
    """How a call on a deployment ended. `latency` is None where none was measured.

    After a failure that is more than the `allowed` ones of the last minute, the deployment rests for `cool` seconds,
    and counting begins anew.
    """

    tokens: int | None = None
    latency: float | None = None
    failed: bool = False
    cool: float = 0.0
    allowed: int = 0


class State(Protocol):
    """What the router asks of a state. Ids it has never seen stand at nothing."""

    def look(self, ids: Sequence[str], now: float) -> Flow[list[Standing]]:
        """Return how deployments stand, in the order of `ids`."""

    def take(self, id: str, limits: Limits, tokens: int, now: float) -> Flow[Ticket | Refusal]:
        """Count a call in, with the tokens it may use, unless a limit or a rest stands against it. Atomic."""

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> Flow[None]:
        """Count the call out, and what it really used and took."""

    def forget(self, ids: Sequence[str]) -> Flow[None]:
        """Forget deployments that are no more."""

    def close(self) -> None:
        """Let go of connections, for a router used without async code."""

    async def aclose(self) -> None:
        """Let go of connections, the running event loop's included."""


class Window:
    """Counts of the last minute, kept by the second: what it tells is never less than in any sixty seconds."""

    __slots__ = ("_counts", "_until", "total")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        #: When the first of the seconds is over a minute ago.
        self._until = math.inf
        self.total = 0

    def read(self, now: float) -> int:
        """Return the count of the last minute."""
        if now >= self._until:
            self._forget(int(now) - WINDOW)
        return self.total

    def add(self, count: int, now: float) -> None:
        """Count, at `now`."""
        second = int(now)
        try:
            self._counts[second] += count  # most are not the first of their second
        except KeyError:
            self._begin(second, count)
        self.total += count

    def _begin(self, second: int, count: int) -> None:
        self._forget(second - WINDOW)
        self._counts[second] = count
        if len(self._counts) == 1:
            self._until = second + WINDOW + 1

    def give_back(self, count: int, second: int) -> None:
        """Take back what was counted at a second, if that is not over a minute ago."""
        if second in self._counts:
            self._counts[second] -= count
            self.total -= count

    def free_at(self, room: int, now: float) -> float:
        """Return after how many seconds the count will have come down to `room`."""
        left, free = self.total, now
        for second, count in self._counts.items():
            if left <= room:
                break
            left -= count
            free = second + WINDOW + 1
        return max(0.0, free - now)

    def _forget(self, oldest: int) -> None:
        """Drop what is from before a second; seconds stand in the order in which they came."""
        counts = self._counts
        for second in [*itertools.takewhile(lambda one: one < oldest, counts)]:
            self.total -= counts.pop(second)
        first = next(iter(counts), None)
        self._until = math.inf if first is None else first + WINDOW + 1


class _Record:
    __slots__ = ("busy", "cool_until", "failures", "latency", "measured", "requests", "tokens")

    def __init__(self) -> None:
        self.busy = 0
        self.requests = Window()
        self.tokens = Window()
        self.failures = Window()
        self.latency: float | None = None
        self.measured = 0.0
        self.cool_until = 0.0

    def standing(self, now: float) -> Standing:
        cooling = self.cool_until - now
        return Standing(
            self.busy,
            self.requests.read(now) if self.requests.total else 0,
            self.tokens.read(now) if self.tokens.total else 0,
            self.failures.read(now) if self.failures.total else 0,
            self.latency,
            now - self.measured,
            cooling if cooling > 0 else 0.0,
        )


class MemoryState:
    """A state in this process, shared by its threads and event loops."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def look(self, ids: Sequence[str], now: float) -> Flow[list[Standing]]:
        """Return how deployments stand."""
        yield from ()
        records = self._records
        with self._lock:
            return [record.standing(now) if (record := records.get(one)) else Standing() for one in ids]

    def take(self, id: str, limits: Limits, tokens: int, now: float) -> Flow[Ticket | Refusal]:
        """Count a call in, or say what stands against it."""
        yield from ()
        with self._lock:
            record = self._records.get(id)
            if record is None:
                record = self._records[id] = _Record()
            if limits is not UNLIMITED or record.cool_until > now:
                refusal = _refusal(record, limits, tokens, now)
                if refusal is not None:
                    return refusal
            record.busy += 1
            record.requests.add(1, now)
            if tokens:
                record.tokens.add(tokens, now)
            return Ticket(id, tokens, int(now))

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> Flow[None]:
        """Count the call out."""
        yield from ()
        with self._lock:
            record = self._records.get(ticket.id)
            if record is None:  # forgotten while the call ran
                return
            record.busy -= 1
            _settle_tokens(record.tokens, ticket, outcome, now)
            if outcome.failed:
                record.failures.add(1, now)
                if outcome.cool and record.failures.read(now) > outcome.allowed:
                    record.cool_until = max(record.cool_until, now + outcome.cool)
                    record.failures = Window()
            if outcome.latency is not None:
                old = record.latency if now - record.measured <= WINDOW else None
                record.latency = outcome.latency if old is None else old + WEIGHT * (outcome.latency - old)
                record.measured = now

    def forget(self, ids: Sequence[str]) -> Flow[None]:
        """Forget deployments that are no more."""
        yield from ()
        with self._lock:
            for one in ids:
                self._records.pop(one, None)

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""


def _refusal(record: _Record, limits: Limits, tokens: int, now: float) -> Refusal | None:
    if record.cool_until > now:
        return Refusal("cooling", record.cool_until - now)
    if limits.parallel is not None and record.busy >= limits.parallel:
        return Refusal("parallel")
    if limits.rpm is not None and record.requests.read(now) + 1 > limits.rpm:
        return Refusal("rpm", record.requests.free_at(limits.rpm - 1, now))
    if limits.tpm is not None and record.tokens.read(now) + tokens > limits.tpm:
        return Refusal("tpm", record.tokens.free_at(max(0, limits.tpm - tokens), now))
    return None


def _settle_tokens(window: Window, ticket: Ticket, outcome: Outcome, now: float) -> None:
    """Correct what was taken to what was used; a call of which nothing is known has used what it took."""
    if outcome.tokens is None:
        return
    more = outcome.tokens - ticket.tokens
    if more > 0:
        window.add(more, now)
    elif more < 0:
        window.give_back(-more, ticket.second)
