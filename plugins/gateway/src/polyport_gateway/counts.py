"""Counts of a gateway's requests in plain numbers, which cost a request a few microseconds, and can be added up.

One `Counts` is what one process counted; `add` makes one of several processes'. What they are called outside is the
matter of `metrics`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport_gateway.gate import Admission, Asked, Outcome
from polyport_prometheus.labels import Bounded
from polyport_prometheus.metrics import DURATIONS, FIRSTS

#: Models, providers, teams and deployments that are told apart; those that come later are "other".
MODELS, PROVIDERS, TEAMS, DEPLOYMENTS, WORDS = 200, 100, 200, 500, 100
#: Kinds of requests that are looked up at once.
KINDS = 10_000
#: Requests that are counted in one go: done many times in a row, it costs half of what it costs in between others.
ROUND = 50


class Timed(msgspec.Struct, array_like=True):
    """A histogram: how many were up to each bound, and beyond the last; and the sum of all, in seconds."""

    buckets: list[int]
    total: float = 0.0

    def observe(self, bounds: tuple[float, ...], seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(bounds, seconds)] += 1
        self.total += seconds

    def add(self, other: Timed) -> None:
        """Count another's."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.total += other.total


class Place(msgspec.Struct, array_like=True):
    """What one model of one provider was asked for by one operation."""

    duration: Timed
    first: Timed
    statuses: dict[int, int] = {}
    tokens: dict[str, int] = {}
    nano: int = 0
    hits: int = 0
    unpriced: int = 0

    def add(self, other: Place) -> None:
        """Count another's."""
        self.duration.add(other.duration)
        self.first.add(other.first)
        plus(self.statuses, other.statuses)
        plus(self.tokens, other.tokens)
        self.nano += other.nano
        self.hits += other.hits
        self.unpriced += other.unpriced


class Team(msgspec.Struct, array_like=True):
    """What one team asked for; "" are callers without one."""

    requests: int = 0
    errors: int = 0
    tokens: int = 0
    nano: int = 0

    def add(self, other: Team) -> None:
        """Count another's."""
        self.requests += other.requests
        self.errors += other.errors
        self.tokens += other.tokens
        self.nano += other.nano


class Counts(msgspec.Struct):
    """What was counted; keys are (operation, model, provider), team, (deployment, error), and so on.

    What grows is added up over processes; `in_flight`, `resident` and so on are of those that live.
    """

    places: dict[tuple[str, str, str], Place] = {}
    teams: dict[str, Team] = {}
    errors: dict[tuple[str, str, str, str], int] = {}
    refusals: dict[tuple[str, int], int] = {}
    failures: dict[tuple[str, str, str], int] = {}
    cpu: float = 0.0
    #: Of processes that live.
    in_flight: int = 0
    resident: int = 0
    lag: float = 0.0
    processes: int = 0
    resting: dict[tuple[str, str, str], float] = {}
    redis_away: int = 0
    #: Of all replicas: batches that are open, and nano-dollars that they hold.
    batches: int = 0
    held: int = 0
    #: Metrics of observers that are metrics themselves: (name, what, kind, labels, sample) -> value.
    others: dict[tuple[str, str, str, str, tuple[tuple[str, str], ...]], float] = {}

    def add(self, other: Counts, *, alive: bool) -> None:
        """Count another process's."""
        for mine, theirs in ((self.places, other.places), (self.teams, other.teams)):
            _merge(mine, theirs)
        for counts, more in (
            (self.errors, other.errors), (self.refusals, other.refusals), (self.failures, other.failures),
        ):  # fmt: skip
            plus(counts, more)
        self.cpu += other.cpu
        plus(self.others, {key: value for key, value in other.others.items() if alive or key[2] != "gauge"})
        if alive:
            self.in_flight += other.in_flight
            self.resident += other.resident
            self.processes += other.processes
            self.lag = max(self.lag, other.lag)
            self.redis_away = max(self.redis_away, other.redis_away)
            if other.batches > self.batches:
                self.batches, self.held = other.batches, other.held
            for place, seconds in other.resting.items():
                self.resting[place] = max(seconds, self.resting.get(place, 0.0))


def _merge(mine: Any, theirs: Mapping[Any, Any]) -> None:
    for key, value in theirs.items():
        known = mine.get(key)
        if known is None:
            mine[key] = value
        else:
            known.add(value)


def plus(mine: Any, theirs: Mapping[Any, Any]) -> None:
    """Add numbers by their keys."""
    for key, value in theirs.items():
        mine[key] = mine.get(key, 0) + value


#: Where requests of one kind are counted.
Where = tuple[tuple[str, str, str], Place, Team]


class Counter:
    """Counts the requests of this process. Its `tap` is told of each that is over."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._waiting: list[tuple[Where, Outcome]] = []
        self._models, self._providers, self._teams = Bounded(MODELS), Bounded(PROVIDERS), Bounded(TEAMS)
        self._deployments, self._words = Bounded(DEPLOYMENTS), Bounded(WORDS)
        #: (operation, model, provider, team) as they were asked for -> where that is counted.
        self._known: dict[tuple[str, str | None, str, str], Where] = {}

    @property
    def counts(self) -> Counts:
        """What was counted up to now."""
        self._count_all()
        return self._counts

    def tap(self, asked: Asked | None, admission: Admission | None, outcome: Outcome) -> None:
        """Count a request that is over: what a gate refused, by its reason; all others by what they asked for."""
        if asked is None or admission is None:
            reason = self._words.bound(outcome.code or outcome.error or "gone")
            plus(self._counts.refusals, {(reason, outcome.status): 1})
            return
        name = (asked.operation, asked.model, outcome.provider, admission.caller.team)
        known = self._known.get(name)
        if known is None:
            known = self._learn(name, asked, admission)
        self._waiting.append((known, outcome))
        if len(self._waiting) >= ROUND:
            self._count_all()

    def _count_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for where, outcome in waiting:
            self._count(*where, outcome)

    def _count(self, key: tuple[str, str, str], place: Place, team: Team, outcome: Outcome) -> None:
        status = outcome.status
        place.duration.observe(DURATIONS, outcome.latency)
        if outcome.first_byte is not None:
            place.first.observe(FIRSTS, outcome.first_byte)
        place.statuses[status] = place.statuses.get(status, 0) + 1
        team.requests += 1
        if outcome.cache_hit:  # what it says it used was used when it was asked for the first time
            place.hits += 1
        else:
            tokens = place.tokens
            for bucket, count in outcome.usage.items():
                tokens[bucket] = tokens.get(bucket, 0) + count
                team.tokens += count
            if outcome.nano is not None:
                place.nano += outcome.nano
                team.nano += outcome.nano
            elif outcome.usage:
                place.unpriced += 1
        if status >= 400 or outcome.failures:
            self._failed(key, team, outcome)

    def _learn(self, name: tuple[str, str | None, str, str], asked: Asked, admission: Admission) -> Where:
        """Return where requests of this kind are counted."""
        model = ""
        if name[2]:  # else nothing was called, and a caller may have named anything
            model = self._models.bound(admission.aliases.get(asked.model or "", asked.model or ""))
        key = (asked.operation or asked.path, model, self._providers.bound(name[2]))
        place = self._counts.places.get(key)
        if place is None:
            duration, first = (Timed([0] * (len(bounds) + 1)) for bounds in (DURATIONS, FIRSTS))
            place = self._counts.places[key] = Place(duration, first)
        team = self._counts.teams.setdefault(self._teams.bound(name[3]), Team())
        if asked.operation and not admission.aliases and len(self._known) < KINDS:
            self._known[name] = key, place, team
        return key, place, team

    def _failed(self, key: tuple[str, str, str], team: Team, outcome: Outcome) -> None:
        if outcome.status >= 400:
            team.errors += 1
            error = self._words.bound(outcome.code or outcome.error or str(outcome.status))
            plus(self._counts.errors, {(*key, error): 1})
        for failure in outcome.failures:
            where = (self._deployments.bound(failure.deployment), failure.provider, self._words.bound(failure.error))
            plus(self._counts.failures, {where: 1})


_encode = msgspec.msgpack.Encoder().encode


def pack(counts: Counts) -> bytes:
    """Return counts as bytes."""
    fields = {name: getattr(counts, name) for name in counts.__struct_fields__}
    return _encode({name: [*value.items()] if isinstance(value, dict) else value for name, value in fields.items()})


class _Packed(msgspec.Struct):
    places: list[tuple[tuple[str, str, str], Place]]
    teams: list[tuple[str, Team]]
    errors: list[tuple[tuple[str, str, str, str], int]]
    refusals: list[tuple[tuple[str, int], int]]
    failures: list[tuple[tuple[str, str, str], int]]
    resting: list[tuple[tuple[str, str, str], float]]
    others: list[tuple[tuple[str, str, str, str, tuple[tuple[str, str], ...]], float]]
    cpu: float
    in_flight: int
    resident: int
    lag: float
    processes: int
    redis_away: int
    batches: int
    held: int


_decode = msgspec.msgpack.Decoder(_Packed).decode


def unpack(data: bytes) -> Counts:
    """Return what was packed. Raises msgspec.DecodeError."""
    packed = _decode(data)
    fields: dict[str, Any] = {name: getattr(packed, name) for name in packed.__struct_fields__}
    found: dict[str, Any] = {name: dict(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Counts(**found)


def together(mine: Counts, others: Iterable[tuple[Counts, bool]]) -> Counts:
    """Return the counts of several processes as one; of each, whether it lives."""
    whole = unpack(pack(mine))
    for one, alive in others:
        whole.add(one, alive=alive)
    return whole
