"""A simulation as a picture: requests, latency and errors of each deployment over time, in SVG.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart, in an order that keeps
neighbours unlike; lines differ in their dashes as well. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from polyport.simulating.report import Line, Report

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
INK, FAINT, SHADE = "#1a1a1a", "#d9d9d9", "#f3e3c3"
WIDTH, LEFT, RIGHT = 960, 78, 24
PANEL, GAP, TOP = 150, 46, 44
ROW, LEGEND, LANE = 18, 4, 13
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
#: What an axis may end at, so that its quarters are round; and the steps of a time axis, in seconds.
NICE = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


class Panel(msgspec.Struct):
    """One of the drawings, one above another: `values` takes what it shows out of a deployment's line."""

    title: str
    values: Callable[[Line], Sequence[float | None]]


PANELS = (
    Panel("requests / s", lambda line: line.requests),
    Panel("median latency, s", lambda line: line.latency),
    Panel("errors / s", lambda line: line.errors),
)


def draw(report: Report) -> str:
    """Return the picture. Shaded times are those of faults, bars below are rests."""
    lines = report.timeline.lines
    head = TOP + ROW * math.ceil((len(lines) + bool(report.timeline.faults)) / LEGEND) + 18
    rests = head + len(PANELS) * (PANEL + GAP)
    bottom = rests + LANE * len(lines)
    height = bottom + 46
    size = f"viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img' {FONT} font-size='12' fill='{INK}'>",
        f"<title>{escape(_title(report))}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='{LEFT}' y='24' font-size='15' font-weight='bold'>{escape(_title(report))}</text>",
        *_legend(report),
    ]
    for place, panel in enumerate(PANELS):
        top = head + place * (PANEL + GAP)
        parts += [*_faults(report, top), *_axes(report, panel, top), *_curves(report, panel, top)]
        parts += [] if place else _fault_names(report, top)
    parts += [*_rests(report, rests), *_times(report, bottom), "</svg>"]
    return "\n".join(parts) + "\n"


def _title(report: Report) -> str:
    rate = "no calls" if report.success_rate is None else f"{report.success_rate:.2%} of {report.calls:,} calls"
    high = "" if report.latency.p99 is None else f", p50 {report.latency.p50:.2f} s, p99 {report.latency.p99:.2f} s"
    return f"{report.strategy}: {rate} succeeded{high}"


def _style(place: int) -> str:
    dash = DASHES[place // len(COLOURS) % len(DASHES)] if place >= len(COLOURS) else DASHES[place % len(DASHES)]
    return f"stroke='{COLOURS[place % len(COLOURS)]}' stroke-width='2' fill='none' stroke-dasharray='{dash}'"


def _legend(report: Report) -> list[str]:
    parts, width = [], (WIDTH - LEFT - RIGHT) / LEGEND
    for place, line in enumerate(report.timeline.lines):
        x, y = _cell(place, width)
        name = line.id if len(line.id) <= 24 else f"{line.id[:23]}…"
        parts.append(f"<path d='M{x:g} {y - 4:g}h26' {_style(place)}/>")
        parts.append(f"<text x='{x + 32:g}' y='{y:g}'>{escape(name)}</text>")
    if report.timeline.faults:
        x, y = _cell(len(report.timeline.lines), width)
        parts.append(f"<rect x='{x:g}' y='{y - 10:g}' width='26' height='12' fill='{SHADE}' stroke='#b08900'/>")
        parts.append(f"<text x='{x + 32:g}' y='{y:g}'>a fault holds</text>")
    return parts


def _cell(place: int, width: float) -> tuple[float, float]:
    return LEFT + (place % LEGEND) * width, TOP + ROW * (place // LEGEND) + 4


def _across(report: Report) -> Callable[[float], float]:
    """Return what makes an x of a time."""
    scale = (WIDTH - LEFT - RIGHT) / report.seconds
    return lambda time: LEFT + min(time, report.seconds) * scale


def _faults(report: Report, top: float) -> list[str]:
    """Shade when faults hold that do not hold all the while."""
    x = _across(report)
    return [
        f"<rect x='{x(start):.1f}' y='{top}' width='{max(1.0, x(end) - x(start)):.1f}' height='{PANEL}' "
        f"fill='{SHADE}' fill-opacity='0.7'><title>{escape(fault.text)}</title></rect>"
        for fault in report.timeline.faults
        for start, end in fault.pieces
        if start < report.seconds and end - start < report.seconds
    ]


def _fault_names(report: Report, top: float) -> list[str]:
    """Write what each shaded time is, at its beginning; those that begin close together one below another."""
    x, parts, rows = _across(report), [], [0.0] * 4
    for fault in report.timeline.faults:
        text = fault.text.partition("@")[0]
        start = next((start for start, end in fault.pieces[:1] if end - start < report.seconds), None)
        if start is not None and start < report.seconds:
            row = next((row for row, end in enumerate(rows) if end <= x(start)), 0)
            rows[row] = x(start) + 7 * len(text) + 8
            at = f"x='{x(start) + 4:.1f}' y='{top + 13 + 13 * row:g}'"
            parts.append(f"<text {at} font-size='11' fill='#5c4500'>{escape(text)}</text>")
    return parts


def _highest(report: Report, panel: Panel) -> float:
    found = [value for line in report.timeline.lines for value in panel.values(line) if value is not None]
    return _nice(max(found, default=0.0)) if any(found) else 1.0


def _nice(value: float) -> float:
    """Return a round number that is not below a value."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in NICE if step * size >= value * 0.999)


def _axes(report: Report, panel: Panel, top: float) -> list[str]:
    highest, right = _highest(report, panel), WIDTH - RIGHT
    parts = [f"<text x='{LEFT}' y='{top - 8}' font-weight='bold'>{escape(panel.title)}</text>"]
    for part in range(5):
        y = top + PANEL - PANEL * part / 4
        parts.append(f"<path d='M{LEFT} {y:g}H{right}' stroke='{FAINT if part else INK}' stroke-width='1'/>")
        parts.append(f"<text x='{LEFT - 8}' y='{y + 4:g}' text-anchor='end'>{highest * part / 4:g}</text>")
    x = _across(report)
    parts += [f"<path d='M{x(time):.1f} {top}v{PANEL + 4}' stroke='{FAINT}'/>" for time in _marks(report.seconds)]
    return parts


def _curves(report: Report, panel: Panel, top: float) -> list[str]:
    highest, x, step = _highest(report, panel), _across(report), report.timeline.step
    parts = []
    for place, line in enumerate(report.timeline.lines):
        points = ""
        for index, value in enumerate(panel.values(line)):
            if value is None:
                points = points.rstrip("L")
                points += "" if points.endswith("M") else "M"
                continue
            y = top + PANEL * (1 - value / highest)
            points = (points or "M") + f"{x((index + 0.5) * step):.1f} {y:.1f}L"
        path = points.rstrip("LM")
        if path:
            parts.append(f"<path d='{path}' {_style(place)} stroke-linejoin='round' opacity='0.9'/>")
    return parts


def _rests(report: Report, top: float) -> list[str]:
    """Draw a row for each deployment: when it rested."""
    x = _across(report)
    parts = [f"<text x='{LEFT}' y='{top - 8:g}' font-weight='bold'>rests</text>"]
    for place, line in enumerate(report.timeline.lines):
        y, colour = top + LANE * place, COLOURS[place % len(COLOURS)]
        parts.append(f"<path d='M{LEFT} {y + 5:g}H{WIDTH - RIGHT}' stroke='{FAINT}'/>")
        name = escape(line.id if len(line.id) <= 11 else f"{line.id[:10]}…")
        parts.append(f"<text x='{LEFT - 8}' y='{y + 9:g}' font-size='11' text-anchor='end'>{name}</text>")
        parts += [
            f"<rect x='{x(start):.1f}' y='{y:g}' width='{max(1.0, x(end) - x(start)):.1f}' height='9' fill='{colour}'>"
            f"<title>{escape(line.id)} rested</title></rect>"
            for start, end in line.rests
            if start < report.seconds
        ]
    return parts


def _times(report: Report, top: float) -> list[str]:
    x = _across(report)
    parts = [
        f"<text x='{x(time):.1f}' y='{top + 18:g}' text-anchor='middle'>{_clock(time)}</text>"
        for time in _marks(report.seconds)
    ]
    parts.append(
        f"<text x='{(LEFT + WIDTH - RIGHT) / 2:g}' y='{top + 36:g}' text-anchor='middle'>{_unit(report)}</text>"
    )
    return parts


def _marks(seconds: float) -> list[float]:
    step = next((step for step in TIMES if seconds / step <= 10), TIMES[-1])
    return [float(step * number) for number in range(int(seconds // step) + 1)]


def _clock(time: float) -> str:
    hours, minutes, seconds = int(time // 3600), int(time % 3600 // 60), time % 60
    return f"{hours}:{minutes:02}:{seconds:02.0f}" if hours else f"{minutes}:{seconds:02.0f}"


def _unit(report: Report) -> str:
    return "virtual time, " + ("h:min:s" if report.seconds >= 3600 else "min:s")
