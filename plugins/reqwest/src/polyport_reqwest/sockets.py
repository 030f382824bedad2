"""Sockets that never block: what cannot go on yields what it waits for, and either side of the transport waits.

A step is a generator. It yields `(socket, READ)` or `(socket, WRITE)`, or an Address to be looked up, whose
`getaddrinfo` rows it is sent.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

READ, WRITE = 1, 4  # select.POLLIN and POLLOUT, where there is poll
SIZE = 64 * 1024  # more would be mapped and unmapped with every read


class Address(NamedTuple):
    """A host and port to be looked up."""

    host: str
    port: int


Step: TypeAlias = Generator["tuple[socket.socket, int] | Address", Any, T]


class Socket(socket.socket):
    """A socket that closes without a warning when it is forgotten."""

    def __del__(self) -> None:
        self.close()


class TlsSocket(ssl.SSLSocket):
    """The same with TLS around it."""

    def __del__(self) -> None:
        self.close()


def dial(address: Address, tls: ssl.SSLContext | None) -> Step[socket.socket]:
    """Return a connection to the first of the host's addresses that answers. Raises OSError."""
    rows = yield address
    failure: OSError = OSError(errno.EHOSTUNREACH, "the host has no address")
    for family, kind, protocol, _, where in rows:
        line: socket.socket = Socket(family, kind, protocol)
        line.setblocking(False)
        try:
            yield from _connect(line, where)
        except OSError as error:
            line.close()
            failure = error
        else:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return line if tls is None else (yield from _secure(line, address.host, tls))
    raise failure


def _connect(line: socket.socket, where: Any) -> Step[None]:
    code = line.connect_ex(where)
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        yield line, WRITE
        code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _secure(line: socket.socket, host: str, tls: ssl.SSLContext) -> Step[socket.socket]:
    secured = tls.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            yield secured, READ
        except ssl.SSLWantWriteError:
            yield secured, WRITE
        else:
            return secured


def send(line: socket.socket, data: bytes) -> Step[None]:
    """Send all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[line.send(view) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            yield line, WRITE
        except ssl.SSLWantReadError:
            yield line, READ


def receive(line: socket.socket) -> Step[bytes]:
    """Wait for something and return it; nothing at the connection's end. Raises OSError."""
    if not (isinstance(line, ssl.SSLSocket) and line.pending()):
        yield line, READ
    while True:
        try:
            return line.recv(SIZE)
        except (BlockingIOError, ssl.SSLWantReadError):
            yield line, READ
        except ssl.SSLWantWriteError:
            yield line, WRITE


def is_fresh(line: socket.socket) -> bool:
    """Say whether an idle connection is open, with nothing on it that nobody asked for."""
    try:
        line.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False
