"""ConverseStream's events as chat chunks.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import APIConnectionError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ToolCall
from polyport_anthropic.reply import input_of
from polyport_anthropic.tools import ANSWER_TOOL
from polyport_bedrock.events import Events
from polyport_bedrock.media import Block
from polyport_bedrock.reply import (
    Content,
    Picture,
    annotation,
    finish_reason,
    picture,
    specifics,
    thinking_block,
)
from polyport_bedrock.usage import TokenUsage


class _ToolStart(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str = ""
    type: str | None = None
    status: str | None = None


class _ImageStart(msgspec.Struct):
    format: str = "png"


class _Start(msgspec.Struct, rename="camel"):
    tool_use: _ToolStart | None = None
    tool_result: _ToolStart | None = None
    image: _ImageStart | None = None


class _BlockStart(msgspec.Struct, rename="camel"):
    content_block_index: int
    start: _Start


class _Input(msgspec.Struct):
    input: str = ""


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Reasoning | None = None
    citation: dict[str, Any] | None = None
    tool_result: list[dict[str, Any]] | None = None
    image: dict[str, Any] | None = None


class _BlockDelta(msgspec.Struct, rename="camel"):
    content_block_index: int
    delta: _Delta


class _BlockStop(msgspec.Struct, rename="camel"):
    content_block_index: int


class _Stop(msgspec.Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: Any = None


class _Tier(msgspec.Struct):
    type: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    usage: TokenUsage | None = None
    trace: dict[str, Any] | None = None
    performance_config: dict[str, Any] | None = None
    service_tier: _Tier | None = None


class _Open:
    """A block that is being streamed: the pieces of it, by what they are pieces of."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.arguments: list[str] = []
        self.thought: list[str] = []
        self.signature = ""
        self.redacted = ""
        self.use: _ToolStart | None = None
        self.result: _ToolStart | None = None
        self.results: list[dict[str, Any]] = []
        self.citations: list[dict[str, Any]] = []
        self.image: dict[str, Any] | None = None
        self.call: int | None = None
        self.begins = 0

    def block(self) -> Block | None:
        """Return the whole block, as a reply that is not streamed has it; None for one that holds nothing."""
        if self.use is not None:
            kind = {"type": self.use.type} if self.use.type else {}
            use = {"toolUseId": self.use.tool_use_id, "name": self.use.name, "input": input_of("".join(self.arguments))}
            return {"toolUse": {**use, **kind}}
        if self.result is not None:
            named = {"toolUseId": self.result.tool_use_id, "type": self.result.type, "status": self.result.status}
            made = {name: value for name, value in named.items() if value is not None}
            return {"toolResult": {**made, "content": self.results}}
        if self.image is not None:
            return {"image": self.image}
        if self.redacted:
            return {"reasoningContent": {"redactedContent": self.redacted}}
        if self.thought or self.signature:
            signed = {"signature": self.signature} if self.signature else {}
            return {"reasoningContent": {"reasoningText": {"text": "".join(self.thought), **signed}}}
        if self.citations:
            return {"citationsContent": {"content": [{"text": "".join(self.text)}], "citations": self.citations}}
        return {"text": "".join(self.text)} if self.text else None


class ConverseEvents(Events[ChatCompletionChunk]):
    """Turns events into chat chunks: role, text and reasoning, calls in pieces, a finish with the usage.

    The usage comes behind the stop, so that the finishing chunk waits for it; with `include_usage` it has a last
    chunk of its own, without choices. Blocks that plain fields cannot hold are in the finishing chunk's
    `provider_specific_fields`, as in a reply that is not streamed.
    """

    def __init__(self, model: str, *, id: str = "", created: int = 0, include_usage: bool = False) -> None:
        super().__init__()
        self._model, self._id, self._created = model, id, created
        self._include_usage = include_usage
        self._begun = False
        self._blocks: dict[int, _Open] = {}
        self._closed: set[int] = set()
        self._calls = 0
        self._position = 0
        self._stop: _Stop | None = None
        self._metadata: _Metadata | None = None
        self._finished = False

    def take(self, kind: str, payload: bytes) -> list[ChatCompletionChunk]:
        """Return the chunks an event comes to; kinds of events that are not known yet come to none."""
        found = HANDLERS.get(kind)
        if found is None:
            return []
        decoder, handle = found
        chunks = handle(self, decoder.decode(payload))
        if chunks and not self._begun:
            self._begun = True
            chunks = [self._chunk(Delta(role="assistant", content="")), *chunks]
        return chunks

    def finish(self) -> list[ChatCompletionChunk]:
        """Return the finish of a stream whose usage never came. Raises APIConnectionError without a stop."""
        if self._stop is None:
            raise APIConnectionError("The stream ended before it was complete.")
        return [] if self._finished else self._finish()

    def _message_start(self, _event: Any) -> list[ChatCompletionChunk]:
        if self._begun:
            return []
        self._begun = True
        return [self._chunk(Delta(role="assistant", content=""))]

    def _block_start(self, event: _BlockStart) -> list[ChatCompletionChunk]:
        block = self._open(event.content_block_index)
        start = event.start
        block.result = start.tool_result
        block.image = {"format": start.image.format} if start.image is not None else None
        if start.tool_use is None:
            return []
        block.use = start.tool_use
        if start.tool_use.type == "server_tool_use" or start.tool_use.name == ANSWER_TOOL:
            return []
        block.call, self._calls = self._calls, self._calls + 1
        function = FunctionCall(name=start.tool_use.name)
        call = ToolCall(index=block.call, id=start.tool_use.tool_use_id, type="function", function=function)
        return [self._chunk(Delta(tool_calls=[call]))]

    def _block_delta(self, event: _BlockDelta) -> list[ChatCompletionChunk]:
        block, delta = self._open(event.content_block_index), event.delta
        if delta.text is not None:
            return self._text(block, delta.text)
        if delta.tool_use is not None:
            return self._input(block, delta.tool_use.input)
        if delta.reasoning_content is not None:
            return self._reasoning(block, delta.reasoning_content)
        if delta.citation is not None:
            block.citations.append(_whole(delta.citation))
        block.results += delta.tool_result or []
        if delta.image is not None:
            block.image = {**(block.image or {"format": "png"}), **delta.image}
        return []

    def _text(self, block: _Open, piece: str) -> list[ChatCompletionChunk]:
        if not piece:
            return []
        if not block.text:
            block.begins = self._position
        block.text.append(piece)
        self._position += len(piece)
        return [self._chunk(Delta(content=piece))]

    def _input(self, block: _Open, piece: str) -> list[ChatCompletionChunk]:
        """Show a piece of a call's arguments, or of an answer given through the stand-in tool; none of Amazon's."""
        if not piece:
            return []
        block.arguments.append(piece)
        if block.call is not None:
            call = ToolCall(index=block.call, function=FunctionCall(arguments=piece))
            return [self._chunk(Delta(tool_calls=[call]))]
        if block.use is not None and block.use.name == ANSWER_TOOL:
            self._position += len(piece)
            return [self._chunk(Delta(content=piece))]
        return []

    def _reasoning(self, block: _Open, piece: _Reasoning) -> list[ChatCompletionChunk]:
        block.signature += piece.signature or ""
        block.redacted += piece.redacted_content or ""
        if not piece.text:
            return []
        block.thought.append(piece.text)
        return [self._chunk(Delta(reasoning_content=piece.text))]

    def _block_stop(self, event: _BlockStop) -> list[ChatCompletionChunk]:
        return self._end(event.content_block_index)

    def _end(self, index: int) -> list[ChatCompletionChunk]:
        block = self._open(index)
        if index in self._closed:
            return []
        self._closed.add(index)
        whole = block.block()
        if whole is None:
            return []
        read = msgspec.convert(whole, Content)
        if block.call is not None and not block.arguments:
            return self._input(block, "{}")
        if read.reasoning_content is not None:
            return [self._chunk(Delta(thinking_blocks=[thinking_block(read.reasoning_content)]))]
        if block.citations:
            found = [annotation(citation, block.begins, self._position) for citation in block.citations]
            return [self._chunk(Delta(annotations=found))]
        if block.image is not None:
            return [self._chunk(Delta(images=[picture(read.image or Picture())]))]
        return []

    def _open(self, index: int) -> _Open:
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Open()
        return block

    def _message_stop(self, event: _Stop) -> list[ChatCompletionChunk]:
        self._stop = event
        chunks = [chunk for index in sorted(self._blocks) for chunk in self._end(index)]
        return chunks + (self._finish() if self._metadata is not None else [])

    def _meta(self, event: _Metadata) -> list[ChatCompletionChunk]:
        self._metadata = event
        return self._finish() if self._stop is not None and not self._finished else []

    def _finish(self) -> list[ChatCompletionChunk]:
        assert self._stop is not None
        self._finished = True
        told, stop = self._metadata or _Metadata(), self._stop
        blocks = [whole for index in sorted(self._blocks) if (whole := self._blocks[index].block()) is not None]
        read = [msgspec.convert(block, Content) for block in blocks]
        more = {
            "trace": told.trace,
            "additional_model_response_fields": stop.additional_model_response_fields,
            "performance_config": told.performance_config,
        }
        delta = Delta(provider_specific_fields=specifics(blocks, read, stop.stop_reason, more))
        chunk = self._chunk(delta, finish_reason(stop.stop_reason, read))
        usage = told.usage.to_usage() if told.usage is not None else None
        if told.service_tier is not None:
            chunk.service_tier = told.service_tier.type
        if not self._include_usage:
            chunk.usage = usage
            return [chunk]
        last = ChatCompletionChunk(id=self._id, created=self._created, model=self._model, usage=usage)
        return [chunk, last] if usage is not None else [chunk]

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[ChunkChoice(delta=delta, finish_reason=finish)],
        )


def _whole(citation: dict[str, Any]) -> dict[str, Any]:
    """Return a streamed citation as a whole reply has it: the same, as they come at once."""
    return {name: value for name, value in citation.items() if value is not None}


Handler = Callable[[ConverseEvents, Any], list[ChatCompletionChunk]]
HANDLERS: dict[str, tuple[msgspec.json.Decoder[Any], Handler]] = {
    "contentBlockDelta": (msgspec.json.Decoder(_BlockDelta), ConverseEvents._block_delta),
    "messageStart": (msgspec.json.Decoder(dict[str, Any]), ConverseEvents._message_start),
    "contentBlockStart": (msgspec.json.Decoder(_BlockStart), ConverseEvents._block_start),
    "contentBlockStop": (msgspec.json.Decoder(_BlockStop), ConverseEvents._block_stop),
    "messageStop": (msgspec.json.Decoder(_Stop), ConverseEvents._message_stop),
    "metadata": (msgspec.json.Decoder(_Metadata), ConverseEvents._meta),
}
