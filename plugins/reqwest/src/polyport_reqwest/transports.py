"""The two transports: what a blocking call and a call on an event loop come in by."""

from __future__ import annotations

import asyncio
import contextlib
import weakref

from polyport.flow import HttpReply, HttpRequest
from polyport.transport import KEEP_ALIVE, TransportOptions
from polyport_reqwest import blocking
from polyport_reqwest.blocking import Wires
from polyport_reqwest.dialing import dial
from polyport_reqwest.homes import Home
from polyport_reqwest.routes import Routes
from polyport_reqwest.talk import Stale, Talk


class ReqwestTransport:
    """The blocking side. Safe to use from several threads. `keep_alive` is how long an idle connection is kept."""

    def __init__(self, options: TransportOptions, keep_alive: float = KEEP_ALIVE) -> None:
        self._routes, self._wires = Routes(options), Wires(keep_alive)

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        return blocking.send(request, self._routes, self._wires)

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._wires.close()


class AsyncReqwestTransport:
    """The asynchronous side, for any event loop: each has connections of its own, which close with it.

    Cancelling `send` closes its connection. `keep_alive` is how long an idle connection is kept, in seconds.
    """

    def __init__(self, options: TransportOptions, keep_alive: float = KEEP_ALIVE) -> None:
        self._keep_alive = keep_alive
        self._routes = Routes(options)
        self._homes: dict[asyncio.AbstractEventLoop, Home] = {}
        self._home: Home | None = None
        self._closed = False
        weakref.finalize(self, _leave, self._homes).atexit = False

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        home = self._home
        if home is None or home.loop is not asyncio.get_running_loop():
            home = await self._here()
        talk = Talk(request, self._routes)
        used = home.take(talk.route)
        if used is not None:
            try:
                return await used.converse(talk)
            except Stale:
                talk.connecting()
        line = await dial(home, talk)
        return await line.converse(talk)

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        self._closed = True
        _leave(self._homes)
        await asyncio.sleep(0)  # this loop's ends
        await asyncio.sleep(0)  # and the loop closes its sockets

    async def _here(self) -> Home:
        """Return what the running loop has."""
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is None:
            for other in [other for other in self._homes if other.is_closed()]:
                del self._homes[other]
            home = self._homes[loop] = Home(loop, self._keep_alive, closed=self._closed)
            await home.keep()
        self._home = home
        return home


def _leave(homes: dict[asyncio.AbstractEventLoop, Home]) -> None:
    """Have every loop close its idle connections."""
    for loop, home in list(homes.items()):
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(home.close)
