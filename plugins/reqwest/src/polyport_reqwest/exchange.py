"""One request and its reply, written once: coroutines that asyncio runs, or the loop of a blocking call.

wreq's own timers keep the limits where they can. Two it cannot know, and `left` watches those: `total` of a stream
ends with its first piece, and `read` must not run while the body is still being sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from wreq import Method, Response

from polyport.errors import BadRequestError, Timeout
from polyport.flow import AnySource, HttpReply, HttpRequest, TimeoutSpec
from polyport.transport import bad_header
from polyport_reqwest.clients import Clients
from polyport_reqwest.errors import FAILURES, host_of, late, translate
from polyport_reqwest.frames import Frames
from polyport_reqwest.headers import Headers
from polyport_reqwest.sending import in_pieces

FOR_EVER = float("inf")
BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
METHODS: dict[str, Method] = {name: getattr(Method, name) for name in (*BODILESS, "POST", "PUT", "PATCH")}


class Exchange:
    """A request on its way. `watched` says that somebody must ask `left` while it waits."""

    __slots__ = ("_clients", "_sending", "_started", "request", "watched")

    def __init__(self, request: HttpRequest, clients: Clients) -> None:
        self.request = request
        self.watched = False
        self._clients = clients
        self._started: float | None = time.monotonic()
        self._sending = in_pieces(request.content)
        if request.stream or self._sending is not None:
            self.watched = self.left() != FOR_EVER

    # --- the conversation ---

    async def reply(self, source: Callable[[Exchange, Frames], AnySource]) -> HttpReply:
        """Send the request and return the reply; `source` makes what reads the body of a stream that succeeded."""
        try:
            response = await self._send()
            status, headers = response.status.as_int(), Headers(response.headers)
            if self.request.stream and status < 400:
                return HttpReply(status=status, headers=headers, source=source(self, Frames(response.stream())))
            return HttpReply(status=status, headers=headers, content=await self._content(response))
        except FAILURES as error:
            raise self._failed(error) from self._cause(error)

    async def piece(self, body: Frames) -> bytes | None:
        """Return the next piece of a reply's body, None at its end."""
        if self._sending is not None:
            self._sending.moved = time.monotonic()
        try:
            piece = await body.read()
        except FAILURES as error:
            raise self._failed(error) from self._cause(error)
        if self.request.stream and self._started is not None:
            self._started = None  # the first piece is here, and `total` is over
            self.watched = self.left() != FOR_EVER
        return piece

    # --- what wreq's timers cannot know ---

    def left(self) -> float:
        """Return for how many seconds more this may wait."""
        return self._limits()[0]

    def late(self) -> Timeout:
        """Return the error for when nothing is left."""
        return late(self.request, self._limits()[1])

    def _limits(self) -> tuple[float, str]:
        limits, now = self.request.timeout, time.monotonic()
        total = read = FOR_EVER
        if self._started is not None and limits.total is not None:
            total = self._started + limits.total - now
        if self._sending is not None and limits.read is not None:
            read = self._sending.moved + limits.read - now
        return (read, "read") if read < total else (total, "total")

    # --- steps ---

    async def _send(self) -> Response:
        request = self.request
        connect, timers = _timers(request.timeout, request.stream, self._sending is not None)
        method = METHODS.get(request.method)
        if method is None:
            raise BadRequestError(f"There is no HTTP method {request.method!r} (for {host_of(request.url)}).")
        arguments = timers | self._clients.route(request.url) | self._body()
        try:
            return await self._clients.get(connect).request(method, request.url, **arguments)
        except UnicodeEncodeError:
            raise bad_header(request) from None
        except RuntimeError as error:
            if "Invalid header" not in str(error):
                raise
            raise bad_header(request) from error

    def _body(self) -> dict[str, Any]:
        """Return wreq's arguments for the headers and the body."""
        request, sending = self.request, self._sending
        if sending is not None:
            length = {} if sending.length is None else {"content-length": str(sending.length)}
            return {"headers": request.headers | length, "body": sending}
        if request.content:
            return {"headers": request.headers, "body": request.content}
        if request.method in BODILESS:
            return {"headers": request.headers}
        return {"headers": {**request.headers, "content-length": "0"}}

    async def _content(self, response: Response) -> bytes:
        if self._sending is None:
            return bytes(await response.bytes())
        body, pieces = Frames(response.stream()), []
        while (piece := await self.piece(body)) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def _failed(self, error: Exception) -> Exception:
        """Return what to raise: the error that ended our own body, as it is, or polyport's for wreq's."""
        ours = self._sending and self._sending.error
        return ours or translate(error, self.request, self._started)

    def _cause(self, error: Exception) -> Exception | None:
        return None if self._sending and self._sending.error else error


@lru_cache(maxsize=256)
def _timers(limits: TimeoutSpec, stream: bool, in_pieces: bool) -> tuple[float | None, dict[str, Any]]:
    """Return the connect timeout, None where `total` is not longer, and wreq's arguments for the other two."""
    connect, read, total = limits.connect, limits.read, limits.total
    found: dict[str, Any] = {}
    if total is not None and not stream:
        found["timeout"] = _delta(total)
    if read is not None and not in_pieces and (stream or total is None or read < total):
        found["read_timeout"] = _delta(read)
    return (None if connect is None or (total is not None and total <= connect) else connect), found


def _delta(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.001), 1e9))  # wreq takes 0 for no limit
