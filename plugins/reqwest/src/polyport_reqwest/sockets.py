"""Connections of blocking calls: sockets that wait as long as the request may, in the caller's own thread."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from polyport_reqwest.answer import Answer
from polyport_reqwest.routes import Address, Route
from polyport_reqwest.talk import Talk
from polyport_reqwest.tunnel import dialogue

T = TypeVar("T")

READ, WRITE = 1, 4  # select.POLLIN and POLLOUT, where there is poll
SIZE = 64 * 1024  # more would be mapped and unmapped with every read
#: `poll` takes milliseconds in 32 bits.
LONGEST = 1_000_000.0


class Wire:
    """One connection. Forgotten, it closes without a warning."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.answer = Answer()
        self.since = 0.0

    def __del__(self) -> None:
        self.close()

    def send(self, data: bytes, talk: Talk) -> None:
        """Send all of it. Raises OSError, Timeout."""
        view = memoryview(data)
        while view:
            view = view[self._go_on(partial(self.line.send, view), WRITE, talk) :]

    def receive(self, talk: Talk) -> bytes:
        """Wait for something and return it; nothing at the connection's end. Raises OSError, Timeout."""
        if not (isinstance(self.line, ssl.SSLSocket) and self.line.pending()):
            wait(self.line, READ, talk)
        return self._go_on(lambda: self.line.recv(SIZE), READ, talk)

    def secure(self, context: ssl.SSLContext, host: str, talk: Talk) -> None:
        """Speak TLS from now on. Raises OSError, Timeout."""
        line = context.wrap_socket(self.line, server_hostname=host, do_handshake_on_connect=False)
        self.line = line
        self._go_on(line.do_handshake, READ, talk)

    def is_fresh(self) -> bool:
        """Say whether it is open, with nothing on it that nobody asked for."""
        try:
            self.line.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def shut(self) -> None:
        """End it, so that a thread that waits for it wakes up."""
        with contextlib.suppress(OSError):  # the other side may be faster
            self.line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self.line.close()

    def _go_on(self, work: Callable[[], T], event: int, talk: Talk) -> T:
        while True:
            try:
                return work()
            except BlockingIOError:
                wait(self.line, event, talk)
            except ssl.SSLWantReadError:
                wait(self.line, READ, talk)
            except ssl.SSLWantWriteError:
                wait(self.line, WRITE, talk)


class Inner(Wire):
    """TLS within another connection's TLS, which `ssl` does in memory only: to a host through an https proxy."""

    def __init__(self, outer: Wire, context: ssl.SSLContext, host: str) -> None:
        super().__init__(outer.line)
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self, talk: Talk) -> Wire:
        """Return it when it is ready. Raises OSError, Timeout."""
        self._through(self._tls.do_handshake, talk)
        return self

    def send(self, data: bytes, talk: Talk) -> None:
        """Send all of it."""
        self._through(lambda: self._tls.write(data), talk)  # into memory, which takes all

    def receive(self, talk: Talk) -> bytes:
        """Wait for something and return it."""
        try:
            return self._through(lambda: self._tls.read(SIZE), talk)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def is_fresh(self) -> bool:
        """Say whether it is open and silent."""
        return self._outer.is_fresh()

    def _through(self, work: Callable[[], T], talk: Talk) -> T:
        while True:
            try:
                result = work()
            except ssl.SSLWantReadError:
                self._flush(talk)
                data = self._outer.receive(talk)
                self._incoming.write(data) if data else self._incoming.write_eof()
            else:
                self._flush(talk)
                return result

    def _flush(self, talk: Talk) -> None:
        if self._outgoing.pending:
            self._outer.send(self._outgoing.read(), talk)


def dial(route: Route, talk: Talk) -> Wire:
    """Return a new connection along a route. Raises OSError, Broken, Timeout."""
    wire = _connect(route.dialled, talk)
    try:
        if route.first_tls is not None:
            wire.secure(route.first_tls, route.first.host, talk)
        if route.tunnel is None:
            return wire
        _ask(wire, route, talk)
        if route.tls is None:
            return wire
        if route.first_tls is not None:
            return Inner(wire, route.tls, route.address.host).shake_hands(talk)
        wire.secure(route.tls, route.address.host, talk)
        return wire
    except BaseException:
        wire.close()
        raise


def _ask(wire: Wire, route: Route, talk: Talk) -> None:
    """Have the proxy open a tunnel."""
    assert route.tunnel is not None
    talking = dialogue(route.tunnel, route.address)
    say = next(talking)
    with contextlib.suppress(StopIteration):
        while True:
            if say:
                wire.send(say, talk)
            say = talking.send(wire.receive(talk))


def _connect(address: Address, talk: Talk) -> Wire:
    """Return a connection to the first of the host's addresses that answers."""
    failure: OSError = OSError(errno.EHOSTUNREACH, "the host has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            line.setblocking(False)
            _reach(line, where, talk)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            line.close()
            failure = error
        except BaseException:
            line.close()
            raise
        else:
            return Wire(line)
    raise failure


def _reach(line: socket.socket, where: Any, talk: Talk) -> None:
    code = line.connect_ex(where)
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        wait(line, WRITE, talk)
        code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def wait(line: socket.socket, event: int, talk: Talk) -> None:
    """Wait until a socket is ready. Raises Timeout. Ctrl-C interrupts it."""
    seconds = talk.left()
    if seconds <= 0:
        raise talk.late()
    seconds = min(seconds, LONGEST)
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(line, event)
        ready: Any = poll.poll(seconds * 1000)
    else:
        lists = ([line], []) if event == READ else ([], [line])
        ready = any(select.select(*lists, lists[1], seconds))
    if not ready and talk.left() <= 0:
        raise talk.late()
