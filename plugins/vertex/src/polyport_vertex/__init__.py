"""Google's Vertex AI. https://cloud.google.com/vertex-ai/generative-ai/docs"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import Auth
from polyport.bridges import messages as bridge
from polyport.errors import APIError
from polyport.flow import Flow, HttpReply, HttpRequest, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Setting
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.messages import AnthropicMessage, MessagesRequest, TokenCount
from polyport.types.models import ModelList, ModelListRequest
from polyport.types.record import Request
from polyport.types.responses import Item
from polyport_anthropic import errors as anthropic_errors
from polyport_gemini import errors as gemini_errors
from polyport_gemini.chat import Chat
from polyport_gemini.speech import Speech
from polyport_gemini.tokens import Tokens
from polyport_gemini.transcription import Transcriptions
from polyport_vertex import models, names
from polyport_vertex.access import GoogleAuth
from polyport_vertex.claude import Claude
from polyport_vertex.images import VertexImages
from polyport_vertex.jobs import Batches
from polyport_vertex.partners import Partners
from polyport_vertex.rerank import Rerank
from polyport_vertex.settings import SETTINGS, VERTEX
from polyport_vertex.tiers import tier
from polyport_vertex.vectors import Vectors
from polyport_vertex.video import VertexVideos

__all__ = ["GoogleAuth", "Vertex"]


class Vertex(Chat, Tokens, Vectors, VertexImages, Speech, Transcriptions, VertexVideos, Rerank, Batches):
    """Gemini, Claude and partners' models in a project of Google Cloud's."""

    auth: ClassVar[Auth] = GoogleAuth()
    base_url = "https://{host}.googleapis.com"
    settings: ClassVar[tuple[Setting, ...]] = SETTINGS
    door = VERTEX

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.auth = GoogleAuth()  # type: ignore[misc]  # tokens belong to one client
        self._claude, self._partners = Claude(self), Partners(self)

    def model_path(self, request: Request, model: str = "") -> str:
        """Return where a model is; those of regions are on their region's host."""
        name = model or request.model
        version = request.options.api_version or "v1beta1"
        regional = names.is_regional(name) and not request.options.api_base
        host = "https://{region_host}.googleapis.com" if regional else ""
        return f"{host}/{version}/{names.path(name)}"

    def ask(self, request: Request, method: str, body: Any, *, stream: bool | None = None) -> HttpRequest:
        """Return a call of a model's method; the service tier is a header here."""
        made = super().ask(request, method, body, stream=stream)
        made.headers = {**made.headers, **tier(request)}
        return made

    def wire_of(self, model: str) -> str:
        """Google's own models speak Gemini's dialect, Claude and partners' do not."""
        return super().wire_of(model) if names.family(model) == "gemini" else ""

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation: Claude in Anthropic's words, partners in OpenAI's, Google's models in Gemini's."""
        whose = names.family(request.model)
        if whose == "claude":
            return (yield from self._claude.chat(request))
        if whose == "gemini":
            return (yield from super().chat(request))
        return (yield from self._partners.chat(request))

    @hookimpl
    def create_message(self, request: MessagesRequest) -> Flow[AnthropicMessage | Streaming[Item]]:
        """Answer in Anthropic's shape: Claude natively, all others over chat."""
        if names.family(request.model) == "claude":
            return (yield from self._claude.message(request))
        return (yield from bridge.over_chat(request, self.chat))

    @hookimpl
    def count_tokens(self, request: MessagesRequest) -> Flow[TokenCount]:
        """Count a request's input tokens."""
        if names.family(request.model) == "claude":
            return (yield from self._claude.count(request))
        return (yield from super().count_tokens(request))

    def count_body(self, request: MessagesRequest, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a count, which takes what weighs something only."""
        return {name: value for name, value in body.items() if name not in models.WEIGHTLESS}

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List Google's models."""
        params = {"pageSize": request.limit, "pageToken": request.after}
        reply = yield self.get(f"/{request.options.api_version or 'v1beta1'}/publishers/google/models", params=params)
        return models.to_models(reply)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell a bad key, an overlong prompt and a refusal by policy from other 400s, Google's or Anthropic's."""
        return gemini_errors.refine(error, body) or anthropic_errors.refine(error)
