"""What a simulation found: for callers, for each deployment, and over time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from polyport.simulating.measuring import Callers, Load, Loads, percentile


class Percentiles(msgspec.Struct):
    """Seconds that half, nine in ten, and ninety-nine in a hundred were not above; None where nothing was measured."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, values: array[float]) -> Percentiles:
        """Return those of some values."""
        ordered = sorted(values)
        return cls(*(percentile(ordered, share) for share in (0.5, 0.9, 0.99)))


class DeploymentReport(msgspec.Struct):
    """What one deployment had to do. `share` is of all requests; `refused` were over its own limits, `failed` all other
    errors, `cancelled` requests that nobody waited for any more. `rests` is how often it rested, for `resting` seconds
    together. `latency` is of whole answers, of streams to the first token.
    """

    id: str
    group: str
    model: str
    requests: int
    share: float
    succeeded: int
    refused: int
    failed: int
    cancelled: int
    errors: dict[str, int]
    rests: int
    resting: float
    peak: int
    tokens: int
    cost: float
    latency: Percentiles


class Line(msgspec.Struct):
    """One deployment over time: requests and errors a second and the median latency, in each step; and its rests."""

    id: str
    requests: list[float]
    errors: list[float]
    latency: list[float | None]
    rests: list[list[float]]


class FaultTime(msgspec.Struct):
    """When a fault held: `pieces` are [from, to] in seconds."""

    text: str
    pieces: list[list[float]]


class Timeline(msgspec.Struct):
    """The simulation over time, in steps of `step` seconds."""

    step: float
    lines: list[Line]
    faults: list[FaultTime] = []


class Report(msgspec.Struct, kw_only=True):
    """The result of a simulation. Seconds are virtual but for `real_seconds`; `cost` in USD, None where none is known.

    `success_rate` is of the calls whose callers stayed; `errors` are those that reached callers, by class, and
    `examples` the first message of each. `attempts` is how many calls took so many requests, `attempts_per_call` their
    mean. `latency` is until callers had the whole answer, `first_token` of streams to their first content.
    """

    strategy: str
    seed: int
    seconds: float
    calls: int
    succeeded: int
    failed: int
    left: int
    success_rate: float | None
    errors: dict[str, int]
    examples: dict[str, str]
    attempts_per_call: float
    attempts: dict[int, int]
    latency: Percentiles
    first_token: Percentiles
    cost: float | None
    deployments: list[DeploymentReport]
    timeline: Timeline
    real_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return plain

    def picture(self) -> str:
        """Return requests, latencies and errors over time as an SVG."""
        from polyport.simulating.picture import draw

        return draw(self)


def made(
    strategy: str, seed: int, seconds: float, callers: Callers, loads: Loads, faults: Sequence[FaultTime]
) -> Report:
    """Return the report of what was measured."""
    stayed = callers.calls - callers.left
    requests = sum(sum(load.requests) for load in loads.values())
    failed = sum(callers.errors.values())
    tries = sum(number * count for number, count in callers.attempts.items())
    return Report(
        strategy=strategy,
        seed=seed,
        seconds=seconds,
        calls=callers.calls,
        succeeded=callers.succeeded,
        failed=failed,
        left=callers.left,
        success_rate=callers.succeeded / stayed if stayed else None,
        errors=dict(callers.errors.most_common()),
        examples=callers.examples,
        attempts_per_call=tries / callers.calls if callers.calls else 0.0,
        attempts=dict(sorted(callers.attempts.items())),
        latency=Percentiles.of(callers.latencies),
        first_token=Percentiles.of(callers.first_tokens),
        cost=callers.cost,
        deployments=[_deployment(load, requests) for load in loads.values()],
        timeline=Timeline(loads.step, [_line(load, loads.step) for load in loads.values()], list(faults)),
    )


def _deployment(load: Load, requests: int) -> DeploymentReport:
    own = sum(load.requests)
    latencies = array("d")
    for part in load.latencies:
        latencies.extend(part)
    return DeploymentReport(
        id=load.id,
        group=load.group,
        model=load.model,
        requests=own,
        share=own / requests if requests else 0.0,
        succeeded=len(latencies),
        refused=load.refused,
        failed=sum(load.kinds.values()) - load.refused,
        cancelled=load.cancelled,
        errors=dict(load.kinds.most_common()),
        rests=len(load.rests),
        resting=sum(end - start for start, end in load.rests),
        peak=load.peak,
        tokens=load.tokens,
        cost=load.cost,
        latency=Percentiles.of(latencies),
    )


def _line(load: Load, step: float) -> Line:
    return Line(
        id=load.id,
        requests=[count / step for count in load.requests],
        errors=[count / step for count in load.errors],
        latency=[percentile(sorted(part), 0.5) for part in load.latencies],
        rests=load.rests,
    )


# --- tables ---

COLUMNS = [
    "deployment", "requests", "share", "ok", "refused", "failed", "cancelled", "rests", "p50 s", "p90 s", "p99 s", "$",
]  # fmt: skip
COMPARED = [
    "strategy", "calls", "success", "failed", "p50 s", "p90 s", "p99 s", "first p50", "attempts", "refused", "rests",
    "$", "shares",
]  # fmt: skip


def rows(report: Report) -> list[list[Any]]:
    """Return a row for each deployment, under COLUMNS."""
    return [
        [
            one.id, one.requests, f"{one.share:.1%}", one.succeeded, one.refused, one.failed, one.cancelled, one.rests,
            *seconds(one.latency), usd(one.cost if report.cost is not None else None),
        ]
        for one in report.deployments
    ]  # fmt: skip


def compared(reports: Sequence[Report]) -> list[list[Any]]:
    """Return a row for each simulation, under COMPARED."""
    return [
        [
            report.strategy, report.calls, rate(report.success_rate), report.failed, *seconds(report.latency),
            seconds(report.first_token)[0], f"{report.attempts_per_call:.2f}",
            sum(one.refused for one in report.deployments), sum(one.rests for one in report.deployments),
            usd(report.cost), " ".join(f"{one.id} {one.share:.0%}" for one in report.deployments),
        ]
        for report in reports
    ]  # fmt: skip


def summary(report: Report) -> list[list[Any]]:
    """Return (what, how much) of the whole."""
    errors = ", ".join(f"{count} {name}" for name, count in report.errors.items())
    tries = ", ".join(f"{number}: {count}" for number, count in report.attempts.items())
    return [
        ["calls", report.calls],
        ["succeeded", f"{report.succeeded} ({rate(report.success_rate)})"],
        ["failed", f"{report.failed}" + (f" ({errors})" if errors else "")],
        ["left by their callers", report.left],
        ["latency p50/p90/p99", _slashed(report.latency)],
        ["first token p50/p90/p99", _slashed(report.first_token)],
        ["attempts per call", f"{report.attempts_per_call:.3f} ({tries})"],
        ["cost", "unknown: no prices" if report.cost is None else f"${report.cost:.2f}"],
    ]


def seconds(found: Percentiles) -> list[str | None]:
    """Return percentiles as a table shows them."""
    return [None if value is None else f"{value:.2f}" for value in (found.p50, found.p90, found.p99)]


def usd(value: float | None) -> str | None:
    """Return USD as a table shows them."""
    return None if value is None else f"{value:.2f}"


def rate(value: float | None) -> str:
    """Return a share as a table shows it."""
    return "-" if value is None else f"{value:.2%}"


def _slashed(found: Percentiles) -> str:
    return "-" if found.p50 is None else " / ".join(str(value) for value in seconds(found)) + " s"
