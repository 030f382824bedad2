"""DeepSeek. https://api-docs.deepseek.com"""

from __future__ import annotations

from typing import Any

from polyport.auth import Bearer
from polyport.dialects.openai import Models, Respond
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_deepseek.chat import DeepSeekChat
from polyport_deepseek.errors import refine
from polyport_deepseek.fim import FillInTheMiddle
from polyport_deepseek.quirks import QUIRKS


class DeepSeek(DeepSeekChat, FillInTheMiddle, Respond, Models):
    """The DeepSeek API: OpenAI's wire, with thinking, and a beta door for prefixes, gaps and strict tools."""

    auth = Bearer(env="DEEPSEEK_API_KEY")
    base_url = "https://api.deepseek.com"
    base_env = ("DEEPSEEK_API_BASE",)
    quirks = QUIRKS

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by OpenAI's error codes and DeepSeek's words."""
        return refine(error, body)
