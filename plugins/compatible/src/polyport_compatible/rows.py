"""The table of look-alikes, rows.json, read on first use: one row a provider, what differs from OpenAI as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from polyport.provider import Setting

TABLE = Path(__file__).with_name("rows.json")


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One look-alike.

    `base` is its address, "" where every user has another; `keys` the variables of its key, the provider's own name
    first; `can` what it answers (see `look_alike.ABILITIES`); `docs` its documentation, `source` where address and
    key were read, on the day `read`. `quirks` are fields of `Quirks` that differ from those all look-alikes share;
    `values` are parameters' values under other names, by hook. `settings` fill `{name}`s of `base`; `header` is the
    key's where it is not `Authorization: Bearer`. `open`: works without a key. `roles`: whether "developer" has to be
    "system". `also` are further prefixes.
    """

    prefix: str
    name: str
    base: str
    keys: tuple[str, ...]
    can: tuple[str, ...]
    docs: str
    source: str
    read: str = "2026-11-23"
    quirks: Mapping[str, Any] = {}
    values: Mapping[str, Mapping[str, Mapping[str, str]]] = {}
    settings: tuple[Setting, ...] = ()
    header: str = ""
    open: bool = False
    roles: bool = True
    also: tuple[str, ...] = ()
    note: str = ""

    @property
    def class_name(self) -> str:
        """What its class is called: together_ai is TogetherAi."""
        return "".join(part[:1].upper() + part[1:] for part in self.prefix.split("_"))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Every prefix it answers to."""
        return (self.prefix, *self.also)


@cache
def rows() -> tuple[Row, ...]:
    """Return every row, in the table's order."""
    return msgspec.json.decode(TABLE.read_bytes(), type=tuple[Row, ...])


@cache
def by_class() -> Mapping[str, Row]:
    """Return the rows by the names of their classes."""
    return {row.class_name: row for row in rows()}


def entry_points() -> dict[str, str]:
    """Return the entry points that the package must declare: prefix -> "module:class"."""
    return {prefix: f"polyport_compatible:{row.class_name}" for row in rows() for prefix in row.prefixes}
