"""The types of results that have no name of their own, written down so that another process can read their bytes.

A dialect derives types of its look-alikes' answers while it runs, with fields beyond the shared ones. A shape is what
such a type adds to the one it is derived from, as JSON; from both a type is derived again that holds the same.
"""

from __future__ import annotations

import sys
from functools import lru_cache, reduce
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from polyport.types.record import empty, learn


class Unnamed(TypeError):
    """A type that cannot be written down, or is not known here."""


@lru_cache(maxsize=1024)
def shape_of(kind: type[Any], base: type[Any]) -> str:
    """Return how `kind` differs from `base`, "" where it does not. Raises Unnamed."""
    if kind is base:
        return ""
    if not issubclass(kind, base):
        raise Unnamed(f"{kind.__qualname__} is no {base.__qualname__}")
    return msgspec.json.encode(_describe(kind)).decode()


@lru_cache(maxsize=1024)
def type_of(shape: str, base: type[Any]) -> type[Any]:
    """Return the type that a shape describes. Raises Unnamed where its package is not loaded, or has changed."""
    made = _build(msgspec.json.decode(shape), base.__qualname__) if shape else base
    if not (isinstance(made, type) and issubclass(made, base)):
        raise Unnamed(f"{shape} describes no {base.__qualname__}")
    found: type[Any] = learn(made)
    return found


def _describe(kind: Any) -> Any:
    """A Struct with a name is that name; one without is the one it is derived from and the fields it changes."""
    if _named(kind):
        return f"{kind.__module__}:{kind.__qualname__}"
    base = next((ancestor for ancestor in kind.__mro__[1:] if _named(ancestor)), None)
    if base is None:
        raise Unnamed(f"{kind.__qualname__} cannot be found by its name")
    known = {field.name: field.type for field in msgspec.structs.fields(base)}
    changed = {f.name: _field(f.type) for f in msgspec.structs.fields(kind) if known.get(f.name, f) != f.type}
    return {"of": _describe(base), "with": changed}


def _field(kind: Any) -> Any:
    if kind is Any:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list and len(inner) == 1:
        return [_field(inner[0])]
    if origin in (Union, UnionType) and len(inner) == 2 and NoneType in inner:
        return {"maybe": _field(next(one for one in inner if one is not NoneType))}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _describe(kind)
    raise Unnamed(f"{kind!r} cannot be written down")


def _named(kind: type[Any]) -> bool:
    return issubclass(kind, msgspec.Struct) and _lookup(kind.__module__, kind.__qualname__) is kind


def _lookup(module: str, name: str) -> Any:
    """Return what a loaded module has under a name. Nothing is imported: the bytes may be anybody's."""
    return reduce(lambda found, part: getattr(found, part, None), name.split("."), sys.modules.get(module))


def _build(shape: Any, name: str) -> Any:
    if shape is None:
        return Any
    if isinstance(shape, list):
        return list[_build(shape[0], name)]  # type: ignore[misc]
    if isinstance(shape, str):
        found = _lookup(*shape.split(":", 1))
        if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
            raise Unnamed(f"{shape} is not loaded")
        return found
    if "maybe" in shape:
        return _build(shape["maybe"], name) | None
    base = _build(shape["of"], name)
    fields = [(field, *_with_default(_build(inner, field))) for field, inner in shape["with"].items()]
    return msgspec.defstruct(base.__name__, fields, bases=(base,), module=base.__module__, kw_only=True)


def _with_default(kind: Any) -> tuple[Any, Any]:
    if get_origin(kind) is list:
        return kind, empty()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, msgspec.field(default_factory=kind)
    return kind, None
