"""The README's table of plugins, made from the plugins: their pyproject.toml and the hooks they answer.

POLYPORT_GOLDEN=write pytest tests/test_readme.py      # writes it anew
"""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

from polyport.plugins import LoadedProvider

FOLDER = Path(__file__).parent.parent / "plugins"
#: Heading -> the hooks of which one is enough for a dot.
COLUMNS = {
    "chat": {"chat"},
    "images": {"generate_image", "edit_image"},
    "speech → text": {"transcribe"},
    "text → speech": {"speak"},
    "embed": {"embed"},
    "rerank": {"rerank"},
    "moderate": {"moderate"},
    "video": {"create_video"},
    "files": {"create_file"},
    "batch": {"create_batch"},
}
SHOWN = 4


def tables() -> str:
    """Return both tables: the providers, then whatever else a plugin can be."""
    projects = [tomllib.loads(path.read_text())["project"] for path in sorted(FOLDER.glob("*/pyproject.toml"))]
    providers = [project for project in projects if _points(project, "providers")]
    others = [project for project in projects if not _points(project, "providers")]
    head = ["install", "prefix", *COLUMNS]
    rows = [head, ["---", "---", *[":-:"] * len(COLUMNS)], *map(_row, providers)]
    about = [["install", "what it is"], ["---", "---"], *([_name(one), _about(one)] for one in others)]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in table) for table in (rows, about))


def _row(project: dict[str, Any]) -> list[str]:
    points = _points(project, "providers")
    hooks = {hook for value in set(points.values()) for hook in _hooks(value)}
    return [_name(project), _prefixes(project), *("●" if hooks & any_of else "" for any_of in COLUMNS.values())]


def _name(project: dict[str, Any]) -> str:
    name = project["name"]
    extras = "".join(f" `[{extra}]`" for extra in project.get("optional-dependencies", {}))
    return f"[`{name}`](plugins/{name.removeprefix('polyport-')}){extras}"


def _about(project: dict[str, Any]) -> str:
    return re.sub(r" for polyport\b", "", project["description"])


def _prefixes(project: dict[str, Any]) -> str:
    prefixes = [f"`{name}/`" for name in _points(project, "providers")]
    bare = [f"`{glob}`" for glob in _points(project, "models")]
    return _few(prefixes) + (f"; bare {_few(bare)}" if bare else "")


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} … {len(names)} in all" if len(names) > SHOWN else shown


def _points(project: dict[str, Any], group: str) -> dict[str, str]:
    points: dict[str, str] = project.get("entry-points", {}).get(f"polyport.{group}", {})
    return points


def _hooks(value: str) -> set[str]:
    """Return the hooks that the provider at `package:Class` answers."""
    module, _, name = value.partition(":")
    return set(LoadedProvider(name, getattr(importlib.import_module(module), name)(name)).answers)
