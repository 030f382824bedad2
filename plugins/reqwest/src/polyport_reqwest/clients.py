"""wreq's clients: built from TransportOptions, shared by every request with the same connect timeout."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import wreq
from wreq.exceptions import BuilderError

from polyport.errors import PolyportError
from polyport.transport import KEEP_ALIVE, TransportOptions, proxy_for
from polyport_reqwest.errors import no_address
from polyport_reqwest.tls import tls_settings

#: Connect timeouts that are remembered, each with connections of its own; the oldest makes room for a ninth.
MOST = 8
#: HTTP/2's default window of 64 KiB holds a distant provider to a few MB/s.
WINDOW = 2 * 1024 * 1024
#: wreq takes other schemes, too, and ports that are no number, and then goes without a proxy.
PROXIES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})

#: By process: the threads that do the I/O. A forked child has none of its parent's, and needs its own.
_runtimes: dict[int, wreq.Runtime] = {}


def runtime() -> wreq.Runtime:
    """Return the threads that all transports of this process share."""
    pid = os.getpid()
    if pid not in _runtimes:
        _runtimes[pid] = wreq.Runtime(workers=min(4, _cores()), thread_name="polyport-reqwest")
    return _runtimes[pid]


def _cores() -> int:
    """Return how many cores this process may use: a second thread on one core costs 12 µs a call."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Clients:
    """The clients of one transport. wreq takes a connect timeout per client only, so there is one for each."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._settings: dict[str, Any] = {
            "redirect": wreq.redirect.Policy.none(),
            "no_proxy": True,  # which proxy, we say with each request
            "dns_options": wreq.DnsOptions(system_dns=True),
            "http2_options": wreq.Http2Options(initial_window_size=WINDOW, initial_connection_window_size=2 * WINDOW),
            "pool_idle_timeout": timedelta(seconds=KEEP_ALIVE),
            **tls_settings(options),
        }
        self._clients: dict[float | None, wreq.Client] = {}
        self._routes: dict[str, dict[str, Any]] = {}
        self._opening = threading.Lock()
        self._pid = os.getpid()
        self._inherited: list[object] = []

    def get(self, connect: float | None) -> wreq.Client:
        """Return the client that waits `connect` seconds for a connection."""
        if self._pid != os.getpid():
            self._leave_parent()
        return self._clients.get(connect) or self._open(connect)

    def route(self, url: str) -> dict[str, Any]:
        """Return wreq's argument for the proxy to a URL; none for a direct connection."""
        origin = url[: url.find("/", 8)]
        route = self._routes.get(origin)
        if route is None:
            route = self._routes[origin] = self._find_proxy(url)
        return route

    def close(self) -> None:
        """Let go of the clients: idle connections close now, those in use when their reply is done."""
        self._clients = {}

    def _open(self, connect: float | None) -> wreq.Client:
        with self._opening:
            if connect not in self._clients:
                limit: dict[str, Any] = {} if connect is None else {"connect_timeout": timedelta(seconds=connect)}
                self._clients[connect] = wreq.Client(runtime=runtime(), **self._settings, **limit)
            if len(self._clients) > MOST:
                del self._clients[next(iter(self._clients))]
            return self._clients[connect]

    def _find_proxy(self, url: str) -> dict[str, Any]:
        try:
            urlsplit(url).port  # noqa: B018  raises for one that is no number; wreq would leave it out
            address = proxy_for(url, self._options)
        except ValueError as error:
            raise no_address(url, error) from error
        return {} if address is None else {"proxy": _proxy(address)}

    def _leave_parent(self) -> None:
        """Start afresh in a forked child. The parent's connections are kept untouched: closing them would tell."""
        self._inherited.append(self._clients)
        self._clients, self._opening, self._pid = {}, threading.Lock(), os.getpid()


def _proxy(address: str) -> wreq.Proxy:
    """Return wreq's proxy. The error is not chained: it has the proxy's password."""
    try:
        parts = urlsplit(address)
        if parts.scheme in PROXIES and parts.hostname and parts.port != 0:
            return wreq.Proxy.all(address)
    except (ValueError, BuilderError):
        pass
    shown = address.rpartition("@")[2]
    raise PolyportError(f"The proxy {shown!r} cannot be used: it is not a URL of http, https, socks4 or socks5")
