"""The contract without pytest: every check of an installed plugin, as rows of a table.

A plugin ships its recorded exchanges as `EXCHANGES` in `<package>/conformance.py`: a list, or for several prefixes
in one package a dict from prefix to list. Without it, what needs no recorded body is checked all the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import importlib_metadata
import msgspec

from polyport import plugins
from polyport.errors import PluginError
from polyport.provider import Provider
from polyport.testing.bench import Subject, told
from polyport.testing.contract import Case, cases
from polyport.testing.exchange import Exchange


class Row(msgspec.Struct, frozen=True):
    """What one check found. `detail` says why it failed or was skipped."""

    provider: str
    where: str
    check: str
    about: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""
    seconds: float = 0.0


def conformance(name: str) -> list[Row]:
    """Run the contract on an installed plugin, by its prefix or its distribution's name. Nothing is sent.

    Raises NotFoundError for a plugin that is not installed, PluginError for one that cannot be loaded.
    """
    entries = _entries(name)
    return [row for entry in entries for row in _rows(entry)]


def _entries(name: str) -> list[importlib_metadata.EntryPoint]:
    entry = plugins.find(plugins.PROVIDERS, name)
    if entry is not None:
        return [entry]
    installed = plugins.entries(plugins.PROVIDERS)
    found = [entry for entry in installed if plugins.distribution(entry).lower() == name.lower()]
    if not found:
        raise plugins.missing(name.removeprefix("polyport-"), [entry.name for entry in installed])
    return found


def _rows(entry: importlib_metadata.EntryPoint) -> list[Row]:
    provider = plugins.load(entry)
    if not (isinstance(provider, type) and issubclass(provider, Provider)):
        raise PluginError(f"The plugin {entry.name!r} is {provider!r}; it must be a subclass of polyport.Provider.")
    exchanges, missing = exchanges_of(entry)
    subject = Subject(provider, entry.name)
    rows = [_row(entry.name, case, missing) for case in cases(subject, exchanges)]
    if missing:
        rows.append(
            Row(entry.name, "every hook", "exchanges", "What recorded bodies are needed for.", "skipped", missing)
        )
    return rows


def exchanges_of(entry: importlib_metadata.EntryPoint) -> tuple[Sequence[Exchange], str]:
    """Return a plugin's recorded exchanges, or none and why. Raises PluginError for ones that cannot be read."""
    module = f"{entry.value.partition(':')[0].partition('.')[0]}.conformance"
    if not _exists(module):
        return [], f"{plugins.distribution(entry)} records no exchanges: it has no module {module} with EXCHANGES"
    try:
        found: Any = getattr(importlib.import_module(module), "EXCHANGES", None)
    except (ImportError, SyntaxError, TypeError, ValueError, OSError) as error:
        raise PluginError(f"{module} failed to load: {told(error)}") from error
    if isinstance(found, Mapping):
        found = found.get(entry.name)
        if found is None:
            return [], f"{module} records no exchanges for {entry.name!r}"
    if not isinstance(found, Sequence) or not all(isinstance(exchange, Exchange) for exchange in found):
        raise PluginError(f"EXCHANGES of {module} must be a list of polyport.testing.Exchange, or a dict of such lists")
    return found, ""


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the plugin is one module and no package
        return False


def _row(provider: str, case: Case, missing: str) -> Row:
    skip = case.skip or (missing if case.check == "hook_is_recorded" else None)
    if skip:
        return Row(provider, case.where, case.check, case.about, "skipped", skip)
    start = time.perf_counter()
    try:
        case.run()
    except AssertionError as error:
        took = time.perf_counter() - start
        return Row(provider, case.where, case.check, case.about, "failed", str(error), took)
    except Exception as error:  # noqa: BLE001  a provider may raise anything, and the other rows still count
        took = time.perf_counter() - start
        return Row(provider, case.where, case.check, case.about, "failed", told(error), took)
    return Row(provider, case.where, case.check, case.about, "passed", "", time.perf_counter() - start)
