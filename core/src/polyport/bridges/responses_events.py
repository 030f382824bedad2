"""A chat's chunks, as the Responses API's typed events. https://platform.openai.com/docs/api-reference/responses-streaming

One item is open at a time, as OpenAI streams them: it is added, its deltas follow, it is done, and the next begins.
The whole response is what the last event carries, so a result that is not streamed takes the same way.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from polyport.bridges.opaque import State, seal
from polyport.bridges.responses_items import CALLS, AnswerItem, FunctionCallItem, ItemWriter, ReasoningItem
from polyport.bridges.responses_tools import Toolset
from polyport.bridges.thinking import Thinking
from polyport.errors import InvalidResponseError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, ToolCall
from polyport.types.record import convert
from polyport.types.responses import Item, Response, ResponsesRequest
from polyport.types.usage import Usage

#: finish_reason -> (status, incomplete_details, error); any other is "completed".
ENDS: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = {
    "length": ("incomplete", {"reason": "max_output_tokens"}, None),
    "content_filter": ("incomplete", {"reason": "content_filter"}, None),
    "error": ("failed", None, {"code": "server_error", "message": "The provider ended its answer with an error."}),
}
#: What other providers call OpenAI's default tier.
TIERS = {"standard": "default", "on_demand": "default"}


class ResponseEvents:
    """Makes the events of one response."""

    def __init__(self, request: ResponsesRequest, tools: Toolset) -> None:
        self.output: list[dict[str, Any]] = []
        self.base = ""
        self.summarize = bool(_wants_summary(request.reasoning))
        self._request = request
        self._tools = tools
        self._thinking = Thinking()
        self._events: list[Item] = []
        self._sequence = 0
        self._open: ItemWriter | None = None
        self._begun: set[int] = set()  # indices of tool calls
        self._response: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._finish: str | None = None
        self._usage: Usage | None = None

    # --- the decoder's face ---

    def feed(self, data: ChatCompletionChunk) -> list[Item]:
        """Return the events that a chunk brings."""
        if not self._response:
            self._begin(data)
        for choice in data.choices:
            if choice.index == 0:
                self._read(choice)
        if data.service_tier:
            self._response["service_tier"] = TIERS.get(data.service_tier, data.service_tier)
        if data.usage is not None:
            self._usage = data.usage
        if self._finish or data.usage is not None:
            self._extra.update(data.extra)
        return self._take()

    def close(self) -> list[Item]:
        """Return the events that end the response."""
        if not self._response:
            self._begin(ChatCompletionChunk())
        status, incomplete, error = ENDS.get(self._finish or "", ("completed", None, None))
        self._close_item("incomplete" if status == "incomplete" else "completed")
        if self._state:
            self._seal(State(message=self._state))
        self._response |= {
            "status": status,
            "incomplete_details": incomplete,
            "error": error,
            "output": self.output,
            "usage": usage_of(self._usage),
        }
        if status == "completed":
            self._response["completed_at"] = int(time.time())
        self.emit(f"response.{status}", response={**self._extra, **self._response})
        return self._take()

    def result(self) -> Response:
        """Return the whole response."""
        response: Response = convert(self._response, Response, "$")
        modelled = Response.__struct_fields__
        response.carry({k: v for k, v in {**self._extra, **self._response}.items() if k not in modelled})
        return response

    # --- what item writers use ---

    def emit(self, type: str, **fields: Any) -> None:
        """Add an event."""
        self._events.append(Item({"type": type, "sequence_number": self._sequence, **fields}))
        self._sequence += 1

    # --- steps ---

    def _take(self) -> list[Item]:
        events, self._events = self._events, []
        return events

    def _begin(self, chunk: ChatCompletionChunk) -> None:
        self.base = chunk.id.removeprefix("chatcmpl-") or uuid4().hex
        self._response = frame(self._request) | {
            "id": f"resp_{self.base}",
            "created_at": chunk.created or int(time.time()),
            "model": chunk.model or self._request.model,
        }
        self.emit("response.created", response=dict(self._response))
        self.emit("response.in_progress", response=dict(self._response))

    def _read(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.reasoning_content or delta.thinking_blocks:
            self._think(delta)
        if delta.content:
            tokens = (choice.logprobs or {}).get("content")
            self._answer().say(delta.content, [logprob_of(token) for token in tokens] if tokens else [])
        if delta.refusal:
            self._answer().refuse(delta.refusal)
        for annotation in delta.annotations or []:
            self._answer().annotate(annotation_of(annotation))
        if delta.audio is not None:
            self._answer().speak(delta.audio.to_dict())
        for image in delta.images or []:
            self._draw(image)
        for call in delta.tool_calls or []:
            self._call(call)
        if delta.provider_specific_fields:
            self._state.update(delta.provider_specific_fields)
        self._finish = choice.finish_reason or self._finish

    def _think(self, delta: Delta) -> None:
        for kind, value in self._thinking.read(delta):
            item = self._open
            if not isinstance(item, ReasoningItem):
                self._close_item()
                item = self._open = ReasoningItem(self)
            if kind == "text":
                item.think(value)
            else:
                item.keep(value)

    def _answer(self) -> AnswerItem:
        item = self._open
        if not isinstance(item, AnswerItem):
            self._close_item()
            item = self._open = AnswerItem(self)
        return item

    def _draw(self, image: dict[str, Any]) -> None:
        self._close_item()
        url = (image.get("image_url") or {}).get("url", "")
        result = url.partition(",")[2] if url.startswith("data:") else url
        item = ItemWriter(self, "ig", {"type": "image_generation_call", "status": "in_progress", "result": None})
        item.emit("response.image_generation_call.completed")
        item.done({"status": "completed", "result": result})

    def _call(self, piece: ToolCall) -> None:
        index, item = piece.index or 0, self._open
        if not isinstance(item, FunctionCallItem) or item.call != index or piece.id not in (None, "", item.id):
            if index in self._begun and not piece.id:
                raise InvalidResponseError(f"A piece of tool call {index} came after the next item had begun.")
            item = self._begin_call(index, piece)
        item.more(piece.function.arguments if piece.function else (piece.custom or {}).get("input", ""))

    def _begin_call(self, index: int, piece: ToolCall) -> FunctionCallItem:
        self._close_item()
        self._begun.add(index)
        call_id = piece.id or f"call_{self.base}_{index}"
        if piece.extra_content:
            self._seal(State(tool_calls={call_id: piece.extra_content}))
        called = self._tools.called((piece.function and piece.function.name) or (piece.custom or {}).get("name", ""))
        item = self._open = CALLS[called.kind](self, index, call_id, called)
        return item

    def _seal(self, state: State) -> None:
        self._close_item()
        ItemWriter(self, "rs", {"type": "reasoning", "summary": [], "encrypted_content": seal(state)}).done({})

    def _close_item(self, status: str = "completed") -> None:
        if self._open is not None:
            self._open.finish(status)
            self._open = None


def _wants_summary(reasoning: dict[str, Any] | None) -> Any:
    return reasoning and (reasoning.get("summary") or reasoning.get("generate_summary"))


def frame(request: ResponsesRequest) -> dict[str, Any]:
    """Return the response as it stands before anything was said: what was asked for, and nothing answered."""
    return {
        "object": "response",
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None, **(request.reasoning or {})},
        "safety_identifier": request.safety_identifier,
        "service_tier": request.service_tier,
        "store": False,
        "temperature": request.temperature,
        "text": {"format": {"type": "text"}, **(request.text or {})},
        "tool_choice": request.tool_choice or "auto",
        "tools": [_echo(tool) for tool in request.tools or []],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
    }


def _echo(tool: dict[str, Any]) -> dict[str, Any]:
    return {"strict": None, "parameters": None, **tool} if tool.get("type") == "function" else tool


def usage_of(usage: Usage | None) -> dict[str, Any] | None:
    """Return the tokens in the Responses API's words."""
    if usage is None:
        return None
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": (given and given.cached_tokens) or 0,
            "cache_write_tokens": (given and given.cache_write_tokens) or 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": (made and made.reasoning_tokens) or 0},
        "total_tokens": usage.total_tokens,
    }


def annotation_of(annotation: dict[str, Any]) -> dict[str, Any]:
    """Return a chat's annotation in the flat form of the Responses API; what cites no URL cites a file there."""
    kind = annotation.get("type", "url_citation")
    inner = annotation.get(kind)
    flat = {"type": kind, **(inner if isinstance(inner, dict) else annotation)}
    if kind == "url_citation":
        return {"start_index": 0, "end_index": 0, "url": "", **flat, "title": flat.get("title") or ""}
    if kind == "document_citation":
        name = flat.get("document_title") or flat.get("title") or ""
        return {"file_id": "", "filename": name, "index": flat.get("start_index", 0), **flat, "type": "file_citation"}
    return flat


def logprob_of(token: dict[str, Any]) -> dict[str, Any]:
    """Return a token's logprob; chat may leave out its bytes, the Responses API does not."""
    return {
        "token": token["token"],
        "bytes": _bytes_of(token),
        "logprob": token["logprob"],
        "top_logprobs": [
            {"token": top["token"], "bytes": _bytes_of(top), "logprob": top["logprob"]}
            for top in token.get("top_logprobs") or []
        ],
    }


def _bytes_of(token: dict[str, Any]) -> list[int]:
    found: list[int] | None = token.get("bytes")
    return list(token["token"].encode()) if found is None else found
