"""Vectors: `batchEmbedContents` for Gemini's models, `predict` for older ones and for the multimodal one.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/multimodal-embeddings-api
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import All, Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import EmbeddingResponse, EmbedRequest, embeddings
from polyport.types.usage import Usage, usage
from polyport_gemini.embed import Embeddings, task_of, wishes
from polyport_gemini.media import Media, Piece
from polyport_gemini.naming import camel, known_as
from polyport_vertex.names import bare
from polyport_vertex.settings import VERTEX

#: Keyword arguments of an instance, and of the parameters.
INSTANCE = frozenset({"title"})
PARAMETERS = frozenset({"autoTruncate"})


class Vectors(Embeddings):
    """Vectors of texts, and with the newer models of pictures, sound and video."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input."""
        name = bare(request.model)
        if name.startswith("multimodalembedding"):
            return (yield from self._multimodal(request))
        if name.startswith("gemini"):
            return (yield from super().embed(request))
        reply = yield self.ask(request, "predict", to_predict(request))
        return to_vectors(reply, request)

    def embed_body(self, request: EmbedRequest, media: Media) -> dict[str, Any]:
        """Return the body: here the wishes of a vector stand in a config of their own, and the model is in the path."""
        config, contents = wishes(request, media)
        return {
            "requests": [
                {"content": content, **({"embedContentConfig": config} if config else {})} for content in contents
            ]
        }

    def _multimodal(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Ask for each vector apart: a call takes one instance."""
        media = Media(request, self.door)
        bodies = [to_multimodal(value, request, media) for value in request.texts]
        replies = yield All([self._predict(request, body) for body in bodies])
        made = EmbeddingResponse(
            data=embeddings([_only(reply) for reply in replies], request.encoding_format), model=request.model
        )
        made.carry({})
        return made

    def _predict(self, request: EmbedRequest, body: dict[str, Any]) -> Flow[HttpReply]:
        reply: HttpReply = yield self.ask(request, "predict", body)
        return reply


def to_predict(request: EmbedRequest) -> dict[str, Any]:
    """Return the body of a `predict` that makes vectors of texts."""
    task = task_of(request)
    instance: dict[str, Any] = {"task_type": task} if task is not None else {}
    parameters: dict[str, Any] = {}
    if request.dimensions is not None:
        parameters["outputDimensionality"] = request.dimensions
    for given, value in VERTEX.extras(request).items():
        if camel(given) != "taskType":
            (instance if given in INSTANCE else parameters)[known_as(given, PARAMETERS)] = value
    instances = [{**instance, "content": _text(value)} for value in request.texts]
    return {"instances": instances, **({"parameters": parameters} if parameters else {})}


def _text(value: Any) -> str:
    if not isinstance(value, str) or value.startswith("data:"):
        raise BadRequestError(
            f"This model embeds texts, not {value!r:.60} at $.input; multimodalembedding@001 does more"
        )
    return value


class _Statistics(msgspec.Struct):
    token_count: float = 0


class _Values(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Values


class _Predictions(msgspec.Struct):
    predictions: list[_Prediction]


def to_vectors(reply: HttpReply, request: EmbedRequest) -> EmbeddingResponse:
    """Return the vectors of a `predict`. Raises InvalidResponseError where they are not as many as the inputs."""
    found: _Predictions = decode(reply, _Predictions)
    wanted = len(request.texts)
    if len(found.predictions) != wanted:
        raise InvalidResponseError(
            f"{wanted} inputs gave {len(found.predictions)} vectors at $.predictions", body=reply.content
        )
    made = EmbeddingResponse(
        data=embeddings((one.embeddings.values for one in found.predictions), request.encoding_format),
        model=request.model,
        usage=_counted(found),
    )
    made.keep(reply.content, extra={})
    return made


def _counted(found: _Predictions) -> Usage | None:
    counts = [one.embeddings.statistics for one in found.predictions]
    if any(count is None for count in counts):
        return None
    return usage(max(int(sum(count.token_count for count in counts if count is not None)), 0))


# --- multimodal -------------------------------------------------------------------------------------------


def to_multimodal(value: Any, request: EmbedRequest, media: Media) -> dict[str, Any]:
    """Return the body for one text, picture or video."""
    if task_of(request) is not None:
        request.unsupported("input_type", "the multimodal model makes one kind of vector")
    instance: dict[str, Any] = _instance(value, media)
    parameters: dict[str, Any] = {"dimension": request.dimensions} if request.dimensions is not None else {}
    parameters.update({name: given for name, given in VERTEX.extras(request).items() if camel(name) != "taskType"})
    return {"instances": [instance], **({"parameters": parameters} if parameters else {})}


def _instance(value: Any, media: Media) -> dict[str, Any]:
    if isinstance(value, str) and not value.startswith(("data:", "gs://")):
        return {"text": value}
    if not isinstance(value, str):
        raise BadRequestError(f"multimodalembedding embeds texts, data: and gs: URLs, not {value!r:.60} at $.input")
    piece: Piece = media.place(value, None, "image/jpeg")
    inner = piece.get("inlineData") or piece["fileData"]
    kind = "video" if str(inner.get("mimeType")).startswith("video/") else "image"
    if "inlineData" in piece:
        return {
            kind: {"bytesBase64Encoded": inner["data"], **({"mimeType": inner["mimeType"]} if kind == "image" else {})}
        }
    return {kind: {"gcsUri": inner["fileUri"]}}


class _Piece(msgspec.Struct):
    embedding: list[float]


class _Multimodal(msgspec.Struct, rename="camel"):
    text_embedding: list[float] | None = None
    image_embedding: list[float] | None = None
    video_embeddings: list[_Piece] | None = None


class _MultimodalReply(msgspec.Struct):
    predictions: list[_Multimodal]


def _only(reply: HttpReply) -> list[float]:
    """Return the vector of one input; of a video that of its first piece."""
    found: _MultimodalReply = decode(reply, _MultimodalReply)
    for one in found.predictions:
        video = one.video_embeddings[0].embedding if one.video_embeddings else None
        vector = one.text_embedding or one.image_embedding or video
        if vector is not None:
            return vector
    raise InvalidResponseError("The reply has no vector at $.predictions[0]", body=reply.content)
