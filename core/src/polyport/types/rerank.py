"""Rerank: documents in order of relevance to a query. https://docs.cohere.com/reference/rerank"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.types.record import CallParams, Fields, Request, Result, empty, zero
from polyport.types.usage import Usage


class RerankResult(Fields):
    """One document's place: `index` into the input, relevance (higher is better), the document where asked for."""

    index: int = zero()
    relevance_score: float = msgspec.field(default_factory=float)
    document: dict[str, Any] | None = None


class RerankResponse(Result):
    """Results, most relevant first. `documents` are the inputs."""

    id: str | None = None
    results: list[RerankResult] = empty()
    model: str = ""
    usage: Usage | None = None
    documents: list[Any] | None = None


class RerankRequest(Request):
    """What to rank by which query. Documents are texts, or dicts of which `rank_fields` (default: text) count."""

    query: str
    documents: list[Any]
    top_n: int | None = None
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    max_tokens_per_doc: int | None = None
    max_chunks_per_doc: int | None = None

    def check(self) -> None:
        """Validate that there are documents, each text or a dict."""
        if not self.documents:
            raise BadRequestError("rerank needs at least one document at $.documents")
        for index, document in enumerate(self.documents):
            if not isinstance(document, str | dict):
                raise BadRequestError(
                    f"Expected text or a dict, got `{type(document).__name__}` at $.documents[{index}]"
                )

    @property
    def texts(self) -> list[str]:
        """Each document as the text to rank: of a dict its `rank_fields`, else its "text", else all of it."""
        return [self._text(document) for document in self.documents]

    def _text(self, document: Any) -> str:
        if isinstance(document, str):
            return document
        fields = self.rank_fields or (["text"] if "text" in document else list(document))
        return "\n".join(str(document[name]) for name in fields if name in document)

    def document(self, index: int, reply: bytes = b"") -> dict[str, Any]:
        """Return the document that a reply ranks, as it was given; a text stands under "text".

        Raises InvalidResponseError, with the reply's bytes, for one that was not sent.
        """
        if not 0 <= index < len(self.documents):
            message = f"The reply ranks document {index}, and {len(self.documents)} were sent, at $.results"
            raise InvalidResponseError(message, body=reply)
        document = self.documents[index]
        return document if isinstance(document, dict) else {"text": document}

    def returned(self, index: int, reply: bytes = b"") -> dict[str, Any] | None:
        """Return `document(index, reply)` where documents are to come back; the index is checked either way."""
        document = self.document(index, reply)
        return document if self.return_documents else None


class RerankParams(CallParams, total=False):
    """The optional parameters of `rerank`."""

    top_n: int | None
    return_documents: bool | None
    rank_fields: list[str] | None
    max_tokens_per_doc: int | None
    max_chunks_per_doc: int | None
