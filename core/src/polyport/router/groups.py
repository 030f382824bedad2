"""Model groups: the names callers use, and the deployments behind each; exact names, aliases and wildcards.

A group `openai/*` answers for every model of that form, and what stood for the star stands for it in the
deployment's model, too. The pattern with the longest beginning wins; an exact name comes before any pattern.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from polyport.errors import BadRequestError, NotFoundError
from polyport.router.deployments import Deployment


class Groups:
    """All deployments of a router, by group. Reading needs no lock: a change makes new tables and swaps them whole."""

    def __init__(self, deployments: Iterable[Deployment], aliases: Mapping[str, Any]) -> None:
        self.aliases = {name: _target(name, value) for name, value in aliases.items()}
        self.hidden = {name for name, value in aliases.items() if isinstance(value, Mapping) and value.get("hidden")}
        self._exact: dict[str, list[Deployment]] = {}
        self._matched: dict[str, list[Deployment]] = {}
        ids: dict[str, str] = {}
        for one in deployments:
            if one.id in ids:
                raise BadRequestError(
                    f"Two deployments have the id {one.id!r}, of {ids[one.id]!r} and {one.group!r}: give each its own "
                    "model_info.id, or leave one out"
                )
            ids[one.id] = one.group
            self._exact.setdefault(one.group, []).append(one)
        wild = [name for name in self._exact if "*" in name]
        self._patterns = [
            (_pattern(name), name) for name in sorted(wild, key=lambda name: -len(name.partition("*")[0]))
        ]

    def all(self) -> list[Deployment]:
        """Return every deployment."""
        return [one for members in self._exact.values() for one in members]

    def names(self) -> list[str]:
        """Return the names that callers may use: groups and aliases that are not hidden."""
        return [*self._exact, *(name for name in self.aliases if name not in self.hidden)]

    def has(self, name: str) -> bool:
        """Whether anything answers for a name."""
        return bool(self.find(name))

    def of(self, name: str) -> list[Deployment]:
        """Return the deployments that answer for a name. Raises NotFoundError that lists the names there are."""
        found = self.find(name)
        if found:
            return found
        near = difflib.get_close_matches(name, self.names(), 1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        raise NotFoundError(
            f"No model group {name!r}. {guess}There are {', '.join(self.names()) or 'none'}.", model=name
        )

    def find(self, name: str) -> list[Deployment]:
        """Return the deployments that answer for a name, maybe none."""
        name = self.aliases.get(name, name)
        found = self._exact.get(name) or self._matched.get(name)
        if found is None:
            found = self._match(name)
            if found and len(self._matched) < 4096:
                self._matched[name] = found
        return found

    def _match(self, name: str) -> list[Deployment]:
        for pattern, group in self._patterns:
            match = pattern.fullmatch(name)
            if match is not None:
                star = match[1]
                return [replace(one, model=one.model.replace("*", star), place=None) for one in self._exact[group]]
        return []


def _target(name: str, value: Any) -> str:
    target = value.get("model") if isinstance(value, Mapping) else value
    if not isinstance(target, str):
        raise BadRequestError(
            f'model_group_alias[{name!r}] must be a group\'s name or {{"model": name, "hidden": bool}}'
        )
    return target


def _pattern(glob: str) -> re.Pattern[str]:
    begin, _, end = glob.partition("*")
    return re.compile(f"{re.escape(begin)}(.+){re.escape(end)}")
