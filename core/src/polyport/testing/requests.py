"""Checks of what goes out: a complete request, signed, with everything the user gave in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from polyport.auth import AnyOf, ApiKey, Body, NoAuth, Signer
from polyport.errors import AuthenticationError, UnsupportedParamsError
from polyport.flow import HttpRequest
from polyport.testing.bench import KEY, Subject, ensure, simulate
from polyport.testing.exchange import IN_PROCESS, Exchange

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
#: Headers that a request has without being signed.
PLAIN_HEADERS = frozenset({"user-agent", "content-type", "accept"})
UNKNOWN = "contract_unknown"


def streams(exchange: Exchange) -> bool:
    """Whether requests are looked at through the stream, as the exchange records no reply over the wire."""
    return exchange.reply is None or exchange.reply is IN_PROCESS


def sent(subject: Subject, exchange: Exchange, **more: Any) -> list[HttpRequest]:
    """Return the requests that the recorded call makes."""
    outcome = simulate(subject, exchange, stream=streams(exchange), **more)
    outcome.value(f"the call with {', '.join(more)}" if more else "the recorded call")
    ensure(outcome.requests, "nothing was sent; a hook that works in process is recorded with IN_PROCESS")
    return outcome.requests


def body_of(request: HttpRequest) -> bytes:
    """Return a request's whole body."""
    content = request.content
    return content if isinstance(content, bytes) else b"".join(content or ())


def takes_fields(request: HttpRequest) -> bool:
    """Whether a request's body has room for named values: JSON or a form."""
    kind = request.headers.get("content-type", "")
    return request.json is not msgspec.UNSET or request.form is not None or "json" in kind


def request_is_complete(subject: Subject, exchange: Exchange) -> None:
    """Every request has a known method, an absolute URL without open places, and a readable JSON body."""
    for request in sent(subject, exchange):
        ensure(request.method in METHODS, f"{request!r} has the method {request.method!r}")
        parts = urlsplit(request.url)
        ensure(parts.scheme in ("http", "https") and parts.hostname, f"{request!r} has no absolute URL")
        ensure("{" not in request.url, f"{request!r} has a place in its URL that was not filled")
        ensure("None" not in parts.path.split("/"), f"{request!r} has None in its path")
        if request.json is not msgspec.UNSET:
            msgspec.json.decode(body_of(request))
            kind = request.headers.get("content-type", "")
            ensure("json" in kind, f"{request!r} has a JSON body and the content type {kind!r}")


def request_leaves_input_alone(subject: Subject, exchange: Exchange) -> None:
    """A translation reads what the user gave, nested messages and tools included, and never changes it."""
    before, given = exchange.fields(), exchange.fields()
    simulate(subject, _given(exchange, given), stream=streams(exchange)).value()
    changed = [name for name, value in before.items() if given.get(name) != value]
    ensure(not changed, f"the call changed the user's own {', '.join(changed)}")


class _Given(Exchange, frozen=True):
    """An exchange whose arguments are handed out as they are, to see whether they are changed."""

    def fields(self, *, stream: bool = False, **more: Any) -> dict[str, Any]:
        """Return the keyword arguments of the call, the nested ones not copied."""
        return {**self.call, **({"stream": True} if stream else {}), **more}


def _given(exchange: Exchange, fields: dict[str, Any]) -> Exchange:
    return _Given(**{**msgspec.structs.asdict(exchange), "call": fields})


def request_is_signed(subject: Subject, exchange: Exchange) -> None:
    """The key is in a header or the query of some request, and in no body; or only in bodies, where auth says so."""
    requests = sent(subject, exchange)
    auth = subject.provider.auth
    if isinstance(auth, Signer):
        plain = {*PLAIN_HEADERS, *(name.lower() for name in subject.provider.headers)}
        signed = any(set(request.headers) - plain or urlsplit(request.url).query for request in requests)
        ensure(signed, f"{type(auth).__name__} left no trace in any header or query")
        return
    places = [text for request in requests for text in (request.url, *request.headers.values())]
    shown = any(KEY in text or quote(KEY, safe="") in text for text in places)
    if isinstance(auth, Body):
        ensure(any(KEY.encode() in body_of(request) for request in requests), "the key is in no request's body")
        ensure(not shown, "the key is in a header or the query, too")
        return
    ensure(shown, "the key is in no header and no query")
    ensure(all(KEY.encode() not in body_of(request) for request in requests), "the key is in a request's body")


def request_needs_a_key(subject: Subject, exchange: Exchange) -> None:
    """Without a key nothing is sent: an AuthenticationError says which variable to set."""
    auth = subject.provider.auth
    ways = auth.ways if isinstance(auth, AnyOf) else (auth,)
    names = [name for way in ways if isinstance(way, ApiKey) for name in way.names]
    env = {name: value for name, value in exchange.env.items() if name not in names}
    outcome = simulate(subject, exchange, stream=streams(exchange), key=None, env=env)
    ensure(isinstance(outcome.error, AuthenticationError), f"a call without a key gave {outcome.error or 'a result'!r}")
    ensure(not outcome.requests, f"a call without a key sent {outcome.requests!r}")
    missing = not names or any(name in str(outcome.error) for name in names)
    ensure(missing, f"the error names none of {', '.join(names)}: {outcome.error}")


def request_has_extra_headers(subject: Subject, exchange: Exchange) -> None:
    """`extra_headers` are on every request, but for those that go to somebody else."""
    for request in sent(subject, exchange, extra_headers={"X-Contract": "kept"}):
        ensure(
            request.unsigned or request.headers.get("x-contract") == "kept",
            f"{request!r} lacks the header of extra_headers",
        )


def request_has_extra_body(subject: Subject, exchange: Exchange) -> None:
    """`extra_body` is in the body of every request whose body is JSON or a form."""
    for request in sent(subject, exchange, extra_body={UNKNOWN: {"a": [1]}}):
        if takes_fields(request):
            ensure(UNKNOWN.encode() in body_of(request), f"the body of {request!r} lacks what extra_body gave")


def request_has_unknown_parameters(subject: Subject, exchange: Exchange) -> None:
    """A keyword that polyport does not know goes on to the provider, or is refused; it is never lost in silence."""
    unknown: dict[str, Any] = {UNKNOWN: {"a": [1]}}
    outcome = simulate(subject, exchange, stream=streams(exchange), **unknown)
    if isinstance(outcome.error, UnsupportedParamsError):
        return
    result = outcome.value(f"the call with the unknown parameter {UNKNOWN}")
    if not any(request.content is not None for request in outcome.requests):
        return
    places = [text for request in outcome.requests for text in (request.url, *request.headers.values())]
    passed = any(UNKNOWN in text for text in places) or any(
        UNKNOWN.encode() in body_of(request) for request in outcome.requests
    )
    adapted = [item.parameter for item in result.meta.adaptations] if hasattr(result, "meta") else []
    ensure(passed or UNKNOWN in adapted, f"the unknown parameter {UNKNOWN} is in no request: pass request.extra on")


def keyed(subject: Subject) -> bool:
    """Whether the provider declares an auth that finds a key."""
    return not isinstance(subject.provider.auth, NoAuth | Signer)


def signs(subject: Subject) -> bool:
    """Whether the provider declares an auth that leaves a trace in its requests."""
    return not isinstance(subject.provider.auth, NoAuth)
