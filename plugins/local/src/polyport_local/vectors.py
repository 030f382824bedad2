"""Embeddings and rerank: from polyport's requests to vectors, and back."""

from __future__ import annotations

from uuid import uuid4

from polyport.errors import BadRequestError
from polyport.types.embed import EmbeddingResponse, EmbedRequest, embeddings
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport.types.usage import usage

_ENCODINGS = (None, "float", "base64")


def to_texts(request: EmbedRequest, *, width: int | None) -> list[str]:
    """Return the texts to embed; `width` is the vectors' length where it is known. Raises BadRequestError."""
    if request.encoding_format not in _ENCODINGS:
        raise BadRequestError(f"encoding_format must be float or base64, not {request.encoding_format!r}")
    if request.dimensions is not None and request.dimensions != width:
        request.unsupported(
            "dimensions", f"the model's vectors are {width or 'as long as they'} are, and cannot be cut"
        )
    if request.user is not None:
        request.adapt("user", "dropped", "there is no service that counts users")
    for index, text in enumerate(request.texts):
        if not isinstance(text, str):
            raise BadRequestError(f"Expected text at $.input[{index}]; local models do not take token ids")
        if text.startswith("data:image/"):
            raise BadRequestError(f"$.input[{index}] is an image; this model embeds text")
    if not request.texts:
        raise BadRequestError("There is nothing to embed at $.input")
    return request.texts


def to_embeddings(request: EmbedRequest, vectors: list[list[float]], tokens: int) -> EmbeddingResponse:
    """Return the vectors in the encoding asked for."""
    data = embeddings(vectors, request.encoding_format)
    return EmbeddingResponse(data=data, model=request.model, usage=usage(tokens))


def check_rerank(request: RerankRequest) -> None:
    """Record that ranks are similarities, and refuse what cannot be done."""
    request.adapt("model", "emulated", "documents are ranked by the similarity (cosine) of e5 embeddings")
    for name in ("max_tokens_per_doc", "max_chunks_per_doc"):
        if getattr(request, name) is not None:
            request.unsupported(name, "long documents are read in windows, whole")
    if request.top_n is not None and request.top_n < 1:
        raise BadRequestError(f"top_n must be 1 or more, not {request.top_n}")


def to_ranks(request: RerankRequest, scores: list[float], tokens: int) -> RerankResponse:
    """Return the documents by score, best first; equal ones in the order they came."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: request.top_n]
    results = [
        RerankResult(
            index=index,
            relevance_score=scores[index],
            document=request.returned(index),
        )
        for index in order
    ]
    return RerankResponse(
        id=f"rerank-{uuid4().hex}",
        results=results,
        model=request.model,
        usage=usage(tokens),
        documents=list(request.documents),
    )
