"""Embeddings: POST /embeddings. https://api.jina.ai/openapi.json"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import Embedding, EmbeddingResponse, EmbedRequest
from polyport_jina.sources import to_source
from polyport_jina.tasks import to_task
from polyport_jina.usage import Used


class Embeddings(Wire):
    """Vectors of texts, pictures, sound, video and PDFs."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input; of a PDF, which is sent alone, one per page."""
        if request.user is not None:
            request.adapt("user", "dropped", "Jina is not told about users")
        inputs = [to_source(value, f"$.input[{index}]") for index, value in enumerate(request.texts)]
        body = self.body(request, "embed", skip=("input", "input_type", "user"))
        body = {**to_task(request), **body, "input": _alone(inputs) or inputs}
        return to_vectors((yield self.post("/embeddings", json=body)), request, inputs)


def _alone(inputs: list[str | dict[str, Any]]) -> dict[str, Any] | None:
    """Return the PDF where there is one. Raises BadRequestError where there is more."""
    pdf = next((value for value in inputs if isinstance(value, dict) and "pdf" in value), None)
    if pdf is not None and len(inputs) > 1:
        raise BadRequestError("Jina embeds one PDF a call, and nothing beside it, at $.input")
    return pdf


class JinaEmbedding(Embedding):
    """A vector; `embeddings` are the many of one input (`return_multivector`, colbert), `sparse` is a sparse one."""

    embeddings: list[list[float] | str] | None = None
    sparse: dict[str, float] | None = None
    tokenized_input: list[str] | None = None


class _Vector(msgspec.Struct):
    index: int = 0
    embedding: list[int | float] | dict[str, float] | str | None = None
    embeddings: list[list[float] | str] | None = None
    tokenized_input: list[str] | None = None

    def to_embedding(self) -> JinaEmbedding:
        made = JinaEmbedding(index=self.index, embeddings=self.embeddings, tokenized_input=self.tokenized_input)
        if isinstance(self.embedding, dict):
            made.sparse = self.embedding
        elif self.embedding is not None:
            made.embedding = self.embedding
        return made


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    model: str = ""
    usage: Used | None = None


def to_vectors(reply: HttpReply, request: EmbedRequest, inputs: list[str | dict[str, Any]]) -> EmbeddingResponse:
    """Return the vectors in the order of the inputs. Raises InvalidResponseError where one has none."""
    found: _Vectors = decode(reply, _Vectors)
    vectors = sorted(found.data, key=lambda vector: vector.index)
    if not _alone(inputs) and [vector.index for vector in vectors] != list(range(len(inputs))):
        message = f"{len(inputs)} inputs gave the vectors {[vector.index for vector in vectors]} at $.data"
        raise InvalidResponseError(message, body=reply.content)
    made = EmbeddingResponse(
        data=[vector.to_embedding() for vector in vectors],
        model=found.model or request.model,
        usage=found.usage.to_usage() if found.usage is not None else None,
    )
    made.keep(reply.content)
    return made
