"""The types that a look-alike's chat answers are read as: OpenAI's, with the fields that it has beyond them.

Of a reply's top level nothing is lost (`Result.extra`); what stands deeper has to be named, and is named by `Quirks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    return _types(quirks.kept, quirks.beside, tuple(quirks.finishes.items()), quirks.usage)[0]


def chunk_type(quirks: Quirks) -> type[ChatCompletionChunk]:
    """Return what a streamed piece of one is read as."""
    return _types(quirks.kept, quirks.beside, tuple(quirks.finishes.items()), quirks.usage)[1]


def own_words(quirks: Quirks) -> tuple[bytes, ...] | None:
    """Return what stands in answers that a look-alike writes otherwise than OpenAI; None where it stands in all."""
    if "content" in quirks.kept or quirks.usage is not Usage:
        return None
    return tuple(f'"{word}"'.encode() for word in sorted({*quirks.kept, *quirks.beside, *quirks.finishes}))


@cache
def _types(
    kept: frozenset[str], beside: frozenset[str], finishes: tuple[tuple[str, str], ...], usage: type[Usage]
) -> tuple[type[ChatCompletion], type[ChatCompletionChunk]]:
    if not (kept or beside or finishes) and usage is Usage:
        return ChatCompletion, ChatCompletionChunk
    ends = dict(finishes)
    return (
        _reply(ChatCompletion, usage, _choice(Choice, "message", Message, kept, beside, ends)),
        _reply(ChatCompletionChunk, usage, _choice(ChunkChoice, "delta", Delta, kept, beside, ends)),
    )


def _reply(kind: type[Any], usage: type[Usage], choice: type[Any]) -> type[Any]:
    fields = [("choices", list[choice], empty()), ("usage", usage | None, None)]  # type: ignore[valid-type]
    return _derived(kind, fields)


def _choice(
    kind: type[Any],
    holds: str,
    said: type[Any],
    kept: frozenset[str],
    beside: frozenset[str],
    finishes: Mapping[str, str],
) -> type[Any]:
    names = tuple(sorted(kept))
    message = _derived(said, [(name, Any, None) for name in names], __post_init__=_keeping(names)) if kept else said
    fields = [(holds, message, msgspec.field(default_factory=message)), *[(name, Any, None) for name in sorted(beside)]]
    return _derived(kind, fields, **({"__post_init__": _ending(finishes)} if finishes else {}))


def _derived(kind: type[Any], fields: list[tuple[str, Any, Any]], **namespace: Any) -> type[Any]:
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), namespace=namespace or None, module=kind.__module__, kw_only=True
    )


def _ending(finishes: Mapping[str, str]) -> Callable[[Any], None]:
    """Return what says in OpenAI's words why a choice finished."""

    def __post_init__(self: Any) -> None:  # noqa: N807  it becomes a Struct's method
        self.finish_reason = finishes.get(self.finish_reason, self.finish_reason)

    return __post_init__


def _keeping(kept: tuple[str, ...]) -> Callable[[Any], None]:
    """Return what moves these fields of a message to where they are read."""

    def __post_init__(self: Any) -> None:  # noqa: N807  it becomes a Struct's method
        for name in kept:
            value = getattr(self, name)
            if value is None:
                continue
            setattr(self, name, None)
            READ.get(name, _own)(self, name, value)

    return __post_init__


def _own(message: Any, name: str, value: Any) -> None:
    """Keep a field of the provider's own, where it says anything."""
    if value not in ("", [], {}):
        message.provider_specific_fields = {**(message.provider_specific_fields or {}), name: value}


def _reasoning(message: Any, name: str, value: Any) -> None:
    """Read reasoning under its other name; what is no text is the provider's own."""
    if isinstance(value, str):
        message.reasoning_content = message.reasoning_content or value
    else:
        _own(message, name, value)


def _content(message: Any, name: str, value: Any) -> None:
    """Read content that is text, the JSON that was asked for, or parts: of text, and of reasoning with its summary."""
    if isinstance(value, str | dict):
        message.content = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return
    if not isinstance(value, list):
        raise ValueError(f"Expected text or parts, got {type(value).__name__} in `content`")
    parts = [part for part in value if isinstance(part, dict)]
    message.content = "".join(_text(part) for part in parts if part.get("type") == "text") or None
    thoughts = [text for part in parts if part.get("type") == REASONING for text in part.get("summary") or []]
    message.reasoning_content = "".join(map(_text, thoughts)) or message.reasoning_content
    if len(parts) > 1 or thoughts:
        _own(message, name, value)


def _text(part: Any) -> str:
    said = part.get("text") if isinstance(part, dict) else None
    return said if isinstance(said, str) else ""


READ: Mapping[str, Callable[[Any, str, Any], None]] = {REASONING: _reasoning, "content": _content}
