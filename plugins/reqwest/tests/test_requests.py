"""What goes out, and what comes back."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import threading
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from plugins.reqwest.tests.conftest import post

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import HttpRequest
from polyport.transport import TransportOptions
from polyport.types.upload import Upload
from polyport.wire.multipart import Multipart
from polyport_reqwest import Reqwest

#: "hello", encoded.
ENCODED = {
    "gzip": gzip.compress(b"hello"),
    "deflate": zlib.compress(b"hello"),
    "br": b"\x0b\x02\x80hello\x03",
    "zstd": b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
}


class Pieces:
    """A body in pieces."""

    def __init__(self, *pieces: bytes, length: int | None = None) -> None:
        self.pieces, self.length = pieces, length

    def __iter__(self):
        return iter(self.pieces)


def test_a_request_arrives_as_it_was_made(side, serve):
    """Method, path, query, headers in lower case, body: nothing more but the host and what can be decompressed."""
    server = serve(lambda asked: asked.reply())
    url = f"{server.url}/v1/models/a:generate?alt=sse&key=a%2Fb"
    reply = side.send(side.open(), post(url, b'{"a":1}', headers={"authorization": "Bearer k", "x-note": "ü"}))
    assert (reply.status, reply.content, reply.source) == (200, b"ok", None)
    asked = server.seen[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/models/a:generate?alt=sse&key=a%2Fb", b'{"a":1}')
    assert dict(asked.header_lines) == {
        "content-type": "application/json",
        "authorization": "Bearer k",
        "x-note": "ü".encode().decode("latin-1"),
        "accept-encoding": asked.headers["accept-encoding"],
        "host": f"127.0.0.1:{server.port}",
        "content-length": "7",
    }


@pytest.mark.parametrize(
    ("method", "content", "length"),
    [
        ("GET", None, None),
        ("DELETE", None, None),
        ("HEAD", None, None),
        ("POST", None, "0"),
        ("POST", b"", "0"),
        ("PATCH", b"x", "1"),
        ("PUT", b"xy", "2"),
        ("DELETE", b"{}", "2"),
    ],
)
def test_a_body_is_announced_where_one_belongs(side, serve, method, content, length):
    """A POST without a body says so: some providers answer 411 otherwise."""
    server = serve(lambda asked: asked.reply(b""))
    assert side.send(side.open(), HttpRequest(method=method, url=f"{server.url}/", content=content)).status == 200
    assert (server.seen[0].method, server.seen[0].headers.get("content-length")) == (method, length)


def test_headers_come_back_by_name(side, serve):
    """In lower case, repeated ones joined; as a mapping that can be compared and copied."""
    server = serve(lambda asked: asked.reply(b"", 200, "X-Request-Id: r1", "Link: a", "link: b", "x-odd: \xe9"))
    headers = side.send(side.open(), post(server.url)).headers
    expected = {"x-request-id": "r1", "link": "a, b", "x-odd": "é", "content-length": "0"}
    assert headers == expected
    assert (len(headers), list(headers), repr(headers)) == (4, list(expected), repr(expected))
    assert "x-request-id" in headers
    assert "x-other" not in headers
    assert 1 not in headers
    assert headers["link"] == "a, b"
    assert headers.get("x-other", "none") == "none"
    assert pickle.loads(pickle.dumps(headers)) == expected


def test_errors_and_redirects_are_replies(side, serve):
    """What they mean is core's business."""
    statuses = iter([302, 404, 429, 500])
    server = serve(lambda asked: asked.reply(b"why", next(statuses), "location: http://example.invalid/", "a: b"))
    transport = side.open()
    for status in (302, 404, 429, 500):
        reply = side.send(transport, post(server.url))
        assert (reply.status, reply.content, reply.headers["a"]) == (status, b"why", "b")
    assert server.connections == 1


def test_interim_and_unframed_replies_are_read(side, serve):
    """100 and 103 are passed over; a reply without a length ends with its connection; 204 has no body."""
    answers = iter(
        [
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end",
            b"HTTP/1.0 200 OK\r\n\r\nold",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        ]
    )
    server = serve(lambda asked: [asked.send(next(answers)), asked.hang_up()])
    transport = side.open()
    assert [side.send(transport, post(server.url)).content for _ in range(3)] == [b"to the end", b"old", b""]


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("stream", [False, True])
def test_replies_are_decompressed(side, serve, encoding, stream):
    """Whole and streamed; by whatever was offered."""

    def answer(asked) -> None:
        offered = asked.headers["accept-encoding"].replace(" ", "").split(",")
        assert {"gzip", "deflate"} <= set(offered)
        if encoding in offered:
            asked.reply(ENCODED[encoding], 200, f"content-encoding: {encoding}")
        else:
            asked.reply(b"hello")

    reply = side.send(side.open(), post(serve(answer).url, stream=stream))
    assert (side.read_all(reply) if stream else reply.content) == b"hello"


def test_a_reply_that_cannot_be_decompressed_says_so(side, serve):
    """It came whole, so trying again would not help."""
    server = serve(lambda asked: asked.reply(b"not gzip at all", 200, "content-encoding: gzip"))
    with pytest.raises(InvalidResponseError, match=rf"reply of 127.0.0.1:{server.port} cannot be decompressed"):
        side.send(side.open(), post(server.url))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (HttpRequest(method="POST", url="http://127.0.0.1:1/", headers={"a": "b\nc"}), "header 'a' for 127.0.0.1:1"),
        (HttpRequest(method="POST", url="http://127.0.0.1:1/", headers={"a b": "c"}), "header 'a b' for 127.0.0.1:1"),
        (HttpRequest(method="POST", url="http://127.0.0.1:1/", headers={"a": "\ud800"}), "header .* for 127.0.0.1:1"),
        (HttpRequest(method="BREW", url="http://127.0.0.1:1/"), "no HTTP method 'BREW' .for 127.0.0.1:1"),
        (HttpRequest(method="GET", url="ftp://127.0.0.1:1/"), "address 'ftp://127.0.0.1:1/' is not a URL"),
        (HttpRequest(method="GET", url="http://a:b/?key=x"), "address 'http://a:b/' is not a URL"),
        (HttpRequest(method="GET", url="http://[::1"), "is not a URL"),
        (HttpRequest(method="GET", url="nonsense"), "is not a URL"),
    ],
    ids=["header value", "header name", "surrogate", "method", "scheme", "port", "IPv6", "no URL"],
)
def test_what_cannot_be_sent_is_a_bad_request(side, request_, words):
    """Nothing was sent, and trying again would not help."""
    with pytest.raises(BadRequestError, match=words):
        side.send(side.open(), request_)


# --- bodies in pieces ---


def test_a_body_in_pieces_is_streamed(side, serve):
    """With its length announced where it has one, chunked otherwise."""
    server = serve(lambda asked: asked.reply())
    transport = side.open()
    side.send(transport, post(server.url, Pieces(b"abc", b"", b"def", length=6)))
    side.send(transport, post(server.url, Pieces(b"abc", b"def")))
    first, second = server.seen
    assert (first.body, first.headers["content-length"]) == (b"abcdef", "6")
    assert "transfer-encoding" not in first.headers
    assert (second.body, second.headers["transfer-encoding"]) == (b"abcdef", "chunked")
    assert "content-length" not in second.headers
    assert server.connections == 1


def test_the_first_piece_leaves_before_the_last_is_there(side, serve):
    """A body is never gathered in memory."""
    arrived = threading.Event()

    class Slow:
        length = 6

        def __iter__(self):
            yield b"abc"
            assert arrived.wait(60)
            yield b"def"

    def answer(asked) -> None:
        asked.body = asked.rest[:3] or asked.connection.recv(3)
        arrived.set()
        while len(asked.body) < 6:
            asked.body += asked.connection.recv(6)
        asked.rest = b""
        asked.reply(asked.body)

    server = serve(answer, body_first=False)
    assert side.send(side.open(), post(server.url, Slow())).content == b"abcdef"


def test_a_form_with_a_file_arrives_whole(side, serve, tmp_path: Path):
    """Fields and 2 MB of a file, read from disk as they go out."""
    path = tmp_path / "speech.wav"
    path.write_bytes(bytes(range(256)) * 8192)
    form = Multipart([("model", "whisper-1"), ("file", Upload.of(path))], boundary="b")
    server = serve(lambda asked: asked.reply())
    side.send(side.open(), post(server.url, form, headers={"content-type": form.content_type}))
    assert server.seen[0].body == b"".join(form)
    assert server.seen[0].headers["content-length"] == str(form.length)


def test_an_open_file_is_sent_again_on_a_second_try(side, serve):
    """Iterating a body twice gives the same bytes."""
    form = Multipart([("file", Upload.of(("a.txt", BytesIO(b"abc"))))])
    server = serve(lambda asked: asked.reply())
    transport = side.open()
    for _ in range(2):
        side.send(transport, post(server.url, form))
    assert server.seen[0].body == server.seen[1].body


def test_large_bytes_arrive_whole(side, serve):
    """More than a megabyte goes out in pieces, with its length announced."""
    content = bytes(range(256)) * 12_345
    server = serve(lambda asked: asked.reply(asked.body[-3:]))
    assert side.send(side.open(), post(server.url, content)).content == content[-3:]
    assert server.seen[0].body == content
    assert server.seen[0].headers["content-length"] == str(len(content))


def test_an_error_in_a_body_is_raised_as_it_is(side, serve):
    """And the connection is closed, so that the provider does not wait for the rest."""

    class Bad:
        length = 10

        def __iter__(self):
            yield b"abc"
            raise OSError("the disk is gone")

    server = serve(lambda asked: asked.wait_gone(), body_first=False)
    with pytest.raises(OSError, match="the disk is gone"):
        side.send(side.open(), post(server.url, Bad()))
    assert server.until(lambda: server.connections == 1 and server.open == 0)


@pytest.mark.parametrize(("length", "words"), [(5, "grew"), (7, "became shorter")])
def test_a_body_keeps_its_announced_length(side, serve, length, words):
    """A file that changes while it is sent is an error, and no request that ends in the next one's head."""
    server = serve(lambda asked: asked.wait_gone(), body_first=False)
    with pytest.raises(BadRequestError, match=words):
        side.send(side.open(), post(server.url, Pieces(b"abc", b"def", length=length)))
    assert server.until(lambda: server.open == 0)


# --- connections ---


def test_requests_one_after_another_share_a_connection(side, serve):
    """Read to their end or streamed to their end."""
    server = serve(lambda asked: asked.reply())
    transport = side.open()
    for stream in (False, True, False, True, False):
        reply = side.send(transport, post(server.url, stream=stream))
        if stream:
            assert side.read_all(reply) == b"ok"
            side.close(reply)
    assert len(server.seen) == 5
    assert server.connections == 1


def test_sixty_four_at_once_keep_their_connections(serve):
    """The next round finds them open."""
    barrier = threading.Barrier(64, timeout=60)
    server = serve(lambda asked: [barrier.wait(), asked.reply(asked.path.encode())])

    async def main() -> None:
        transport = Reqwest().open_async(TransportOptions())
        for _ in range(2):
            urls = [f"{server.url}/{number}" for number in range(64)]
            replies = await asyncio.gather(*(transport.send(post(url)) for url in urls))
            assert [reply.content for reply in replies] == [f"/{number}".encode() for number in range(64)]
        await transport.aclose()

    asyncio.run(main())
    assert (server.connections, len(server.seen)) == (64, 128)


def test_a_connection_that_the_server_closed_is_not_used(side, serve):
    """It is noticed before anything is sent on it."""
    server = serve(lambda asked: [asked.reply(), asked.hang_up()])
    transport = side.open()
    for number in range(1, 4):
        assert side.send(transport, post(server.url)).content == b"ok"
        assert server.until(lambda: server.open == 0)
        assert server.connections == number


def test_closing_closes_what_is_idle(side, serve):
    """The provider sees it at once; a request after that opens a connection again."""
    server = serve(lambda asked: asked.reply())
    transport = side.open()
    side.send(transport, post(server.url))
    assert server.open == 1
    side.close_transport(transport)
    assert server.until(lambda: server.open == 0)
    assert side.send(transport, post(server.url)).content == b"ok"
    assert server.connections == 2


def test_threads_share_a_transport(serve):
    """Each gets its own replies."""
    server = serve(lambda asked: asked.reply(asked.path.encode()))
    transport = Reqwest().open(TransportOptions())
    wrong: list[bytes] = []

    def work(thread: int) -> None:
        for number in range(50):
            path = f"/{thread}/{number}"
            content = transport.send(post(server.url + path)).content
            if content != path.encode():
                wrong.append(content)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.close()
    assert (wrong, len(server.seen)) == ([], 400)
    assert server.connections <= 8


def test_event_loops_share_a_transport(serve):
    """One after the other, and with a stream that is begun in one and read in another."""
    server = serve(lambda asked: asked.reply(asked.path.encode()))
    transport = Reqwest().open_async(TransportOptions())
    replies = [asyncio.run(transport.send(post(f"{server.url}/{number}", stream=True))) for number in range(3)]
    assert [asyncio.run(reply.source.read()) for reply in replies] == [b"/0", b"/1", b"/2"]
    asyncio.run(transport.aclose())


def test_a_blocking_call_works_inside_an_event_loop(serve):
    """It blocks the loop, which goes on afterwards as if nothing had been."""
    server = serve(lambda asked: asked.reply())

    async def main() -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        transport = Reqwest().open(TransportOptions())
        assert transport.send(post(server.url)).content == b"ok"
        transport.close()
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop
        return loop

    asyncio.run(main())
