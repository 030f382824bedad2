"""What an answer is grounded in, as OpenAI's annotations.

https://ai.google.dev/gemini-api/docs/google-search#understanding_the_grounding_response
"""

from __future__ import annotations

from typing import Any

import msgspec


class Segment(msgspec.Struct, rename="camel"):
    """A stretch of the answer's text; indexes count bytes of its UTF-8."""

    start_index: int = 0
    end_index: int = 0


class Support(msgspec.Struct, rename="camel"):
    """Which chunks support a stretch of the answer."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] = []


class Grounding(msgspec.Struct, rename="camel"):
    """The part of the grounding metadata that annotations are made of."""

    grounding_chunks: list[dict[str, Any]] = []
    grounding_supports: list[Support] = []


class Citation(msgspec.Struct, rename="camel"):
    """A stretch that may be recited from somewhere."""

    start_index: int = 0
    end_index: int = 0
    uri: str | None = None
    title: str | None = None


class Citations(msgspec.Struct, rename="camel"):
    """The recited stretches."""

    citations: list[Citation] = []


#: Fields of a chunk that say where it is from, by the kind of the chunk.
PLACES = {"web": "uri", "maps": "uri", "image": "sourceUri", "retrievedContext": "uri"}


def annotate(text: str, grounding: Grounding | None, citations: Citations | None) -> list[dict[str, Any]]:
    """Return the annotations of a text: `url_citation` for the web, `document_citation` for the user's own files.

    `start_index` and `end_index` count characters of `text`.
    """
    raw = text.encode()
    found = _supported(raw, grounding) if grounding is not None else []
    for citation in citations.citations if citations is not None else []:
        place = _place(raw, Segment(citation.start_index, citation.end_index))
        inner = {"url": citation.uri, "title": citation.title, **place}
        found.append({"type": "url_citation", "url_citation": _given(inner)})
    return found


def _supported(raw: bytes, grounding: Grounding) -> list[dict[str, Any]]:
    chunks = grounding.grounding_chunks
    return [
        _of_chunk(chunks[index], _place(raw, support.segment))
        for support in grounding.grounding_supports
        for index in support.grounding_chunk_indices
        if 0 <= index < len(chunks)
    ]


def _of_chunk(chunk: dict[str, Any], place: dict[str, int]) -> dict[str, Any]:
    kind = next((kind for kind in PLACES if isinstance(chunk.get(kind), dict)), "")
    inner: dict[str, Any] = chunk[kind] if kind else {}
    url, title = inner.get(PLACES.get(kind, "uri")), inner.get("title")
    if kind == "retrievedContext":
        told = {"title": title or inner.get("documentName"), "url": url, "cited_text": inner.get("text")}
        return {"type": "document_citation", "document_citation": _given({**told, **place})}
    return {"type": "url_citation", "url_citation": _given({"url": url, "title": title, **place})}


def _place(raw: bytes, segment: Segment | None) -> dict[str, int]:
    if segment is None:
        return {}
    start = len(raw[: max(segment.start_index, 0)].decode("utf-8", "ignore"))
    end = len(raw[: max(segment.end_index, 0)].decode("utf-8", "ignore"))
    return {"start_index": start, "end_index": end}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
