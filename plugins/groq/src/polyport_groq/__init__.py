"""Groq. https://console.groq.com/docs/api-reference"""

from __future__ import annotations

from typing import Any

from polyport.auth import Bearer
from polyport.dialects.openai import Batches, Files, Models
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_groq.audio import GroqSpeech, GroqTranscriptions
from polyport_groq.chat import GroqChat
from polyport_groq.errors import refine
from polyport_groq.quirks import QUIRKS


class Groq(GroqChat, GroqTranscriptions, GroqSpeech, Files, Batches, Models):
    """GroqCloud: OpenAI's wire, with reasoning, tools that run there, and a few gaps of its own."""

    auth = Bearer(env="GROQ_API_KEY")
    base_url = "https://api.groq.com/openai/v1"
    base_env = ("GROQ_API_BASE",)
    quirks = QUIRKS

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by OpenAI's error codes and Groq's own status."""
        return refine(error, body)
