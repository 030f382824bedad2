"""The two transports, blocking and asynchronous, and the open bodies that they hand out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from polyport.flow import HttpReply, HttpRequest
from polyport.transport import TransportOptions
from polyport_reqwest.clients import Clients
from polyport_reqwest.exchange import Exchange
from polyport_reqwest.frames import Frames
from polyport_reqwest.loop import run

T = TypeVar("T")


class ReqwestTransport:
    """The blocking side. Safe to use from several threads."""

    def __init__(self, options: TransportOptions) -> None:
        self._clients = Clients(options)

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        exchange = Exchange(request, self._clients)
        return run(exchange.reply(OpenBody), exchange)

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._clients.close()


class AsyncReqwestTransport:
    """The asynchronous side, for any event loop. Cancelling `send` closes its connection."""

    def __init__(self, options: TransportOptions) -> None:
        self._clients = Clients(options)

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        exchange = Exchange(request, self._clients)
        return await within(exchange, exchange.reply(AsyncOpenBody))

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._clients.close()


class _Body:
    """An open body. Let go of without being closed, it closes its connection."""

    def __init__(self, exchange: Exchange, frames: Frames) -> None:
        self._exchange = exchange
        self._frames = frames

    def _close(self) -> None:
        self._frames.close()


class OpenBody(_Body):
    """An open body of a blocking call."""

    def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        return run(self._exchange.piece(self._frames), self._exchange)

    def close(self) -> None:
        """Close the connection, unless the reply was read to its end; any thread may."""
        self._close()


class AsyncOpenBody(_Body):
    """An open body of an asynchronous call."""

    async def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        return await within(self._exchange, self._exchange.piece(self._frames))

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        self._close()


async def within(exchange: Exchange, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` for as long as the exchange allows. Raises Timeout when nothing is left."""
    if not exchange.watched:
        return await work
    try:
        async with asyncio.timeout(None) as scope:
            watch = _Watch(exchange, scope)
            try:
                return await work
            finally:
                watch.timer.cancel()
    except TimeoutError:
        if not scope.expired():
            raise
        raise exchange.late() from None


class _Watch:
    """Ends a timeout's scope when the exchange has nothing left: later than it looked where a body moved."""

    def __init__(self, exchange: Exchange, scope: asyncio.Timeout) -> None:
        self._exchange = exchange
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self.timer = self._loop.call_later(exchange.left(), self._look)

    def _look(self) -> None:
        left = self._exchange.left()
        if left <= 0:
            self._scope.reschedule(self._loop.time())
        elif self._exchange.watched:
            self.timer = self._loop.call_later(left, self._look)
