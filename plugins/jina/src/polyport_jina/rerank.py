"""Rerank: POST /rerank. https://api.jina.ai/openapi.json"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport_jina.sources import to_source
from polyport_jina.usage import Used

#: Models whose documents may be cut to a length.
CUTS = re.compile(r"jina-reranker-v3")
#: What is told apart below, rather than as it was given.
OWN = ("query", "documents", "rank_fields", "return_documents", "max_tokens_per_doc")


class Rerank(Wire):
    """Texts and pictures in order of relevance."""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance, each as it was given."""
        body = {**to_body(request), **self.body(request, "rerank", skip=OWN)}
        return to_ranking((yield self.post("/rerank", json=body)), request)


def to_body(request: RerankRequest) -> dict[str, Any]:
    """Return the query and the documents; those asked for come back from the request, not over the wire."""
    if request.rank_fields:
        request.adapt("rank_fields", "emulated", "documents are sent as the text of these fields")
    query = to_source(request.query, "$.query")
    body: dict[str, Any] = {"query": query, "documents": _documents(request), "return_documents": False}
    if (most := request.max_tokens_per_doc) is None:
        return body
    if CUTS.match(request.model):
        request.adapt("max_tokens_per_doc", "renamed", "it is max_doc_length here")
        return {**body, "max_doc_length": most}
    request.unsupported("max_tokens_per_doc", f"{request.model} does not cut documents to a length")
    return body


def _documents(request: RerankRequest) -> list[Any]:
    """Return each document: a picture (a data: URL, `{image}`, a chat's part), or a text."""
    given = request.documents
    return [
        to_source(given[index] if _is_picture(given[index]) else text, f"$.documents[{index}]")
        for index, text in enumerate(request.texts)
    ]


def _is_picture(document: Any) -> bool:
    return isinstance(document, dict) and (document.get("type") == "image_url" or "image" in document)


class JinaResult(RerankResult):
    """A document's place, with its vector where `return_embeddings` asked for them."""

    embedding: list[float] | str | None = None


class _Result(msgspec.Struct):
    index: int
    relevance_score: float
    embedding: list[float] | str | None = None


class _Ranking(msgspec.Struct):
    results: list[_Result]
    model: str = ""
    usage: Used | None = None


def to_ranking(reply: HttpReply, request: RerankRequest) -> RerankResponse:
    """Return the ranking that a reply tells."""
    found: _Ranking = decode(reply, _Ranking)
    made = RerankResponse(
        results=[_result(result, request, reply) for result in found.results],
        model=found.model or request.model,
        usage=found.usage.to_usage() if found.usage is not None else None,
        documents=list(request.documents),
    )
    made.keep(reply.content)
    return made


def _result(result: _Result, request: RerankRequest, reply: HttpReply) -> JinaResult:
    """Return a place with its document where it was asked for."""
    return JinaResult(
        index=result.index,
        relevance_score=result.relevance_score,
        document=request.returned(result.index, reply.content),
        embedding=result.embedding,
    )
