"""A chat's chunks, as Anthropic's events. https://docs.anthropic.com/en/docs/build-with-claude/streaming

One content block is open at a time. A message that is not streamed takes the same way, as one chunk.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

from polyport.bridges.opaque import State, seal
from polyport.bridges.thinking import Thinking
from polyport.errors import InternalServerError, InvalidResponseError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, ToolCall
from polyport.types.messages import AnthropicMessage, MessagesRequest
from polyport.types.record import convert
from polyport.types.responses import Item
from polyport.types.usage import Usage

#: finish_reason -> stop_reason; any other is end_turn.
STOPS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
#: A chat's service tiers, as far as Anthropic has such; it says them in the usage.
TIERS = {"default": "standard", "standard": "standard", "priority": "priority"}
#: A key of a document's citation -> what kind of citation has it.
LOCATIONS = {
    "start_char_index": "char_location",
    "start_page_number": "page_location",
    "start_block_index": "content_block_location",
}


class MessageEvents:
    """Makes the events of one message."""

    def __init__(self, request: MessagesRequest) -> None:
        self._request = request
        self._thinking = Thinking()
        self._events: list[Item] = []
        self._message: dict[str, Any] = {}
        self._content: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._pieces: list[str] = []  # of the open block's text, thinking or arguments
        self._call = -1  # the index of the tool call that is open
        self._begun: set[int] = set()
        self._arguments: dict[int, str] = {}  # index of the block -> JSON text
        self._state: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._finish: str | None = None
        self._refused = False
        self._usage: Usage | None = None
        self._tier: str | None = None

    # --- the decoder's face ---

    def feed(self, data: ChatCompletionChunk) -> list[Item]:
        """Return the events that a chunk brings."""
        if data.usage is not None:
            self._usage = data.usage
        self._tier = data.service_tier or self._tier
        if not self._message:
            self._begin(data)
        for choice in data.choices:
            if choice.index == 0:
                self._read(choice)
        if self._finish or data.usage is not None:
            self._extra.update(data.extra)
        return self._take()

    def close(self) -> list[Item]:
        """Return the events that end the message. Raises InternalServerError where the provider says it failed."""
        if self._finish == "error":
            raise InternalServerError("The provider ended its answer with an error.")
        if not self._message:
            self._begin(ChatCompletionChunk())
        self._stop()
        stop_sequence = self._state.pop("stop_sequence", None)
        if self._state:
            self._whole({"type": "redacted_thinking", "data": seal(State(message=self._state))})
        ending = {"stop_reason": self._stop_reason(stop_sequence), "stop_sequence": stop_sequence}
        usage = usage_of(self._usage)
        self._emit("message_delta", delta=ending, usage=usage)
        tier = {"service_tier": TIERS[self._tier]} if self._tier in TIERS else {}
        self._message |= {"content": self._content, "usage": usage | tier, **ending}
        self._emit("message_stop")
        return self._take()

    def result(self) -> AnthropicMessage:
        """Return the whole message. Raises InvalidResponseError for arguments of a tool that are not a JSON object."""
        for index, text in self._arguments.items():
            self._content[index]["input"] = self._input(text, self._content[index]["name"])
        message: AnthropicMessage = convert(self._message, AnthropicMessage, "$")
        message.carry(self._extra)
        return message

    # --- steps ---

    def _take(self) -> list[Item]:
        events, self._events = self._events, []
        return events

    def _emit(self, type: str, **fields: Any) -> None:
        self._events.append(Item(type=type, **fields))

    def _begin(self, chunk: ChatCompletionChunk) -> None:
        self._message = {
            "id": f"msg_{chunk.id.removeprefix('chatcmpl-') or uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": chunk.model or self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(self._usage),
        }
        self._emit("message_start", message=dict(self._message))

    def _read(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.reasoning_content or delta.thinking_blocks:
            self._think(delta)
        self._say(delta.content or "")
        if delta.refusal:
            self._refused = True
            self._say(delta.refusal)
        for annotation in delta.annotations or []:
            self._cite(annotation)
        for image in delta.images or []:
            self._whole({"type": "image", "source": source_of(image)})
        for call in delta.tool_calls or []:
            self._use(call)
        if delta.provider_specific_fields:
            self._state.update(delta.provider_specific_fields)
        self._finish = choice.finish_reason or self._finish

    def _say(self, text: str) -> None:
        if text:
            self._block("text", {"type": "text", "text": ""})
            self._pieces.append(text)
            self._delta({"type": "text_delta", "text": text})

    def _think(self, delta: Delta) -> None:
        for kind, value in self._thinking.read(delta):
            if kind == "block" and value.get("type") != "thinking":
                known = value.get("type") == "redacted_thinking"
                sealed = {"type": "redacted_thinking", "data": seal(State(thinking_blocks=[value]))}
                self._whole(value if known else sealed)
                continue
            block = self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            if kind == "text":
                self._pieces.append(value)
                self._delta({"type": "thinking_delta", "thinking": value})
            else:
                block["signature"] = value["signature"]
                self._delta({"type": "signature_delta", "signature": value["signature"]})
                self._stop()

    def _cite(self, annotation: dict[str, Any]) -> None:
        block = self._block("text", {"type": "text", "text": ""})
        citation = citation_of(annotation, "".join(self._pieces))
        block.setdefault("citations", []).append(citation)
        self._delta({"type": "citations_delta", "citation": citation})

    def _use(self, piece: ToolCall) -> None:
        index, block = piece.index or 0, self._open
        same = block is not None and block["type"] == "tool_use" and self._call == index
        if block is None or not same or piece.id not in (None, "", block["id"]):
            if index in self._begun and not piece.id:
                raise InvalidResponseError(f"A piece of tool call {index} came after the next block had begun.")
            self._begin_use(index, piece)
        text = piece.function.arguments if piece.function else ""
        if text:
            self._pieces.append(text)
            self._delta({"type": "input_json_delta", "partial_json": text})

    def _begin_use(self, index: int, piece: ToolCall) -> None:
        call_id = piece.id or f"toolu_{self._message['id']}_{index}"
        if piece.extra_content:
            state = State(tool_calls={call_id: piece.extra_content})
            self._whole({"type": "redacted_thinking", "data": seal(state)})
        name = (piece.function and piece.function.name) or ""
        self._start({"type": "tool_use", "id": call_id, "name": name, "input": {}})
        self._call = index
        self._begun.add(index)

    # --- blocks ---

    def _block(self, kind: str, empty: dict[str, Any]) -> dict[str, Any]:
        """Return the open block of that kind, or begin one."""
        if self._open is None or self._open["type"] != kind:
            self._start(empty)
        assert self._open is not None
        return self._open

    def _start(self, block: dict[str, Any]) -> None:
        self._stop()
        self._open, self._pieces = block, []
        self._content.append(block)
        self._emit("content_block_start", index=len(self._content) - 1, content_block=dict(block))

    def _delta(self, delta: dict[str, Any]) -> None:
        self._emit("content_block_delta", index=len(self._content) - 1, delta=delta)

    def _stop(self) -> None:
        block, index = self._open, len(self._content) - 1
        if block is None:
            return
        text = "".join(self._pieces)
        if block["type"] == "tool_use":
            self._arguments[index] = text
        elif block["type"] in ("text", "thinking"):
            block[block["type"]] = text
        self._emit("content_block_stop", index=index)
        self._open = None

    def _whole(self, block: dict[str, Any]) -> None:
        """Give a block that comes in one piece."""
        self._start(block)
        self._stop()

    # --- the end ---

    def _stop_reason(self, stop_sequence: str | None) -> str:
        if self._refused:
            return "refusal"
        if stop_sequence is not None:
            return "stop_sequence"
        if self._finish in (None, "stop") and self._begun:
            return "tool_use"  # some providers say stop, calls or not
        return STOPS.get(self._finish or "", "end_turn")

    def _input(self, arguments: str, name: str) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, RecursionError) as error:
            if self._finish == "length":
                return {}  # cut off by max_tokens, as Anthropic gives it
            raise InvalidResponseError(f"The arguments of {name!r} are not JSON: {error}", body=arguments) from error
        if not isinstance(value, dict):
            raise InvalidResponseError(f"The arguments of {name!r} are not a JSON object.", body=arguments)
        return value


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """Return the tokens in Anthropic's words, where input excludes what the cache served or took."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    read = (given and given.cached_tokens) or 0
    written = (given and given.cache_write_tokens) or 0
    long = (given and given.cache_write_1h_tokens) or 0
    counted: dict[str, Any] = {
        "input_tokens": max(0, usage.prompt_tokens - read - written),
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }
    if long:
        counted["cache_creation"] = {"ephemeral_1h_input_tokens": long, "ephemeral_5m_input_tokens": written - long}
    if made and made.reasoning_tokens is not None:
        counted["output_tokens_details"] = {"thinking_tokens": made.reasoning_tokens}
    if usage.server_tool_use:
        counted["server_tool_use"] = usage.server_tool_use
    return counted


def citation_of(annotation: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a chat's annotation as a citation; one without a URL is of a document, by whatever place it names."""
    found = annotation.get(annotation.get("type", "")) or annotation
    start, end = found.get("start_index", 0), found.get("end_index")
    cited = {"cited_text": found.get("cited_text") or text[start:end]}
    if "url" in found:
        kind = "web_search_result_location"
        return {"type": kind, "url": found["url"], "title": found.get("title"), **cited, "encrypted_index": ""}
    kind = next((kind for key, kind in LOCATIONS.items() if key in found), "char_location")
    place = {name: value for name, value in found.items() if name not in ("type", "start_index", "end_index")}
    if kind == "char_location":
        place = {"start_char_index": 0, "end_char_index": 0, **place}
    return {"document_index": 0, "document_title": None, **cited, **place, "type": kind}


def source_of(image: dict[str, Any]) -> dict[str, Any]:
    """Return where a generated image is, as Anthropic's image blocks say it."""
    url = (image.get("image_url") or {}).get("url", "")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, _, data = url.partition(",")
    return {"type": "base64", "media_type": head.removeprefix("data:").partition(";")[0], "data": data}
