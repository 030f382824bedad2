"""What goes back: headers that tell what happened, and what a reply used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.messages import MessageUsage
from polyport.types.record import Meta, Result, convert
from polyport.types.responses import Item, ResponsesUsage

JSON = "application/json"
EVENTS = "text/event-stream"
Headers = list[tuple[bytes, bytes]]
#: What a header may hold: an error's or a model's text could break out of it.
SAFE = dict.fromkeys((*range(32), 127), "?")
MAX_HEADER = 1024
#: Usage of which nothing is told.
NOTHING: Mapping[str, int] = {}


def encode(value: Any) -> bytes:
    """Return a result, or plain data, as JSON, fields that polyport does not model included; as it came if it may."""
    if isinstance(value, Result) and (came := value.relayed) is not None:
        return came
    return msgspec.json.encode(value.to_dict() if isinstance(value, Result) else value)


def event(value: Any, name: str | None = None) -> bytes:
    """Return a server-sent event. https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    data = encode(value)
    return b"data: %s\n\n" % data if name is None else b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def to_headers(pairs: Iterable[tuple[str, Any]]) -> Headers:
    """Return headers for ASGI; those without a value are left out."""
    return [(_name(name), _text(value)) for name, value in pairs if value is not None and value != ""]


@lru_cache(1024)
def _name(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _text(value: Any) -> bytes:
    text = str(value)
    if len(text) <= MAX_HEADER and text.isascii() and text.isprintable():
        return text.encode()
    return text.translate(SAFE)[:MAX_HEADER].encode("latin-1", "replace")


@lru_cache(4096)
def _where(provider: str, model: str, deployment: str | None, attempts: int, cache_hit: bool) -> Headers:
    """Return the headers of who answered: the same for nearly all requests of a model."""
    return to_headers(
        (
            ("x-polyport-provider", provider),
            ("x-polyport-model", model),
            ("x-polyport-deployment", deployment),
            ("x-polyport-attempts", attempts or None),
            ("x-polyport-cache", "hit" if cache_hit else None),
        )
    )


def told(meta: Meta | None, request_id: str) -> Headers:
    """Return the headers that tell what happened. The cost is in USD; a stream's is not known when they are sent."""
    encoded = request_id.encode()
    found = [(b"x-polyport-request-id", encoded), (b"x-request-id", encoded)]
    if meta is None:
        return found
    found += _where(meta.provider, meta.model, meta.deployment, meta.attempts, meta.cache_hit)
    cost = meta.cost
    if cost is not None:
        found.append((b"x-polyport-cost", usd(cost)))
    if meta.adaptations:
        adapted = "; ".join(f"{one.parameter} {one.action}" for one in meta.adaptations)
        found.append((b"x-polyport-adaptations", _text(adapted)))
    return found


def usd(amount: float) -> bytes:
    """Return an amount of money, as headers tell it."""
    return (f"{amount:.12f}".rstrip("0").rstrip(".") or "0").encode()


class Tally:
    """Puts together what the chunks or events of a stream tell of usage: `usage` is the latest, in disjoint buckets.

    `made` is the response that events tell of.
    """

    made: Item | None = None
    usage: Mapping[str, int] = NOTHING
    _counts: Mapping[str, Any] = NOTHING
    #: The response that a stream of events is about.
    kept = ""

    def see(self, chunk: Any) -> None:
        """Take note of a chunk."""
        if isinstance(chunk, Result):
            self.usage = chunk.usage_buckets or self.usage
        elif isinstance(chunk, dict):
            self._event(chunk)

    def _event(self, event: Mapping[str, Any]) -> None:
        """A response's usage comes whole; of a message the input is told at the start, the output at the end."""
        response, message = event.get("response"), event.get("message")
        if isinstance(response, dict) and isinstance(response.get("id"), str):
            self.made = Item(response)  # the last one tells of its output, too
        if isinstance(response, dict) and isinstance(response.get("id"), str):
            self.kept = response["id"]
        if isinstance(response, dict) and isinstance(response.get("usage"), dict):
            self.usage = _buckets(response["usage"], ResponsesUsage)
        elif event.get("type") in ("message_start", "message_delta"):
            told = message.get("usage") if isinstance(message, dict) else event.get("usage")
            if isinstance(told, dict):
                self._counts = {**self._counts, **{name: value for name, value in told.items() if value is not None}}
                self.usage = _buckets({**self._counts}, MessageUsage)


class Named(Tally):
    """A tally that takes note of what the chunks are of, too: of a chat that its provider keeps."""

    def see(self, chunk: Any) -> None:
        """Take note of a chunk."""
        super().see(chunk)
        name = getattr(chunk, "id", None) if isinstance(chunk, Result) else None
        if isinstance(name, str):
            self.made = Item({"id": name})


def _buckets(usage: dict[str, Any], kind: type[ResponsesUsage | MessageUsage]) -> Mapping[str, int]:
    try:
        found: dict[str, int] = convert(usage, kind, "$.usage").buckets()
    except BadRequestError:  # a usage of an unknown shape must not cost the answer
        return {}
    return found
