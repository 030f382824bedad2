"""Checks of what comes back: a reply parsed to its type, and a broken one named as such."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from polyport.errors import APIError, InvalidResponseError
from polyport.testing.bench import Outcome, Subject, ensure, simulate, told
from polyport.testing.exchange import IN_PROCESS, Exchange
from polyport.testing.reading import text_of
from polyport.testing.shapes import RESULTS
from polyport.testing.wire import Reply
from polyport.types.usage import Usage

#: Values of every JSON type; a field is replaced by each that is not of its own.
WRONG: tuple[Any, ...] = (None, True, 7, -1.5, "text", [], {}, [7], [None], ["text"], {"unexpected": 7})
MOST_PLACES = 80
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
#: The hooks that may answer with text where `response_format` asks for it.
TEXT_HOOKS = frozenset({"transcribe", "translate"})

Place = tuple[str | int, ...]


def is_json(exchange: Exchange) -> bool:
    """Whether the recorded reply is a JSON object or list."""
    if exchange.reply is None or exchange.reply is IN_PROCESS:
        return False
    try:
        return isinstance(msgspec.json.decode(exchange.recorded().content), dict | list)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def reply_is_parsed(subject: Subject, exchange: Exchange) -> None:
    """The recorded reply becomes the operation's response type, in its promised shape, and says where it is from."""
    result = simulate(subject, exchange).value()
    if isinstance(result, str) and exchange.hook in TEXT_HOOKS:
        RESULTS[exchange.hook](result, exchange)
        return
    expected = exchange.operation.response
    ensure(isinstance(result, expected), f"the result is a {type(result).__name__}, not a {expected.__name__}")
    RESULTS[exchange.hook](result, exchange)
    ensure(result.meta.provider == subject.name, f"meta.provider is {result.meta.provider!r}")
    msgspec.json.encode(result.to_dict())
    if exchange.text is not None:
        said = text_of(result)
        ensure(said == exchange.text, f"the answer says {said!r}, not {exchange.text!r}")


def reply_usage_adds_up(subject: Subject, exchange: Exchange) -> None:
    """Usage is in disjoint buckets, none negative, that sum to the total; parts are no larger than their whole."""
    usage_adds_up(getattr(simulate(subject, exchange).value(), "usage", None))


def usage_adds_up(usage: Any) -> None:
    """Raise AssertionError where a usage breaks the invariant of `polyport.types.usage`."""
    if usage is None or not hasattr(usage, "buckets"):
        return
    buckets = usage.buckets()
    ensure(all(count >= 0 for count in buckets.values()), f"a bucket is negative: {buckets}")
    total = usage.total_tokens if hasattr(usage, "total_tokens") else sum(buckets.values())
    ensure(sum(buckets.values()) == total, f"the buckets {buckets} sum to {sum(buckets.values())}, not to {total}")
    if isinstance(usage, Usage):
        _parts_fit(usage.prompt_tokens, usage.prompt_tokens_details, "prompt_tokens", ("text_tokens",))
        # A rejected prediction is billed with the answer; OpenAI's text_tokens overlap with the other parts.
        _parts_fit(
            usage.completion_tokens,
            usage.completion_tokens_details,
            "completion_tokens",
            ("text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"),
        )


def _parts_fit(whole: int, details: Any, what: str, overlapping: tuple[str, ...]) -> None:
    ensure(whole >= 0, f"{what} is negative: {whole}")
    if details is None:
        return
    parts = {name: count for name, count in details.items() if isinstance(count, int)}
    ensure(all(count >= 0 for count in parts.values()), f"a part of {what} is negative: {parts}")
    inner = {name: count for name, count in parts.items() if name not in overlapping and "_1h_" not in name}
    ensure(sum(inner.values()) <= whole, f"the parts of {what} {inner} are more than the whole, {whole}")


# --- broken replies ---


def reply_with_broken_fields(subject: Subject, exchange: Exchange) -> None:
    """Each field of the reply, missing or of a wrong type, gives a result or an InvalidResponseError that names it."""
    recorded = exchange.recorded()
    for what, name, broken in broken_documents(msgspec.json.decode(recorded.content)):
        reply = msgspec.structs.replace(recorded, content=msgspec.json.encode(broken))
        survives(simulate(subject, exchange, last=reply), what, name)


def survives(outcome: Outcome, what: str, name: str) -> None:
    """Raise AssertionError unless a broken document gave a usable result, or an error that names the place."""
    error = outcome.error
    if error is None:
        msgspec.json.encode([_data(part) for part in outcome.chunks or [outcome.result]])
        return
    if not isinstance(error, APIError):
        raise AssertionError(f"{what}: {told(error)}; it must be an InvalidResponseError") from error
    if isinstance(error, InvalidResponseError):
        named = "$" in error.message or not name or name in error.message
        ensure(named, f"{what}: the error names no place ($.... or {name!r}): {error.message}")


def _data(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value


def broken_documents(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Give (what was done, the name of the field, the document) for each field left out or of another type."""
    for wrong in WRONG:
        if type(wrong) is not type(document):
            yield f"the whole JSON replaced by {wrong!r}", "", wrong
    for place in list(_places(document))[:MOST_PLACES]:
        path, name = "$" + "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in place), place[-1]
        held = _at(document, place)
        if isinstance(name, str):
            yield f"{path} left out", name, _changed(document, place, msgspec.UNSET)
        for wrong in WRONG:
            if not _alike(wrong, held):
                yield f"{path} replaced by {wrong!r}", str(name), _changed(document, place, wrong)


def _places(document: Any, at: Place = ()) -> Iterator[Place]:
    """Give every field of the document, the outer ones first; of a list its first two items."""
    items = document.items() if isinstance(document, dict) else enumerate(document[:2])
    inner: list[tuple[Place, Any]] = [((*at, name), value) for name, value in items]
    yield from (place for place, _ in inner)
    for place, value in inner:
        if isinstance(value, dict | list):
            yield from _places(value, place)


def _at(document: Any, place: Place) -> Any:
    for part in place:
        document = document[part]
    return document


def _alike(wrong: Any, held: Any) -> bool:
    return type(wrong) is type(held) and not isinstance(wrong, list | dict)


def _changed(document: Any, place: Place, value: Any) -> Any:
    """Return the document with one field replaced, or left out; what is on the way to it is copied."""
    copied = dict(document) if isinstance(document, dict) else list(document)
    if len(place) > 1:
        copied[place[0]] = _changed(document[place[0]], place[1:], value)  # type: ignore[index]
    elif value is msgspec.UNSET:
        del copied[place[0]]  # type: ignore[arg-type]
    else:
        copied[place[0]] = value  # type: ignore[index]
    return copied


def reply_cut_short(subject: Subject, exchange: Exchange) -> None:
    """A JSON reply that ends too early is an InvalidResponseError, wherever it ends."""
    recorded = exchange.recorded()
    body = recorded.content.strip()
    cuts = {1, len(body) // 2, len(body) - 1, *Random(len(body)).choices(range(1, len(body)), k=40)}  # noqa: S311
    for cut in sorted(cuts):
        outcome = simulate(subject, exchange, last=Reply.of(recorded, content=body[:cut]))
        _is_invalid(outcome, f"the reply cut after {cut} of {len(body)} bytes")


def reply_that_is_not_json(subject: Subject, exchange: Exchange) -> None:
    """An empty reply, an HTML page, and bytes that are no text are InvalidResponseErrors."""
    strange = {"an empty reply": b"", "an HTML page": PAGE, "bytes that are no UTF-8": b"\xff\xfe\x00"}
    for what, content in strange.items():
        _is_invalid(simulate(subject, exchange, last=Reply.of(content)), what)


def _is_invalid(outcome: Outcome, what: str) -> None:
    if not isinstance(outcome.error, InvalidResponseError):
        found = told(outcome.error) if outcome.error else f"a result, {outcome.result!r}"
        raise AssertionError(f"{what} gave {found}; it must be an InvalidResponseError") from outcome.error
