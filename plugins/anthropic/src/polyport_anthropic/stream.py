"""The Messages API's event stream: as chat chunks, or as the events themselves.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from polyport.errors import APIConnectionError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ToolCall
from polyport.types.messages import MessageUsage
from polyport.types.responses import Item
from polyport.types.usage import Usage
from polyport.wire.sse import SSE
from polyport_anthropic.errors import event_error, unreadable
from polyport_anthropic.media import Block
from polyport_anthropic.reply import (
    KEPT_FIELDS,
    THINKING,
    annotation,
    finish_reason,
    input_of,
    is_answer,
    is_call,
    refusal,
    specifics,
)
from polyport_anthropic.turns import as_text

C = TypeVar("C")
_decode = msgspec.json.Decoder().decode


class Events(Generic[C]):
    """Cuts the stream into events and raises what an `error` event tells.

    A stream that ends before a stop reason was cut off: APIConnectionError.
    """

    def __init__(self) -> None:
        self._sse = SSE()
        self._done = False

    def feed(self, data: bytes) -> list[C]:
        """Take the next piece and return what it completed."""
        return self._read(self._sse.feed(data))

    def close(self) -> list[C]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        made = self._read(self._sse.close())
        if not self._done:
            raise APIConnectionError("The stream ended before it was complete.")
        return made

    def _read(self, events: list[tuple[bytes, bytes]]) -> list[C]:
        made: list[C] = []
        for name, data in events:
            if name == b"error":
                raise event_error(data)
            try:
                event = _decode(data)
                kind = event["type"]
                if kind == "error":
                    raise event_error(data)
                if kind == "message_stop" or (kind == "message_delta" and event["delta"].get("stop_reason")):
                    self._done = True
                made += self.take(event)
            except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
                raise unreadable(data, error) from error
        return made

    def take(self, event: dict[str, Any]) -> list[C]:
        """Return what an event comes to."""
        raise NotImplementedError


class NativeEvents(Events[Item]):
    """Gives the events as they come, pings included."""

    def take(self, event: dict[str, Any]) -> list[Item]:
        """Return the event."""
        return [Item(event)]


class MessageEvents(Events[ChatCompletionChunk]):
    """Turns events into chat chunks: role, text and reasoning, calls in pieces, a finish with the usage.

    With `include_usage` the usage has a last chunk of its own, without choices, as OpenAI does it. `created` is
    in seconds. A thinking block with its signature is in the chunk that ends it, and the blocks that plain fields
    cannot hold are in the finishing chunk's `provider_specific_fields`, as in a reply that is not streamed.
    """

    def __init__(self, *, include_usage: bool = False, created: int = 0) -> None:
        super().__init__()
        self._include_usage = include_usage
        self._created = created
        self._id = self._model = ""
        self._tier: str | None = None
        self._usage: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}
        self._blocks: dict[int, Block] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[int, int] = {}
        self._position = 0

    def take(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Return the chunks an event comes to; kinds of events that are not known yet come to none."""
        handler = HANDLERS.get(event["type"])
        return handler(self, event) if handler is not None else []

    def _start(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        message = event["message"]
        self._id, self._model = message.get("id", ""), message.get("model", "")
        self._count(message.get("usage"))
        return [self._chunk(Delta(role="assistant", content=""))]

    def _block_start(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        index, block = event["index"], dict(event["content_block"])
        self._blocks[index] = block
        if is_call(block):
            self._calls[index] = len(self._calls)
            function = FunctionCall(name=block.get("name"))
            call = ToolCall(index=self._calls[index], id=block.get("id"), type="function", function=function)
            return [self._chunk(Delta(tool_calls=[call]))]
        for name in ("text", "thinking"):
            if block.get(name):
                return self._add(index, name, block[name])
        return []

    def _block_delta(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        index, delta = event["index"], event["delta"]
        kind = delta["type"]
        if kind == "citations_delta":
            block = self._blocks[index]
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            return []
        if kind == "input_json_delta":
            return self._add(index, "input", delta["partial_json"])
        chunks: list[ChatCompletionChunk] = []
        for name, value in delta.items():
            if name == "type":
                continue
            if isinstance(value, str):
                chunks += self._add(index, name, value)
            elif value is not None:
                self._blocks[index][name] = value
        return chunks

    def _add(self, index: int, name: str, piece: str) -> list[ChatCompletionChunk]:
        """Keep a piece of a block's field, and show it to the reader where it is one to be read."""
        if not piece:
            return []
        pieces = self._pieces.get((index, name))
        if pieces is None:
            pieces = self._pieces[index, name] = []
        pieces.append(piece)
        delta = self._shown(index, name, piece)
        return [self._chunk(delta)] if delta is not None else []

    def _shown(self, index: int, name: str, piece: str) -> Delta | None:
        if name == "text":
            self._position += len(piece)
            return Delta(content=piece)
        if name == "thinking":
            return Delta(reasoning_content=piece)
        if name == "input" and index in self._calls:
            call = ToolCall(index=self._calls[index], function=FunctionCall(arguments=piece))
            return Delta(tool_calls=[call])
        if name == "input" and is_answer(self._blocks[index]):
            self._position += len(piece)
            return Delta(content=piece)
        return None

    def _block_stop(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        index = event["index"]
        block = self._blocks[index]
        chunks: list[ChatCompletionChunk] = []
        if "input" in block and (index, "input") not in self._pieces:
            whole = as_text(block["input"] or {})
            if index in self._calls or is_answer(block):
                chunks = self._add(index, "input", whole)
        for key in [key for key in self._pieces if key[0] == index]:
            text = "".join(self._pieces.pop(key))
            block[key[1]] = input_of(text) if key[1] == "input" else text
        if block["type"] in THINKING:
            chunks.append(self._chunk(Delta(thinking_blocks=[block])))
        if block.get("citations"):
            start = self._position - len(block.get("text", ""))
            found = [annotation(citation, start, self._position) for citation in block["citations"]]
            chunks.append(self._chunk(Delta(annotations=found)))
        return chunks

    def _finish(self, event: dict[str, Any]) -> list[ChatCompletionChunk]:
        delta = event["delta"]
        self._count(event.get("usage"))
        for name in KEPT_FIELDS:
            value = delta.get(name, event.get(name))
            if value is not None:
                self._fields[name] = value
        reason = delta.get("stop_reason")
        if reason is None:
            return []
        content = [self._blocks[index] for index in sorted(self._blocks)]
        made = Delta(
            refusal=refusal(reason, self._fields.get("stop_details")),
            provider_specific_fields=specifics(content, reason, delta.get("stop_sequence"), self._fields),
        )
        finish = self._chunk(made, finish_reason(reason, content))
        usage = msgspec.convert(self._usage, MessageUsage).to_usage()
        if not self._include_usage:
            finish.usage = usage
            return [finish]
        return [finish, self._last(usage)]

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Take counts in; they are cumulative, and a later one stands for all before it."""
        self._usage.update({name: value for name, value in (usage or {}).items() if value is not None})
        self._tier = self._usage.get("service_tier")

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[ChunkChoice(delta=delta, finish_reason=finish)],
            service_tier=self._tier,
        )

    def _last(self, usage: Usage) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id, created=self._created, model=self._model, usage=usage, service_tier=self._tier
        )


HANDLERS: dict[str, Callable[[MessageEvents, dict[str, Any]], list[ChatCompletionChunk]]] = {
    "message_start": MessageEvents._start,
    "content_block_start": MessageEvents._block_start,
    "content_block_delta": MessageEvents._block_delta,
    "content_block_stop": MessageEvents._block_stop,
    "message_delta": MessageEvents._finish,
}
