"""The stream of POST /v2/chat as chat chunks. https://docs.cohere.com/docs/streaming"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.dialects.openai_events import Events
from polyport.flow import Decoder, Passed
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ToolCall
from polyport.wire.relay import Relay
from polyport_cohere.errors import ended, event_error
from polyport_cohere.reply import FAILURES, Content, Logprobs, WireCall, cite, finish, logprobs, specifics, thought
from polyport_cohere.turns import PLAN
from polyport_cohere.usage import Counts

#: What replies of /v2/chat and /v2/embed are called, where somebody wants them as they come.
WIRE = "cohere"
Chunks = list[ChatCompletionChunk]


class _Message(msgspec.Struct):
    """What an event adds; the first one has empty lists in these places."""

    content: Content | list[Any] | None = None
    tool_plan: str | None = None
    tool_calls: WireCall | list[Any] | None = None
    citations: dict[str, Any] | list[dict[str, Any]] | None = None


class _Delta(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Counts | None = None
    error: str | None = None
    error_type: str | None = None


class Event(msgspec.Struct):
    """Any event: what is read of the kinds that are known."""

    type: str | None = None
    id: str | None = None
    index: int = 0
    delta: _Delta | None = None
    logprobs: Logprobs | None = None


_decode = msgspec.json.Decoder(Event).decode


class _Events(Events[Chunks]):
    """Cuts the stream into events; each comes to some chunks, or none."""

    def __init__(self, story: ChatEvents) -> None:
        super().__init__()
        self._story = story

    def decode(self, data: bytes) -> Chunks:
        """Return the chunks an event comes to."""
        return self._story.take(data)

    def is_last(self, chunk: Chunks) -> bool:
        """Whether the answer has ended."""
        return self._story.finished


class ChatEvents:
    """Turns events into chat chunks: role, text and reasoning, calls in pieces, citations, a finish with the usage.

    With `include_usage` the usage has a last chunk of its own, without choices, as OpenAI does it. `model` is who was
    asked, which the events do not tell; `created` is in seconds. What is a plan for calls, not a thought, is reasoning
    with an empty `tool_plan` beside it; the last chunk has the whole plan.
    """

    wire = WIRE

    def __init__(self, model: str, *, include_usage: bool = False, created: int = 0) -> None:
        self.finished = False
        self._events = _Events(self)
        self._model = model
        self._include_usage = include_usage
        self._created = created
        self._id = ""
        self._thoughts: dict[int, list[str]] = {}
        self._plan: list[str] = []
        self._calls: dict[int, int] = {}
        self._bare: set[int] = set()
        self._citations: list[dict[str, Any]] = []

    def feed(self, data: bytes) -> Chunks:
        """Take the next piece and return the chunks it completed."""
        return [chunk for chunks in self._events.feed(data) for chunk in chunks]

    def close(self) -> Chunks:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        return [chunk for chunks in self._events.close() for chunk in chunks]

    def is_complete(self) -> bool:
        """Whether the answer has ended."""
        return self.finished

    def relay(self) -> Decoder[Passed]:
        """Pass events on as they come, for who wants Cohere's own; all are read, as an error is one without a type."""
        return Relay(self, (b"data:",), all=True)

    def take(self, data: bytes) -> Chunks:
        """Return the chunks an event comes to; kinds of events that are not known yet come to none."""
        event = _decode(data)
        if event.type is None:
            raise event_error(msgspec.json.decode(data))
        handle = HANDLERS.get(event.type)
        return handle(self, event, event.delta or _Delta()) if handle is not None else []

    def _start(self, event: Event, _delta: _Delta) -> Chunks:
        self._id = event.id or ""
        return [self._chunk(Delta(role="assistant", content=""))]

    def _content(self, event: Event, delta: _Delta) -> Chunks:
        """Show a piece of text or thought. The first piece of a block may be empty, and mostly is."""
        content = delta.message.content if delta.message is not None else None
        made = Delta()
        if isinstance(content, Content):
            if content.thinking:
                self._thoughts.setdefault(event.index, []).append(content.thinking)
            made = Delta(content=content.text or None, reasoning_content=content.thinking or None)
        told = logprobs([event.logprobs]) if event.logprobs is not None else None
        if not made.is_content() and told is None:
            return []
        return [self._chunk(made, told=told)]

    def _content_end(self, event: Event, _delta: _Delta) -> Chunks:
        words = "".join(self._thoughts.pop(event.index, []))
        return [self._chunk(Delta(thinking_blocks=[thought(words)]))] if words else []

    def _tool_plan(self, _event: Event, delta: _Delta) -> Chunks:
        piece = delta.message.tool_plan if delta.message is not None else None
        if not piece:
            return []
        self._plan.append(piece)
        return [self._chunk(Delta(reasoning_content=piece, provider_specific_fields={PLAN: ""}))]

    def _call_start(self, event: Event, delta: _Delta) -> Chunks:
        call = _call_of(delta)
        place = self._calls[event.index] = len(self._calls)
        first = call.function.arguments or ""
        if not first:
            self._bare.add(event.index)
        function = FunctionCall(name=call.function.name, arguments=first)
        return [self._call(ToolCall(index=place, id=call.id, type="function", function=function))]

    def _call_delta(self, event: Event, delta: _Delta) -> Chunks:
        return self._arguments(event.index, _call_of(delta).function.arguments)

    def _call_end(self, event: Event, _delta: _Delta) -> Chunks:
        """End a call; one without arguments has `{}`, as in a reply that is not streamed."""
        return self._arguments(event.index, "{}") if event.index in self._bare else []

    def _arguments(self, index: int, piece: str | None) -> Chunks:
        if index not in self._calls:
            raise msgspec.ValidationError(f"No tool call {index} has begun - at `$.index`")
        if not piece:
            return []
        self._bare.discard(index)
        return [self._call(ToolCall(index=self._calls[index], function=FunctionCall(arguments=piece)))]

    def _citation(self, _event: Event, delta: _Delta) -> Chunks:
        given = delta.message.citations if delta.message is not None else None
        found = [given] if isinstance(given, dict) else given or []
        self._citations += found
        return [self._chunk(Delta(annotations=cite(found)))] if found else []

    def _end(self, _event: Event, delta: _Delta) -> Chunks:
        reason = delta.finish_reason
        if reason in FAILURES or delta.error:
            raise ended(reason or "an error", delta.error, delta.error_type, msgspec.to_builtins(delta))
        self.finished = True
        made = Delta(provider_specific_fields=specifics("".join(self._plan), self._citations, reason))
        last = self._chunk(made, finish(reason) or "stop")
        usage = delta.usage.to_usage() if delta.usage is not None else None
        if not self._include_usage:
            last.usage = usage
            return [last]
        return [last, ChatCompletionChunk(id=self._id, created=self._created, model=self._model, usage=usage)]

    def _call(self, call: ToolCall) -> ChatCompletionChunk:
        return self._chunk(Delta(tool_calls=[call]))

    def _chunk(
        self, delta: Delta, finish_reason: str | None = None, told: dict[str, Any] | None = None
    ) -> ChatCompletionChunk:
        choice = ChunkChoice(delta=delta, finish_reason=finish_reason, logprobs=told)
        return ChatCompletionChunk(id=self._id, created=self._created, model=self._model, choices=[choice])


def _call_of(delta: _Delta) -> WireCall:
    call = delta.message.tool_calls if delta.message is not None else None
    if not isinstance(call, WireCall):
        raise msgspec.ValidationError("Object missing required field `tool_calls` - at `$.delta.message`")
    return call


HANDLERS: dict[str, Callable[[ChatEvents, Event, _Delta], Chunks]] = {
    "message-start": ChatEvents._start,
    "content-start": ChatEvents._content,
    "content-delta": ChatEvents._content,
    "content-end": ChatEvents._content_end,
    "tool-plan-delta": ChatEvents._tool_plan,
    "tool-call-start": ChatEvents._call_start,
    "tool-call-delta": ChatEvents._call_delta,
    "tool-call-end": ChatEvents._call_end,
    "citation-start": ChatEvents._citation,
    "message-end": ChatEvents._end,
}
