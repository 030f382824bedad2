"""The way of event loops to a new connection: straight or through a proxy, in clear or in TLS."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from polyport_reqwest.answer import Broken
from polyport_reqwest.homes import Home
from polyport_reqwest.lines import Line
from polyport_reqwest.routes import Route
from polyport_reqwest.talk import FOR_EVER, Talk
from polyport_reqwest.tunnel import Dialogue, dialogue

#: For limits that somebody else keeps: asyncio wants one for a TLS handshake.
LONGEST = 86400.0


async def dial(home: Home, talk: Talk) -> Line:
    """Return a new connection along a route. Raises APIConnectionError or Timeout."""
    left = talk.left()
    try:
        async with asyncio.timeout(None if left == FOR_EVER else left) as scope:
            return await _reach(home, talk.route)
    except (OSError, Broken) as error:  # a TimeoutError is an OSError
        if scope.expired():
            raise talk.late() from None
        raise talk.failed(error) from error


async def _reach(home: Home, route: Route) -> Line:
    line, loop = Line(home, route.key), home.loop
    if route.tunnel is None:
        await _connect(loop, line, route)
        return line
    stand = Stand()
    transport = await _connect(loop, stand, route)
    try:
        await stand.talk(transport, dialogue(route.tunnel, route.address))
        if route.tls is not None:
            secured = await loop.start_tls(
                transport, line, route.tls, server_hostname=route.address.host, ssl_handshake_timeout=LONGEST
            )
            assert secured is not None
            line.connection_made(secured)
        else:
            transport.set_protocol(line)
            line.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return line


async def _connect(loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, route: Route) -> asyncio.Transport:
    """Connect to the host, or to its proxy."""
    (host, port), name, tls = route.dialled, route.first.host, route.first_tls
    more: dict[str, Any] = {} if tls is None else {"server_hostname": name, "ssl_handshake_timeout": LONGEST}
    transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=tls, **more)
    return transport


class Stand(asyncio.Protocol):
    """A protocol for the time before a connection has one, while a proxy is asked for a tunnel."""

    def __init__(self) -> None:
        self._came = asyncio.Queue[bytes]()

    def data_received(self, data: bytes) -> None:
        """Keep what the proxy says."""
        self._came.put_nowait(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Know that it is gone."""
        self._came.put_nowait(b"")

    async def talk(self, transport: asyncio.WriteTransport, talking: Dialogue) -> None:
        """Lead a dialogue to its end. Raises Broken."""
        say = next(talking)
        with contextlib.suppress(StopIteration):
            while True:
                if say:
                    transport.write(say)
                say = talking.send(await self._came.get())
