"""OpenAI. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from polyport.auth import Bearer
from polyport.dialects.openai import ChatEvents, to_chat
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest


class OpenAI(Provider):
    """The OpenAI API."""

    auth = Bearer(env="OPENAI_API_KEY")
    base_url = "https://api.openai.com/v1"
    base_env = ("OPENAI_BASE_URL", "OPENAI_API_BASE")

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """POST /chat/completions. https://platform.openai.com/docs/api-reference/chat/create"""
        reply = yield self.post("/chat/completions", json=to_chat(request), stream=request.stream)
        if request.stream:
            return Streaming(reply, ChatEvents())
        return decode(reply, ChatCompletion)
