"""A transport for polyport over wreq, a fork of Rust's reqwest: compiled HTTP/1.1 and 2, TLS and proxies.

Installed next to polyport it is what clients use; `transport="httpx"` says otherwise. The plugin's README has the
figures, and why it is this client of the reqwest family and not another.
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
