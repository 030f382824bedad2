"""Embeddings: POST /v2/embed. https://docs.cohere.com/reference/embed

A call of Cohere's takes 96 inputs; more are sent in several calls, and their vectors joined in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.remote import fetch
from polyport.types.conversation import ImagePart, NativePart, TextPart, parts_of
from polyport.types.embed import Embedding, EmbeddingResponse, EmbedRequest
from polyport_cohere.facts import embeds_mixed
from polyport_cohere.stream import WIRE
from polyport_cohere.usage import Counts, total

#: The most inputs of a call, and the most bytes of pictures (20 MB, of which base64 makes a third more).
MOST_INPUTS = 96
MOST_BYTES = 20_000_000 * 4 // 3
TYPES = ("float", "int8", "uint8", "binary", "ubinary", "base64")
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
DEFAULT_TYPE = "search_document"

#: An input on its way: a text, or the content that one vector is of.
Input = str | list[dict[str, Any]]


class Embeddings(Provider):
    """Vectors of texts, of pictures, and of both together."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input; pictures at http URLs are fetched, as Cohere takes data: URLs only."""
        inputs: list[Input] = []
        for index, value in enumerate(request.texts):
            inputs.append((yield from _input(value, f"$.input[{index}]")))
        wishes = to_wishes(request)
        replies: list[tuple[HttpReply, int]] = []
        for batch in batches(inputs, request.model):
            reply = yield self.post("/v2/embed", json={**wishes, **_of(batch, request)})
            replies.append((reply, len(batch)))
        return to_vectors(replies, request, wishes["embedding_types"])


def to_wishes(request: EmbedRequest) -> dict[str, Any]:
    """Return the body without the inputs; Cohere's own parameters (`truncate`, `max_tokens` ...) go in as they are."""
    body: dict[str, Any] = {"model": request.model, "input_type": _input_type(request)}
    body["embedding_types"] = [_encoding(request)]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    if request.user is not None:
        request.adapt("user", "dropped", "Cohere is not told about users")
    return {**body, **request.extra}


def _input_type(request: EmbedRequest) -> str:
    kind = request.input_type
    if kind is None:
        request.adapt("input_type", "emulated", f"Cohere insists on one; {DEFAULT_TYPE} is for what is to be found")
        return DEFAULT_TYPE
    if kind not in INPUT_TYPES:
        raise BadRequestError(f"{kind!r} is no input_type; there are {', '.join(INPUT_TYPES)}")
    return kind


def _encoding(request: EmbedRequest) -> str:
    encoding = request.encoding_format or "float"
    if encoding not in TYPES:
        raise BadRequestError(f"{encoding!r} is no encoding_format; there are {', '.join(TYPES)}")
    return encoding


def _input(value: Any, path: str) -> Flow[Input]:
    """Return an input: a text, a picture's data: URL, a part of a chat's, several of those, or Cohere's `{content}`."""
    if isinstance(value, str):
        return [_image(value)] if value.startswith("data:image/") else value
    if isinstance(value, dict):
        value = value.get("content", [value])
    if not isinstance(value, list) or not value or not all(isinstance(part, dict) for part in value):
        raise BadRequestError(f"Cohere embeds texts and pictures, not {value!r:.60} at {path}")
    content = []
    for part in parts_of(value, path):
        if isinstance(part, ImagePart):
            url = part.image.url
            content.append(_image(url if url.startswith("data:") else (yield from fetch(url)).data_url()))
        elif isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        else:
            kind = part.type if isinstance(part, NativePart) else type(part).__name__
            raise BadRequestError(f"Cohere embeds texts and pictures, not a part of type {kind!r} at {path}")
    return content


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def batches(inputs: Sequence[Input], model: str) -> Iterator[list[Input]]:
    """Cut the inputs into calls. Texts alone go apart from pictures where a model cannot take them together."""
    mixed = embeds_mixed(model)
    batch: list[Input] = []
    weight = 0
    for value in inputs:
        heavy = _weight(value)
        alone = not mixed and bool(batch) and (isinstance(value, list) or isinstance(batch[0], list))
        if batch and (alone or len(batch) == MOST_INPUTS or weight + heavy > MOST_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(value)
        weight += heavy
    if batch:
        yield batch


def _weight(value: Input) -> int:
    """Return how many bytes of pictures an input has."""
    if isinstance(value, str):
        return 0
    return sum(len(part["image_url"]["url"]) for part in value if part["type"] == "image_url")


def _of(batch: list[Input], request: EmbedRequest) -> dict[str, Any]:
    """Return the field that holds a call's inputs."""
    if all(isinstance(value, str) for value in batch):
        return {"texts": batch}
    if embeds_mixed(request.model):
        return {"inputs": [{"content": _content(value)} for value in batch]}
    return {"images": [_only_image(value, request.model) for value in batch], "input_type": "image"}


def _content(value: Input) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _only_image(value: Input, model: str) -> str:
    parts = _content(value)
    if len(parts) != 1 or parts[0]["type"] != "image_url":
        raise BadRequestError(f"{model} embeds texts and single pictures; embed-v4.0 and later take both together.")
    url: str = parts[0]["image_url"]["url"]
    return url


class _Vectors(msgspec.Struct):
    embeddings: dict[str, list[list[int | float] | str] | None]
    id: str | None = None
    meta: Counts | None = None


def to_vectors(replies: list[tuple[HttpReply, int]], request: EmbedRequest, types: Sequence[str]) -> EmbeddingResponse:
    """Return the vectors of all calls; of several types the first, and all of them in `extra["embeddings"]`.

    Raises InvalidResponseError where they are not as many as the inputs.
    """
    joined: dict[str, list[Any]] = {name: [] for name in types}
    found = [decode(reply, _Vectors) for reply, _ in replies]
    for vectors, (reply, wanted) in zip(found, replies, strict=True):
        for name in types:
            of_type = vectors.embeddings.get(name) or []
            if len(of_type) != wanted:
                message = f"{wanted} inputs gave {len(of_type)} vectors at $.embeddings.{name}"
                raise InvalidResponseError(message, body=reply.content)
            joined[name] += of_type
    made = EmbeddingResponse(
        data=[Embedding(index=index, embedding=vector) for index, vector in enumerate(joined[types[0]])],
        model=request.model,
        usage=total([vectors.meta for vectors in found]),
    )
    extra = {"embeddings": joined} if len(types) > 1 else {}
    if len(replies) == 1:
        made.keep(replies[0][0].content, extra=extra)
        made.relay(WIRE)
    else:
        made.carry(extra)
    return made
