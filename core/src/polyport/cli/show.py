"""How things look: JSON for machines, tables and progress bars for people, text that cannot steer a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from polyport.cli.exits import CONTROLS, stop

if TYPE_CHECKING:
    from rich.progress import Progress

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


def text(value: str, *, end: str = "\n") -> None:
    """Print text of a model at once; at a terminal, without the characters that would steer it."""
    sys.stdout.write((value.translate(CONTROLS) if sys.stdout.isatty() else value) + end)
    sys.stdout.flush()


def note(value: str, *, end: str = "\n") -> None:
    """Print something about the answer, beside it: to standard error, dimmed at a terminal."""
    value = value.translate(CONTROLS)
    sys.stderr.write(f"{DIM}{value}{PLAIN}{end}" if sys.stderr.isatty() else value + end)
    sys.stderr.flush()


def plain(value: Any) -> Any:
    """Return a result as plain data."""
    dump = getattr(value, "to_dict", None)
    return dump() if dump is not None else msgspec.to_builtins(value)


def json(value: Any) -> None:
    """Print a result as indented JSON."""
    encoded = msgspec.json.format(msgspec.json.encode(plain(value)), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def json_line(value: Any) -> None:
    """Print a result as one line of JSON, at once."""
    sys.stdout.write(msgspec.json.encode(plain(value)).decode() + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[int] = ()) -> None:
    """Print a table; the columns numbered in `right` are aligned to the right. None is an empty cell."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    wanted = set(right)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(columns):
        drawn.add_column(name, justify="right" if index in wanted else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else str(cell).translate(CONTROLS)) for cell in row))
    # Where nobody sees it drawn there is no width to keep to: each row stays one line for grep and cut.
    width = None if sys.stdout.isatty() else 10_000
    Console(file=sys.stdout, highlight=False, width=width).print(drawn)


def progress(*, count: bool = False) -> Progress:
    """Return a progress display on standard error; nothing is drawn where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    amount = MofNCompleteColumn() if count else TaskProgressColumn()
    columns = [TextColumn("{task.description}"), BarColumn(), amount, TimeElapsedColumn()]
    console = Console(file=sys.stderr)
    return Progress(*columns, console=console, disable=not console.is_terminal)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on standard error that something takes its time, and for how long, until the block ends."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what)
        yield


def write_bytes(pieces: Iterable[bytes], output: str) -> int:
    """Write bytes to a path, or to standard output for `-`, and return their number."""
    if output == "-":
        if sys.stdout.isatty():
            stop("Bytes are not written to a terminal: redirect them, or name a file with -O.")
        return _write(pieces, sys.stdout.buffer)
    with Path(output).open("wb") as file:
        return _write(pieces, file)


def _write(pieces: Iterable[bytes], file: IO[bytes]) -> int:
    size = 0
    for piece in pieces:
        file.write(piece)
        file.flush()
        size += len(piece)
    return size
