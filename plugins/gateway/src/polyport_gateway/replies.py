"""What goes back: headers that tell what happened, and what a reply used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport.types.messages import MessageUsage
from polyport.types.record import Meta, Result, convert
from polyport.types.responses import ResponsesUsage

JSON = "application/json"
EVENTS = "text/event-stream"
Headers = list[tuple[bytes, bytes]]
#: What a header may hold: an error's or a model's text could break out of it.
SAFE = dict.fromkeys((*range(32), 127), "?")
MAX_HEADER = 1024


def encode(value: Any) -> bytes:
    """Return a result, or plain data, as JSON; fields that polyport does not model included."""
    return msgspec.json.encode(value.to_dict() if isinstance(value, Result) else value)


def event(value: Any, name: str | None = None) -> bytes:
    """Return a server-sent event. https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    data = encode(value)
    return b"data: %s\n\n" % data if name is None else b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def to_headers(pairs: Iterable[tuple[str, Any]]) -> Headers:
    """Return headers for ASGI; those without a value are left out."""
    return [
        (name.lower().encode("latin-1", "replace"), _text(value)) for name, value in pairs if value not in (None, "")
    ]


def _text(value: Any) -> bytes:
    return str(value).translate(SAFE)[:MAX_HEADER].encode("latin-1", "replace")


def told(meta: Meta | None, request_id: str) -> Iterable[tuple[str, Any]]:
    """Return the headers that tell what happened. The cost is in USD; a stream's is not known when they are sent."""
    yield "x-polyport-request-id", request_id
    yield "x-request-id", request_id
    if meta is None:
        return
    yield "x-polyport-provider", meta.provider
    yield "x-polyport-model", meta.model
    yield "x-polyport-deployment", meta.deployment
    yield "x-polyport-attempts", meta.attempts or None
    yield "x-polyport-cache", "hit" if meta.cache_hit else None
    yield "x-polyport-cost", None if meta.cost is None else f"{meta.cost:.12f}".rstrip("0").rstrip(".") or "0"
    adapted = "; ".join(f"{one.parameter} {one.action}" for one in meta.adaptations)
    yield "x-polyport-adaptations", adapted


def usage_of(value: Any) -> Mapping[str, int]:
    """Return the tokens that a result, a chunk or an event tells of, as disjoint buckets; else nothing."""
    if isinstance(value, Result):
        return value.usage_buckets
    return _of_event(value) if isinstance(value, dict) else {}


def _of_event(event: Mapping[str, Any]) -> Mapping[str, int]:
    response = event.get("response")
    if isinstance(response, dict) and isinstance(response.get("usage"), dict):
        return _buckets(response["usage"], ResponsesUsage)
    if event.get("type") == "message_delta" and isinstance(event.get("usage"), dict):
        return _buckets(event["usage"], MessageUsage)
    return {}


def _buckets(usage: dict[str, Any], kind: type[Any]) -> Mapping[str, int]:
    read = convert(usage, kind, "$.usage")
    found: dict[str, int] = read.buckets()
    return found
