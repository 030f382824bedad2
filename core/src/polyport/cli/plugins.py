"""`polyport plugins`: what is installed, what it can do, where it comes from, and what failed to load and why."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from polyport import plugins as core
from polyport.cli import show
from polyport.cli.exits import one_line
from polyport.errors import PolyportError

Entry = Any


class Provided(msgspec.Struct, omit_defaults=True):
    """One entry point of a plugin: a provider's prefix, a command, a transport ... and why it does not load."""

    kind: str
    name: str
    value: str
    capabilities: list[str] = []
    error: str | None = None


class Plugin(msgspec.Struct, omit_defaults=True):
    """One installed distribution."""

    name: str
    version: str = ""
    location: str = ""
    provides: list[Provided] = []


def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed plugins. Each is loaded, to see whether it can be."""
    found = installed()
    if json:
        show.json(found)
        return
    show.table(["plugin", "version", "provides", "capabilities", "from"], (row for one in found for row in _rows(one)))
    broken = [(one.name, what) for one in found for what in one.provides if what.error]
    for name, what in broken:
        show.note(f"{name}: {what.error}")


def installed() -> list[Plugin]:
    """Return every installed plugin, by name, with each of its entry points tried."""
    found: dict[str, Plugin] = {}
    for group in core.groups():
        for entry in core.entries(group):
            name = core.distribution(entry)
            plugin = found.setdefault(name, Plugin(name, _version(entry), _location(entry)))
            plugin.provides.append(_provided(group, entry))
    return [found[name] for name in sorted(found)]


def _provided(group: str, entry: Entry) -> Provided:
    provided = Provided(group.removeprefix("polyport.").removesuffix("s"), entry.name, entry.value)
    try:
        if group == core.PROVIDERS:
            provided.capabilities = capabilities(entry.name)
        elif group != core.MODELS:  # a model's value is a provider's name: there is nothing to load
            core.load(core.find(group, entry.name) or entry)
    except PolyportError as error:
        provided.error = one_line(error)
    return provided


def capabilities(provider: str) -> list[str]:
    """Return what a provider can do, in the order of the operations table."""
    from polyport.operations import OPERATIONS

    answers = core.Providers().get(provider).answers
    return list(dict.fromkeys(row.capability for row in OPERATIONS if row.hook in answers))


def _version(entry: Entry) -> str:
    return str(entry.dist.version) if entry.dist is not None else ""


def _location(entry: Entry) -> str:
    """Return where a plugin's code is: the folder of an editable install, else where it was installed to."""
    if entry.dist is None:
        return ""
    source = getattr(entry.dist.origin, "url", "")
    return source.removeprefix("file://") if source.startswith("file://") else str(entry.dist.locate_file(""))


def _rows(plugin: Plugin) -> list[list[str]]:
    """Return one row a kind: names of a kind that can do the same stand together."""
    rows: dict[tuple[str, str], list[str]] = {}
    for what in plugin.provides:
        can = "failed to load" if what.error else ", ".join(what.capabilities)
        rows.setdefault((what.kind, can), []).append(what.name)
    lines = [
        ["", "", f"{kind} {', '.join(names[:8])}{' …' if len(names) > 8 else ''}", can, ""]
        for (kind, can), names in rows.items()
    ]
    lines[0][0], lines[0][1], lines[0][4] = plugin.name, plugin.version, plugin.location
    return lines
