"""One request and its reply, as an ASGI application is given them: `receive` and `send`.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from polyport_gateway.protocol import Protocol

log = logging.getLogger("uvicorn.error")

Message = MutableMapping[str, Any]

#: Bodies from here on are not copied to go out with their head.
LARGE = 65_536
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: What no header's value may hold: a line's end in it would begin another header, or another reply.
CONTROLS = bytes({*range(32), 127} - {9})
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
#: Headers that say how a reply is framed.
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))


def _status_line(status: int) -> bytes:
    phrase = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS = {status: _status_line(status) for status in range(200, 600)}


class Form(NamedTuple):
    """How headers of some names are written: their lines, but for the values.

    `framing` are those that say how the reply is framed, by their place, `kept` the places of those that are sent as
    they are, None where all are.
    """

    lines: bytes
    framing: tuple[tuple[int, bytes], ...]
    kept: tuple[int, ...] | None


@lru_cache(1024)
def _form(names: tuple[bytes, ...], sized: bool) -> Form:
    """Return how the headers of a reply are written, which has a Content-Length or not. Raises RuntimeError."""
    lower = [name.lower() for name in names]
    for name in lower:
        if not name or not TOKEN.issuperset(name):
            raise RuntimeError(f"Invalid HTTP header name: {name!r}")
    framing = tuple((place, name) for place, name in enumerate(lower) if name in FRAMING)
    kept = tuple(
        place for place, name in enumerate(lower) if name not in FRAMING or (sized and name == b"content-length")
    )
    lines = b"".join([lower[place].replace(b"%", b"%%") + b": %b\r\n" for place in kept])
    return Form(lines, framing, None if len(kept) == len(names) else kept)


class Cycle:
    """One request and its reply: what the application is given.

    `head` is None until the reply is begun, then its lines until there is a body to go with them, then empty.
    """

    __slots__ = (
        "asked", "body", "chunked", "connection", "head", "keep_alive", "left", "lost", "more", "news", "over", "scope",
        "silent", "size", "task",
    )  # fmt: skip

    def __init__(self, connection: Protocol, scope: Message, keep_alive: bool) -> None:
        self.connection, self.scope, self.keep_alive = connection, scope, keep_alive
        self.task: asyncio.Task[None] | None = None
        self.body: list[bytes] = []
        self.size = 0
        self.more = True
        self.news = self.asked = self.over = self.lost = self.chunked = self.silent = False
        self.head: bytes | None = None
        self.left: int | None = None

    async def run(self, app: Any) -> None:
        """Have the application answer; a reply that it does not finish is cut off, or is a 500 if nothing is out."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.over and not self.connection.gone:
                log.error("ASGI callable returned without completing response.")
        except Exception:
            log.exception("Exception in ASGI application\n")
        finally:
            self.connection.shared.state.tasks.discard(self.task)
            if not self.over:
                self.cut(500)

    @property
    def starved(self) -> bool:
        """Whether nothing happens before there is more of the body."""
        return self.asked and self.more and not self.news and self.head is None

    async def receive(self) -> Message:
        """Return the next piece of the body, or that the peer is gone or has its reply."""
        connection = self.connection
        if self.more and not (self.news or self.asked or self.over or connection.gone):
            self.asked = True
            if self._is_waited_for() and self.head is None:
                connection.transport.write(CONTINUE)
        while not (self.news or self.over or connection.gone):
            connection.read_on()
            await connection.changed()
        if self.over or connection.gone:
            return {"type": "http.disconnect"}
        body = b"".join(self.body)
        self.news = False
        self.body = []
        self.size = 0
        return {"type": "http.request", "body": body, "more_body": self.more}

    async def send(self, message: Message) -> None:
        """Send a piece of the reply, when the peer has read what it was sent before. Raises RuntimeError."""
        connection = self.connection
        while connection.full and not connection.gone:
            await connection.changed()
        if connection.gone or self.lost:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.head is not None and not self.over:
            self._write(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self.head is None:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r}")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.left = None
        names, values = [*zip(*headers, strict=True)] or ((), ())
        form = _form(names, status != 204)
        for place, name in form.framing:
            self._framed(name, values[place])
        if form.kept is not None:
            values = tuple([values[place] for place in form.kept])
        told = form.lines % values
        if len(told.translate(None, CONTROLS)) != len(told) - 2 * len(values):
            raise RuntimeError("Invalid HTTP header value.")
        scope = self.scope
        self.silent = scope["method"] == "HEAD" or status in (204, 304)
        self.chunked = self.left is None and not self.silent and scope["http_version"] == "1.1"
        if self.more and not self.asked and self._is_waited_for():
            self.keep_alive = False  # the peer may send the body after this or not: what comes next could be either
        shared = self.connection.shared
        self.head = b"".join((STATUS[status], shared.default_lines(), told))
        if self.left is None and not self.silent:
            shared.loop.call_soon(self._show)

    def _show(self) -> None:
        """Send the head of a stream whose body is yet to come."""
        if self.head and not (self.over or self.connection.gone):
            self._write(b"", True)

    def _is_waited_for(self) -> bool:
        """Whether the peer waits for a word before it sends the body."""
        expected = any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"])
        return expected and self.scope["http_version"] == "1.1"

    def _framed(self, name: bytes, value: bytes) -> None:
        """Take note of a header that says how the reply is framed: but for its length, that is ours."""
        if name == b"content-length":
            if self.left is not None:
                raise RuntimeError("Two Content-Lengths")
            self.left = int(value)
        elif name == b"connection" and b"close" in value.lower():
            self.keep_alive = False

    def _write(self, body: bytes, more: bool) -> None:
        """Send a piece of the body at once, the first together with the head."""
        transport = self.connection.transport
        head = self.head
        framing = b""
        if self.silent:
            body = b""
        elif self.left is not None:
            left = self.left - len(body)
            if left < 0 or (left and not more):
                raise RuntimeError(f"Response content {'longer' if left < 0 else 'shorter'} than Content-Length")
            self.left = left
        elif head and not more:
            framing = b"content-length: %d\r\n" % len(body)
        elif self.chunked:
            framing = b"transfer-encoding: chunked\r\n"
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        if head:
            self.head = b""
            if self.connection.shared.access_log:
                self.connection.shared.note(self.scope, int(head[9:12]))
            head = b"".join((head, framing, b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"))
            if len(body) < LARGE:
                transport.write(head + body)
            else:
                transport.writelines((head, body))
        elif body:
            transport.write(body)
        if not more:
            self.over = True
            self.connection.answered(self)

    def cut(self, status: int) -> None:
        """End a reply that will not be whole, and the connection with it: with a status if nothing of it is out."""
        self.over = self.lost = True
        connection = self.connection
        if connection.gone or connection.cycle is not self:
            return
        if self.head != b"":
            connection.transport.write(connection.shared.plain(status, self.scope))
        connection.end()
        connection.wake()
