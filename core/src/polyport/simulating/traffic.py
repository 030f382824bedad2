"""The calls that come in a simulation: when, for which model, how long, streamed or not, and who walks away.

traffic:
  rps: 50                      # or {ramp: [10, 200]}, {base: 20, burst: 200, every: 600, lasts: 60},
                               # {points: [[0, 10], [600, 80], [1200, 10]]}: [seconds, calls a second]
  hours: 1
  arrivals: poisson            # or even: at equal distances
  models: {gpt-4o: 3, small: 1}
  prompt_tokens: {p50: 400, p99: 6000}
  output_tokens: {p50: 200, p99: 1500}
  streams: 0.5                 # the share of calls that are streamed
  leaving: 0.05                # the share of callers who walk away,
  leaving_after: {p50: 1, p99: 20}   # so many seconds after they called
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from polyport.errors import BadRequestError
from polyport.simulating import distributions

#: What the whole number of calls of one simulation may be, so that a slip of the pen does not take days.
MOST_CALLS = 200_000_000
RATES = "50, {ramp: [10, 200]}, {base: 20, burst: 200, every: 600, lasts: 60} or {points: [[0, 10], [600, 80]]}"


class Traffic(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What traffic there is, as configurations write it; see the module. Distributions: `simulating.distributions`."""

    rps: Any = 10.0
    hours: float = 1.0
    arrivals: Literal["poisson", "even"] = "poisson"
    models: dict[str, float] = {}
    prompt_tokens: Any = msgspec.field(default_factory=lambda: {"p50": 400, "p99": 6000})
    output_tokens: Any = msgspec.field(default_factory=lambda: {"p50": 200, "p99": 1500})
    streams: float = 0.0
    leaving: float = 0.0
    leaving_after: Any = msgspec.field(default_factory=lambda: {"p50": 1.0, "p99": 20.0})


class Asked(msgspec.Struct):
    """One call that comes: `leaves` is after how many seconds its caller walks away, None if not at all."""

    time: float
    model: str
    prompt: int
    output: int
    stream: bool
    leaves: float | None = None


#: A stretch of time in which the rate of calls changes evenly: (seconds, calls a second at its beginning and end).
Stretch = tuple[float, float, float]


class Calls:
    """The calls of a traffic, drawn one after another as they are asked for; the same ones for the same seed."""

    def __init__(
        self, traffic: Traffic, groups: Sequence[str], path: str = "$.traffic", folder: Path | None = None
    ) -> None:
        self.traffic = replace(traffic, models=traffic.models or dict.fromkeys(groups, 1.0))
        _check_shares(self.traffic, path)
        _check_models(self.traffic, path)
        self.seconds = self.traffic.hours * 3600
        self.stretches = _stretches(self.traffic.rps, self.seconds, f"{path}.rps")
        self._check_number(path)
        self._prompt, self._output, self._leaving = (
            distributions.read(getattr(self.traffic, name), f"{path}.{name}", folder)
            for name in ("prompt_tokens", "output_tokens", "leaving_after")
        )

    @property
    def expected(self) -> float:
        """About how many calls come."""
        return sum(seconds * (begin + end) / 2 for seconds, begin, end in self.stretches)

    def _check_number(self, path: str) -> None:
        if self.expected > MOST_CALLS:
            raise BadRequestError(
                f"{path} makes about {self.expected:.0f} calls, more than {MOST_CALLS}: lower rps or hours"
            )

    def drawn(self, seed: int) -> Iterator[Asked]:
        """Give the calls in order of their times."""
        random = Random(f"traffic {seed}")  # noqa: S311  a simulation, no secret
        traffic, prompt, output = self.traffic, self._prompt, self._output
        names, bounds = [*traffic.models], [*accumulate(traffic.models.values())]
        for time in self._times(random):
            leaves = self._leaving(random) if traffic.leaving and random.random() < traffic.leaving else None
            yield Asked(
                time,
                names[0] if len(names) == 1 else names[bisect(bounds, random.random() * bounds[-1])],
                max(1, round(prompt(random))),
                max(1, round(output(random))),
                traffic.streams > 0 and random.random() < traffic.streams,
                leaves,
            )

    def _times(self, random: Random) -> Iterator[float]:
        """Give the times of arrival: where the area below the rate has grown by one, or by an exponential draw."""
        even, start, wanted, area = self.traffic.arrivals == "even", 0.0, 0.0, 0.0
        for seconds, begin, end in self.stretches:
            whole = seconds * (begin + end) / 2
            while wanted < area + whole:
                yield start + _when(wanted - area, seconds, begin, end)
                wanted += 1.0 if even else random.expovariate(1.0)
            area += whole
            start += seconds


def _when(area: float, seconds: float, begin: float, end: float) -> float:
    """Return after how many seconds the area below a rate that goes from `begin` to `end` is so large."""
    if not area:
        return 0.0
    slope = (end - begin) / seconds
    if abs(slope) < 1e-12:
        return area / begin
    return 2 * area / (begin + math.sqrt(max(0.0, begin * begin + 2 * slope * area)))


# --- reading ---


def _stretches(given: Any, seconds: float, path: str) -> list[Stretch]:
    """Return the rate over time. Raises BadRequestError that names the place."""
    if isinstance(given, Mapping):
        for name, reader in SHAPES.items():
            if name in given:
                return reader(given, seconds, path)
        raise BadRequestError(f"{path} is no rate: {given!r}; write {RATES}")
    rate = _rate(given, path)
    return [(seconds, rate, rate)]


def _ramp(given: Mapping[str, Any], seconds: float, path: str) -> list[Stretch]:
    _only(given, ("ramp",), path)
    ends = given["ramp"]
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise BadRequestError(f"{path}.ramp must be [calls a second at the beginning, at the end], not {ends!r}")
    return [(seconds, _rate(ends[0], f"{path}.ramp[0]"), _rate(ends[1], f"{path}.ramp[1]"))]


def _bursts(given: Mapping[str, Any], seconds: float, path: str) -> list[Stretch]:
    _only(given, ("base", "burst", "every", "lasts"), path)
    base, burst, every, lasts = (
        _rate(given.get(name), f"{path}.{name}") for name in ("base", "burst", "every", "lasts")
    )
    if not 0 < lasts < every:
        raise BadRequestError(f"{path} needs 0 < lasts < every, not {lasts:g} and {every:g}")
    found: list[Stretch] = []
    while seconds > 0:
        calm = min(every - lasts, seconds)
        loud = min(lasts, seconds - calm)
        found += [(calm, base, base)] + ([(loud, burst, burst)] if loud else [])
        seconds -= every
    return found


def _points(given: Mapping[str, Any], seconds: float, path: str) -> list[Stretch]:
    _only(given, ("points",), path)
    points = [
        (_rate(time, f"{path}.points[{n}][0]"), _rate(rate, f"{path}.points[{n}][1]"))
        for n, (time, rate) in enumerate(_pairs(given["points"], f"{path}.points"))
    ]
    if points[0][0] > 0:
        points.insert(0, (0.0, points[0][1]))
    if points[-1][0] < seconds:
        points.append((seconds, points[-1][1]))
    found: list[Stretch] = []
    for (start, begin), (stop, end) in pairwise(points):
        if stop <= start:
            raise BadRequestError(f"{path}.points must go forward in time, and {stop:g} comes after {start:g}")
        if start < seconds:
            until = min(stop, seconds)
            found.append((until - start, begin, begin + (end - begin) * (until - start) / (stop - start)))
    return found


def _pairs(given: Any, path: str) -> list[Sequence[Any]]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise BadRequestError(f"{path} must be [[seconds, calls a second], ...], not {given!r}")
    for place, pair in enumerate(given):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise BadRequestError(f"{path}[{place}] must be [seconds, calls a second], not {pair!r}")
    return list(given)


#: What tells a shape from the others -> what reads it.
SHAPES = {"ramp": _ramp, "burst": _bursts, "base": _bursts, "points": _points}


def _only(given: Mapping[str, Any], names: Sequence[str], path: str) -> None:
    wrong = next((name for name in given if name not in names), None)
    if wrong is not None:
        near = difflib.get_close_matches(str(wrong), names, 1)
        guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise BadRequestError(f"{path} has {wrong!r}, which nothing reads: {guess}")


def _rate(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadRequestError(f"{path} must be a number that is not negative, not {value!r}; a rate is {RATES}")
    return float(value)


def _check_shares(traffic: Traffic, path: str) -> None:
    for name in ("streams", "leaving"):
        if not 0 <= getattr(traffic, name) <= 1:
            raise BadRequestError(f"{path}.{name} is a share, from 0 to 1, not {getattr(traffic, name):g}")
    if not 0 < traffic.hours < math.inf:
        raise BadRequestError(f"{path}.hours must be above 0, not {traffic.hours:g}")


def _check_models(traffic: Traffic, path: str) -> None:
    if not traffic.models:
        raise BadRequestError("There is no model group to call: model_list is empty")
    for name, weight in traffic.models.items():
        if weight < 0:
            raise BadRequestError(f"{path}.models[{name!r}] is a weight that is not negative, not {weight:g}")
    if not sum(traffic.models.values()):
        raise BadRequestError(f"{path}.models has no weight above 0")
