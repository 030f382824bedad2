"""Reasoning in a chat stream, put in order."""

from __future__ import annotations

from typing import Any

from polyport.types.chat import Delta


class Thinking:
    """Reads reasoning out of deltas, however a provider streams it.

    Text comes as `reasoning_content`, as `thinking_blocks` in pieces, or both at once; a signed block may repeat all
    of its text. Each step is ("text", piece) or ("block", whole block), nothing twice.
    """

    def __init__(self) -> None:
        self._said: list[str] = []  # of the block that is being streamed

    def read(self, delta: Delta) -> list[tuple[str, Any]]:
        """Return the steps that a delta brings, in order."""
        blocks, piece = delta.thinking_blocks or [], delta.reasoning_content
        if not self._said and any(block.get("signature") and block.get("thinking") for block in blocks):
            piece = None  # whole blocks: the text beside them is theirs
        steps: list[tuple[str, Any]] = []
        if piece:
            self._said.append(piece)
            steps.append(("text", piece))
        for block in blocks:
            steps += self._block(block, repeated=bool(piece))
        return steps

    def _block(self, block: dict[str, Any], *, repeated: bool) -> list[tuple[str, Any]]:
        if block.get("type") != "thinking":
            return [("block", block)]
        steps: list[tuple[str, Any]] = []
        text = block.get("thinking") or ""
        if text and not repeated and text != "".join(self._said):
            self._said.append(text)
            steps.append(("text", text))
        if block.get("signature"):
            steps.append(("block", {**block, "thinking": "".join(self._said)}))
            self._said = []
        return steps
