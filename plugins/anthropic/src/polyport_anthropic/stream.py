"""The Messages API's event stream as chat chunks. https://platform.claude.com/docs/en/build-with-claude/streaming"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ToolCall
from polyport.types.messages import MessageUsage
from polyport.types.usage import Usage
from polyport_anthropic.blocks import Block, verify
from polyport_anthropic.errors import event_error
from polyport_anthropic.events import Event, Events, decode_plain
from polyport_anthropic.reply import (
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

_decode = msgspec.json.Decoder(Event).decode
T = TypeVar("T")


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

    def read(self, data: bytes) -> list[ChatCompletionChunk]:
        """Return the chunks an event comes to; kinds of events that are not known yet come to none."""
        event = _decode(data)
        if event.type == "content_block_delta":  # nearly all events are one of these
            return self._block_delta(event, data)
        if event.type == "error":
            raise event_error(data)
        handle = HANDLERS.get(event.type)
        return handle(self, event) if handle is not None else []

    def _start(self, event: Event) -> list[ChatCompletionChunk]:
        message = _need(event.message, "message")
        self._id, self._model = message.id, message.model
        self._count(message.usage)
        return [self._chunk(Delta(role="assistant", content=""))]

    def _block_start(self, event: Event) -> list[ChatCompletionChunk]:
        index, block = event.index, _need(event.content_block, "content_block")
        verify(block, "$.content_block")
        self._blocks[index] = block
        if is_call(block):
            self._calls[index] = len(self._calls)
            function = FunctionCall(name=block.get("name"))
            call = ToolCall(index=self._calls[index], id=block.get("id"), type="function", function=function)
            return [self._chunk(Delta(tool_calls=[call]))]
        show = SHOWN.get(block["type"])
        return show(self, index, str(block[block["type"]])) if show is not None and block.get(block["type"]) else []

    def _block_delta(self, event: Event, data: bytes) -> list[ChatCompletionChunk]:
        index, delta = event.index, _need(event.delta, "delta")
        match delta.type:
            case "text_delta":
                return self._text(index, delta.text)
            case "input_json_delta":
                return self._input(index, delta.partial_json)
            case "thinking_delta":
                return self._thinking(index, delta.thinking)
            case "signature_delta":
                self._keep(index, "signature", delta.signature or "")
            case "citations_delta":
                self._cite(index, _need(delta.citation, "delta.citation"))
            case _:
                self._grow(index, decode_plain(data)["delta"])
        return []

    def _text(self, index: int, piece: str | None) -> list[ChatCompletionChunk]:
        if not piece:
            return []
        self._keep(index, "text", piece)
        self._position += len(piece)
        return [self._chunk(Delta(content=piece))]

    def _thinking(self, index: int, piece: str | None) -> list[ChatCompletionChunk]:
        if not piece:
            return []
        self._keep(index, "thinking", piece)
        return [self._chunk(Delta(reasoning_content=piece))]

    def _input(self, index: int, piece: str | None) -> list[ChatCompletionChunk]:
        """Show a piece of a call's arguments, or of an answer given through the stand-in tool; no server tool's."""
        if not piece:
            return []
        self._keep(index, "input", piece)
        if index in self._calls:
            call = ToolCall(index=self._calls[index], function=FunctionCall(arguments=piece))
            return [self._chunk(Delta(tool_calls=[call]))]
        if is_answer(self._blocks[index]):
            self._position += len(piece)
            return [self._chunk(Delta(content=piece))]
        return []

    def _keep(self, index: int, name: str, piece: str) -> None:
        """Keep a piece of a block's field; they are joined at the block's end."""
        pieces = self._pieces.get((index, name))
        if pieces is None:
            self._block(index)
            pieces = self._pieces[index, name] = []
        pieces.append(piece)

    def _cite(self, index: int, citation: dict[str, Any]) -> None:
        block = self._block(index)
        block["citations"] = [*(block.get("citations") or []), citation]

    def _grow(self, index: int, delta: dict[str, Any]) -> None:
        """Grow a block by a delta of a kind that is not known: text is added on, anything else replaced."""
        for name, value in delta.items():
            if isinstance(value, str) and name != "type":
                self._keep(index, name, value)
            elif value is not None and name != "type":
                self._block(index)[name] = value

    def _block(self, index: int) -> Block:
        block = self._blocks.get(index)
        if block is None:
            raise msgspec.ValidationError(f"No block {index} has begun - at `$.index`")
        return block

    def _block_stop(self, event: Event) -> list[ChatCompletionChunk]:
        index = event.index
        block = self._block(index)
        chunks: list[ChatCompletionChunk] = []
        if "input" in block and (index, "input") not in self._pieces:
            whole = as_text(block["input"] or {})
            if index in self._calls or is_answer(block):
                chunks = self._input(index, whole)
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

    def _finish(self, event: Event) -> list[ChatCompletionChunk]:
        delta = _need(event.delta, "delta")
        self._count(event.usage)
        found = {
            "container": delta.container,
            "stop_details": delta.stop_details,
            "context_management": event.context_management,
        }
        self._fields.update({name: value for name, value in found.items() if value is not None})
        reason = delta.stop_reason
        if reason is None:
            return []
        self._done = True
        content = [self._blocks[index] for index in sorted(self._blocks)]
        made = Delta(
            refusal=refusal(reason, self._fields.get("stop_details")),
            provider_specific_fields=specifics(content, reason, delta.stop_sequence, self._fields),
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
        try:
            self._tier = msgspec.convert(self._usage, MessageUsage).service_tier
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", "`$.usage")) from error

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

    def _stop(self, _event: Event) -> list[ChatCompletionChunk]:
        self._done = True
        return []


def _need(value: T | None, name: str) -> T:
    if value is None:
        raise msgspec.ValidationError(f"Object missing required field `{name}` - at `$`")
    return value


HANDLERS: dict[str, Callable[[MessageEvents, Event], list[ChatCompletionChunk]]] = {
    "message_start": MessageEvents._start,
    "content_block_start": MessageEvents._block_start,
    "content_block_stop": MessageEvents._block_stop,
    "message_delta": MessageEvents._finish,
    "message_stop": MessageEvents._stop,
}
#: Blocks that may begin with some of their text.
SHOWN: dict[str, Callable[[MessageEvents, int, str], list[ChatCompletionChunk]]] = {
    "text": MessageEvents._text,
    "thinking": MessageEvents._thinking,
}
