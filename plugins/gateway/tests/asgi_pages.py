"""An ASGI application whose pages behave as applications may, well or not, and a server of it on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

Page = Callable[[Any, Any, Any], Awaitable[None]]
PAGES: dict[str, Page] = {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the address says."""
    if scope["type"] == "websocket":
        await sockets(receive, send)
    else:
        await PAGES[scope["path"]](scope, receive, send)


def page(path: str) -> Callable[[Page], Page]:
    """Have a function answer an address."""

    def keep(function: Page) -> Page:
        PAGES[path] = function
        return function

    return keep


async def sockets(receive: Any, send: Any) -> None:
    """Say everything again."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def read(receive: Any) -> bytes:
    """Return the whole body."""
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body, more = body + message["body"], message["more_body"]
    return body


async def reply(send: Any, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@page("/echo")
async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Tell what was asked; the header `again` is all that is told of headers, since hop by hop ones may differ."""
    body = await read(receive)
    again = [value.decode("latin-1") for name, value in scope["headers"] if name == b"again"]
    target = [scope[name] for name in ("method", "path", "http_version")]
    told = [*target, scope["raw_path"].decode(), scope["query_string"].decode(), again, body.decode("latin-1")]
    text = json.dumps(told).encode()
    await reply(send, text, 200, (b"content-length", b"%d" % len(text)), (b"Content-Type", b"application/json"))


@page("/unread")
async def unread(scope: Any, receive: Any, send: Any) -> None:
    """Answer without a look at the body."""
    await reply(send, b"no", 401, (b"content-length", b"2"))


@page("/pieces")
async def pieces(scope: Any, receive: Any, send: Any) -> None:
    """A stream."""
    await read(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for piece in (b"one", b"", b"two" * 100):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@page("/none")
async def none(scope: Any, receive: Any, send: Any) -> None:
    """A reply that has no body."""
    await reply(send, b"", 204)


@page("/same")
async def same(scope: Any, receive: Any, send: Any) -> None:
    """A reply that tells the length of what it does not send."""
    await reply(send, b"", 304, (b"etag", b'"1"'))


@page("/close")
async def close(scope: Any, receive: Any, send: Any) -> None:
    """The last reply of its connection."""
    await reply(send, b"bye", 200, (b"connection", b"close"), (b"content-length", b"3"))


@page("/raises")
async def raises(scope: Any, receive: Any, send: Any) -> None:
    """A fault before anything was said."""
    raise ValueError("a fault")


@page("/raises-begun")
async def raises_begun(scope: Any, receive: Any, send: Any) -> None:
    """A fault after the head, of which nothing is out."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("a fault")


@page("/raises-late")
async def raises_late(scope: Any, receive: Any, send: Any) -> None:
    """A fault in the middle of the body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("a fault")


@page("/silent")
async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An end without an answer."""


@page("/unfinished")
async def unfinished(scope: Any, receive: Any, send: Any) -> None:
    """An end before the end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


@page("/longer")
async def longer(scope: Any, receive: Any, send: Any) -> None:
    """More than was announced."""
    await reply(send, b"12345", 200, (b"content-length", b"4"))


@page("/shorter")
async def shorter(scope: Any, receive: Any, send: Any) -> None:
    """Less than was announced."""
    await reply(send, b"123", 200, (b"content-length", b"4"))


@page("/injects")
async def injects(scope: Any, receive: Any, send: Any) -> None:
    """A header that would be two."""
    await reply(send, b"", 200, (b"x", b"a\r\nset-cookie: b"))


@page("/injects-name")
async def injects_name(scope: Any, receive: Any, send: Any) -> None:
    """A header's name that would be a header."""
    await reply(send, b"", 200, (b"x: y\r\nz", b"a"))


@page("/twice")
async def twice(scope: Any, receive: Any, send: Any) -> None:
    """Two answers: the second is the application's fault, which it is told."""
    await reply(send, b"first", 200, (b"content-length", b"5"))
    with contextlib.suppress(RuntimeError):
        await reply(send, b"second")
        raise AssertionError("the second was taken")
    assert (await receive())["type"] == "http.disconnect"


@contextmanager
def serving(http: Any, application: Any = app, **options: Any) -> Iterator[tuple[uvicorn.Server, int]]:
    """Serve in a thread until the block ends; yield the server and its port."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = sock.getsockname()[1]
    told = {"loop": "uvloop", "lifespan": "off", "ws": "websockets-sansio", "log_level": "critical", **options}
    server = uvicorn.Server(uvicorn.Config(application, http=http, access_log=False, **told))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield server, port
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class Wire(asyncio.Transport):
    """A connection whose other end is the test: what was written, and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = self.half = False
        self.reading = True
        self.unread = 0

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.closed = True

    def write(self, data: Any) -> None:
        if self.closed or self.half:
            raise AssertionError("written after the end")
        self.sent.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
