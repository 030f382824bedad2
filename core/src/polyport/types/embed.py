"""Embeddings: text, tokens or images to vectors. https://platform.openai.com/docs/api-reference/embeddings"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from typing import Any

import msgspec

from polyport.types.record import CallParams, Fields, Request, Result, empty, zero
from polyport.types.usage import Usage


class Embedding(Fields):
    """One vector: floats, or base64 of little-endian float32 where `encoding_format="base64"` was asked for."""

    index: int = zero()
    object: str = msgspec.field(default_factory=lambda: "embedding")
    embedding: list[float] | str = empty()


def embeddings(vectors: Iterable[list[float]], encoding_format: str | None) -> list[Embedding]:
    """Return vectors in their order, as numbers or as `encoding_format="base64"` has them."""
    encode = _base64 if encoding_format == "base64" else None
    return [Embedding(index=i, embedding=encode(one) if encode else one) for i, one in enumerate(vectors)]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class EmbeddingResponse(Result):
    """One vector per input, in input order."""

    object: str = msgspec.field(default_factory=lambda: "list")
    data: list[Embedding] = empty()
    model: str = ""
    usage: Usage | None = None


class EmbedRequest(Request):
    """What to embed: text, texts, token ids, lists of token ids, or (as data: URLs) images.

    `input_type`: search_query, search_document, classification, clustering.
    """

    input: str | list[Any]
    dimensions: int | None = None
    encoding_format: str | None = None
    input_type: str | None = None
    user: str | None = None

    @property
    def texts(self) -> list[Any]:
        """The inputs as a list, one entry a vector: a flat list of token ids is one input."""
        if isinstance(self.input, str):
            return [self.input]
        return [self.input] if self.input and isinstance(self.input[0], int) else list(self.input)


class EmbedParams(CallParams, total=False):
    """The optional parameters of `embedding`."""

    dimensions: int | None
    encoding_format: str | None
    input_type: str | None
    user: str | None
