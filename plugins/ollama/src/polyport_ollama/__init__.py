"""Ollama. https://docs.ollama.com/api"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyport.auth import OptionalKey
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_ollama.address import place
from polyport_ollama.chat import OllamaChat
from polyport_ollama.embed import OllamaEmbeddings
from polyport_ollama.errors import refine
from polyport_ollama.generate import OllamaCompletions
from polyport_ollama.models import OllamaModels
from polyport_ollama.quirks import COMPATIBLE

if TYPE_CHECKING:
    from polyport.border import Call


class Ollama(OllamaChat, OllamaCompletions, OllamaEmbeddings, OllamaModels):
    """Models that run on the user's own machine, or at ollama.com.

    Ollama's own API is spoken, which alone has all its options; an `api_base` that ends in /v1 is asked as OpenAI's.
    """

    auth = OptionalKey("OLLAMA_API_KEY")
    base_url = "http://127.0.0.1:11434"
    base_env = ("OLLAMA_API_BASE", "OLLAMA_HOST")
    quirks = COMPATIBLE

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is; hosts may be written as for Ollama itself, `box:11434`."""
        return place(base, path)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Ollama's words, and say how to get a model that is missing."""
        return refine(error, body)
