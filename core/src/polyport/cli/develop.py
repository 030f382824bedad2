"""`polyport conformance` and `new-plugin`: for people who write plugins."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from polyport.cli import show
from polyport.cli.exits import FAILED, stop


def conformance(
    plugin: Annotated[str, typer.Argument(help="A provider's prefix, or a distribution's name.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    failures: Annotated[bool, typer.Option("--failures", help="Show only what failed.")] = False,
) -> None:
    """Hold a plugin to the contract.

    Every hook, stream, error and secret is tried; exit code 1 if any fails.
    """
    from polyport import testing

    with show.waiting(f"{plugin} is held to the contract"):
        rows = testing.conformance(plugin)
    failed = [row for row in rows if row.outcome == "failed"]
    shown = failed if failures else rows
    if json:
        show.json(shown)
    else:
        cells = ([row.provider, row.where, row.check.replace("_", " "), row.outcome, row.detail] for row in shown)
        show.table(["provider", "where", "check", "outcome", "why"], cells)
        counts = Counter(row.outcome for row in rows)
        show.note(", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")))
    if failed:
        stop(f"{plugin} fails {len(failed)} of {len(rows)} checks.", code=FAILED)


def new_plugin(
    name: Annotated[str, typer.Argument(help="The model prefix: acme for acme/model-1.", show_default=False)],
    openai_compatible: Annotated[
        bool, typer.Option("--openai-compatible", help="For a provider that speaks OpenAI's dialect.")
    ] = False,
    path: Annotated[
        str | None, typer.Option("--path", metavar="FOLDER", help="Where to; else ./polyport-NAME.", show_default=False)
    ] = None,
) -> None:
    """Write the package of a new provider.

    It installs, passes the contract and answers.
    """
    from polyport import template

    target = Path(path) if path is not None else Path(f"polyport-{name.replace('_', '-')}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        stop(f"{str(target)!r} exists and is not empty; name another folder with --path.")
    template.render(name, target, openai_compatible)
    show.text(str(target))
    show.note(f"Next: cd {target} && pip install -e '.[test]' && pytest")
