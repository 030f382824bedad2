"""`cache={...}` of one call: whether to look, whether to keep, how long, and in which namespace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.errors import BadRequestError


class Controls(msgspec.Struct, frozen=True):
    """What holds for one call. `ttl` and `max_age` are seconds; None is no limit."""

    read: bool = True
    write: bool = True
    ttl: float | None = None
    max_age: float | None = None
    namespace: str = ""
    use: bool | None = None


def _flag(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return value
    raise BadRequestError(f"Expected `bool`, got {value!r} at $.cache[{name!r}]")


def _seconds(value: Any, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise BadRequestError(f"Expected seconds, 0 or more, got {value!r} at $.cache[{name!r}]")


def _text(value: Any, name: str) -> str:
    if isinstance(value, str) and value:
        return value
    raise BadRequestError(f"Expected a name, got {value!r} at $.cache[{name!r}]")


#: What users write -> the field it sets, and how it is read.
NAMES: Mapping[str, tuple[str, Callable[[Any, str], Any]]] = {
    "no-cache": ("read", lambda value, name: not _flag(value, name)),
    "no-store": ("write", lambda value, name: not _flag(value, name)),
    "ttl": ("ttl", _seconds),
    "s-maxage": ("max_age", _seconds),
    "s-max-age": ("max_age", _seconds),
    "namespace": ("namespace", _text),
    "use-cache": ("use", _flag),
}


def read(given: Mapping[str, Any], standing: Controls) -> Controls:
    """Return what a call asked for over what holds otherwise. Raises BadRequestError that lists the right names."""
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in NAMES:
            raise BadRequestError(f"Unknown name {name!r} at $.cache; there are {', '.join(map(repr, NAMES))}")
        field, convert = NAMES[name]
        changes[field] = convert(value, name)
    if changes.get("ttl") == 0:
        changes["write"] = False
    return msgspec.structs.replace(standing, **changes)
