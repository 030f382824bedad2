"""Jina AI: vectors, rankings, OCR and DeepSearch by chat. https://docs.jina.ai, https://api.jina.ai/openapi.json"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyport.auth import Bearer
from polyport.dialects.openai import Chat
from polyport.errors import APIError
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport_jina import deepsearch
from polyport_jina.embed import Embeddings
from polyport_jina.errors import refine
from polyport_jina.models import Models
from polyport_jina.quirks import QUIRKS
from polyport_jina.rerank import Rerank

if TYPE_CHECKING:
    from polyport.border import Call

SEARCH = deepsearch.DeepSearch()


class Jina(Chat, Embeddings, Rerank, Models):
    """Jina's Search Foundation API; its chat speaks OpenAI's wire."""

    auth = Bearer(env=("JINA_API_KEY", "JINA_AI_API_KEY"))
    base_url = "https://api.jina.ai/v1"
    base_env = ("JINA_API_BASE", "JINA_AI_API_BASE")
    quirks = QUIRKS

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Read pictures, or search and answer, as the model is one for that."""
        if request.model.startswith(deepsearch.PREFIX):
            return (yield from SEARCH.chat(request))
        return (yield from super().chat(request))

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is; DeepSearch has a host of its own."""
        searches = call.request.model.startswith(deepsearch.PREFIX) and base == self.base_url
        return super().address(deepsearch.ADDRESS if searches else base, path, call)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Jina's error codes, or OpenAI's where chat answers in them."""
        return refine(error, body)
