"""The `polyport` command. It needs typer, which comes with the `cli` extra; everything else here does not load it."""

from __future__ import annotations

import importlib.util
import sys

MISSING = 'The polyport command needs typer: pip install "polyport[cli]"'


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    if importlib.util.find_spec("typer") is None:
        sys.stderr.write(f"{MISSING}\n")
        sys.exit(2)
    from polyport.cli.app import run

    run()
