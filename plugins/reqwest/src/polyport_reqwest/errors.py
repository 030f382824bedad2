"""wreq's errors in polyport's words: which limit was reached, what broke, and at which host.

wreq says what happened in the notation of Rust's Debug, with the URL in it. What is known of it is read from
there, and what is secret is taken out before the error is chained.
"""

from __future__ import annotations

import re
import time

from wreq import exceptions

from polyport.errors import (
    APIConnectionError,
    APIError,
    BadRequestError,
    InvalidResponseError,
    Timeout,
)
from polyport.flow import HttpRequest, hide

CONNECTING = (exceptions.ConnectionError, exceptions.ProxyConnectionError)
FAILURES = (
    *CONNECTING,
    exceptions.BodyError,
    exceptions.BuilderError,
    exceptions.ConnectionResetError,
    exceptions.DecodingError,
    exceptions.RequestError,
    exceptions.TimeoutError,
    exceptions.TlsError,
)
#: A timer of ours has run out; the kernel's own timeout reads `Os { code: 110, kind: TimedOut, ... }`.
OUR_TIMER = re.compile(r'(?:source: |Some\()TimedOut|"connect timeout"')
#: What wreq writes -> what it means; `{}` is the pattern's first group. The first that is found counts.
REASONS = (
    (r'reason: "([A-Z0-9_]+)"', "TLS says {}"),
    (r'message: "([^"]+)"', "{}"),
    (r"ProxyAuthRequired", "the proxy wants a user name and a password"),
    (r"IncompleteMessage", "it was closed before a reply came"),
    (r"IncompleteBody|[Uu]nexpected ?E[Oo][Ff]", "it was closed before the reply was complete"),
    (r"Parse\((\w+)", "what came is not HTTP ({})"),
    (r'error: "([^"]+)"', "{}"),
    (r'source: "([^"]+)"', "{}"),
    (r"source: (\w+) }$", "{}"),
)


def translate(error: Exception, request: HttpRequest, started: float | None) -> APIError:
    """Return polyport's error for one of wreq's. `started` is None once a stream has begun: `total` is over then."""
    said = str(error)
    clean(error, request)
    host = host_of(request.url)
    if OUR_TIMER.search(said):
        return late(request, _limit(error, request, started))
    if isinstance(error, exceptions.BuilderError):
        return no_address(request.url, reason(said))
    if isinstance(error, exceptions.DecodingError) and "netty::Error(Body" not in said:
        return InvalidResponseError(f"The reply of {host} cannot be decompressed: {reason(said)}")
    return APIConnectionError(f"The connection to {host} failed: {reason(said)}")


def no_address(url: str, why: object) -> BadRequestError:
    """Return the error for a URL that is none."""
    shown = re.sub(r"//[^/@\s]*@", "//***@", url.partition("?")[0][:200])
    return BadRequestError(f"The address {shown!r} is not a URL that can be called: {why}")


def late(request: HttpRequest, limit: str) -> Timeout:
    """Say which limit was reached: "connect", "read" or "total"."""
    seconds = getattr(request.timeout, limit)
    return Timeout(f"{host_of(request.url)} did not answer within {seconds} s ({limit} timeout)")


def clean(error: Exception, request: HttpRequest) -> None:
    """Take the URL's query and password, and every secret, out of an error."""
    text = hide(str(error), request.secrets)
    text = re.sub(r"\?[^\s,}]*", "?***", text)
    error.args = (re.sub(r"//[^/@\s]*@", "//***@", text),)


def reason(said: str) -> str:
    """Return what wreq says went wrong, in words."""
    for pattern, words in REASONS:
        found = re.search(pattern, said)
        if found:
            return words.format(*found.groups())
    return said.partition("source: ")[2][:200] or said[:200]


def host_of(url: str) -> str:
    """Return a URL's host and port: all of it that an error may show."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2] or url[:80]


def _limit(error: Exception, request: HttpRequest, started: float | None) -> str:
    if isinstance(error, CONNECTING):
        return "connect"
    total = request.timeout.total
    over = started is not None and total is not None and time.monotonic() - started >= total
    return "total" if over else "read"
