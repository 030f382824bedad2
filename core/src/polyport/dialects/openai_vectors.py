"""Embeddings, rerank and moderation on OpenAI's wire. Rerank is not OpenAI's, but look-alikes share its shape."""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai_usage import count
from polyport.dialects.openai_wire import Wire
from polyport.errors import UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import EmbeddingResponse, EmbedRequest
from polyport.types.moderation import Moderation, ModerationRequest
from polyport.types.rerank import RerankRequest, RerankResponse


class Embeddings(Wire):
    """POST /embeddings. https://platform.openai.com/docs/api-reference/embeddings/create"""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return the vectors, in the encoding that was asked for."""
        if not self.quirks.images:
            _refuse_images(request)
        reply = yield self.post("/embeddings", json=self.body(request, "embed"))
        return decode(reply, EmbeddingResponse).relay()


def _refuse_images(request: EmbedRequest) -> None:
    """Raise UnsupportedParamsError for images: their base64 would be taken for text, and a vector come back."""
    for index, text in enumerate(request.texts):
        if isinstance(text, str) and text.startswith("data:image/"):
            raise UnsupportedParamsError(f"$.input[{index}] is an image; {request.model or 'this model'} embeds text.")


class Rerank(Wire):
    """POST /rerank, in the shape that Cohere's first version had. https://docs.cohere.com/v1/reference/rerank"""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance; one with fields is ranked by its text, and comes back as it was given."""
        body = self.body(request, "rerank", skip=("documents", "rank_fields"))
        if request.rank_fields:
            request.adapt("rank_fields", "emulated", "documents are sent as the text of these fields")
        reply: HttpReply = yield self.post("/rerank", json={**body, "documents": request.texts})
        result = decode(reply, RerankResponse)
        count(result, reply.content)
        result.documents = list(request.documents)
        for item in result.results:
            given = request.document(item.index, reply.content)
            if item.document is not None:
                item.document = given
        return result


class Moderations(Wire):
    """POST /moderations. https://platform.openai.com/docs/api-reference/moderations/create"""

    @hookimpl
    def moderate(self, request: ModerationRequest) -> Flow[Moderation]:
        """Return one verdict per text; parts are one input."""
        body: dict[str, Any] = self.body(request, "moderate")
        reply = yield self.post("/moderations", json=body)
        return decode(reply, Moderation)
