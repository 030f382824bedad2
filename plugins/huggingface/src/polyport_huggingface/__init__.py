"""Hugging Face: Inference Providers behind one router, and endpoints of one's own.

https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyport.auth import Bearer
from polyport.dialects.openai import Models
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_huggingface.chat import HubCompletions
from polyport_huggingface.embed import HubEmbeddings
from polyport_huggingface.errors import refine
from polyport_huggingface.images import HubImages
from polyport_huggingface.naming import ROUTER, place
from polyport_huggingface.quirks import QUIRKS
from polyport_huggingface.rerank import HubRerank
from polyport_huggingface.speech import HubSpeech
from polyport_huggingface.transcription import HubTranscription
from polyport_huggingface.video import HubVideos

if TYPE_CHECKING:
    from polyport.border import Call


class HuggingFace(HubCompletions, HubEmbeddings, HubRerank, HubImages, HubTranscription, HubSpeech, HubVideos, Models):
    """Models of the Hub: by the router, which asks a provider for them, or at an `api_base` of one's own."""

    auth = Bearer(env=("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"))
    base_url = ROUTER
    quirks = QUIRKS

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is below the router, or below an endpoint."""
        return place(base, path)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by what the servers behind Hugging Face say."""
        return refine(error, body)
