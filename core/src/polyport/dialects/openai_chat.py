"""Chat and text completion on OpenAI's wire."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from polyport.dialects.openai_answers import chunk_type, completion_type, own_words
from polyport.dialects.openai_errors import error_of
from polyport.dialects.openai_events import ChatEvents, CompletionEvents
from polyport.dialects.openai_messages import History, tell_schema
from polyport.dialects.openai_wire import FOREIGN, Wire, takes_completion_limit
from polyport.flow import Decoder, Flow, HttpReply, HttpRequest, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode, in_one_turn
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.completion import TextCompletion, TextCompletionRequest

ROLES = frozenset({"system", "developer", "user", "assistant"})
PLAIN_MESSAGE = {"role", "content"}
#: What is asked for besides words: files, tools and sound have to be looked at.
LOOKED_AT = frozenset({"tools", "functions", "function_call", "audio", "options", "extra", "adaptations"})
AS_THEY_ARE = frozenset(ChatRequest.__struct_fields__) - LOOKED_AT


class Chat(Wire):
    """POST /chat/completions. https://platform.openai.com/docs/api-reference/chat/create"""

    @hookimpl
    @in_one_turn("ask_chat", "tell_chat", "give_chat")
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation; files by URL are fetched first, where the provider cannot."""
        asked, history = self._asked(request)
        if history.remote:
            yield from history.inline()
        reply = yield asked
        return self.tell_chat(request, reply)

    def ask_chat(self, request: ChatRequest) -> HttpRequest | None:
        """Return the request of a chat; None where files must be fetched before."""
        asked, history = self._asked(request)
        return None if history.remote else asked

    def _asked(self, request: ChatRequest) -> tuple[HttpRequest, History]:
        history = self.history(request)
        body = self.chat_body(request, history)
        return self.post(self.chat_path(request), json=body, stream=request.stream), history

    def give_chat(self, fields: Mapping[str, Any], model: str) -> HttpRequest | None:
        """Return the request of a chat in plain words, all of which this wire takes as it is; None for any other."""
        if not fields.keys() <= self._taken or None in fields.values():
            return None
        if "max_tokens" in fields and takes_completion_limit(model, self.quirks):
            return None
        messages = fields.get("messages")
        if type(messages) is not list or not messages:
            return None
        for message in messages:
            if type(message) is not dict or message.keys() != PLAIN_MESSAGE:
                return None
            if type(message["content"]) is not str or type(message["role"]) is not str or message["role"] not in ROLES:
                return None
        stream = bool(fields.get("stream"))
        if ("stream_options" in fields and not stream) or type(fields.get("response_format", {})) is not dict:
            return None
        body = {**fields, "model": model}
        return HttpRequest(method="POST", url=self._place, headers={**self.headers}, json=body, stream=stream)

    @cached_property
    def _place(self) -> str:
        return self.quirks.paths.get("/chat/completions", "/chat/completions")

    @cached_property
    def _taken(self) -> frozenset[str]:
        """The parameters that go out as they are; none where anything is added to a chat or changed in it."""
        quirks, own = self.quirks, type(self)
        ways = ("history", "chat_path", "chat_body", "body", "post", "request")
        changed = any(getattr(own, name) is not getattr(Chat, name) for name in ways)
        if changed or quirks.roles or quirks.defaults.get("chat") or self._placed:
            return frozenset()
        touched = {*FOREIGN["chat"], *quirks.unsupported.get("chat", ()), *quirks.renames.get("chat", ())}
        if not quirks.schemas:
            touched.add("response_format")
        return AS_THEY_ARE - touched

    def tell_chat(self, request: ChatRequest, reply: HttpReply) -> ChatCompletion | Streaming[ChatCompletionChunk]:
        """Return the answer to a chat."""
        if request.stream:
            return Streaming(reply, self.chat_events(request))
        answer = self.to_completion(reply)
        return answer.relay() if self._as_openai_has_it(reply.content) else answer

    def _as_openai_has_it(self, body: bytes) -> bool:
        words = self.own_words
        if words is None or type(self).to_completion is not Chat.to_completion:
            return False
        return not words or not any(word in body for word in words)

    @cached_property
    def own_words(self) -> tuple[bytes, ...] | None:
        """What stands in answers that this provider writes otherwise than OpenAI; None where it stands in all."""
        return own_words(self.quirks)

    @cached_property
    def _completion(self) -> type[ChatCompletion]:
        return completion_type(self.quirks)

    @cached_property
    def _chunk(self) -> type[ChatCompletionChunk]:
        return chunk_type(self.quirks)

    def history(self, request: ChatRequest) -> History:
        """Return the messages and tools on their way to this wire."""
        return History(request, self.quirks)

    def chat_path(self, request: ChatRequest) -> str:
        """Return where a chat is answered."""
        return "/chat/completions"

    def chat_events(self, request: ChatRequest) -> Decoder[ChatCompletionChunk]:
        """Return the decoder of a streamed answer."""
        return ChatEvents(self._chunk, self.own_words)

    def to_completion(self, reply: HttpReply) -> ChatCompletion:
        """Return a whole answer. Raises the error that look-alikes put into the body of a success."""
        answer: ChatCompletion = decode(reply, self._completion)
        if not answer.choices and answer.extra.get("error"):
            raise error_of(answer.raw)
        return answer

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body of a chat request."""
        body = self.body(request, "chat")
        body["messages"] = history.messages()
        if request.schema is not None and request.schema.value is not None and not self.quirks.schemas:
            tell_schema(request, request.schema, body)
        if "tools" in body:
            body["tools"] = history.tools(body["tools"])
        if not request.stream:
            body.pop("stream_options", None)
        if "max_tokens" in body and takes_completion_limit(request.model, self.quirks):
            self._rename_limit(request, body)
        return body

    def _rename_limit(self, request: ChatRequest, body: dict[str, Any]) -> None:
        limit = body.pop("max_tokens")
        if "max_completion_tokens" in body:
            request.adapt("max_tokens", "dropped", "max_completion_tokens was given too, and counts for this model")
        else:
            request.adapt("max_tokens", "renamed", "this model takes max_completion_tokens")
            body["max_completion_tokens"] = limit


class Completions(Wire):
    """POST /completions. https://platform.openai.com/docs/api-reference/completions/create"""

    @hookimpl
    def complete_text(self, request: TextCompletionRequest) -> Flow[TextCompletion | Streaming[TextCompletion]]:
        """Continue a text."""
        body = self.body(request, "complete_text")
        if not request.stream:
            body.pop("stream_options", None)
        reply = yield self.post(self.text_path(request), json=body, stream=request.stream)
        if request.stream:
            return Streaming(reply, CompletionEvents())
        return decode(reply, TextCompletion).relay()

    def text_path(self, request: TextCompletionRequest) -> str:
        """Return where a text is continued."""
        return "/completions"
