"""The two transports, blocking and asynchronous, the open bodies that they hand out, and which way a request goes.

The short way (short.py) is for blocking calls and for streams, the long way (exchange.py) for all else: what the
short way cannot carry, and calls on an event loop, of which reqwest's threads serve twice as many.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from polyport.flow import HttpReply, HttpRequest
from polyport.transport import TransportOptions
from polyport_reqwest.clients import Clients
from polyport_reqwest.exchange import Exchange
from polyport_reqwest.frames import Frames
from polyport_reqwest.lanes import Lanes
from polyport_reqwest.loop import run
from polyport_reqwest.short import NotHttp1, Talk
from polyport_reqwest.waiting import adrive, drive

T = TypeVar("T")

#: asyncio's loop for Windows cannot watch a socket of ours.
WATCHES_SOCKETS = sys.platform != "win32"


class _Ways:
    """What both transports have: reqwest's clients, and lanes. `short=False` sends everything the long way."""

    def __init__(self, options: TransportOptions, *, short: bool = True) -> None:
        self._clients = Clients(options)
        self._lanes = Lanes(options)
        self._short = short

    def _talk(self, request: HttpRequest) -> Talk | None:
        found = self._lanes.route(request) if self._short else None
        return None if found is None else Talk(request, self._lanes, *found)

    def _close(self) -> None:
        self._clients.close()
        self._lanes.close()


class ReqwestTransport(_Ways):
    """The blocking side. Safe to use from several threads."""

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        talk = self._talk(request)
        if talk is not None:
            try:
                return drive(talk.reply(), talk) or _opened(
                    talk, OpenBody(lambda: drive(talk.piece(), talk), talk.close)
                )
            except NotHttp1:
                pass
        exchange = Exchange(request, self._clients)
        return run(exchange.reply(self._body), exchange)

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._close()

    @staticmethod
    def _body(exchange: Exchange, frames: Frames) -> OpenBody:
        return OpenBody(lambda: run(exchange.piece(frames), exchange), frames.close)


class AsyncReqwestTransport(_Ways):
    """The asynchronous side, for any event loop. Cancelling `send` closes its connection."""

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        talk = self._talk(request) if request.stream and WATCHES_SOCKETS else None
        if talk is not None:
            try:
                reply = await adrive(talk.reply(), talk)
                return reply or _opened(talk, AsyncOpenBody(lambda: adrive(talk.piece(), talk), talk.close))
            except NotHttp1:
                pass
        exchange = Exchange(request, self._clients)
        return await within(exchange, exchange.reply(self._body))

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._close()

    @staticmethod
    def _body(exchange: Exchange, frames: Frames) -> AsyncOpenBody:
        return AsyncOpenBody(lambda: within(exchange, exchange.piece(frames)), frames.close)


class OpenBody:
    """An open body of a blocking call. Forgotten without being closed, it closes its connection."""

    def __init__(self, read: Callable[[], bytes | None], close: Callable[[], None]) -> None:
        self._read = read
        self._close = close

    def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        return self._read()

    def close(self) -> None:
        """Close the connection, unless the reply was read to its end; any thread may."""
        self._close()


class AsyncOpenBody:
    """An open body of an asynchronous call. Forgotten without being closed, it closes its connection."""

    def __init__(self, read: Callable[[], Awaitable[bytes | None]], close: Callable[[], None]) -> None:
        self._read = read
        self._close = close

    async def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        return await self._read()

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        self._close()


def _opened(talk: Talk, body: OpenBody | AsyncOpenBody) -> HttpReply:
    status, headers = talk.opened()
    return HttpReply(status=status, headers=headers, source=body)


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
