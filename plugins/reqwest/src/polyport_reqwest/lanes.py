"""The connections of the short way: which requests it can carry, where they go, and which connections are idle."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from polyport.flow import HttpRequest
from polyport.transport import KEEP_ALIVE, TransportOptions, proxy_for
from polyport_reqwest.sending import LARGE
from polyport_reqwest.sockets import Address, is_fresh
from polyport_reqwest.tls import tls_context

#: A URL that goes on the wire as it stands: no user, no fragment, nothing left to encode.
PLAIN = re.compile(r"(https?://[a-zA-Z0-9.-]+(?::\d+)?|https?://\[[0-9a-fA-F:.]+\](?::\d+)?)(/[!$-~]*)?$")
METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"})


class Route(NamedTuple):
    """Where an origin's requests go."""

    origin: str
    address: Address
    tls: ssl.SSLContext | None
    host: str


class Lanes:
    """Idle connections by origin, last in first out; threads and event loops share them."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self._routes: dict[str, Route | None] = {}
        self._idle: dict[str, list[tuple[float, socket.socket]]] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def route(self, request: HttpRequest) -> tuple[Route, str] | None:
        """Return where a request goes and its target there, None where only the long way leads."""
        content = request.content
        if content is not None and (not isinstance(content, bytes) or len(content) > LARGE):
            return None
        found = PLAIN.match(request.url)
        if found is None or request.method not in METHODS:
            return None
        origin = found[1]
        if origin not in self._routes:
            self._routes[origin] = self._find(origin)
        route = self._routes[origin]
        return None if route is None else (route, found[2] or "/")

    def avoid(self, route: Route) -> None:
        """Remember that a server does not speak HTTP/1.1."""
        self._routes[route.origin] = None

    def take(self, route: Route) -> socket.socket | None:
        """Return an idle connection that is still good, if there is one."""
        if self._pid != os.getpid():
            # A forked child: the parent goes on using these, and another thread of its may have held the lock.
            self._pid, self._idle, self._lock = os.getpid(), {}, threading.Lock()
        while True:
            with self._lock:
                idle = self._idle.get(route.origin)
                if not idle:
                    return None
                since, line = idle.pop()
            if time.monotonic() - since < KEEP_ALIVE and is_fresh(line):
                return line
            line.close()

    def give(self, route: Route, line: socket.socket) -> None:
        """Take a connection back, and close the oldest one if its time is over."""
        if self._closed:
            return line.close()
        now = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(route.origin, [])
            idle.append((now, line))
            old = idle.pop(0)[1] if now - idle[0][0] > KEEP_ALIVE else None
        return None if old is None else old.close()

    def close(self) -> None:
        """Close the idle connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for lines in idle.values():
            for _, line in lines:
                line.close()

    def _find(self, origin: str) -> Route | None:
        if proxy_for(f"{origin}/", self._options) is not None:
            return None
        parts = urlsplit(origin)
        secure = parts.scheme == "https"
        if secure and self._tls is None:
            self._tls = tls_context(self._options)
        address = Address(parts.hostname or "", parts.port or (443 if secure else 80))
        return Route(origin, address, self._tls if secure else None, parts.netloc)
