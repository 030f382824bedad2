"""Claude on Vertex AI: Anthropic's Messages API behind `rawPredict`.

https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
"""

from __future__ import annotations

from typing import Any

from polyport.flow import Flow, HttpRequest, Streaming
from polyport.provider import Provider, decode
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.messages import AnthropicMessage, MessagesRequest, TokenCount
from polyport.types.record import Request
from polyport.types.responses import Item
from polyport.wire.dates import created_at
from polyport_anthropic import MessageEvents, NativeEvents, to_completion, to_messages
from polyport_anthropic.native import to_count, to_native
from polyport_vertex.names import claude
from polyport_vertex.request import stripped
from polyport_vertex.settings import GLOBAL

VERSION = "vertex-2023-10-16"


class Claude:
    """What Claude answers, through a provider that signs and sends."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation."""
        asked = stripped(request)
        asked.model = claude(request.model)
        reply = yield self._ask(request, to_messages(asked), asked.model)
        if request.stream:
            decoder = MessageEvents(include_usage=request.wants_usage, created=created_at(reply.headers))
            return Streaming(reply, decoder)
        return to_completion(reply)

    def message(self, request: MessagesRequest) -> Flow[AnthropicMessage | Streaming[Item]]:
        """Answer in Anthropic's own shape."""
        asked = stripped(request)
        asked.model = claude(request.model)
        reply = yield self._ask(request, to_native(asked), asked.model)
        return Streaming(reply, NativeEvents()) if request.stream else decode(reply, AnthropicMessage)

    def count(self, request: MessagesRequest) -> Flow[TokenCount]:
        """Count a request's tokens; the model is named in the body here."""
        asked = stripped(request)
        asked.model = claude(request.model)
        reply = yield self.provider.post(
            f"{_models(request)}/count-tokens:rawPredict", json=to_count(asked), headers=_betas(request)
        )
        return decode(reply, TokenCount)

    def _ask(self, request: ChatRequest | MessagesRequest, body: dict[str, Any], model: str) -> HttpRequest:
        del body["model"]
        method = "streamRawPredict" if request.stream else "rawPredict"
        return self.provider.post(
            f"{_models(request)}/{model}:{method}",
            json={"anthropic_version": VERSION, **body},
            headers=_betas(request),
            stream=request.stream,
        )


def _models(request: Request) -> str:
    return f"/{request.options.api_version or 'v1'}/{GLOBAL}/publishers/anthropic/models"


def _betas(request: Request) -> dict[str, str]:
    given = getattr(request, "betas", None) or request.extra.get("betas") or []
    betas = [given] if isinstance(given, str) else list(given)
    return {"anthropic-beta": ",".join(betas)} if betas else {}
