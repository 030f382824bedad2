"""What each app of fal's takes: read from `apps.json`, which was made from the types of fal's own client.

In it, an app has a mode (see `polyport.catalog.MODES`) and fields by name: true for any value, or the values there
are, or the name of one of the `lists`. Only fields that a parameter of polyport's may become are there; a prompt goes
without saying. An app that is not in the table is taken to take everything under its most common name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import learn

OWNER = "fal-ai/"
#: Owners whose apps have a part more in front. https://fal.ai/docs/api-reference/inference-api#model-ids-and-paths
NAMESPACES = frozenset({"workflows", "comfy"})
PATH = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)+")


class App(msgspec.Struct, frozen=True):
    """An app, by its endpoint id. `takes` has for each field the values there are, none where any will do."""

    path: str
    mode: str | None = None
    takes: dict[str, tuple[str, ...]] = {}

    def name(self, *names: str) -> str | None:
        """Return the first of some names of a field that the app takes, None where it takes none of them."""
        if self.mode is None:
            return names[0]
        return next((name for name in names if name in self.takes), None)

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values that a field may have, none where any will do."""
        return self.takes.get(name, ())

    @property
    def root(self) -> str:
        """The part of the path that jobs are asked for under: it leaves out the endpoint within the app."""
        parts = self.path.split("/")
        return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


class _Row(msgspec.Struct):
    mode: str
    takes: dict[str, bool | str | list[str]] = {}


class _File(msgspec.Struct):
    lists: dict[str, list[str]]
    apps: dict[str, _Row]


@lru_cache(maxsize=1)
def known() -> dict[str, App]:
    """Return the apps of the table, by path."""
    file = msgspec.json.decode((Path(__file__).parent / "apps.json").read_bytes(), type=learn(_File))

    def values(given: bool | str | list[str]) -> tuple[str, ...]:
        return () if isinstance(given, bool) else tuple(file.lists[given] if isinstance(given, str) else given)

    return {
        path: App(path, row.mode, {name: values(given) for name, given in row.takes.items()})
        for path, row in file.apps.items()
    }


def find(model: str) -> App:
    """Return the app that a model's name means; the owner fal-ai/ may be left out. Raises BadRequestError."""
    path = model.strip("/")
    table = known()
    if path not in table and (OWNER + path in table or "/" not in path):
        path = OWNER + path
    if not PATH.fullmatch(path):
        raise BadRequestError(f"{model!r} is no endpoint id of fal's; they read like fal-ai/flux/dev.")
    return table.get(path) or App(path)
