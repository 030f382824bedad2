"""A fast transport for polyport: llhttp for what most requests are, Rust's reqwest (as wreq) for all the others.

Installed next to polyport it is what clients use; `transport="httpx"` says otherwise. The plugin's README says which
request goes which way, and has the figures.

    transports.py   the two transports, and which way a request goes
    short.py        the short way: HTTP/1.1 in the caller's own thread
                    answer.py lanes.py sockets.py waiting.py
    exchange.py     the long way: reqwest in threads of its own
                    clients.py errors.py frames.py headers.py loop.py sending.py
    tls.py          whom to trust and who we are, for both
"""

from __future__ import annotations

from polyport.transport import AsyncTransport, Transport, TransportOptions
from polyport_reqwest.transports import AsyncReqwestTransport, ReqwestTransport

__all__ = ["AsyncReqwestTransport", "Reqwest", "ReqwestTransport"]


class Reqwest:
    """What the entry point names. Raises PolyportError for options that reqwest cannot honour."""

    def open(self, options: TransportOptions) -> Transport:
        """Return a blocking transport."""
        return ReqwestTransport(options)

    def open_async(self, options: TransportOptions) -> AsyncTransport:
        """Return an asynchronous transport; any event loop may use it."""
        return AsyncReqwestTransport(options)
