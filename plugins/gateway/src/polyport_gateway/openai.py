"""OpenAI's interface. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import Call
from polyport.flow import OWN, Flow, Passed
from polyport.operations import Operation
from polyport.types.chat import ChatCompletionChunk
from polyport.types.completion import TextCompletion
from polyport_gateway import replies
from polyport_gateway.gate import Admission
from polyport_gateway.holding import held
from polyport_gateway.running import IN_BATCHES, Running
from polyport_gateway.surface import Answer, Events, Surface

DONE = b"data: [DONE]\n\n"
#: Streams that end with [DONE]; those of typed events end with their last event.
WITH_DONE = frozenset({"completion", "text_completion", "transcription"})
#: The last events of a response.
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
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
            return b"" if self._hides(chunk) else replies.event(chunk)
        kind = chunk.get("type")
        return self._last(chunk, replies.event(chunk, kind if isinstance(kind, str) else None))

    def passed(self, passed: Passed) -> bytes:
        """Return the events as they came, but for the usage that only the gateway asked for."""
        chunk = passed.chunk
        if chunk is None:
            return passed.data
        if isinstance(chunk, ChatCompletionChunk | TextCompletion):
            return b"" if self._hides(chunk) else passed.data
        return self._last(chunk, passed.data)

    def _hides(self, chunk: ChatCompletionChunk | TextCompletion) -> bool:
        return bool(self._hides_usage and chunk.usage and not chunk.choices)

    def _last(self, chunk: Mapping[str, Any], data: bytes) -> bytes:
        """Hold back what SDKs take for the end, until the stream has ended and was settled."""
        if chunk.get("type") not in ENDS:
            return data
        self._end = data
        return b""

    def end(self) -> bytes:
        """Return what the SDKs wait for: [DONE], or a response's last event."""
        return self._end


class OpenAI(Surface):
    """What the official `openai` SDKs talk to."""

    name = "openai"
    relays = OWN

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


class Starting(OpenAI):
    """A batch that is started: its lines are in a file, past all guardrails, and budgets hold what it may cost.

    So what calls of models have to say is said of the batch as a whole. `user` is the gateway's own to know.
    """

    plans = True

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises GateError where guardrails would have to see what the file holds."""
        running.refuse_guarded(admission, IN_BATCHES)
        running.demand(fields)
        told = {name: it for name, it in fields.items() if name != "user"}
        call, flow = running.router.plan(operation.function, **told)
        return call, held(running, admission, call, flow)
