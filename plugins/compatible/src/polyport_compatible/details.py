"""`reasoning_details`: reasoning with its signatures, in pieces while it streams, to be sent back whole.

https://openrouter.ai/docs/guides/best-practices/reasoning-tokens#preserving-reasoning
"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import ChatEvents
from polyport.types.chat import ChatCompletionChunk, ChunkChoice

DETAILS = "reasoning_details"
#: The fields that come in pieces; any other comes whole.
PIECEWISE = frozenset({"text", "summary"})


def merge(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the details that pieces make: those of one index and type are one."""
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for piece in pieces:
        whole = made.setdefault((str(piece.get("index")), str(piece.get("type"))), {})
        for name, value in piece.items():
            if name in PIECEWISE and isinstance(value, str):
                whole[name] = str(whole.get(name) or "") + value
            elif value not in (None, "") or name not in whole:
                whole[name] = value
    return list(made.values())


class DetailEvents(ChatEvents):
    """Decodes a chat stream, and gives each choice's details whole, with the chunk that finishes it."""

    def __init__(self, type: type[ChatCompletionChunk]) -> None:
        super().__init__(type)
        self._pieces: dict[int, list[dict[str, Any]]] = {}

    def decode(self, data: bytes) -> ChatCompletionChunk:
        """Return the chunk, its details taken out until the last."""
        chunk = super().decode(data)
        if self._pieces or b'"reasoning_details"' in data:
            for choice in chunk.choices:
                self._gather(choice)
        return chunk

    def _gather(self, choice: ChunkChoice) -> None:
        own = dict(choice.delta.provider_specific_fields or {})
        pieces = own.pop(DETAILS, None)
        if isinstance(pieces, list):
            self._pieces.setdefault(choice.index, []).extend(p for p in pieces if isinstance(p, dict))
        if choice.finish_reason and (gathered := self._pieces.pop(choice.index, None)):
            own[DETAILS] = merge(gathered)
        choice.delta.provider_specific_fields = own or None
