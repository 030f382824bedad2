"""One request and what both sides of the transport know of it: its bytes, its limits, and how it may fail. No I/O."""

from __future__ import annotations

import os
import ssl
import time

from polyport.errors import APIConnectionError, APIError, InvalidResponseError, Timeout
from polyport.flow import HttpRequest
from polyport_reqwest.answer import Answer, Undecodable
from polyport_reqwest.message import write
from polyport_reqwest.routes import Route, Routes, host_of

FOR_EVER = float("inf")
#: A server that closes a connection just when a request arrives on it does so within a round trip. One that closes
#: later may have worked on the request, which then is not sent again.
AT_ONCE = 1.0
#: Idle connections to one origin; one more takes the place of the oldest.
MOST_IDLE = 256


class Stale(Exception):
    """A connection that was used before turned out to be closed, before this request was heard."""


class Talk:
    """One request on its way. `message` is what to send first; `moved` is when it last got on."""

    __slots__ = ("_phase", "_started", "_total", "message", "moved", "request", "route")

    def __init__(self, request: HttpRequest, routes: Routes) -> None:
        way = routes.find(request.url)
        self.request = request
        self.route: Route = way.route if request.address is None else way.route.at(request.address)
        self.message = write(request, way)
        self._started = self.moved = time.monotonic()
        self._total = request.timeout.total
        self._phase = "connect"

    def opens(self, status: int) -> bool:
        """Whether a stream's reply of such a status is handed back with its body open."""
        return status < 400 or status in self.request.expect

    # --- where it is ---

    def connecting(self) -> None:
        """Wait for a connection from now on."""
        self._phase, self.moved = "connect", time.monotonic()

    def gathering(self) -> None:
        """Wait for a piece of the request's own body from now on: nobody else is slow then."""
        self._phase = ""

    def connected(self) -> None:
        """Wait for the server from now on."""
        self._phase, self.moved = "read", time.monotonic()

    def flows(self) -> None:
        """Know that a stream's first piece is here, and `total` over."""
        self._total = None

    # --- limits ---

    def due(self) -> float:
        """Return until when this may wait, on the monotonic clock."""
        return self._limit()[0]

    def left(self) -> float:
        """Return for how many seconds more this may wait."""
        return self._limit()[0] - time.monotonic()

    def late(self) -> Timeout:
        """Return the error for when nothing is left."""
        limit = self._limit()[1]
        seconds = getattr(self.request.timeout, limit)
        return Timeout(f"{host_of(self.request.url)} did not answer within {seconds} s ({limit} timeout)")

    def _limit(self) -> tuple[float, str]:
        phase = self._phase
        wait: float | None = getattr(self.request.timeout, phase) if phase else None
        mine = FOR_EVER if wait is None else self.moved + wait
        total = FOR_EVER if self._total is None else self._started + self._total
        return (mine, phase) if mine < total else (total, "total")

    # --- failures ---

    def again(self, answer: Answer) -> bool:
        """Say whether a connection that was used before closed as if it had never seen this request."""
        return not answer.heard and time.monotonic() - self.moved < AT_ONCE

    def failed(self, error: Exception) -> APIError:
        """Return what to raise for a connection's error, or for a reply that is none."""
        host = host_of(self.request.url)
        if isinstance(error, Undecodable):
            return InvalidResponseError(f"The reply of {host} cannot be decompressed: {error}")
        return APIConnectionError(f"The connection to {host} failed: {reason(error)}")


def reason(error: Exception) -> str:
    """Return what an error says, without its number."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS says {error.reason.replace(' ', '_')}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
    return str(error) or type(error).__name__
