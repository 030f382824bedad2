"""The short way: one request and its reply over HTTP/1.1, in the caller's own thread.

It carries what nearly every call is: a body in memory, straight to the server. The rest is reqwest's (exchange.py).
Written once: its methods are steps (sockets.py), which a blocking call and an event loop wait for alike.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from functools import lru_cache

from polyport.errors import (
    APIConnectionError,
    APIError,
    InvalidResponseError,
    Timeout,
)
from polyport.flow import HttpReply, HttpRequest
from polyport.transport import bad_header
from polyport_reqwest.answer import DECODINGS, Answer, Broken, Undecodable
from polyport_reqwest.errors import host_of, late
from polyport_reqwest.lanes import Lanes, Route
from polyport_reqwest.sockets import Step, dial, receive, send

FOR_EVER = float("inf")
BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


class NotHttp1(Exception):
    """The server speaks no HTTP/1.1: its requests go the long way."""


class Talk:
    """One request and its reply."""

    __slots__ = (
        "_answer",
        "_busy",
        "_lanes",
        "_line",
        "_moved",
        "_phase",
        "_route",
        "_started",
        "_target",
        "_whole",
        "request",
    )

    def __init__(self, request: HttpRequest, lanes: Lanes, route: Route, target: str) -> None:
        self.request = request
        self._lanes, self._route, self._target = lanes, route, target
        self._answer = Answer(request.method)
        self._line: socket.socket | None = None
        self._started: float | None = time.monotonic()
        self._moved = self._started
        self._phase = "connect"
        self._busy = False
        self._whole = True

    # --- steps ---

    def reply(self) -> Step[HttpReply | None]:
        """Send the request and return the reply; None for a stream that succeeded, whose `piece`s are to be read."""
        answer, request = self._answer, self.request
        try:
            yield from self._send(_message(request, self._target, self._route.host))
            while not answer.began:
                yield from self._receive()
            if request.stream and answer.status < 400:
                return None
            while not answer.complete:
                yield from self._receive()
            content = answer.take()
        except (OSError, Broken, Undecodable) as error:
            self.close()
            raise self._failed(error) from error
        except BaseException:
            self.close()
            raise
        self._finish()
        return HttpReply(status=answer.status, headers=answer.headers, content=content)

    def piece(self) -> Step[bytes | None]:
        """Return the next piece of a stream, None at its end."""
        self._busy, self._moved = True, time.monotonic()
        try:
            while self._line is not None:
                data = self._answer.take()
                if data:
                    self._started = None  # the first piece is here, and `total` is over
                    return data
                if self._answer.complete:
                    self._finish()
                else:
                    yield from self._receive()
        except (OSError, Broken, Undecodable) as error:
            if self._phase == "closed":  # by another thread
                return None
            raise self._failed(error) from error
        except BaseException:
            self._phase = "closed"
            raise
        finally:
            self._busy = False
            if self._phase == "closed":
                self.close()
        return None

    def opened(self) -> tuple[int, dict[str, str]]:
        """Return the status and headers of a stream."""
        return self._answer.status, self._answer.headers

    def close(self) -> None:
        """Close the connection. A reader in another thread wakes up, finds the stream over and closes it itself."""
        self._phase = "closed"
        line = self._line
        if line is None:
            return
        if self._busy:
            _shut(line)
        else:
            self._line = None
            line.close()

    # --- limits ---

    def left(self) -> float:
        """Return for how many seconds more this may wait."""
        return self._limit()[0]

    def late(self) -> Timeout:
        """Return the error for when nothing is left."""
        return late(self.request, self._limit()[1])

    def _limit(self) -> tuple[float, str]:
        limits, now = self.request.timeout, time.monotonic()
        phase = "connect" if self._phase == "connect" else "read"
        wait: float | None = getattr(limits, phase)
        mine = FOR_EVER if wait is None else self._moved + wait - now
        total = FOR_EVER
        if self._started is not None and limits.total is not None:
            total = self._started + limits.total - now
        return (mine, phase) if mine < total else (total, "total")

    # --- parts of steps ---

    def _send(self, data: bytes) -> Step[None]:
        line = self._lanes.take(self._route)
        if line is None:
            line = yield from self._dial()
        self._line, self._phase, self._moved = line, "read", time.monotonic()
        try:
            yield from send(line, data)
        except OSError:  # a server may answer, and hang up, before it has read all
            self._whole = False

    def _dial(self) -> Step[socket.socket]:
        try:
            return (yield from dial(self._route.address, self._route.tls))
        except ssl.SSLError as error:
            if "no application protocol" in str(error).lower().replace("_", " "):
                self._lanes.avoid(self._route)
                raise NotHttp1 from error
            raise

    def _receive(self) -> Step[None]:
        assert self._line is not None
        data = yield from receive(self._line)
        self._moved = time.monotonic()
        self._answer.feed(data)

    def _finish(self) -> None:
        line, self._line = self._line, None
        if line is not None and self._answer.reusable and self._whole:
            self._lanes.give(self._route, line)
        elif line is not None:
            line.close()

    def _failed(self, error: Exception) -> APIError:
        host = host_of(self.request.url)
        if isinstance(error, Undecodable):
            return InvalidResponseError(f"The reply of {host} cannot be decompressed: {error}")
        return APIConnectionError(f"The connection to {host} failed: {reason(error)}")


def reason(error: Exception) -> str:
    """Return what an error says, without its number."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS says {error.reason}"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side may be faster
        line.shutdown(socket.SHUT_RDWR)


def _message(request: HttpRequest, target: str, host: str) -> bytes:
    """Return the request as it goes on the wire. Raises BadRequestError for a header that is none."""
    headers = request.headers
    body = request.content if isinstance(request.content, bytes) else b""
    lines = [f"{request.method} {target} HTTP/1.1\r\n"]
    if "host" not in headers:
        lines.append(f"host: {host}\r\n")
    for name, value in headers.items():
        if not _is_token(name) or value != value.strip() or CONTROL.search(value):
            raise bad_header(request)
        lines.append(f"{name}: {value}\r\n")
    if "accept-encoding" not in headers:
        lines.append(f"accept-encoding: {DECODINGS}\r\n")
    if body or request.method not in BODILESS:
        lines.append(f"content-length: {len(body)}\r\n")
    lines.append("\r\n")
    try:
        return "".join(lines).encode() + body
    except UnicodeEncodeError:
        raise bad_header(request) from None


@lru_cache(maxsize=1024)
def _is_token(name: str) -> bool:
    return TOKEN.fullmatch(name) is not None
