"""`polyport simulate`: a routing policy against simulated deployments; a table and a picture of what comes of it."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.app import DEBUG
from polyport.cli.exits import stop

if TYPE_CHECKING:
    from polyport.simulating import Config, Report

#: After how many new objects the collector looks for garbage: thousands of calls are on their way at a time, and hardly
#: anything is in a circle. It saves about 6 % of a simulation's time.
CALM = 10_000


def simulate(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="model_list and router_settings, YAML or JSON.")],
    rps: Annotated[
        str | None, typer.Option("--rps", metavar="N", help="Calls a second; 10-200 goes from 10 to 200.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", metavar="H", help="How long calls come.")] = None,
    faults: Annotated[
        str | None, typer.Option("--faults", metavar="TEXT", help="east:down@600-900; *:429%5 (see above).")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", metavar="NAME", help="Instead of the router's. Repeatable.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Run every strategy on the same traffic.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed gives the same result.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write an SVG; of several, one for each strategy.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Try a routing policy on simulated deployments.

    Nothing is sent, and an hour passes in seconds. The file is the gateway's; its section `simulation` says what
    traffic comes, what deployments are like, and what fails.

    Faults are TARGET:KIND@TIMES, with ; between them: "east:down@600-900; west:slow*3@20m-; *:429%5". Kinds: down,
    hang, cut, a status, slow*N, slow+S, jitter%N, rpm=N, tpm=N, parallel=N. Times: seconds, 10m, 1.5h.
    """
    from polyport.simulating import load

    ctx.meta[DEBUG] = debug
    traffic: dict[str, Any] = {}
    if rps is not None:
        traffic["rps"] = _rate(rps)
    if hours is not None:
        traffic["hours"] = hours
    gc.set_threshold(CALM)
    loaded = load(config, traffic=traffic, faults=faults, seed=seed)
    reports = []
    for report in _reports(loaded, strategy or [], compare):
        reports.append(report)
        if picture is not None:
            several = compare or len(strategy or []) > 1
            _write(picture.with_stem(f"{picture.stem}-{report.strategy}") if several else picture, report)
    if json:
        show.json([one.to_dict() for one in reports] if compare or len(reports) > 1 else reports[0].to_dict())
    else:
        _show(reports)


def _reports(loaded: Config, strategies: list[str], compare: bool) -> Iterator[Report]:
    from polyport.router.strategies import find
    from polyport.simulating import running

    for given in strategies:
        find(given)  # a wrong name is told before anything runs
    names: list[str | None] = [None]
    if strategies or compare:
        names = [*(strategies or running.strategy_names())]
    for name in names:
        with show.waiting(f"simulating {name or loaded.router.strategy_name}"):
            report = running.run(loaded.router, loaded.setting, name)
        yield report


def _rate(text: str) -> Any:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", text.strip())
    if found is None:
        stop(f"--rps is a number, 50, or a ramp, 10-200, not {text!r}")
    begin, end = found.groups()
    return float(begin) if end is None else {"ramp": [float(begin), float(end)]}


def _write(path: Path, report: Report) -> None:
    path.write_text(report.picture(), "utf-8")
    show.note(f"picture: {path}")


def _show(reports: list[Report]) -> None:
    from polyport.simulating import report as reporting

    if len(reports) > 1:
        show.table(reporting.COMPARED, reporting.compared(reports), right=range(1, len(reporting.COMPARED) - 1))
    else:
        show.table(["", reports[0].strategy], reporting.summary(reports[0]))
        show.text("")
        show.table(reporting.COLUMNS, reporting.rows(reports[0]), right=range(1, len(reporting.COLUMNS)))
        for name, message in reports[0].examples.items():
            show.note(f"{name}: {message}")
    calls, real = sum(one.calls for one in reports), sum(one.real_seconds for one in reports)
    virtual = sum(one.seconds for one in reports)
    show.note(f"{calls} calls, {virtual / 3600:g} virtual hours in {real:.1f} s: {calls / max(real, 1e-9):.0f} calls/s")
