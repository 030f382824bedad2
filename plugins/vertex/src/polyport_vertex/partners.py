"""Partner and open models: OpenAI's wire, at Vertex AI's own endpoint or behind Mistral's `rawPredict`.

https://cloud.google.com/vertex-ai/generative-ai/docs/maas/call-open-model-apis
https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/mistral
"""

from __future__ import annotations

from polyport.dialects.openai import ChatEvents, History, OpenAICompatible, Quirks
from polyport.flow import Flow, Streaming
from polyport.provider import Provider, decode
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport_vertex.names import bare, family
from polyport_vertex.request import stripped
from polyport_vertex.settings import GLOBAL, REGIONAL

QUIRKS = Quirks()


class _Dialect(OpenAICompatible):
    """Makes bodies, and sends nothing itself."""

    quirks = QUIRKS


class Partners:
    """What partners' models answer, through a provider that signs and sends."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._dialect = _Dialect(provider.name)

    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation."""
        asked = stripped(request)
        asked.model = bare(request.model)
        history = History(asked, QUIRKS)
        body = self._dialect.chat_body(asked, history)
        if history.remote:
            yield from history.inline()
        reply = yield self.provider.post(_path(request), json={**body, "model": asked.model}, stream=request.stream)
        if request.stream:
            return Streaming(reply, ChatEvents())
        return decode(reply, ChatCompletion)


def _path(request: ChatRequest) -> str:
    version = request.options.api_version or "v1"
    if family(request.model) == "openapi":
        return f"/{version}/{GLOBAL}/endpoints/openapi/chat/completions"
    method = "streamRawPredict" if request.stream else "rawPredict"
    host = "" if request.options.api_base else "https://{region_host}.googleapis.com"
    return f"{host}/{version}/{REGIONAL}/publishers/mistralai/models/{bare(request.model)}:{method}"
