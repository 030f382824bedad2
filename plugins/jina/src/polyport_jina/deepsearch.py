"""DeepSearch: chat that searches, reads and thinks before it answers. https://jina.ai/deepsearch

What its stream looks like is told by https://github.com/jina-ai/node-DeepResearch/blob/main/src/app.ts
"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import Chat, ChatEvents, History, Quirks
from polyport.dialects.openai_answers import chunk_type
from polyport.errors import InternalServerError
from polyport.flow import Decoder, HttpReply
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatParams, ChatRequest, Delta, Message

ADDRESS = "https://deepsearch.jina.ai/v1"
PREFIX = "jina-deepsearch"
OPENING, CLOSING = "<think>", "</think>"

#: The parameters that mean something here, and what is told of the others.
TAKEN = frozenset({"stream_options", "response_format", "reasoning_effort", "top_k", "thinking"})
_BUDGET = "budget_tokens is what there is, and counts all that is read and written"
_NOTHING = "DeepSearch has nothing to set but reasoning_effort, response_format and its own parameters"

QUIRKS = Quirks(
    unsupported={
        "chat": {
            **dict.fromkeys(sorted(ChatParams.__annotations__.keys() - TAKEN), _NOTHING),
            "max_tokens": _BUDGET,
            "max_completion_tokens": _BUDGET,
        }
    },
    inline=frozenset({"image_url"}),
    kept=frozenset({"type", "url"}),
    lacks=frozenset({"name", "refusal", "annotations", "audio", "file", "input_audio", "tool_calls"}),
)


class DeepSearch(Chat):
    """POST /chat/completions, at an address of its own."""

    quirks = QUIRKS

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body; a JSON schema stands in it without a name around it."""
        body = super().chat_body(request, history)
        body.pop("stream_options", None)
        if request.schema is not None and request.schema.value is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": request.schema.value}
        return body

    def chat_events(self, request: ChatRequest) -> Decoder[ChatCompletionChunk]:
        """Return the decoder of a streamed answer."""
        return SearchEvents(chunk_type(self.quirks))

    def to_completion(self, reply: HttpReply) -> ChatCompletion:
        """Return a whole answer. Raises the error that stands in place of one."""
        answer = super().to_completion(reply)
        for choice in answer.choices:
            _sort(choice.message, answer.raw)
        return answer


class SearchEvents(ChatEvents):
    """Decodes a stream of thoughts and pages visited, of which the last chunk is the whole answer."""

    def decode(self, data: bytes) -> ChatCompletionChunk:
        """Return the chunk, thoughts as reasoning. Raises the error that stands in place of an answer."""
        chunk = super().decode(data)
        for choice in chunk.choices:
            if _sort(choice.delta, data):
                choice.finish_reason = None  # that of the thoughts: the answer follows
        return chunk


def _sort(said: Message | Delta, body: Any) -> bool:
    """Put what is thought where reasoning is read, and return whether it was. Raises what is an error."""
    fields = said.provider_specific_fields or {}
    kind = fields.pop("type", None)
    said.provider_specific_fields = fields or None
    if kind == "error":
        raise InternalServerError(said.content or "DeepSearch gave no answer.", body=body)
    if kind != "think":
        return False
    thought = (said.content or "").removeprefix(OPENING)
    said.content, said.reasoning_content = None, thought.partition(CLOSING)[0] or None
    return True
