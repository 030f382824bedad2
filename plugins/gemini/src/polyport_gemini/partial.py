"""A call whose arguments are streamed: values by JSONPath, long texts in pieces.

Models do this where `toolConfig.functionCallingConfig.streamFunctionCallArguments` asks for it.
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import msgspec

from polyport_gemini.media import Piece

#: A step of a JSONPath: `.name`, `['name']` or `[0]`.
STEP = re.compile(r"\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]|\[(\d+)\]")


class PartialArg(msgspec.Struct, rename="camel"):
    """One value, or the next piece of a text."""

    json_path: str
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None
    null_value: Any = msgspec.UNSET
    will_continue: bool | None = None

    @property
    def value(self) -> Any:
        """The value, of whichever type it is."""
        given = (self.string_value, self.number_value, self.bool_value)
        return next((value for value in given if value is not None), None)


class PartialCall:
    """Puts a call together. `beside` is what its first part had besides the call: the signature."""

    def __init__(self, beside: Piece, call: dict[str, Any]) -> None:
        self._beside = beside
        self._call = {name: call[name] for name in ("id", "name") if call.get(name)}
        self._args: dict[str, Any] = {}

    def add(self, call: dict[str, Any], path: str) -> None:
        """Take the next values. Raises msgspec.ValidationError naming the place where they are malformed."""
        try:
            given = msgspec.convert(call.get("partialArgs") or [], list[PartialArg])
            whole = msgspec.convert(call.get("args") or {}, dict[str, Any])
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"{error} - at `{path}.functionCall`") from error
        self._args.update(whole)
        for arg in given:
            put(self._args, arg.json_path, arg.value)

    def part(self) -> Piece:
        """Return the whole call as the part that it would have been in one piece."""
        return {**self._beside, "functionCall": {**self._call, "args": self._args}}


def put(whole: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a JSONPath; a text that is there already goes on."""
    steps: list[str | int] = [
        int(number) if number else name or quoted for name, quoted, number in STEP.findall(path.removeprefix("$"))
    ]
    if not steps:
        return
    place: Any = whole
    for step, following in pairwise(steps):
        place = _enter(place, step, [] if isinstance(following, int) else {})
    last = steps[-1]
    before = _enter(place, last, None)
    _set(place, last, before + value if isinstance(before, str) and isinstance(value, str) else value)


def _enter(place: Any, step: str | int, new: Any) -> Any:
    """Return what is at a step; where nothing is, `new` is put there."""
    if isinstance(place, list) and isinstance(step, int):
        place.extend([None] * (step + 1 - len(place)))
        if place[step] is None:
            place[step] = new
        return place[step]
    return place.setdefault(str(step), new) if isinstance(place, dict) else new


def _set(place: Any, step: str | int, value: Any) -> None:
    if isinstance(place, list) and isinstance(step, int):
        place[step] = value
    elif isinstance(place, dict):
        place[str(step)] = value
