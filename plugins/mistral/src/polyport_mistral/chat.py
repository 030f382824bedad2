"""Chat with Mistral. https://docs.mistral.ai/api/endpoint/chat"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polyport.dialects.openai import Chat, ChatEvents, History, stream_error
from polyport.dialects.openai_errors import error_of
from polyport.flow import Decoder, Flow, HttpReply, Passed, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.record import Request
from polyport_mistral import ocr
from polyport_mistral.answers import FINISHES, MistralChunk, MistralCompletion
from polyport_mistral.history import MistralHistory

#: OpenAI's tiers -> Mistral's: the faster one where the account has it, or never.
#: https://docs.mistral.ai/inference/priority-tier
TIERS: Mapping[str, str] = {"auto": "auto", "priority": "auto", "default": "standard_only"}

#: The models that think or do not, and nothing between: https://docs.mistral.ai/capabilities/reasoning/adjustable
TWO_EFFORTS = re.compile(r"mistral-(small|medium)-")
#: An effort that they lack -> the nearest one. With "none" they think "minimally", in Mistral's words.
NEAREST: Mapping[str, str] = {"minimal": "none", "low": "high", "medium": "high", "xhigh": "high", "max": "high"}


class MistralChat(Chat):
    """POST /chat/completions; models that read documents have an endpoint of their own."""

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation, or read the document in it."""
        if not ocr.reads(request.model):
            return (yield from super().chat(request))
        reply = yield self.post("/ocr", json=ocr.to_body(request, self.history(request).messages()))
        return ocr.to_answer(reply, request)

    def history(self, request: ChatRequest) -> History:
        """Return the messages and tools on their way to Mistral."""
        return MistralHistory(request, self.quirks)

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body, with the tier and the effort that Mistral has."""
        body = super().chat_body(request, history)
        tell_usage(request, body)
        if not body.get("tools", True):
            del body["tools"]  # a list of none is refused
        if "service_tier" in body and body["service_tier"] not in TIERS.values():
            _rename_tier(request, body)
        if body.get("reasoning_effort") in NEAREST and TWO_EFFORTS.match(request.model):
            body["reasoning_effort"] = NEAREST[body["reasoning_effort"]]
            request.adapt("reasoning_effort", "clamped", f"{request.model} has none and high")
        return body

    def chat_events(self, request: ChatRequest) -> Decoder[ChatCompletionChunk]:
        """Return the decoder of a streamed answer."""
        return MistralEvents()

    def to_completion(self, reply: HttpReply) -> ChatCompletion:
        """Return a whole answer. Raises the error that stands in the body of a success."""
        answer = decode(reply, MistralCompletion)
        if answer.object == "error":
            raise error_of(answer.raw)
        return answer


def tell_usage(request: Request, body: dict[str, Any]) -> None:
    """Take the options of a stream out of a body: usage is told at its end, asked for or not."""
    for name in body.pop("stream_options", None) or {}:
        if name != "include_usage":
            request.unsupported(f"stream_options.{name}", "Mistral's streams have no such option")


def _rename_tier(request: ChatRequest, body: dict[str, Any]) -> None:
    given = body.pop("service_tier")
    if given not in TIERS:
        request.unsupported("service_tier", f"Mistral has auto and standard_only, not {given!r}")
        return
    body["service_tier"] = TIERS[given]
    request.adapt("service_tier", "renamed", f"{given} is {TIERS[given]} here")


#: What stands in events that are not OpenAI's: content in chunks, calls, reasons to finish, usage by counts of its own.
OWN_WORDS = (b'"type"', b'"tool_calls"', *(b'"%s"' % reason.encode() for reason in FINISHES), b'"prompt_tokens"')


class MistralEvents(ChatEvents):
    """Decodes a chat stream; each choice begins with the assistant's role, where other makers' models leave it out."""

    def __init__(self) -> None:
        super().__init__(MistralChunk, OWN_WORDS)
        self._begun: set[int] = set()

    def relay(self) -> Decoder[Passed] | None:
        """Pass text on as it comes; chunks of content, calls, usage and what else is Mistral's are written anew."""
        return self.passing()

    def written(self, words: Sequence[bytes], event: bytes, chunk: ChatCompletionChunk) -> bytes:
        """Return an event as it goes out, with its role where that was left out."""
        roleless = b'"role"' not in event and any(choice.delta.role for choice in chunk.choices)
        return super().written((*words, b"") if roleless else words, event, chunk)

    def decode(self, data: bytes) -> ChatCompletionChunk:
        """Return the chunk. Raises the error that may come in its place."""
        chunk = super().decode(data)
        if chunk.object == "error":
            raise stream_error(data)
        for choice in chunk.choices:
            if choice.index not in self._begun:
                self._begun.add(choice.index)
                choice.delta.role = choice.delta.role or "assistant"
        return chunk
