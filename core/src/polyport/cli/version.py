"""`polyport version`."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from polyport.cli import show


def version(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the versions of polyport and of Python."""
    from polyport import __version__

    if json:
        show.json({"polyport": __version__, "python": platform.python_version()})
    else:
        show.text(f"polyport {__version__} (Python {platform.python_version()})")
