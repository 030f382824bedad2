"""Cohere: Command chat with documents and citations, Embed, Rerank, Transcribe. https://docs.cohere.com/reference/about"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from polyport.auth import Auth, Bearer
from polyport.errors import APIError
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.wire.dates import created_at
from polyport_cohere import errors
from polyport_cohere.audio import Transcriptions
from polyport_cohere.body import to_body
from polyport_cohere.embed import Embeddings
from polyport_cohere.first import FirstVersion
from polyport_cohere.models import Models
from polyport_cohere.reply import to_completion
from polyport_cohere.rerank import Rerank
from polyport_cohere.stream import WIRE, ChatEvents

if TYPE_CHECKING:
    from polyport.border import Call

__all__ = ["ChatEvents", "Cohere", "to_body", "to_completion"]


class Cohere(Embeddings, Rerank, Transcriptions, Models, FirstVersion):
    """The Cohere API. Versions are its paths' affair, so that a base URL with or without one will do."""

    auth: ClassVar[Auth] = Bearer(env=("COHERE_API_KEY", "CO_API_KEY"))
    base_url = "https://api.cohere.com"
    base_env = ("COHERE_API_BASE", "CO_API_URL")
    request_id_headers = ("x-debug-trace-id", "x-request-id")

    def wire_of(self, model: str) -> str:
        """All of them are Cohere's."""
        return WIRE

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """POST /v2/chat. https://docs.cohere.com/reference/chat"""
        reply = yield self.post("/v2/chat", json=to_body(request), stream=request.stream)
        if not request.stream:
            return to_completion(reply, request.model).relay(WIRE)
        created = created_at(reply.headers)
        return Streaming(reply, ChatEvents(request.model, include_usage=request.wants_usage, created=created))

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell an overlong prompt, refused words, a missing payment and used-up calls from other errors."""
        return errors.refine(error, body)

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is: below the base without its version, which the path has."""
        return super().address(re.sub(r"/v\d/?$", "", base), path, call)
