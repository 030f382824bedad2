"""The static checks, as tests, so that one command runs everything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Every package's sources: a plugin is checked because it is there, and nobody has to list it.
SOURCES = [ROOT / "core" / "src", *sorted((ROOT / "plugins").glob("*/src"))]

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy --strict": [sys.executable, "-m", "mypy", *map(str, SOURCES)],
}


@pytest.mark.parametrize("name", CHECKS)
def test_static_check_finds_nothing(name: str) -> None:
    """Every tool is content with the whole tree, by the settings in the root pyproject.toml."""
    command = CHECKS[name]
    program = shutil.which(command[0]) or str(Path(sys.executable).parent / command[0])
    env = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, SOURCES))}
    done = subprocess.run([program, *command[1:]], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
