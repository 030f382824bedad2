"""The way to providers: httpx, or a faster one that takes its place where it is installed.

base.py    what every transport shares; no httpx
stock.py   the built-in one, over httpx, which is imported when it is used
"""

from __future__ import annotations

import os

from polyport import plugins
from polyport.errors import PluginError, PolyportError
from polyport.transport.base import (
    KEEP_ALIVE,
    AsyncTransport,
    Transport,
    TransportFactory,
    TransportOptions,
    bad_header,
    proxy_for,
    tls_context,
)

__all__ = [
    "KEEP_ALIVE",
    "AsyncTransport",
    "Httpx",
    "Transport",
    "TransportFactory",
    "TransportOptions",
    "agiven",
    "bad_header",
    "factory",
    "given",
    "proxy_for",
    "tls_context",
]


class Httpx:
    """The factory of the built-in transport."""

    def open(self, options: TransportOptions) -> Transport:
        """Return a blocking transport over httpx."""
        from polyport.transport.stock import HttpxTransport

        return HttpxTransport(options)

    def open_async(self, options: TransportOptions) -> AsyncTransport:
        """Return a transport over httpx for the running event loop."""
        from polyport.transport.stock import AsyncHttpxTransport

        return AsyncHttpxTransport(options)


def factory(name: str | None) -> TransportFactory:
    """Return a transport by name: "httpx", a plugin's, or (None) a plugin's where one is installed.

    The environment's POLYPORT_TRANSPORT names one where the client does not. Raises PluginError for an unknown name.
    """
    name = name or os.environ.get("POLYPORT_TRANSPORT")
    installed = plugins.entries(plugins.TRANSPORTS)
    if name == "httpx" or (name is None and not installed):
        return Httpx()
    entry = plugins.find(plugins.TRANSPORTS, name) if name is not None else installed[0]
    if entry is None:
        names = ", ".join(["httpx", *(entry.name for entry in installed)])
        raise PluginError(f"No transport {name!r}. Installed: {names}. Try: pip install polyport-{name}")
    made: TransportFactory = plugins.load(entry)()
    return made


def given(http: object) -> Transport:
    """Return the blocking transport over what the user gave as `http=`. Raises PolyportError for the wrong side."""
    import httpx

    from polyport.transport.stock import GivenTransport

    if isinstance(http, httpx.Client | httpx.BaseTransport):
        return GivenTransport(http)
    raise PolyportError(
        f"Client(http={type(http).__name__}) cannot serve blocking calls: give an httpx.Client, "
        "or call the functions that begin with a."
    )


def agiven(http: object) -> AsyncTransport:
    """Return the asynchronous transport over what the user gave as `http=`. Raises PolyportError for the wrong side."""
    import httpx

    from polyport.transport.stock import AsyncGivenTransport

    if isinstance(http, httpx.AsyncClient | httpx.AsyncBaseTransport):
        return AsyncGivenTransport(http)
    raise PolyportError(
        f"Client(http={type(http).__name__}) cannot serve asynchronous calls: give an httpx.AsyncClient, "
        "or call the functions without a."
    )
