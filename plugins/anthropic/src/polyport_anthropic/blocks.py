"""Content blocks: plain dicts, whatever Anthropic adds to them, and the fields of them that are read here."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Block: TypeAlias = dict[str, Any]


class _Text(msgspec.Struct):
    text: str = ""
    citations: list[dict[str, Any]] | None = None


class _Thinking(msgspec.Struct):
    thinking: str = ""
    signature: str = ""


class _Redacted(msgspec.Struct):
    data: str = ""


class _ToolUse(msgspec.Struct):
    id: str
    name: str
    input: Any = None


#: Block type -> what is read of it. Of all other blocks nothing is.
READ: dict[str, type[msgspec.Struct]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _ToolUse,
}


def verify(block: Block, path: str) -> None:
    """Raise msgspec.ValidationError, naming the place, where a block's type or a field that is read is malformed."""
    kind = block.get("type")
    if not isinstance(kind, str):
        raise msgspec.ValidationError(f"Expected `str`, got `{type(kind).__name__}` at {path}.type")
    shape = READ.get(kind)
    if shape is not None:
        try:
            msgspec.convert(block, shape)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            raise msgspec.ValidationError(f"{what} at {path}{where.rstrip('`')}") from error
