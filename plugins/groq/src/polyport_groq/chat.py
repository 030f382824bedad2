"""Chat with Groq: reasoning apart from the answer, usage where Groq puts it. https://console.groq.com/docs/reasoning"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from polyport.dialects.openai import Chat, ChatEvents, History
from polyport.dialects.openai_answers import chunk_type
from polyport.errors import InternalServerError
from polyport.flow import Decoder, Passed
from polyport.types.chat import ChatCompletionChunk, ChatRequest
from polyport.types.record import learn
from polyport.types.usage import Usage
from polyport_groq.quirks import ONE_ANSWER

#: The models that put their reasoning into the answer, between <think> tags, where nothing else is asked for.
RAW = re.compile(r"qwen/qwen3")
#: Systems whose own names begin with the prefix: https://console.groq.com/docs/compound/systems
COMPOUND = frozenset({"compound", "compound-mini"})


class GroqChat(Chat):
    """POST /chat/completions. https://console.groq.com/docs/api-reference#chat-create"""

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body: one answer, and reasoning in a field of its own."""
        body = super().chat_body(request, history)
        if request.model in COMPOUND:
            body["model"] = f"groq/{request.model}"
        if body.get("n", 1) != 1:
            request.unsupported("n", ONE_ANSWER)
            del body["n"]
        if RAW.match(request.model) and body.keys().isdisjoint({"reasoning_format", "include_reasoning"}):
            body["reasoning_format"] = "parsed"
        return body

    def chat_events(self, request: ChatRequest) -> Decoder[ChatCompletionChunk]:
        """Return the decoder of a streamed answer."""
        return GroqEvents(chunk_type(self.quirks), self.own_words, usage_comes=request.wants_usage)


X_GROQ = b'"x_groq"'


class _Told(msgspec.Struct):
    usage: Usage | None = None
    error: str | None = None


class _Chunk(msgspec.Struct):
    x_groq: _Told | None = None


class GroqEvents(ChatEvents):
    """Decodes a chat stream whose last chunk tells usage, or why it ended early, in `x_groq`.

    `usage_comes`: usage was asked for, and follows in a chunk of its own.
    """

    def __init__(
        self,
        type: type[ChatCompletionChunk],
        own_words: tuple[bytes, ...] | None = None,
        *,
        usage_comes: bool = False,
    ) -> None:
        super().__init__(type, own_words)
        self._usage_comes = usage_comes

    def relay(self) -> Decoder[Passed] | None:
        """Pass text on as it comes; reasoning, tools that ran there and what `x_groq` tells are written anew."""
        return self.passing(X_GROQ)

    def decode(self, data: bytes) -> ChatCompletionChunk:
        """Return the chunk with the usage that `x_groq` holds. Raises the error that it holds."""
        chunk = super().decode(data)
        if X_GROQ not in data:
            return chunk
        told = msgspec.json.decode(data, type=learn(_Chunk)).x_groq or _Told()
        if told.error is not None:
            raise InternalServerError(f"Groq ended the stream early: {told.error}", body=chunk.raw)
        if chunk.usage is None and not self._usage_comes:
            chunk.usage = told.usage
        return chunk
