"""Embeddings: POST {model}:batchEmbedContents. https://ai.google.dev/api/embeddings"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.conversation import parts_of
from polyport.types.embed import EmbeddingResponse, EmbedRequest, embeddings
from polyport_gemini.media import Media, Piece
from polyport_gemini.naming import camel, known_as
from polyport_gemini.usage import UsageMetadata
from polyport_gemini.wire import ContentWire

#: What a vector is for -> Gemini's task type. https://ai.google.dev/gemini-api/docs/embeddings#supported-task-types
TASKS = {
    "search_query": "RETRIEVAL_QUERY",
    "search_document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
#: The same for models that are told in the text. https://ai.google.dev/gemini-api/docs/embeddings#task-types-embeddings-2
PROMPTS = {
    "RETRIEVAL_QUERY": "task: search result | query: {text}",
    "RETRIEVAL_DOCUMENT": "title: none | text: {text}",
    "CLASSIFICATION": "task: classification | query: {text}",
    "CLUSTERING": "task: clustering | query: {text}",
    "SEMANTIC_SIMILARITY": "task: sentence similarity | query: {text}",
    "QUESTION_ANSWERING": "task: question answering | query: {text}",
    "FACT_VERIFICATION": "task: fact checking | query: {text}",
    "CODE_RETRIEVAL_QUERY": "task: code retrieval | query: {text}",
}
#: Gemini's own parameters of an embedding.
OWN = ("title", "mimeType", "autoTruncate", "outputDimensionality", "embedContentConfig")


class Embeddings(ContentWire):
    """Vectors of texts, and with the newer models of pictures, sound, video and PDFs."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input."""
        media = Media(request, self.door)
        body = self.embed_body(request, media)
        yield from media.inline()
        reply = yield self.ask(request, "batchEmbedContents", body)
        return to_vectors(reply, request)

    def embed_body(self, request: EmbedRequest, media: Media) -> dict[str, Any]:
        """Return the body; the other door has the same wishes in another place."""
        return to_embed_body(request, media)


def to_embed_body(request: EmbedRequest, media: Media) -> dict[str, Any]:
    """Return the body: one request for each input."""
    model = request.model if "/" in request.model else f"models/{request.model}"
    config, contents = wishes(request, media)
    return {"requests": [{"model": model, **config, "content": content} for content in contents]}


def wishes(request: EmbedRequest, media: Media) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return (what is wished of all vectors, the content of each), with the task in one or the other."""
    task = task_of(request)
    told = task is not None and tells_by_prompt(request.model)
    if told:
        request.adapt("input_type", "emulated", f"{request.model} is told in the text what a vector is for")
    config: dict[str, Any] = {}
    if task is not None and not told:
        config["taskType"] = task
    if request.dimensions is not None:
        config["outputDimensionality"] = request.dimensions
    for name, value in media.door.extras(request).items():
        if camel(name) != "taskType":
            config[known_as(name, OWN)] = value
    prompt = PROMPTS.get(task or "", "{text}") if told else "{text}"
    return config, [{"parts": [piece_of(value, prompt, media)]} for value in request.texts]


def task_of(request: EmbedRequest) -> str | None:
    """Return the task type; Gemini's own names are taken too. What asks for nothing that Gemini does is recorded."""
    if request.user is not None:
        request.adapt("user", "dropped", "Gemini is not told about users")
    if request.encoding_format == "base64":
        request.adapt("encoding_format", "emulated", "Gemini gives numbers, which are written as base64 here")
    own = request.extra.get("task_type") or request.extra.get("taskType")
    if own is not None or request.input_type is None:
        return own
    if request.input_type in TASKS or request.input_type.isupper():
        return TASKS.get(request.input_type, request.input_type)
    raise BadRequestError(f"{request.input_type!r} is no input_type; there are {', '.join(TASKS)} and Gemini's own")


def tells_by_prompt(model: str) -> bool:
    """Whether a model is told in the text what its vectors are for: those after gemini-embedding-001."""
    return "gemini-embedding" in model and "embedding-001" not in model


def piece_of(value: Any, prompt: str, media: Media) -> Piece:
    """Return one input as a part: a text, a data: URL, or a content part of a chat's."""
    if isinstance(value, str):
        if value.startswith("data:"):
            return media.place(value, None, "image/jpeg")
        return {"text": prompt.replace("{text}", value)}
    if isinstance(value, dict):
        made = media.parts(parts_of([value], "$.input"))
        if made:
            return made[0]
    raise BadRequestError(f"Gemini embeds texts and data: URLs, not {value!r:.60} at $.input")


class _Vector(msgspec.Struct):
    values: list[float]


class _Vectors(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector]
    usage_metadata: UsageMetadata | None = None


def to_vectors(reply: HttpReply, request: EmbedRequest) -> EmbeddingResponse:
    """Return the vectors that a reply holds. Raises InvalidResponseError where they are not as many as the inputs."""
    found: _Vectors = decode(reply, _Vectors)
    wanted = len(request.texts)
    if len(found.embeddings) != wanted:
        raise InvalidResponseError(
            f"{wanted} inputs gave {len(found.embeddings)} vectors at $.embeddings", body=reply.content
        )
    made = EmbeddingResponse(
        data=embeddings((vector.values for vector in found.embeddings), request.encoding_format),
        model=request.model,
        usage=found.usage_metadata.to_usage() if found.usage_metadata is not None else None,
    )
    made.keep(reply.content, extra={})
    return made
