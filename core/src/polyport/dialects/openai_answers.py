"""The types that a look-alike's chat answers are read as: OpenAI's, with the fields that it has beyond them.

Of a reply's top level nothing is lost (`Result.extra`); what stands deeper has to be named, and is named by `Quirks`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from polyport.dialects.openai_messages import REASONING
from polyport.dialects.openai_wire import Quirks
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta, Message
from polyport.types.record import empty
from polyport.types.usage import Usage


def completion_type(quirks: Quirks) -> type[ChatCompletion]:
    """Return what a whole answer is read as."""
    return _types(quirks.kept, quirks.beside, quirks.usage)[0]


def chunk_type(quirks: Quirks) -> type[ChatCompletionChunk]:
    """Return what a streamed piece of one is read as."""
    return _types(quirks.kept, quirks.beside, quirks.usage)[1]


@cache
def _types(
    kept: frozenset[str], beside: frozenset[str], usage: type[Usage]
) -> tuple[type[ChatCompletion], type[ChatCompletionChunk]]:
    if not (kept or beside) and usage is Usage:
        return ChatCompletion, ChatCompletionChunk
    return (
        _reply(ChatCompletion, usage, _choice(Choice, "message", Message, kept, beside)),
        _reply(ChatCompletionChunk, usage, _choice(ChunkChoice, "delta", Delta, kept, beside)),
    )


def _reply(kind: type[Any], usage: type[Usage], choice: type[Any]) -> type[Any]:
    fields = [("choices", list[choice], empty()), ("usage", usage | None, None)]  # type: ignore[valid-type]
    return _derived(kind, fields)


def _choice(kind: type[Any], holds: str, said: type[Any], kept: frozenset[str], beside: frozenset[str]) -> type[Any]:
    fields = [(name, Any, None) for name in sorted(kept)]
    message = _derived(said, fields, __post_init__=_keeping(tuple(sorted(kept)))) if kept else said
    return _derived(
        kind,
        [(holds, message, msgspec.field(default_factory=message)), *[(name, Any, None) for name in sorted(beside)]],
    )


def _derived(kind: type[Any], fields: list[tuple[str, Any, Any]], **namespace: Any) -> type[Any]:
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), namespace=namespace or None, module=kind.__module__, kw_only=True
    )


def _keeping(kept: tuple[str, ...]) -> Callable[[Any], None]:
    """Return what moves these fields of a message to where they are read: reasoning, and the provider's own."""

    def __post_init__(self: Any) -> None:  # noqa: N807  it becomes a Struct's method
        for name in kept:
            value = getattr(self, name)
            if value is None:
                continue
            setattr(self, name, None)
            if name == REASONING and isinstance(value, str):
                self.reasoning_content = self.reasoning_content or value
            elif value not in ("", [], {}):
                self.provider_specific_fields = {**(self.provider_specific_fields or {}), name: value}

    return __post_init__
