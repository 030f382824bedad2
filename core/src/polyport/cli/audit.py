"""`polyport audit`: recorded costs, computed again."""

from __future__ import annotations

import gzip
import lzma
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from polyport.cli import show
from polyport.cli.exits import FAILED, stop


def _gunzip(file: IO[bytes]) -> Iterable[bytes]:
    return gzip.GzipFile(fileobj=file)


#: How compressed files are opened, by their suffix.
OPENERS: dict[str, Callable[[IO[bytes]], Iterable[bytes]]] = {".xz": lzma.LZMAFile, ".gz": _gunzip}


def audit(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="JSON lines; - is stdin.", show_default=False)],
    prices: Annotated[
        list[str] | None, typer.Option("--prices", metavar="FILE", help="Your own prices. Repeatable.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("-p", "--provider", help="Whose batch results these are, where models do not tell.")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="USD that do not count as a difference.")] = 1e-9,
    everything: Annotated[bool, typer.Option("--all", help="Show every call, not only those that differ.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each call.")] = False,
) -> None:
    """Compute recorded costs again.

    Shows where they differ from the prices known now; exit code 1 if any does.
    """
    from polyport.audit import audit as audited
    from polyport.pricefile import register_prices

    for path in prices or []:
        register_prices(path)
    counts: Counter[str] = Counter()
    rows = []
    recorded = computed = 0.0
    for path in files:
        for row in audited(_lines(path), tolerance, provider=provider):
            counts[row.verdict] += 1
            if row.verdict in ("same", "differs"):
                recorded, computed = recorded + (row.recorded or 0), computed + (row.computed or 0)
            if json:
                show.json_line({"file": path, **{name: getattr(row, name) for name in row.__struct_fields__}})
            elif everything or row.verdict == "differs":
                cells = (row.provider, row.model, row.operation, _usd(row.recorded), _usd(row.computed), row.verdict)
                rows.append((f"{path}:{row.line}", *cells, row.why))
    if rows:
        columns = ["where", "provider", "model", "operation", "$ recorded", "$ computed", "verdict", "why"]
        show.table(columns, rows, right=[4, 5])
    show.note(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) or "nothing to price")
    if counts["differs"]:
        stop(f"Recorded ${recorded:.6f}, computed ${computed:.6f}: {counts['differs']} calls differ.", code=FAILED)


def _usd(value: float | None) -> str | None:
    return None if value is None else f"{value:.9f}".rstrip("0").rstrip(".")


def _lines(path: str) -> Iterator[bytes]:
    if path == "-":
        yield from sys.stdin.buffer
        return
    packed = OPENERS.get(Path(path).suffix)
    with Path(path).open("rb") as file:
        yield from file if packed is None else packed(file)
