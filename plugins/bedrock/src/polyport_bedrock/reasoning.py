"""Reasoning both ways: Converse's blocks, and the thinking blocks that messages carry.

A redacted block is base64 on the wire; inside of it is the text that Anthropic's own API gives, so that a
conversation can go on at another door to Claude.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ReasoningContentBlock.html
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from polyport.types.conversation import AssistantMessage
from polyport.types.record import Request

UNSIGNED = "reasoning without a signature cannot be sent back"


def to_blocks(turn: AssistantMessage, request: Request) -> list[dict[str, Any]]:
    """Return the blocks for what a model thought before; what is not signed cannot go back, and that is recorded."""
    given = turn.thinking_blocks or []
    made = [block for one in given if (block := _to_block(one)) is not None]
    if len(made) < len(given) or (turn.reasoning_content and not given):
        request.adapt("messages", "dropped", UNSIGNED)
    return made


def signed(blocks: list[dict[str, Any]] | None, request: Request) -> list[dict[str, Any]] | None:
    """Return an answer's kept blocks without reasoning that nobody signed: models that do not sign refuse it."""
    if blocks is None:
        return None
    made = [block for block in blocks if not _is_unsigned(block)]
    if len(made) < len(blocks):
        request.adapt("messages", "dropped", UNSIGNED)
    return made


def _is_unsigned(block: dict[str, Any]) -> bool:
    content = block.get("reasoningContent")
    text = content.get("reasoningText") if isinstance(content, dict) else None
    return isinstance(text, dict) and not text.get("signature")


def _to_block(block: dict[str, Any]) -> dict[str, Any] | None:
    if block.get("type") == "redacted_thinking":
        data = str(block.get("data") or "")
        raw = data if block.get("encoding") == "base64" else base64.b64encode(data.encode()).decode()
        return {"reasoningContent": {"redactedContent": raw}} if data else None
    if not block.get("signature"):
        return None
    text = {"text": str(block.get("thinking") or ""), "signature": str(block["signature"])}
    return {"reasoningContent": {"reasoningText": text}}


def of_text(text: str, signature: str | None) -> dict[str, Any]:
    """Return the thinking block for a reasoning text."""
    return {"type": "thinking", "thinking": text, **({"signature": signature} if signature else {})}


def of_redacted(content: str) -> dict[str, Any]:
    """Return the thinking block for reasoning that is not shown."""
    try:
        data = base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return {"type": "redacted_thinking", "data": content, "encoding": "base64"}
    if base64.b64encode(data.encode()).decode() != content:
        return {"type": "redacted_thinking", "data": content, "encoding": "base64"}
    return {"type": "redacted_thinking", "data": data}
