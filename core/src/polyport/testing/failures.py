"""Checks of what goes wrong at the provider or on the way: the right error, and everything known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from polyport.errors import APIConnectionError, APIError, BadRequestError, RateLimitError, class_for_status
from polyport.testing.bench import KEY, Outcome, Subject, ensure, simulate, told
from polyport.testing.exchange import Exchange
from polyport.testing.replies import PAGE
from polyport.testing.requests import streams
from polyport.testing.wire import Reply

STATUSES = (400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 529)
REQUEST_ID = "req-contract-1"
#: An error as most providers write it; it repeats the key, as some do.
BODY = {"error": {"message": f"The key {KEY} was no good", "type": "contract_error", "code": None, "param": None}}
#: What else comes with an error status: pages of proxies, other shapes of JSON, nothing at all.
ODD_BODIES: dict[str, bytes] = {
    "an HTML page": PAGE,
    "an empty body": b"",
    "plain text": b"upstream connect error",
    "bytes that are no UTF-8": b"\xff\xfe\x00",
    "JSON null": b"null",
    "a JSON text": b'"overloaded"',
    "a JSON list": b'[{"error": {"message": "overloaded"}}]',
    "an empty JSON list": b"[]",
    "an error that is null": b'{"error": null}',
    "an error that is text": b'{"error": "overloaded"}',
    "an error that is a list": b'{"error": ["overloaded"]}',
    "an error without fields": b'{"error": {}}',
    "an error whose fields are numbers": b'{"error": {"message": 5, "code": 7, "type": 8, "status": 9}}',
    "a message that is a number": b'{"message": 5, "detail": 7}',
    "details that are a list": b'{"detail": [{"loc": ["body"], "msg": "field required"}]}',
}


def fail(subject: Subject, exchange: Exchange, reply: Reply) -> Outcome:
    """Run the exchange with a failing last answer."""
    return simulate(subject, exchange, stream=streams(exchange), last=reply)


def error_for(status: int) -> Callable[[Subject, Exchange], None]:
    """Return the check of one status."""

    def check(subject: Subject, exchange: Exchange) -> None:
        error = _raised(fail(subject, exchange, _reply(subject, status)), status)
        ensure(error.provider == subject.name, f"error.provider is {error.provider!r}, not {subject.name!r}")
        model = exchange.call.get("model")
        asked = str(model).removeprefix(f"{subject.name}/") if model else None
        ensure(error.model == asked, f"error.model is {error.model!r}, not {asked!r}")
        if subject.provider.request_id_headers:
            ensure(error.request_id == REQUEST_ID, f"error.request_id is {error.request_id!r}, not {REQUEST_ID!r}")
        ensure(isinstance(error.body, dict), f"error.body is {error.body!r}, not what the provider sent")
        if status == 429:
            ensure(error.retry_after == 7.0, f"error.retry_after is {error.retry_after!r}, not the 7 s it was told")
        keeps_the_key(error)

    check.__doc__ = f"HTTP {status} is a {class_for_status(status).__name__} that says where, and hides the key."
    return check


def _reply(subject: Subject, status: int) -> Reply:
    headers = dict.fromkeys(subject.provider.request_id_headers[:1], REQUEST_ID)
    if status == 429:
        headers["retry-after"] = "7"
    return Reply.of(BODY, status=status, headers=headers)


def _raised(outcome: Outcome, status: int) -> APIError:
    """Return the error. Raises AssertionError unless it is of the status' class or narrower."""
    error, kind = outcome.error, class_for_status(status)
    if not isinstance(error, kind):
        found = told(error) if error else f"a result, {outcome.value()!r}"
        raise AssertionError(f"HTTP {status} gave {found}; it must be a {kind.__name__}") from error
    ensure(error.status_code == status, f"HTTP {status} gave an error with the status_code {error.status_code}")
    return error


def keeps_the_key(error: APIError) -> None:
    """Raise AssertionError where an error shows the key: its text, its repr, the body and headers it carries."""
    shown = [str(error), repr(error), error.message, repr(error.body), repr(dict(error.headers))]
    for text in shown:
        ensure(KEY not in text and quote(KEY, safe="") not in text, f"a {type(error).__name__} shows the key: {text}")


def error_of_a_stream(subject: Subject, exchange: Exchange) -> None:
    """An error status on a streaming request comes before any chunk, as the same error, so that it can fall back."""
    for status in (400, 429, 500):
        outcome = simulate(subject, exchange, stream=True, last=_reply(subject, status))
        _raised(outcome, status)
        ensure(outcome.chunks is None, f"HTTP {status} came after {len(outcome.chunks or [])} chunks")


def error_with_an_odd_body(subject: Subject, exchange: Exchange) -> None:
    """An error status is the right error with whatever body: HTML, nothing, another shape of JSON."""
    for what, content in ODD_BODIES.items():
        for status in (400, 401, 429, 500):
            outcome = fail(subject, exchange, Reply.of(content, status=status))
            kind = class_for_status(status)
            if not isinstance(outcome.error, kind):
                found = told(outcome.error) if outcome.error else "a result"
                raise AssertionError(f"HTTP {status} with {what} gave {found}, not a {kind.__name__}")
            ensure(outcome.error.message, f"HTTP {status} with {what} gave an error without a message")


def connection_that_fails(subject: Subject, exchange: Exchange) -> None:
    """No connection, or one that breaks in the reply, is an APIConnectionError that may be tried again."""
    recorded = exchange.recorded(stream=streams(exchange))
    half = Reply.of(recorded, reset_at=len(recorded.content) // 2)
    for what, reply in {"a refused connection": Reply.of(recorded, refused=True), "a reset one": half}.items():
        error = fail(subject, exchange, reply).error
        if not isinstance(error, APIConnectionError):
            raise AssertionError(f"{what} gave {told(error) if error else 'a result'}, not an APIConnectionError")
        ensure(error.retryable, f"{what} gave an error that is not retryable")
        ensure(error.provider == subject.name, f"{what} gave an error that names the provider {error.provider!r}")


def error_is_not_blamed_on_the_user(subject: Subject, exchange: Exchange) -> None:
    """A rate limit or an outage is never narrowed to an error that says the request is wrong."""
    for status in (429, 500, 503):
        for body in (BODY, {"error": {"message": "try later", "code": "rate_limit_exceeded", "type": "server_error"}}):
            error: Any = fail(subject, exchange, Reply.of(msgspec.json.encode(body), status=status)).error
            ensure(not isinstance(error, BadRequestError), f"HTTP {status} gave {error!r}")
            retryable = isinstance(error, RateLimitError) or getattr(error, "retryable", False)
            ensure(retryable, f"HTTP {status} gave {error!r}, which is not retryable")
