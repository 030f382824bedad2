"""What chunks say, and whether a stream of them is complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.types.chat import ChatCompletionChunk
from polyport.types.completion import TextCompletion

#: The types of the events after which a stream of typed events is complete: nothing that counts comes after them.
LAST_EVENTS: Mapping[str, tuple[str, ...]] = {
    "respond": ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
    "retrieve_response": ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
    "create_message": ("message_delta", "message_stop"),
    "generate_image": ("image_generation.completed",),
    "edit_image": ("image_edit.completed",),
    "transcribe": ("transcript.text.done",),
}

#: The types of the events whose delta is a piece of the answer's text.
TEXT_EVENTS = frozenset({"response.output_text.delta", "transcript.text.delta"})


def ended(hook: str, chunks: list[Any]) -> bool:
    """Whether a stream up to here is complete; never, for streams of bytes, which cannot tell."""
    if hook in LAST_EVENTS:
        return any(event["type"] in LAST_EVENTS[hook] for event in chunks)
    finishes: dict[int, bool] = {}
    for chunk in chunks:
        for choice in getattr(chunk, "choices", ()):
            finishes[choice.index] = finishes.get(choice.index, False) or bool(choice.finish_reason)
    return bool(finishes) and all(finishes.values())


def text_of(value: Any) -> str | None:
    """Return what a result or a list of chunks says; None for what has no text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        found = getattr(value, "output_text", None) or getattr(value, "text", None)
        return found if isinstance(found, str) else None
    return "".join(_said(chunk) for chunk in value)


def _said(chunk: Any) -> str:
    if isinstance(chunk, ChatCompletionChunk):
        return "".join(choice.delta.content or "" for choice in chunk.choices if choice.index == 0)
    if isinstance(chunk, TextCompletion):
        return "".join(choice.text for choice in chunk.choices if choice.index == 0)
    delta = chunk.get("delta") if not isinstance(chunk, bytes) else None
    if isinstance(delta, dict):
        return str(delta.get("text") or "")
    return delta if isinstance(delta, str) and chunk["type"] in TEXT_EVENTS else ""
