"""A fast transport for polyport: HTTP/1.1 on plain sockets and asyncio's protocols, parsed by llhttp (`httptools`).

Installed next to polyport it is what clients use; `transport="httpx"` says otherwise. The plugin's README has the
figures, and says what the name is about.

    transports.py   the two transports
    blocking.py     calls in the caller's own thread, over sockets.py
    lines.py        the connections of event loops, made by dialing.py and kept by homes.py
    talk.py         one request, its limits and failures, for both: message.py writes it, answer.py reads the reply
    routes.py       where requests go: hosts, proxies (tunnel.py), TLS (tls.py)
"""

from __future__ import annotations

from polyport.transport import AsyncTransport, Transport, TransportOptions
from polyport_reqwest.transports import AsyncReqwestTransport, ReqwestTransport

__all__ = ["AsyncReqwestTransport", "Reqwest", "ReqwestTransport"]


class Reqwest:
    """What the entry point names. Raises PolyportError for options that cannot be honoured."""

    def open(self, options: TransportOptions) -> Transport:
        """Return a blocking transport."""
        return ReqwestTransport(options)

    def open_async(self, options: TransportOptions) -> AsyncTransport:
        """Return an asynchronous transport; any event loop may use it."""
        return AsyncReqwestTransport(options)
