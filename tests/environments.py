"""Fresh virtual environments, to see what is installed in them do without all that is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


class Environment:
    """A fresh virtual environment, by uv where there is uv."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.uv = shutil.which("uv")
        make = [self.uv, "venv", "--python", sys.executable] if self.uv else [sys.executable, "-m", "venv"]
        run([*make, str(folder)])

    def install(self, *what: str) -> None:
        """Install packages or folders."""
        pip = [self.uv, "pip"] if self.uv else [str(self.python), "-m", "pip"]
        where = ["--python", str(self.python)] if self.uv else []
        run([*pip, "install", *where, *what])

    def run(self, *arguments: str, at: Path | None = None) -> str:
        """Run python in it, every warning an error, and return what it printed."""
        return run([str(self.python), "-W", "error", *arguments], at=at)


def run(command: list[str], at: Path | None = None) -> str:
    """Run a command with nothing of this environment but its path; one that fails shows what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL", "POLYPORT"))}
    done = subprocess.run(command, capture_output=True, text=True, cwd=at, env=kept, check=False, timeout=900)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done.stdout
