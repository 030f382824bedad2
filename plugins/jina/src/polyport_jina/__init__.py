"""Jina AI: vectors, rankings, OCR by chat. https://docs.jina.ai and https://api.jina.ai/openapi.json"""

from __future__ import annotations

from typing import Any

from polyport.auth import Bearer
from polyport.dialects.openai import Chat
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_jina.embed import Embeddings
from polyport_jina.errors import refine
from polyport_jina.models import Models
from polyport_jina.quirks import QUIRKS
from polyport_jina.rerank import Rerank


class Jina(Chat, Embeddings, Rerank, Models):
    """Jina's Search Foundation API; its chat speaks OpenAI's wire."""

    auth = Bearer(env=("JINA_API_KEY", "JINA_AI_API_KEY"))
    base_url = "https://api.jina.ai/v1"
    base_env = ("JINA_API_BASE", "JINA_AI_API_BASE")
    quirks = QUIRKS

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Jina's error codes, or OpenAI's where chat answers in them."""
        return refine(error, body)
