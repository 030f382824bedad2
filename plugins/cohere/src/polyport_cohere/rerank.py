"""Rerank: POST /v2/rerank. https://docs.cohere.com/reference/rerank"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport_cohere.stream import WIRE
from polyport_cohere.usage import Counts
from polyport_cohere.yaml import to_yaml

#: What Cohere ranked a document with fields by, when it still took some.
TEXT = "text"


class Rerank(Provider):
    """Documents in order of relevance."""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance; one with fields is ranked by its text, or by all of them as YAML."""
        return to_ranking((yield self.post("/v2/rerank", json=to_body(request))), request)


def to_body(request: RerankRequest) -> dict[str, Any]:
    """Return the body; Cohere's own parameters (`relevant_spans`, `priority`) go in as they are."""
    if request.max_chunks_per_doc is not None:
        request.unsupported("max_chunks_per_doc", "Cohere cuts documents by max_tokens_per_doc")
    if request.rank_fields:
        request.adapt("rank_fields", "emulated", "documents are sent as the YAML of these fields")
    documents = [_text(document, request.rank_fields) for document in request.documents]
    body: dict[str, Any] = {"model": request.model, "query": request.query, "documents": documents}
    for name in ("top_n", "max_tokens_per_doc"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    return {**body, **request.extra}


def _text(document: Any, fields: list[str] | None) -> str:
    if isinstance(document, str):
        return document
    if fields:
        return to_yaml({name: document[name] for name in fields if name in document})
    if isinstance(document.get(TEXT), str):
        text: str = document[TEXT]
        return text
    return to_yaml(document)


class CohereResult(RerankResult):
    """A document's place, with the stretches of it that count, where `relevant_spans` asked for them."""

    relevant_spans: list[dict[str, Any]] | None = None


class _Ranking(msgspec.Struct):
    results: list[CohereResult]
    id: str | None = None
    meta: Counts | None = None


def to_ranking(reply: HttpReply, request: RerankRequest) -> RerankResponse:
    """Return the ranking that a reply tells, with the documents as they were given."""
    found: _Ranking = decode(reply, _Ranking)
    for result in found.results:
        result.document = request.returned(result.index, reply.content)
    made = RerankResponse(
        id=found.id,
        results=list(found.results),
        model=request.model,
        usage=found.meta.to_usage() if found.meta is not None else None,
        documents=list(request.documents),
    )
    made.keep(reply.content, extra={})
    return made if request.return_documents else made.relay(WIRE)
