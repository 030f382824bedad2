"""OpenAI. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from polyport.auth import Bearer
from polyport.dialects.openai import (
    Batches,
    Files,
    Moderations,
    OpenAICompatible,
    Quirks,
    Responses,
    Speech,
    Videos,
)
from polyport_openai.audio import OpenAITranscriptions
from polyport_openai.images import OpenAIImages

#: The models that think before they answer, and the fine-tuned ones made of them. They refuse `max_tokens`:
#: https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
REASONING = r"(ft:)?(o\d|gpt-[5-9]|codex-)"

QUIRKS = Quirks(
    limit=REASONING,
    defaults={"moderate": {"model": "omni-moderation-latest"}, "speak": {"voice": "alloy"}},
)


class OpenAI(
    OpenAICompatible, Responses, Moderations, OpenAIImages, OpenAITranscriptions, Speech, Videos, Files, Batches
):
    """The OpenAI API. Every capability is the shared wire's; what is OpenAI's alone stands in this package."""

    auth = Bearer(env="OPENAI_API_KEY")
    base_url = "https://api.openai.com/v1"
    base_env = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
    quirks = QUIRKS
