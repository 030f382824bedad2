"""HTTP/1.1 as it is spoken to callers: cut anywhere, pipelined, malformed, slow, aborted; and beside uvicorn's own."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httptools
import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings, strategies as st
from uvicorn.server import ServerState
from websockets.sync.client import connect

from polyport_gateway.protocol import Protocol

from .asgi_pages import Wire, app, read, reply, serving
from .waiting import until


class Replies:
    """Reads what a server sends: replies as (status, headers, body), and how much of one is left unfinished."""

    def __init__(self, *methods: str) -> None:
        self.whole: list[tuple[int, dict[str, str], bytes]] = []
        self._methods = list(methods)
        self._headers: dict[str, str] = {}
        self.body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> Replies:
        self._parser.feed_data(data)
        return self

    def on_header(self, name: bytes, value: bytes) -> None:
        assert name.decode() not in self._headers, "a header came twice"
        self._headers[name.decode()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole.append((self._parser.get_status_code(), self._headers, bytes(self.body)))
        self._headers, self.body = {}, bytearray()


def talk(*pieces: bytes, application: Any = app, **options: Any) -> Wire:
    """Send pieces to a connection, each when all before was worked on; return what came of it."""

    async def main() -> Wire:
        told = {"lifespan": "off", "access_log": False, "log_config": None, **options}
        config = uvicorn.Config(application, http=Protocol, **told)
        config.load()
        state, wire = ServerState(), Wire()
        protocol = Protocol(config, state, {})
        protocol.connection_made(wire)
        for piece in pieces:
            protocol.data_received(piece)
            for _ in range(4):
                await asyncio.sleep(0)
        while state.tasks and protocol.cycle and not protocol.cycle.more:
            await asyncio.sleep(0)
        for _ in range(4):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.gather(*state.tasks, return_exceptions=True)
        return wire

    return asyncio.run(main())


def told(*, method: str = "GET", body: str = "", again: tuple[str, ...] = (), path: str = "/echo", query: str = "",
         raw: str = "", version: str = "1.1") -> bytes:  # fmt: skip
    """Return what /echo says."""
    return json.dumps([method, path, version, raw or path, query, list(again), body]).encode()


GET = b"GET /echo HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /echo HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
CLOSE = b"GET /echo HTTP/1.1\r\nhost: x\r\nConnection: close\r\n\r\n"
BAD = b"Bad Request"

#: What is sent, what is answered, and whether the connection ends.
TABLE: dict[str, tuple[bytes, list[tuple[int, bytes]], bool]] = {
    "get": (GET, [(200, told())], False),
    "post": (POST, [(200, told(method="POST", body="hello"))], False),
    "chunked": (CHUNKED, [(200, told(method="POST", body="hello"))], False),
    "trailers are no headers": (
        CHUNKED[:-2] + b"again: t\r\nhost: y\r\n\r\n" + GET.replace(b"host", b"again: x\r\nhost"),
        [(200, told(method="POST", body="hello")), (200, told(again=("x",)))], False),
    "query and quoting": (
        b"GET /%65cho?a=%20b HTTP/1.1\r\nhost: x\r\n\r\n", [(200, told(raw="/%65cho", query="a=%20b"))], False),
    "with scheme and host": (b"GET http://x/echo?q HTTP/1.1\r\nhost: x\r\n\r\n", [(200, told(query="q"))], False),
    "a fragment is not the server's": (b"GET /echo#f HTTP/1.1\r\nhost: x\r\n\r\n", [(200, told())], False),
    "no host": (b"GET /echo HTTP/1.1\r\n\r\n" + GET, [(400, BAD)], True),
    "no host after one": (GET + b"GET /echo HTTP/1.1\r\na: b\r\n\r\n", [(200, told()), (400, BAD)], True),
    "two hosts": (GET[:-2] + b"Host: x\r\n\r\n", [(400, BAD)], True),
    "old with two hosts": (b"GET /echo HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n", [(400, BAD)], True),
    "a websocket without host": (
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", [(400, BAD)], True),
    "an empty host": (b"GET /echo HTTP/1.1\r\nhost:\r\n\r\n", [(200, told())], False),
    "old": (b"GET /echo HTTP/1.0\r\n\r\n", [(200, told(version="1.0"))], True),
    "close": (CLOSE, [(200, told())], True),
    "nothing after close": (CLOSE + GET, [(200, told())], True),
    "the application closes": (b"GET /close HTTP/1.1\r\nhost: x\r\n\r\n" + GET, [(200, b"bye")], True),
    "pipelined": (GET + POST + CHUNKED + GET, [
        (200, told()), *[(200, told(method="POST", body="hello"))] * 2, (200, told())], False),
    "a stream, and on": (GET.replace(b"echo", b"pieces") + GET, [(200, b"one" + b"two" * 100), (200, told())], False),
    "no content": (b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n" + GET, [(204, b""), (200, told())], False),
    "not modified": (b"GET /same HTTP/1.1\r\nhost: x\r\n\r\n" + GET, [(304, b""), (200, told())], False),
    "unread body": (POST.replace(b"echo", b"unread") + GET, [(401, b"no"), (200, told())], False),
    "another upgrade": (
        POST.replace(b"x\r\n", b"x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n")
        + GET,
        [(200, told(method="POST", body="hello")), (200, told())], False),
    "raises": (b"GET /raises HTTP/1.1\r\nhost: x\r\n\r\n" + GET, [(500, b"Internal Server Error")], True),
    "raises when nothing is out": (GET.replace(b"echo", b"raises-begun"), [(500, b"Internal Server Error")], True),
    "silent": (b"GET /silent HTTP/1.1\r\nhost: x\r\n\r\n", [(500, b"Internal Server Error")], True),
    "longer": (b"GET /longer HTTP/1.1\r\nhost: x\r\n\r\n", [(500, b"Internal Server Error")], True),
    "shorter": (b"GET /shorter HTTP/1.1\r\nhost: x\r\n\r\n", [(500, b"Internal Server Error")], True),
    "injects": (b"GET /injects HTTP/1.1\r\nhost: x\r\n\r\n", [(500, b"Internal Server Error")], True),
    "injects a name": (b"GET /injects-name HTTP/1.1\r\nhost: x\r\n\r\n", [(500, b"Internal Server Error")], True),
    "twice": (b"GET /twice HTTP/1.1\r\nhost: x\r\n\r\n" + GET, [(200, b"first"), (200, told())], False),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [(400, BAD)], True),
    "no method": (b"NOTHING / HTTP/1.1\r\nhost: x\r\n\r\n", [(400, BAD)], True),
    "bad header": (b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", [(400, BAD)], True),
    "folded header": (b"GET / HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n", [(400, BAD)], True),
    "zero in a header": (b"GET / HTTP/1.1\r\nhost: x\r\na: b\0\r\n\r\n", [(400, BAD)], True),
    "two lengths": (POST.replace(b"host: x", b"host: x\r\ncontent-length: 6"), [(400, BAD)], True),
    "length and chunks": (CHUNKED.replace(b"x\r\n", b"x\r\ncontent-length: 5\r\n", 1), [(400, BAD)], True),
    "bad chunk": (CHUNKED.replace(b"3\r\nhel", b"zz"), [(400, BAD)], True),
    "no address": (b"GET  HTTP/1.1\r\nhost: x\r\n\r\n", [(400, BAD)], True),
    "tunnel": (b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", [(400, BAD)], True),
    "too new": (b"GET /echo HTTP/2.0\r\n\r\n", [(505, b"HTTP Version Not Supported")], True),
    "good, then bad": (GET + b"oh no\r\n\r\n" + GET, [(200, told()), (400, BAD)], True),
    "good, then a bad body": (GET + CHUNKED.replace(b"3\r\nhel", b"zz"), [(200, told()), (400, BAD)], True),
    "a bad body that nobody reads": (
        CHUNKED.replace(b"echo", b"unread").replace(b"2;x=y", b"zz"), [(401, b"no"), (400, BAD)], True),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_what_is_answered(name: str) -> None:
    """Each request has its reply, in order, and the connection ends where it has to."""
    sent, replies, ends = TABLE[name]
    wire = talk(sent)
    if name == "a bad body that nobody reads":  # in one read the body was bad before anybody answered
        replies = [(400, BAD)]
    assert [(status, body) for status, _, body in Replies().feed(b"".join(wire.sent)).whole] == replies
    assert (wire.closed or wire.half) == ends


@pytest.mark.parametrize("name", [name for name in TABLE if name != "a bad body that nobody reads"])
def test_wherever_it_is_cut(name: str) -> None:
    """Two reads, cut at each byte, or a read for each byte: the replies are the same."""
    sent, replies, ends = TABLE[name]
    cuts = [(sent[:place], sent[place:]) for place in range(1, len(sent))]
    for pieces in [*cuts, tuple(sent[place : place + 1] for place in range(len(sent)))]:
        wire = talk(*pieces)
        assert [(status, body) for status, _, body in Replies().feed(b"".join(wire.sent)).whole] == replies, pieces
        assert (wire.closed or wire.half) == ends, pieces


def test_a_body_that_breaks_after_its_reply_ends_the_connection() -> None:
    """No second reply is sent for one request."""
    head, _, rest = CHUNKED.replace(b"echo", b"unread").partition(b"3\r\n")
    wire = talk(head, b"zz\r\n" + rest)
    assert [status for status, _, _ in Replies().feed(b"".join(wire.sent)).whole] == [401]
    assert wire.half


@pytest.mark.parametrize("path", ["/raises-late", "/unfinished"])
def test_a_reply_that_breaks_is_cut_off(path: str) -> None:
    """What is out stays, no last chunk comes, and the connection ends: the caller sees that it is not whole."""
    wire = talk(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())
    replies = Replies().feed(b"".join(wire.sent))
    assert (replies.whole, replies.body, wire.closed) == ([], b"half", True)


def test_a_reply_to_head_has_a_head_only() -> None:
    """The length of what is not sent is told; the next reply follows at once."""
    wire = talk(GET.replace(b"GET", b"HEAD") + GET.replace(b"/echo", b"/raises").replace(b"GET", b"HEAD"))
    assert wire.sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: %d" % len(told(method="HEAD")) in wire.sent[0]
    assert all(sent.endswith(b"\r\n\r\n") for sent in wire.sent)
    assert wire.sent[1].startswith(b"HTTP/1.1 500 ")


def test_a_reply_is_one_write_and_a_piece_of_a_stream_is_one() -> None:
    """Head and body go out together; a length is told where the whole is known, else pieces are chunks."""
    assert len(talk(GET).sent) == 1
    assert [len(Replies().feed(talk(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n").sent[0]).body)] == [3]
    assert b"transfer-encoding: chunked" in talk(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n").sent[0]

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"all of it")

    assert b"content-length: 9" in talk(GET, application=whole).sent[0]
    assert b"chunked" not in talk(b"GET /pieces HTTP/1.0\r\n\r\n").sent[0]


def test_the_head_of_a_stream_does_not_wait_for_its_body() -> None:
    """Where the first piece takes its time, a caller sees at once that it is answered."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"late"})

    wire = talk(GET, application=slow)
    assert len(wire.sent) == 2
    assert wire.sent[0].endswith(b"\r\n\r\n")
    assert Replies().feed(b"".join(wire.sent)).whole[0][2] == b"late"
    assert Replies().feed(b"".join(talk(GET.replace(b"1.1", b"1.0"), application=slow).sent)).body == b"late"


@pytest.mark.parametrize("root", ["", "/below"])
def test_the_scope_is_as_uvicorn_makes_it(root: str) -> None:
    """Every field of it, of a request with all that there can be."""
    scopes: list[dict[str, Any]] = []

    async def keep(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))
        await reply(send, b"", 204)

    for kind in (Protocol, "httptools"):
        with serving(kind, keep, root_path=root) as (_, port):
            ask(port, b"PUT http://host/a%20b//c?d=%20&e HTTP/1.1\r\nHost: x\r\nA: 1\r\na:  2 \r\n\r\n", replies=1)
            ask(port, b"GET / HTTP/1.0\r\n\r\n")
    ours, theirs = scopes[:2], scopes[2:]
    for scope in scopes:
        assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
        del scope["client"], scope["server"]
    assert ours == theirs


def test_what_a_request_sets_is_seen_by_no_other() -> None:
    """Each request has a copy of the context of its own."""
    seen: list[str] = []
    variable = contextvars.ContextVar("variable", default="fresh")

    async def sets(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set("used")
        await reply(send, b"", 204)

    talk(GET, GET, application=sets)
    assert seen == ["fresh", "fresh"]


def test_a_large_reply_is_whole() -> None:
    """It is not copied to go out with its head, and comes as it was given."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"x" * 300_000)

    assert Replies().feed(b"".join(talk(GET, application=large).sent)).whole[0][2] == b"x" * 300_000


@pytest.mark.parametrize(("status", "sent"), [(204, False), (200, True), (304, True)])
def test_the_framing_is_the_servers(status: int, sent: bool) -> None:
    """An application's transfer-encoding is not passed on beside ours; a 204 tells no length."""

    async def framing(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"", status, (b"transfer-encoding", b"chunked"), (b"content-length", b"0"))

    wire = talk(GET, application=framing)
    assert b"transfer-encoding" not in wire.sent[0]
    assert (b"content-length: 0" in wire.sent[0]) == sent


def test_who_waits_for_a_word_is_given_it() -> None:
    """100 Continue comes when the application asks for the body, and not where the body is there."""
    head, body = POST.replace(b"host: x", b"host: x\r\nExpect: 100-Continue")[:-5], b"hello"
    wire = talk(head, body)
    assert wire.sent[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(wire.sent) == 2
    assert [sent[:12] for sent in talk(head + body).sent] == [b"HTTP/1.1 200"]
    assert [sent[:12] for sent in talk(head.replace(b"1.1", b"1.0"), body).sent] == [b"HTTP/1.1 200"]


def test_who_is_answered_without_that_word_begins_anew() -> None:
    """It may send the body or not, so the connection ends: what came next could be either."""
    head = POST.replace(b"host: x", b"host: x\r\nexpect: 100-continue").replace(b"echo", b"unread")[:-5]
    wire = talk(head)
    assert wire.sent[0].startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in wire.sent[0]
    assert wire.half


@pytest.mark.parametrize("headers", [1, 3000])
def test_heads_are_bounded(headers: int) -> None:
    """431, whether it is one header or many, and as well if it never ends."""
    many = b"GET /echo HTTP/1.1\r\nhost: x\r\n" + (b"a: %b\r\n" % (b"x" * (90_000 // headers))) * headers
    for pieces in ([many + b"\r\n"], [many[place : place + 5000] for place in range(0, len(many), 5000)] + [b"\r\n"]):
        wire = talk(*pieces)
        assert wire.sent[0].startswith(b"HTTP/1.1 431 ")
        assert wire.half
    endless = talk(b"GET /echo HTTP/1.1\r\nhost: x\r\na: ", *[b"x" * 60_000] * 8)
    assert endless.sent[0].startswith(b"HTTP/1.1 431 ")


def test_a_large_body_is_no_large_head() -> None:
    """What comes after a long body in one read is a request like any other."""
    long = POST.replace(b"Length: 5\r\n\r\nhello", b"Length: 200000\r\n\r\n" + b"x" * 200_000)
    wire = talk(long + GET[:30], GET[30:])
    assert [status for status, _, _ in Replies().feed(b"".join(wire.sent)).whole] == [200, 200]


def test_a_fast_sender_waits_for_the_application() -> None:
    """Reading pauses when much of a body was not asked for, and goes on when it is."""
    asked = asyncio.Event()
    got: list[int] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asked.wait()
        got.append(len(await read(receive)))
        await reply(send, b"")

    async def main() -> None:
        config = uvicorn.Config(slow, http=Protocol, lifespan="off", log_config=None)
        config.load()
        state, wire = ServerState(), Wire()
        protocol = Protocol(config, state, {})
        protocol.connection_made(wire)
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + b"x" * 100_000)
        await asyncio.sleep(0)
        assert not wire.reading
        asked.set()
        while not wire.reading:
            await asyncio.sleep(0)
        protocol.data_received(b"x" * 100_000)
        while not wire.sent:
            await asyncio.sleep(0)
        assert wire.reading
        protocol.connection_lost(None)

    asyncio.run(main())
    assert got == [200_000]


def test_faults_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What an application raises, or leaves out, can be read about; a caller's fault is a line."""
    with caplog.at_level(logging.WARNING, "uvicorn.error"):
        talk(b"GET /raises HTTP/1.1\r\nhost: x\r\n\r\n")
        talk(b"GET /silent HTTP/1.1\r\nhost: x\r\n\r\n")
        talk(b"oh no\r\n\r\n")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING"]
    assert "a fault" in caplog.text
    assert "without completing" in caplog.text
    assert "Invalid HTTP request" in caplog.text


def test_the_access_log_has_a_line_for_each_reply() -> None:
    """With the status that went out, not one that was replaced."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("uvicorn.access").addHandler(handler)
    try:
        talk(
            GET.replace(b"echo", b"echo?q") + GET.replace(b"echo", b"raises-begun"),
            log_level="info",
            access_log=True,
        )
    finally:
        logging.getLogger("uvicorn.access").removeHandler(handler)
    assert lines == [' - "GET /echo?q HTTP/1.1" 200', ' - "GET /raises-begun HTTP/1.1" 500']


# --- on real sockets ---


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server."""
    with serving(Protocol, timeout_keep_alive=600) as (_, port):
        yield port


@pytest.fixture(scope="module")
def theirs() -> Iterator[int]:
    """The same application, behind uvicorn's own protocol."""
    with serving("httptools", timeout_keep_alive=600) as (_, port):
        yield port


def ask(port: int, *pieces: bytes, replies: int = 0) -> tuple[list[tuple[int, dict[str, str], bytes]], bool]:
    """Send pieces, and return the replies and whether the connection ended; `replies` come if it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        found = Replies()
        while len(found.whole) < replies or not replies:
            data = sock.recv(65536)
            if not data:
                return found.whole, True
            found.feed(data)
        return found.whole, False


HOP = {"date", "connection", "content-length", "transfer-encoding", "server"}
names = st.sampled_from(["accept", "Again", "AGAIN", "x-y", "cookie"])
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
bodies = st.binary(max_size=3000)
pages = st.sampled_from(["/echo", "/%65cho", "/echo?a=b&c=%20", "/pieces", "/none", "/same", "/unread", "/echo?"])


@st.composite
def requests(draw: Any) -> bytes:
    """A request that is well-formed, and leaves open nothing of what has to be answered."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]))
    lines = [f"{method} {draw(pages)} HTTP/1.1", "host: x"]
    lines += [f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{draw(values)}" for name in draw(st.lists(names))]
    body = draw(bodies) if method != "GET" else b""
    if body and draw(st.booleans()):
        cut = draw(st.integers(0, len(body)))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(1, 4000), max_size=6))
def test_as_uvicorn_answers(port: int, theirs: int, sent: list[bytes], cuts: list[int]) -> None:
    """What the specification leaves no choice in is the same: statuses, headers, bodies, their order."""
    whole = b"".join(sent)
    places = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    ours, their = ask(port, *pieces, replies=len(sent)), ask(theirs, *pieces, replies=len(sent))
    for (status, headers, body), (status_, headers_, body_) in zip(ours[0], their[0], strict=True):
        assert (status, body) == (status_, body_)
        assert {n: v for n, v in headers.items() if n not in HOP} == {n: v for n, v in headers_.items() if n not in HOP}
    assert ours[1] == their[1]


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300) | st.text(st.sampled_from("GET /:\r\n\0x1.HTP"), max_size=60).map(str.encode), requests()
)
def test_whatever_is_sent_it_goes_on(noise: bytes, request: bytes) -> None:
    """No bytes raise out of the protocol; what it says to them is HTTP."""
    for sent in (noise, request[: len(noise)] + noise, request + noise):
        Replies().feed(b"".join(talk(sent).sent))


@pytest.mark.parametrize("name", ["bad chunk", "two lengths", "no HTTP", "nothing after close", "good, then bad"])
def test_who_errs_reads_its_reply_to_the_end(port: int, name: str) -> None:
    """A connection that we end is not reset while the caller still sends: it can read what it was told."""
    sent, replies, _ = TABLE[name]
    found, ended = ask(port, sent + b"x" * 100_000)
    assert ([(status, body) for status, _, body in found], ended) == (replies, True)


def test_http_clients_are_served(port: int) -> None:
    """The standard library's client, and httpx, on one connection each."""
    mine = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in (b"", b"x" * 500_000):
        mine.request("POST", "/echo", body, headers={"Expect": "nothing"})
        assert json.loads(mine.getresponse().read())[-1] == body.decode()
    mine.close()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        assert client.post("/echo", content=iter([b"a" * 100_000] * 3)).json()[-1] == "a" * 300_000
        assert client.get("/pieces").text == "one" + "two" * 100
        assert client.head("/echo").headers["content-type"] == "application/json"
        assert 0 <= time.time() - http_date(client.get("/none").headers["date"]) < 60


def http_date(text: str) -> float:
    """Return the time of a header."""
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(text).timestamp()


def test_any_event_loop_will_do() -> None:
    """asyncio's own, where there is no uvloop."""
    with serving(Protocol, loop="asyncio") as (_, port):
        assert ask(port, GET + POST, CHUNKED, replies=3)[0][2][2] == told(method="POST", body="hello")
        assert ask(port, b"oh no\r\n\r\n" + b"x" * 100_000)[0][0][0] == 400


def test_over_tls(tmp_path: Path) -> None:
    """uvicorn's TLS: the scheme is told, and a connection ends without a half-close, which TLS has not."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    (tmp_path / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)

    async def scheme(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, scope["scheme"].encode(), 200, (b"x", str(len(await read(receive))).encode()))

    files = {"ssl_certfile": str(tmp_path / "cert.pem"), "ssl_keyfile": str(tmp_path / "key.pem")}
    with serving(Protocol, scheme, **files) as (_, port):
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        context.check_hostname = False
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=60) as client:
            for size in (0, 300_000):
                got = client.post("/", content=b"x" * size)
                assert (got.text, got.headers["x"]) == ("https", str(size))
            assert client.get("/", headers={"connection": "close"}).text == "https"


def test_websockets_are_uvicorns(port: int) -> None:
    """A connection is handed over, with all that was said on it; a second request can be a WebSocket, too."""
    with connect(f"ws://127.0.0.1:{port}/socket") as session:
        session.send("hello")
        assert session.recv(30) == "hello"
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(GET)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    with connect(f"ws://127.0.0.1:{port}/socket", sock=sock) as session:
        session.send("again")
        assert session.recv(30) == "again"


def test_a_websocket_waits_for_nobody() -> None:
    """Where WebSockets are not served, who asks for one is answered as a request; behind a request, it is refused."""
    upgrade = GET.replace(b"host: x", b"host: x\r\nconnection: upgrade\r\nupgrade: websocket")
    assert talk(upgrade, ws="none").sent[0].startswith(b"HTTP/1.1 200")
    assert [sent[:12] for sent in talk(GET + upgrade).sent] == [b"HTTP/1.1 200", b"HTTP/1.1 400"]


class Held:
    """An application that answers when it is let, and tells what it saw."""

    def __init__(self) -> None:
        self.saw: list[str] = []
        self.go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await read(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        self.saw.append("begun")
        if scope["path"] == "/until-gone":
            self.saw.append((await receive())["type"])
            await send({"type": "http.response.body", "body": b"to nobody", "more_body": True})
            self.saw.append("sent")
            return
        while not self.go.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"last"})
        self.saw.append((await receive())["type"])


def test_the_application_is_told_that_the_caller_left() -> None:
    """receive() says so; what is sent to nobody is no error."""
    held = Held()
    with serving(Protocol, held) as (_, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(b"GET /until-gone HTTP/1.1\r\nhost: x\r\n\r\n")
            assert sock.recv(1000)
        until(lambda: held.saw == ["begun", "http.disconnect", "sent"], "the application sees it")


def test_several_may_wait_for_the_caller_to_leave() -> None:
    """Each is told, and one that stops to wait takes nothing from the others."""
    told_of: list[str] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"hel"
        first, second, third = (asyncio.ensure_future(receive()) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        told_of.extend([(await waiter)["type"] for waiter in (second, third)])

    wire = talk(POST[:-2], application=watched)
    assert (told_of, wire.sent) == (["http.disconnect"] * 2, [])


def test_a_stopping_server_finishes_what_is_on_its_way() -> None:
    """Connections that are idle, or have half a request, are closed at once; a stream goes on to its end."""
    held = Held()
    with serving(Protocol, held) as (server, port):
        socks = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(3)]
        stream, idle, half = socks
        stream.sendall(GET)
        half.sendall(GET[:20])
        replies = Replies().feed(stream.recv(1000))
        until(lambda: held.saw and len(server.server_state.connections) == 3, "all are connected")
        server.should_exit = True
        assert (idle.recv(10), half.recv(10)) == (b"", b"")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=60)
        held.go.set()
        while data := stream.recv(1000):
            replies.feed(data)
        assert [body for _, _, body in replies.whole] == [b"firstlast"]
        for sock in socks:
            sock.close()
    assert held.saw == ["begun", "http.disconnect"]


def test_nobody_waits_for_ever() -> None:
    """A connection is closed that asks nothing, and one that never asked."""
    with serving(Protocol, timeout_keep_alive=1) as (_, port):
        new, idle = (socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2))
        idle.sendall(GET)
        assert Replies().feed(idle.recv(10_000)).whole
        for sock in (new, idle):
            assert sock.recv(10) == b""
            sock.close()


@pytest.mark.parametrize(
    ("sent", "within"),
    [((b"G",), 76), ((GET[:20],), 31), ((GET, GET[:20]), 31), ((GET,), 76),
     ((POST[:-2],), 61), ((POST[:-2], b"l"), 61), ((b"no\r\n",), 6)],
)  # fmt: skip
def test_how_long_is_waited_for_what(sent: tuple[bytes, ...], within: int) -> None:
    """A head has to come to its end in time, however it trickles; of a body, something has to come now and then."""

    async def main() -> None:
        config = uvicorn.Config(app, http=Protocol, lifespan="off", log_config=None, timeout_keep_alive=75)
        config.load()
        state, wire = ServerState(), Wire()
        protocol = Protocol(config, state, {})
        protocol.connection_made(wire)
        for piece in sent:
            protocol.data_received(piece)
            for _ in range(4):
                await asyncio.sleep(0)
        for second in range(within):
            assert not wire.closed, f"after {second} seconds"
            assert wire.half == (within == 6), f"after {second} seconds"
            protocol.tick()
            if sent[-1] == GET[:20] and second < 5:
                protocol.data_received(GET[20 + second : 21 + second])
        assert wire.closed or wire.half
        protocol.connection_lost(None)
        await asyncio.gather(*state.tasks, return_exceptions=True)

    asyncio.run(main())


def test_who_does_not_read_is_not_written_to_without_end() -> None:
    """send() waits while the peer's buffers are full, and goes on when it reads."""
    count = [0]

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            count[0] += 1
        await send({"type": "http.response.body"})

    with serving(Protocol, endless) as (_, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(GET)
            before = -1
            while count[0] != before or not before:
                before = count[0]
                time.sleep(0.3)
            assert count[0] < 150
            replies = Replies()
            while not replies.whole:
                replies.feed(sock.recv(1_000_000))
            assert len(replies.whole[0][2]) == 20_000_000
        assert count == [200]


@pytest.mark.parametrize("page", ["/large", "/endless"])
def test_who_never_reads_is_cut_off(page: str) -> None:
    """After so many seconds without progress: of a reply that is whole, and in the middle of a stream."""

    async def much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            for _ in range(1000):
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"x" * 30_000_000})

    protocol: Any = partial(Protocol, write_within=2)
    with serving(protocol, much) as (server, port), socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(GET.replace(b"/echo", page.encode()))
        until(lambda: server.server_state.connections, "it is connected")
        until(lambda: not server.server_state.connections, "it is cut off")
        until(lambda: not server.server_state.tasks, "the application is told")


def test_a_slow_reader_is_left_alone() -> None:
    """Each second that something was read begins anew; what a fast application writes meanwhile changes nothing."""

    async def main() -> None:
        config = uvicorn.Config(app, http=Protocol, lifespan="off", log_config=None, timeout_keep_alive=600)
        config.load()
        wire = Wire()
        protocol = Protocol(config, ServerState(), {}, write_within=3)
        protocol.connection_made(wire)
        for unread in (9000, 8000, 8000, 8000, 7000, 7000, 9000, 9000, 9000):
            wire.unread = unread
            protocol.tick()
        protocol.pause_writing()
        protocol.resume_writing()
        for _ in range(3):
            assert not wire.closed
            protocol.tick()
        assert not wire.closed
        protocol.tick()
        assert wire.closed
        protocol.connection_lost(None)

    asyncio.run(main())


def test_no_more_are_served_than_shall_be() -> None:
    """503 and the end, as uvicorn says it."""
    with serving(Protocol, limit_concurrency=1) as (_, port):
        found, ended = ask(port, GET)
        assert (found[0][0], found[0][2], ended) == (503, b"Service Unavailable", True)


def test_many_at_once(port: int) -> None:
    """Each of many connections gets its own replies."""

    def one(number: int, say: Callable[[bool], None]) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for place in range(20):
                say(client.post("/echo", content=f"{number}-{place}").json()[-1] == f"{number}-{place}")

    found: list[bool] = []
    threads = [threading.Thread(target=one, args=(number, found.append)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 320
