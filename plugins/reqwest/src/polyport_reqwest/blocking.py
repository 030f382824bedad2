"""Blocking calls: one request and its reply in the caller's own thread, over connections that threads share."""

from __future__ import annotations

import os
import threading
import time

from polyport.flow import HttpReply, HttpRequest
from polyport_reqwest.answer import Broken, Undecodable
from polyport_reqwest.message import rest
from polyport_reqwest.routes import Route, Routes
from polyport_reqwest.sockets import Wire, dial
from polyport_reqwest.talk import MOST_IDLE, Stale, Talk


class Wires:
    """Idle connections by where they lead, last in first out."""

    def __init__(self, keep_alive: float) -> None:
        self._keep_alive = keep_alive
        self._swept = time.monotonic()
        self._closed = False
        self._idle: dict[str, list[Wire]] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self, route: Route) -> Wire | None:
        """Return an idle connection that is still good, if there is one."""
        if self._pid != os.getpid():
            # A forked child: the parent goes on using these, and another thread of its may have held the lock.
            self._pid, self._idle, self._lock = os.getpid(), {}, threading.Lock()
        while True:
            with self._lock:
                idle = self._idle.get(route.key)
                if not idle:
                    return None
                wire = idle.pop()
            if time.monotonic() - wire.since < self._keep_alive and wire.is_fresh():
                return wire
            wire.close()

    def give(self, route: Route, wire: Wire) -> None:
        """Take a connection back, and close those whose time is over; if there are too many, the oldest makes room."""
        if self._closed:
            return wire.close()
        now = wire.since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(route.key, [])
            idle.append(wire)
            old = [idle.pop(0)] if len(idle) > MOST_IDLE else []
            if now - self._swept > self._keep_alive / 2:
                old += self._sweep(now)
        for wire in old:
            wire.close()
        return None

    def _sweep(self, now: float) -> list[Wire]:
        """Return what has been idle for too long, of all origins."""
        self._swept = now
        wires = [wire for idle in self._idle.values() for wire in idle]
        good = {
            origin: [wire for wire in idle if now - wire.since < self._keep_alive]
            for origin, idle in self._idle.items()
        }
        self._idle = {origin: idle for origin, idle in good.items() if idle}
        return [wire for wire in wires if now - wire.since >= self._keep_alive]

    def close(self) -> None:
        """Close the idle connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for wires in idle.values():
            for wire in wires:
                wire.close()


class OpenBody:
    """An open body of a blocking call. Forgotten without being closed, it closes its connection."""

    def __init__(self, talk: Talk, wire: Wire, wires: Wires, *, whole: bool) -> None:
        self._talk, self._wires, self._whole = talk, wires, whole
        self._wire: Wire | None = wire
        self._busy = self._closed = False

    def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        self._busy, self._talk.moved = True, time.monotonic()
        try:
            return self._read()
        except (OSError, Broken, Undecodable) as error:
            if self._closed:  # by another thread
                return None
            raise self._talk.failed(error) from error
        except BaseException:
            self._closed = True
            raise
        finally:
            self._busy = False
            if self._closed:
                self.close()

    def _read(self) -> bytes | None:
        while (wire := self._wire) is not None:
            data = wire.answer.take()
            if data:
                self._talk.flows()
                return data
            if wire.answer.complete:
                self._wire = None
                finish(self._talk, wire, self._wires, whole=self._whole)
            else:
                receive(self._talk, wire)
        return None

    def close(self) -> None:
        """Close the connection, unless the reply was read to its end. Any thread may: a reader finds it over."""
        self._closed = True
        wire = self._wire
        if wire is None:
            return
        if self._busy:
            wire.shut()
        else:
            self._wire = None
            wire.close()


def send(request: HttpRequest, routes: Routes, wires: Wires) -> HttpReply:
    """Return the reply; for a stream that succeeded, with its body open. Raises APIConnectionError, Timeout."""
    talk = Talk(request, routes)
    used = wires.take(talk.route)
    if used is not None:
        try:
            return _converse(talk, used, wires)
        except Stale:
            talk.connecting()
    try:
        wire = dial(talk.route, talk)
    except (OSError, Broken) as error:
        raise talk.failed(error) from error
    return _converse(talk, wire, wires)


def _converse(talk: Talk, wire: Wire, wires: Wires) -> HttpReply:
    """Send the request and return the reply. Raises Stale where a used connection was closed meanwhile."""
    answer, stream = wire.answer, talk.request.stream
    try:
        answer.expect(talk.request.method)
        talk.connected()
        whole = _send(talk, wire)
        try:
            while not (answer.complete or (stream and answer.began and talk.opens(answer.status))):
                receive(talk, wire)
            if stream and talk.opens(answer.status):
                body = OpenBody(talk, wire, wires, whole=whole)
                return HttpReply(status=answer.status, headers=answer.headers, source=body)
            content = answer.take()
        except (OSError, Broken) as error:
            if wire.since and talk.again(answer):
                raise Stale from error
            raise talk.failed(error) from error
        except Undecodable as error:
            raise talk.failed(error) from error
    except BaseException:
        wire.close()
        raise
    finish(talk, wire, wires, whole=whole)
    return HttpReply(status=answer.status, headers=answer.headers, content=content)


def _send(talk: Talk, wire: Wire) -> bool:
    """Send the request and say whether all of it went: a server may answer, and hang up, before it has read all."""
    if not _went(talk, wire, talk.message):
        return False
    pieces = rest(talk.request.content)
    while pieces is not None:
        piece = pieces.next()  # what raises here is the body's own, and passes
        talk.connected()
        if piece is None:
            break
        if not _went(talk, wire, piece):
            return False
    return True


def _went(talk: Talk, wire: Wire, data: bytes) -> bool:
    if talk.left() <= 0:
        raise talk.late()
    try:
        wire.send(data, talk)
    except OSError:
        return False
    talk.connected()
    return True


def receive(talk: Talk, wire: Wire) -> None:
    """Wait for more of the reply. Raises OSError, Broken, Timeout."""
    data = wire.receive(talk)
    if data:
        talk.moved = time.monotonic()
    wire.answer.feed(data)


def finish(talk: Talk, wire: Wire, wires: Wires, *, whole: bool) -> None:
    """Let go of a connection whose reply is complete."""
    if wire.answer.reusable and whole:
        wires.give(talk.route, wire)
    else:
        wire.close()
