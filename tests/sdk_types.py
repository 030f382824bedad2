"""Holds a wire body against the types of a vendor's official SDK, read strictly.

The SDKs of OpenAI and Anthropic describe their requests as TypedDicts. As they stand they let mistakes through: a
TypedDict takes any further key, `Iterable[...]` is read lazily, and annotations kept as text hide `Required`. Here
every key must be known, every item of a list is read, and whatever is required must be there.

    errors = check(CompletionCreateParamsNonStreaming, body)      # [] or ["$.messages[0].role: ..."]

An SDK can lag behind its service: where recorded traffic disagrees with it, the traffic is right.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable
from functools import cache
from os import PathLike
from typing import Annotated, Any, Union

import typing_extensions

WRAPPERS = (typing.Required, typing.NotRequired, typing_extensions.ReadOnly)
LISTS = (collections.abc.Iterable, collections.abc.Sequence, list)
MAPPINGS = (collections.abc.Mapping, dict)
UNIONS = (Union, types.UnionType)


def check(kind: Any, value: Any, path: str = "$") -> list[str]:
    """Return what is wrong with `value` as `kind`, each with its place; an empty list is right."""
    kind = _bare(kind)
    if kind is Any or kind is object:
        return []
    if typing_extensions.is_typeddict(kind):
        return _typed_dict(kind, value, path)
    origin = typing.get_origin(kind)
    for origins, judge in BY_ORIGIN:
        if origin in origins:
            return judge(kind, value, path)
    return _plain(kind, value, path)


def _bare(kind: Any) -> Any:
    """Return the type without what only annotates it."""
    while True:
        origin = typing.get_origin(kind)
        if origin is Annotated or origin in WRAPPERS:
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__value__"):  # type X = ...
            kind = kind.__value__
        else:
            return kind


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return a TypedDict's fields with their types resolved, and the names of those that must be there."""
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    required = {name for name, hint in hints.items() if _is_required(hint, name in kind.__required_keys__)}
    return hints, frozenset(required)


def _is_required(hint: Any, default: bool) -> bool:
    while (origin := typing.get_origin(hint)) in (*WRAPPERS, Annotated):
        if origin is typing.Required:
            return True
        if origin is typing.NotRequired:
            return False
        hint = typing.get_args(hint)[0]
    return default


def _typed_dict(kind: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected {kind.__name__}, got {value!r}"]
    hints, required = _fields(kind)
    errors = [f"{path}.{name}: missing in {kind.__name__}" for name in sorted(required - value.keys())]
    for name, inner in value.items():
        if name not in hints:
            errors.append(f"{path}.{name}: unknown in {kind.__name__}")
        else:
            errors += check(hints[name], inner, f"{path}.{name}")
    return errors


def _union(kind: Any, value: Any, path: str) -> list[str]:
    """Return the complaints of the member that fits best; none if one fits."""
    found = [check(member, value, path) for member in typing.get_args(kind)]
    return min(found, key=lambda errors: (len(errors), _shallow(errors, path)))


def _shallow(errors: list[str], path: str) -> int:
    """Count the complaints about the value itself or its discriminator: such a member was not meant."""
    return sum(error.startswith((f"{path}:", f"{path}.type:", f"{path}.role:")) for error in errors)


def _list(kind: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, list | tuple):
        return [f"{path}: expected a list, got {value!r}"]
    (inner,) = typing.get_args(kind) or (Any,)
    return [error for index, item in enumerate(value) for error in check(inner, item, f"{path}[{index}]")]


def _mapping(kind: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected a dict, got {value!r}"]
    key_kind, inner = typing.get_args(kind) or (Any, Any)
    return [
        error
        for key, item in value.items()
        for error in (*check(key_kind, key, f"{path} key {key!r}"), *check(inner, item, f"{path}.{key}"))
    ]


def _literal(kind: Any, value: Any, path: str) -> list[str]:
    allowed = typing.get_args(kind)
    fits = any(value == item and type(value) is type(item) for item in allowed)
    return [] if fits else [f"{path}: {value!r} is none of {allowed}"]


def _tuple(kind: Any, value: Any, path: str) -> list[str]:
    inner = typing.get_args(kind)
    if not isinstance(value, tuple) or len(value) != len(inner):
        return [f"{path}: expected {len(inner)} values, got {value!r}"]
    return [error for index, item in enumerate(value) for error in check(inner[index], item, f"{path}[{index}]")]


def _plain(kind: Any, value: Any, path: str) -> list[str]:
    """Judge a scalar as JSON does: an int is a float, a bool is no int. Bytes and open files are files."""
    if kind is None or kind is type(None):
        fits = value is None
    elif kind is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    elif kind is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif typing.get_origin(kind) is typing.IO or kind is typing.IO:
        fits = hasattr(value, "read")
    else:
        fits = isinstance(value, PathLike if typing.get_origin(kind) is PathLike else kind)
    return [] if fits else [f"{path}: expected {getattr(kind, '__name__', kind)}, got {value!r}"]


Judge = Callable[[Any, Any, str], list[str]]
BY_ORIGIN: tuple[tuple[tuple[Any, ...], Judge], ...] = (
    (UNIONS, _union),
    (LISTS, _list),
    (MAPPINGS, _mapping),
    ((typing.Literal, typing_extensions.Literal), _literal),
    ((tuple,), _tuple),
)
