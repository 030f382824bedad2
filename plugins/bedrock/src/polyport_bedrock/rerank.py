"""Rerank: by InvokeModel, as Cohere's and Amazon's models have it, and by the Rerank API where a model's ARN is given.

https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-use.html. Keys of Bedrock's are for InvokeModel only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.rerank import RerankRequest, RerankResponse, RerankResult
from polyport.types.usage import Usage
from polyport_bedrock.names import named
from polyport_bedrock.settings import extras
from polyport_bedrock.wire import ID, BedrockWire

#: The version of Cohere's API that its models on Bedrock speak.
API_VERSION = 2


class Rerank(BedrockWire):
    """POST /model/{id}/invoke, or /rerank of the agents' runtime."""

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by relevance."""
        if request.model.startswith("arn:"):
            return to_ranking((yield self.post("bedrock-agent-runtime:/rerank", json=to_api(request))), request)
        return to_ranking((yield self.invoke(request, to_model(request))), request)


def to_model(request: RerankRequest) -> dict[str, Any]:
    """Return a reranker's own body."""
    if request.rank_fields:
        request.adapt("rank_fields", "emulated", "documents are sent as the text of these fields")
    body: dict[str, Any] = {"query": request.query, "documents": request.texts}
    if request.top_n is not None:
        body["top_n"] = request.top_n
    if named(request).vendor == "cohere":
        body["api_version"] = API_VERSION
        if request.max_tokens_per_doc is not None:
            body["max_tokens_per_doc"] = request.max_tokens_per_doc
    elif request.max_tokens_per_doc is not None:
        request.unsupported("max_tokens_per_doc", "Amazon's reranker takes none")
    _unchunked(request)
    return {**body, **extras(request)}


def to_api(request: RerankRequest) -> dict[str, Any]:
    """Return the body of the Rerank API; documents with fields go as they are, unless some of them are chosen."""
    if request.max_tokens_per_doc is not None:
        request.unsupported("max_tokens_per_doc", "the Rerank API takes none")
    _unchunked(request)
    config: dict[str, Any] = {"modelConfiguration": {"modelArn": request.model}}
    if more := extras(request):
        config["modelConfiguration"]["additionalModelRequestFields"] = more
    if request.top_n is not None:
        config["numberOfResults"] = request.top_n
    return {
        "queries": [{"type": "TEXT", "textQuery": {"text": request.query}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": _document(given, text, request)}
            for given, text in zip(request.documents, request.texts, strict=True)
        ],
        "rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": config},
    }


def _document(given: Any, text: str, request: RerankRequest) -> dict[str, Any]:
    if isinstance(given, dict) and not request.rank_fields:
        return {"type": "JSON", "jsonDocument": given}
    return {"type": "TEXT", "textDocument": {"text": text}}


def _unchunked(request: RerankRequest) -> None:
    if request.max_chunks_per_doc is not None:
        request.unsupported("max_chunks_per_doc", "Bedrock's rerankers have none")


class _Result(msgspec.Struct, rename="camel"):
    index: int
    relevance_score: float


class _ModelResult(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranked(msgspec.Struct):
    results: list[_ModelResult]


class _ApiRanked(msgspec.Struct):
    results: list[_Result]


def to_ranking(reply: HttpReply, request: RerankRequest) -> RerankResponse:
    """Return the documents by relevance; each with itself where that was asked for."""
    if request.model.startswith("arn:"):
        found = [(one.index, one.relevance_score) for one in decode(reply, _ApiRanked).results]
    else:
        found = [(one.index, one.relevance_score) for one in decode(reply, _Ranked).results]
    for index, _ in found:
        if not 0 <= index < len(request.documents):
            raise InvalidResponseError(f"There is no document {index} at $.results", body=reply.content)
    made = RerankResponse(
        id=reply.headers.get(ID),
        results=[
            RerankResult(index=index, relevance_score=score, document=_returned(request, index))
            for index, score in sorted(found, key=lambda one: -one[1])
        ],
        model=request.model,
        usage=Usage(search_units=1),
        documents=list(request.documents),
    )
    made.keep(reply.content, extra={})
    return made


def _returned(request: RerankRequest, index: int) -> dict[str, Any] | None:
    if not request.return_documents:
        return None
    given = request.documents[index]
    return given if isinstance(given, dict) else {"text": given}
