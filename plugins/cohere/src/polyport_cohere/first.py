"""POST /v1/chat, the first version, for those who bring its request as it is. https://docs.cohere.com/v1/reference/chat

Chats are asked by the second version. But a client of the first has a request of it, and wants its reply: that one is
read here like any other, for who wants to know what it says, and can be had as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from polyport.flow import Decoder, Flow, HttpReply, Passed, Streaming
from polyport.provider import Provider, decode
from polyport.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    Message,
    ToolCall,
)
from polyport.wire.dates import created_at
from polyport.wire.decoding import Decoding, unreadable
from polyport.wire.ndjson import Lines
from polyport_cohere.errors import ended, event_error
from polyport_cohere.facts import thinks_surely
from polyport_cohere.reply import FAILURES, cite, finish, specifics
from polyport_cohere.turns import PLAN
from polyport_cohere.usage import Counts

#: What replies of /v1/chat are called, where somebody wants them as they come.
WIRE = "cohere_v1"
Told = dict[str, Any]


class _Called(msgspec.Struct):
    name: str | None = None
    parameters: Told | None = None


class _Citation(msgspec.Struct):
    start: int | None = None
    end: int | None = None
    text: str | None = None
    document_ids: list[str] = []


class _Reply(msgspec.Struct):
    """What is read of a reply; of a stream, the last event has it."""

    response_id: str | None = None
    generation_id: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    tool_calls: list[_Called] | None = None
    citations: list[_Citation] | None = None
    documents: list[Told] | None = None
    meta: Counts | None = None
    error: str | None = None

    @property
    def id(self) -> str:
        return self.response_id or self.generation_id or ""


class _Piece(msgspec.Struct):
    """A piece of a call, or of the plan that is made before."""

    name: str | None = None
    index: int = 0
    parameters: str | None = None
    text: str | None = None


class _Event(msgspec.Struct):
    event_type: str | None = None
    generation_id: str | None = None
    text: str | None = None
    tool_calls: list[_Called] | None = None
    tool_call_delta: _Piece | None = None
    citations: list[_Citation] | None = None
    finish_reason: str | None = None
    response: _Reply | None = None
    error: str | None = None


_decode = msgspec.json.Decoder(_Event).decode


class FirstVersion(Provider):
    """The part of the provider that asks by the first version."""

    def has_first(self, model: str) -> bool:
        """Whether a model is asked by the first version: it has no place for thoughts, which some models have."""
        return not thinks_surely(model)

    def first_chat(
        self, request: ChatRequest, body: Mapping[str, Any]
    ) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Ask with a body of the first version, which is what `request` says, too."""
        reply = yield self.post("/v1/chat", json={**body, "model": request.model}, stream=request.stream)
        if not request.stream:
            return to_completion(reply, request.model)
        created = created_at(reply.headers)
        return Streaming(reply, FirstEvents(request.model, include_usage=request.wants_usage, created=created))


def to_completion(reply: HttpReply, model: str) -> ChatCompletion:
    """Return the completion that a reply says. Raises the error that it says instead."""
    found: _Reply = decode(reply, _Reply)
    if found.finish_reason in FAILURES:
        raise ended(found.finish_reason, found.error, None, reply.content)
    calls = [_call(place, one) for place, one in enumerate(found.tool_calls or ())]
    citations = _citations(found.citations or [], found.documents or [])
    message = Message(
        content=found.text,
        tool_calls=calls or None,
        annotations=cite(citations) or None,
        provider_specific_fields=specifics(None, citations, found.finish_reason),
    )
    completion = ChatCompletion(
        id=found.id,
        created=created_at(reply.headers),
        model=model,
        choices=[Choice(message=message, finish_reason=_finish(found.finish_reason, called=bool(calls)))],
        usage=found.meta.to_usage() if found.meta is not None else None,
    )
    completion.keep(reply.content, extra={})
    return completion.relay(WIRE)


def _call(place: int, call: _Called) -> ToolCall:
    """Return a call. They have no ids there: they are numbered here."""
    arguments = msgspec.json.encode(call.parameters or {}).decode()
    return ToolCall(
        id=f"call_{place}", type="function", function=FunctionCall(name=call.name or "", arguments=arguments)
    )


def _citations(found: list[_Citation], documents: list[Told]) -> list[Told]:
    """Return citations as the second version has them: with what they cite, not only its id."""
    by_id = {str(one.get("id")): one for one in documents}

    def source(name: str) -> Told:
        return {"type": "document", "id": name, "document": by_id.get(name, {"id": name})}

    return [
        {"start": one.start, "end": one.end, "text": one.text, "sources": [*map(source, one.document_ids)]}
        for one in found
    ]


def _finish(reason: str | None, *, called: bool) -> str | None:
    """Return OpenAI's word for the reason why an answer ended; the first version has none for a call."""
    found = finish(reason)
    return "tool_calls" if called and found == "stop" else found


# --- streams ---------------------------------------------------------------------------------------------------------


class FirstEvents(Decoding[bytes, ChatCompletionChunk]):
    """Turns the lines of a stream into chunks; citations come with the last, which knows what they cite.

    `include_usage`, `model` and `created` are as in `ChatEvents`.
    """

    wire = WIRE

    def __init__(self, model: str, *, include_usage: bool = False, created: int = 0) -> None:
        super().__init__(Lines())
        self._model, self._include_usage, self._created = model, include_usage, created
        self._id, self._plan = "", ""
        self._calls: set[int] = set()

    def relay(self) -> Decoder[Passed]:
        """Pass lines on as they come, for who wants Cohere's own; all are read."""
        return Passing(self)

    def take(self, event: bytes) -> list[ChatCompletionChunk]:
        """Return the chunks a line comes to; kinds of events that are not known come to none."""
        try:
            found = _decode(event)
            if found.event_type is None:
                raise event_error(msgspec.json.decode(event))
        except msgspec.MsgspecError as error:
            raise unreadable(event, error) from error
        self._id = found.generation_id or self._id
        return [*HANDLERS[found.event_type](self, found)] if found.event_type in HANDLERS else []

    def _start(self, event: _Event) -> Iterator[ChatCompletionChunk]:
        yield self._chunk(Delta(role="assistant", content=""))

    def _text(self, event: _Event) -> Iterator[ChatCompletionChunk]:
        if event.text:
            yield self._chunk(Delta(content=event.text))

    def _piece(self, event: _Event) -> Iterator[ChatCompletionChunk]:
        piece = event.tool_call_delta or _Piece()
        if piece.text:
            self._plan += piece.text
            yield self._chunk(Delta(reasoning_content=piece.text, provider_specific_fields={PLAN: ""}))
        if piece.name:
            self._calls.add(piece.index)
            function = FunctionCall(name=piece.name, arguments="")
            yield self._called(
                ToolCall(index=piece.index, id=f"call_{piece.index}", type="function", function=function)
            )
        if piece.parameters:
            yield self._called(ToolCall(index=piece.index, function=FunctionCall(arguments=piece.parameters)))

    def _whole(self, event: _Event) -> Iterator[ChatCompletionChunk]:
        """Yield the calls that were not told piece by piece."""
        for place, one in enumerate(event.tool_calls or ()):
            if place not in self._calls:
                self._calls.add(place)
                yield self._called(msgspec.structs.replace(_call(place, one), index=place))

    def _end(self, event: _Event) -> Iterator[ChatCompletionChunk]:
        reply = event.response or _Reply()
        reason = event.finish_reason or reply.finish_reason
        if reason in FAILURES or event.error:
            raise ended(reason or "an error", event.error or reply.error, None, msgspec.to_builtins(event))
        yield from self._whole(_Event(tool_calls=reply.tool_calls))
        self._done = True
        citations = _citations(reply.citations or [], reply.documents or [])
        delta = Delta(
            annotations=cite(citations) or None, provider_specific_fields=specifics(self._plan, citations, reason)
        )
        last = self._chunk(delta, _finish(reason, called=bool(self._calls)) or "stop")
        usage = reply.meta.to_usage() if reply.meta is not None else None
        if not self._include_usage:
            last.usage = usage
        yield last
        if self._include_usage:
            yield ChatCompletionChunk(id=self._id, created=self._created, model=self._model, usage=usage)

    def _called(self, call: ToolCall) -> ChatCompletionChunk:
        return self._chunk(Delta(tool_calls=[call]))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> ChatCompletionChunk:
        choice = ChunkChoice(delta=delta, finish_reason=finish_reason)
        return ChatCompletionChunk(id=self._id, created=self._created, model=self._model, choices=[choice])


HANDLERS = {
    "stream-start": FirstEvents._start,
    "text-generation": FirstEvents._text,
    "tool-calls-chunk": FirstEvents._piece,
    "tool-calls-generation": FirstEvents._whole,
    "stream-end": FirstEvents._end,
}


class Passing(Decoding[bytes, Passed]):
    """Lines on their way through, each with what it says."""

    def __init__(self, events: FirstEvents) -> None:
        super().__init__(Lines())
        self._events = events

    def is_complete(self) -> bool:
        """Whether the answer has ended."""
        return self._events.is_complete()

    def take(self, event: bytes) -> list[Passed]:
        """Return a line, and what it comes to."""
        chunks = self._events.take(event)
        return [
            Passed(event + b"\n", chunks[0] if chunks else None),
            *(Passed(b"", chunk) for chunk in chunks[1:]),
        ]
