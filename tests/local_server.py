"""A server of a test's own, over HTTP on this machine; and ports for those that are given one."""

from __future__ import annotations

import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import SystemRandom


def free_port() -> int:
    """Return a port where nobody listens, and that no connection gets meanwhile: they begin at 32 768."""
    for port in SystemRandom().sample(range(20_000, 32_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class LocalServer(ThreadingHTTPServer):
    """A server on a free port, at `address`, with a thread for each connection.

    As many callers as come at once may wait: of the five of the standard library, the others are reset.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
