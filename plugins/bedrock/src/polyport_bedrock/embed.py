"""Vectors by InvokeModel: Titan's, Cohere's, Nova's, each in its own shape.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html, …-titan-embed-mm.html,
…-embed.html, and https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError, UnsupportedParamsError
from polyport.flow import All, Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import Embedding, EmbeddingResponse, EmbedRequest
from polyport.types.upload import split_data_url
from polyport_bedrock.media import FORMATS
from polyport_bedrock.names import named
from polyport_bedrock.settings import extras
from polyport_bedrock.wire import BedrockWire, tokens_in

Body = dict[str, Any]
Vector = list[float]
#: How many texts Cohere takes at once.
COHERE_TEXTS = 96
#: How many calls of one request are on their way at once.
SIDE_BY_SIDE = 8
#: What a vector is for -> Nova's purpose.
PURPOSES = {
    "search_query": "GENERIC_RETRIEVAL",
    "search_document": "GENERIC_INDEX",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class Part(msgspec.Struct):
    """One call: the body, and the places of the inputs that it is for."""

    body: Body
    places: list[int]


class Shape(msgspec.Struct, frozen=True):
    """How a family of models is asked and read."""

    ask: Callable[[EmbedRequest], list[Part]]
    read: Callable[[HttpReply], list[Vector]]


class Embeddings(BedrockWire):
    """POST /model/{id}/invoke."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input. Models that take one input at a time are asked several times, side by side."""
        shape = shape_of(request)
        if request.user is not None:
            request.adapt("user", "dropped", "Bedrock is not told about users")
        if request.encoding_format == "base64":
            request.adapt("encoding_format", "emulated", "Bedrock gives numbers, which are written as base64 here")
        parts = shape.ask(request)
        replies: list[HttpReply] = []
        for start in range(0, len(parts), SIDE_BY_SIDE):
            some = parts[start : start + SIDE_BY_SIDE]
            if len(some) == 1:
                replies.append((yield self.invoke(request, {**some[0].body, **extras(request)})))
            else:
                replies += yield All([self._one(request, part) for part in some])
        return to_vectors(request, parts, replies, shape)

    def _one(self, request: EmbedRequest, part: Part) -> Flow[HttpReply]:
        return (yield self.invoke(request, {**part.body, **extras(request)}))  # type: ignore[no-any-return]


def shape_of(request: EmbedRequest) -> Shape:
    """Return the shape of a request's model. Raises UnsupportedParamsError for one that gives no vectors."""
    base = named(request).base
    found = next((shape for start, shape in SHAPES.items() if base.startswith(start)), None)
    if found is None:
        raise UnsupportedParamsError(
            f"{request.model!r} gives no vectors that are known here; {', '.join(SHAPES)} do. Of an ARN, say what it "
            "stands for with base_model=..."
        )
    return found


def to_vectors(request: EmbedRequest, parts: list[Part], replies: list[HttpReply], shape: Shape) -> EmbeddingResponse:
    """Return the vectors in input order. Raises InvalidResponseError where they are not as many as the inputs."""
    found: list[Embedding] = []
    for part, reply in zip(parts, replies, strict=True):
        vectors = shape.read(reply)
        if len(vectors) != len(part.places):
            raise InvalidResponseError(
                f"{len(part.places)} inputs gave {len(vectors)} vectors at $.embeddings", body=reply.content
            )
        found += [
            Embedding(index=place, embedding=_encoded(vector, request.encoding_format))
            for place, vector in zip(part.places, vectors, strict=True)
        ]
    made = EmbeddingResponse(
        data=sorted(found, key=lambda one: one.index), model=request.model, usage=tokens_in(replies)
    )
    made.carry({})
    return made


def _encoded(vector: Vector, encoding: str | None) -> Vector | str:
    if encoding != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _texts(request: EmbedRequest) -> list[str]:
    for place, value in enumerate(request.texts):
        if not isinstance(value, str):
            raise BadRequestError(f"Bedrock embeds texts and data: URLs, not {value!r:.60} at $.input[{place}]")
    return request.texts


def _only_text(request: EmbedRequest) -> list[str]:
    for place, text in enumerate(texts := _texts(request)):
        if text.startswith("data:"):
            raise UnsupportedParamsError(f"$.input[{place}] is no text, and {request.model} embeds nothing else.")
    return texts


def _of_one_kind(request: EmbedRequest) -> None:
    if request.input_type is not None:
        request.adapt("input_type", "dropped", "Titan's vectors are for every purpose")


# --- Titan ---


def _titan_text(request: EmbedRequest) -> list[Part]:
    _of_one_kind(request)
    sized: Body = {}
    if request.dimensions is not None:
        if named(request).base.startswith("amazon.titan-embed-text-v2"):
            sized = {"dimensions": request.dimensions}
        else:
            request.unsupported("dimensions", f"the vectors of {request.model} have one length")
    return [Part({"inputText": text, **sized}, [place]) for place, text in enumerate(_only_text(request))]


def _titan_image(request: EmbedRequest) -> list[Part]:
    _of_one_kind(request)
    config = {"embeddingConfig": {"outputEmbeddingLength": request.dimensions}} if request.dimensions else {}
    made: list[Part] = []
    for place, value in enumerate(_texts(request)):
        given = {"inputImage": _base64(value)} if value.startswith("data:") else {"inputText": value}
        made.append(Part({**given, **config}, [place]))
    return made


class _Titan(msgspec.Struct):
    embedding: list[float]


def _read_titan(reply: HttpReply) -> list[Vector]:
    return [decode(reply, _Titan).embedding]


# --- Cohere ---


def _cohere(request: EmbedRequest) -> list[Part]:
    fourth = named(request).base.startswith("cohere.embed-v4")
    config: Body = {"input_type": request.input_type or "search_document"}
    if request.input_type is None:
        request.adapt("input_type", "emulated", "Cohere must be told what vectors are for: search_document")
    if request.dimensions is not None and fourth:
        config["output_dimension"] = request.dimensions
    elif request.dimensions is not None:
        request.unsupported("dimensions", f"the vectors of {request.model} have one length")
    texts = [(place, text) for place, text in enumerate(_texts(request)) if not text.startswith("data:")]
    images = [(place, url) for place, url in enumerate(request.texts) if url.startswith("data:")]
    made = [
        Part({"texts": [text for _, text in some], **config}, [place for place, _ in some])
        for some in (texts[start : start + COHERE_TEXTS] for start in range(0, len(texts), COHERE_TEXTS))
    ]
    shown = config if fourth else {**config, "input_type": "image"}
    return made + [Part({"images": [url], **shown}, [place]) for place, url in images]


class _Cohere(msgspec.Struct):
    embeddings: list[list[float]] | dict[str, Any]


def _read_cohere(reply: HttpReply) -> list[Vector]:
    found = decode(reply, _Cohere).embeddings
    if isinstance(found, list):
        return found
    try:
        return msgspec.convert(found.get("float"), list[list[float]])
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"{error}: the reply has no vectors at $.embeddings.float", body=found) from error


# --- Nova ---


def _nova(request: EmbedRequest) -> list[Part]:
    wanted = request.input_type or "search_document"
    if wanted not in PURPOSES and not wanted.isupper():
        raise BadRequestError(f"{wanted!r} is no input_type; there are {', '.join(PURPOSES)} and Nova's own")
    config: Body = {"embeddingPurpose": PURPOSES.get(wanted, wanted)}
    if request.dimensions is not None:
        config["embeddingDimension"] = request.dimensions
    return [
        Part({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {**config, **_nova_input(value)}}, [place])
        for place, value in enumerate(_texts(request))
    ]


def _nova_input(value: str) -> Body:
    if not value.startswith("data:"):
        return {"text": {"truncationMode": "NONE", "value": value}}
    kind, content = split_data_url(value)
    name, short = FORMATS.get(kind, ("", ""))
    source = {"format": short, "source": {"bytes": base64.b64encode(content).decode()}}
    if name == "image":
        return {"image": {"detailLevel": "STANDARD_IMAGE", **source}}
    if name == "video":
        return {"video": {"embeddingMode": "AUDIO_VIDEO_COMBINED", **source}}
    if name == "audio":
        return {"audio": source}
    raise BadRequestError(f"Nova embeds text, pictures, video and sound, not {kind!r} at $.input")


class _Nova(msgspec.Struct):
    embeddings: list[_Titan]


def _read_nova(reply: HttpReply) -> list[Vector]:
    return [one.embedding for one in decode(reply, _Nova).embeddings]


def _base64(url: str) -> str:
    return base64.b64encode(split_data_url(url)[1]).decode()


#: How a model's name begins -> how it is asked and read.
SHAPES: dict[str, Shape] = {
    "amazon.titan-embed-image": Shape(_titan_image, _read_titan),
    "amazon.titan-embed": Shape(_titan_text, _read_titan),
    "cohere.embed": Shape(_cohere, _read_cohere),
    "amazon.nova-2-multimodal-embeddings": Shape(_nova, _read_nova),
}


def reader_of(output: Body) -> Callable[[HttpReply], list[Vector]]:
    """Return what reads a reply by its shape alone: a batch's results do not name their model."""
    if "embedding" in output:
        return _read_titan
    found = output.get("embeddings")
    is_nova = isinstance(found, list) and bool(found) and isinstance(found[0], dict)
    return _read_nova if is_nova else _read_cohere
