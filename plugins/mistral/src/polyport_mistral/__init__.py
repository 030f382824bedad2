"""Mistral. https://docs.mistral.ai/api"""

from __future__ import annotations

from typing import Any

from polyport.auth import Bearer
from polyport.dialects.openai import Models
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_mistral.batches import MistralBatches
from polyport_mistral.chat import MistralChat
from polyport_mistral.errors import refine
from polyport_mistral.fim import FillInTheMiddle
from polyport_mistral.quirks import QUIRKS
from polyport_mistral.speech import MistralSpeech
from polyport_mistral.transcription import MistralTranscriptions
from polyport_mistral.vectors import MistralEmbeddings, MistralModerations


class Mistral(
    MistralChat,
    FillInTheMiddle,
    MistralEmbeddings,
    MistralModerations,
    MistralTranscriptions,
    MistralSpeech,
    MistralBatches,
    Models,
):
    """Mistral's API: OpenAI's wire with content in chunks, gaps in code, and jobs of its own."""

    auth = Bearer(env="MISTRAL_API_KEY")
    base_url = "https://api.mistral.ai/v1"
    base_env = ("MISTRAL_API_BASE",)
    request_id_headers = ("mistral-correlation-id", "x-request-id")
    quirks = QUIRKS

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Mistral's types of errors and its words, and read what a 422 complains of."""
        return refine(error, body)
