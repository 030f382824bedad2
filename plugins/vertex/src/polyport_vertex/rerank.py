"""Rerank: the ranking API of Vertex AI Search. https://cloud.google.com/generative-ai-app-builder/docs/ranking"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport_vertex.settings import VERTEX

HOST = "https://discoveryengine.googleapis.com"
RANK = "/v1/projects/{project}/locations/global/rankingConfigs/default_ranking_config:rank"
#: The most records a call takes.
MOST = 1000


class Rerank(Provider):
    """POST rankingConfigs/...:rank."""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance."""
        base = "" if request.options.api_base else HOST
        return to_ranking((yield self.post(base + RANK, json=to_rank_body(request))), request)


def to_rank_body(request: RerankRequest) -> dict[str, Any]:
    """Return the body; a document's title stands apart from its text."""
    for name in ("max_tokens_per_doc", "max_chunks_per_doc"):
        if getattr(request, name) is not None:
            request.unsupported(name, "the ranking API cuts documents by itself")
    if request.rank_fields:
        request.adapt("rank_fields", "emulated", "documents are sent as the text of these fields")
    if len(request.documents) > MOST:
        request.adapt("documents", "clamped", f"the ranking API ranks {MOST} documents a call, the first ones here")
    records = [_record(index, text, request) for index, text in enumerate(request.texts[:MOST])]
    body: dict[str, Any] = {"model": request.model, "query": request.query, "records": records}
    if request.top_n is not None:
        body["topN"] = request.top_n
    return {**body, "ignoreRecordDetailsInResponse": True, **VERTEX.extras(request)}


def _record(index: int, text: str, request: RerankRequest) -> dict[str, str]:
    document = request.documents[index]
    title = document.get("title") if isinstance(document, dict) and not request.rank_fields else None
    return {"id": str(index), "content": text, **({"title": str(title)} if title else {})}


class _Record(msgspec.Struct):
    id: str
    score: float = 0.0


class _Ranking(msgspec.Struct):
    records: list[_Record]


def to_ranking(reply: HttpReply, request: RerankRequest) -> RerankResponse:
    """Return the ranking that a reply tells."""
    found: _Ranking = decode(reply, _Ranking)
    results = [
        RerankResult(
            index=(index := _index(record.id, reply)),
            relevance_score=record.score,
            document=request.returned(index, reply.content),
        )
        for record in found.records
    ]
    results.sort(key=lambda result: result.relevance_score, reverse=True)
    made = RerankResponse(results=results, model=request.model, documents=list(request.documents))
    made.keep(reply.content, extra={})
    return made


def _index(name: str, reply: HttpReply) -> int:
    if not name.isdecimal():
        raise InvalidResponseError(
            f"The reply ranks a record that was not sent, {name!r}, at $.records", body=reply.content
        )
    return int(name)
