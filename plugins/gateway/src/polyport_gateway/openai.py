"""OpenAI's interface. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.operations import Operation
from polyport.types.chat import ChatCompletionChunk
from polyport.types.completion import TextCompletion
from polyport_gateway import replies
from polyport_gateway.surface import Answer, Events, Surface

DONE = b"data: [DONE]\n\n"
#: Streams that end with [DONE]; those of typed events end with their last event.
WITH_DONE = frozenset({"completion", "text_completion", "transcription"})
#: Formats of transcriptions that are text, not JSON.
TEXTS = {"text": "text/plain; charset=utf-8", "srt": "text/plain; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}


class OpenAIEvents(Events):
    """Chunks as `data:`, typed events under their name."""

    def __init__(self, operation: Operation, fields: Mapping[str, Any]) -> None:
        self._end = DONE if operation.function in WITH_DONE else b""
        self._hides_usage = not (fields.get("stream_options") or {}).get("include_usage")

    def chunk(self, chunk: Any) -> bytes:
        """Return the event. The usage that only the gateway asked for stays here."""
        if isinstance(chunk, ChatCompletionChunk | TextCompletion):
            return b"" if self._hides_usage and chunk.usage and not chunk.choices else replies.event(chunk)
        kind = chunk.get("type")
        return replies.event(chunk, kind if isinstance(kind, str) else None)

    def end(self) -> bytes:
        """Return [DONE] where the SDKs wait for it."""
        return self._end


class OpenAI(Surface):
    """What the official `openai` SDKs talk to."""

    name = "openai"

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters; downloads come in pieces."""
        if operation.chunk is bytes and operation.method == "GET":
            fields["stream"] = True
        return fields

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return JSON, bytes, or for transcriptions that were asked for as text, text."""
        kind = TEXTS.get(str(fields.get("response_format"))) if "file" in fields else None
        if kind is not None:
            return Answer((result if isinstance(result, str) else str(result.text)).encode(), kind)
        return super().answer(result, fields)

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written."""
        if operation.chunk is bytes:
            return super().events(operation, fields, headers)
        return OpenAIEvents(operation, fields)
