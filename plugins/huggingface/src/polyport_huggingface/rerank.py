"""Rerank: text-embeddings-inference at an endpoint; by the router the similarity of vectors stands in for it.

https://huggingface.co/docs/text-embeddings-inference/quick_tour#re-rankers and
https://huggingface.co/docs/inference-providers/tasks (sentence-similarity)
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.errors import InvalidResponseError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport_huggingface.embed import used
from polyport_huggingface.hub import OWN
from polyport_huggingface.naming import dedicated, read


class HubRerank(Wire):
    """Documents by relevance."""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance: a reranker's at an endpoint, else by similarity."""
        _refuse(request)
        if dedicated(request):
            body = {"query": request.query, "texts": request.texts, **request.extra}
            reply: HttpReply = yield self.post("/rerank", json=body)
            ranks = [(rank.index, rank.score) for rank in decode(reply, list[_Rank])]
        else:
            reply = yield from self._compare(request)
            ranks = list(enumerate(decode(reply, list[float])))
        return to_ranking(ranks, request, reply)

    def _compare(self, request: RerankRequest) -> Flow[HttpReply]:
        name = read(request.model)
        if name.provider not in ("", OWN):
            raise UnsupportedParamsError(f"{name.provider} ranks nothing; pass api_base=... of a reranker's endpoint.")
        request.adapt("model", "emulated", "by the router a model's similarity of sentences is the relevance")
        body: dict[str, Any] = {"inputs": {"source_sentence": request.query, "sentences": request.texts}}
        if request.extra:
            body["parameters"] = request.extra
        reply: HttpReply = yield self.post(f"/{OWN}/models/{name.repo}/pipeline/sentence-similarity", json=body)
        return reply


class _Rank(msgspec.Struct):
    index: int
    score: float


def _refuse(request: RerankRequest) -> None:
    for name in ("max_tokens_per_doc", "max_chunks_per_doc"):
        if getattr(request, name) is not None:
            request.unsupported(name, "documents are not cut here; truncate=True has the server cut them")
    if request.rank_fields:
        request.adapt("rank_fields", "emulated", "documents are sent as the text of these fields")
    if request.top_n is not None:
        request.adapt("top_n", "emulated", "all documents are ranked there, and the first ones are kept here")


def to_ranking(ranks: list[tuple[int, float]], request: RerankRequest, reply: HttpReply) -> RerankResponse:
    """Return the ranking. Raises InvalidResponseError where it is not of the documents that were sent."""
    count = len(request.documents)
    if len(ranks) != count:
        raise InvalidResponseError(f"The reply does not rank the {count} documents that were sent.", body=reply.content)
    results = [
        RerankResult(index=index, relevance_score=score, document=request.returned(index, reply.content))
        for index, score in sorted(ranks, key=lambda rank: rank[1], reverse=True)
    ]
    made = RerankResponse(
        results=results[: request.top_n], model=request.model, documents=list(request.documents), usage=used(reply)
    )
    made.keep(reply.content, extra={})
    return made
