"""Streams: pieces at once, and connections that close when nobody wants them any more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import signal
import threading
import zlib

import pytest
from plugins.reqwest.tests.conftest import PATIENCE, post, wait_for

from polyport.errors import APIConnectionError
from polyport.transport import TransportOptions
from polyport_reqwest import Reqwest


def test_each_piece_comes_before_the_next_is_sent(side, serve):
    """Nothing is held back to be joined with what follows, however small it is."""
    read: queue.Queue[bytes] = queue.Queue()

    def answer(asked) -> None:
        asked.begin()
        for number in range(50):
            asked.piece(b"%d" % number)
            assert read.get(timeout=PATIENCE) == b"%d" % number
        asked.end()

    reply = side.send(side.open(), post(serve(answer).url, stream=True))
    assert (reply.status, reply.content, reply.headers["transfer-encoding"]) == (200, b"", "chunked")
    for number in range(50):
        piece = side.read(reply)
        assert piece == b"%d" % number
        read.put(piece)
    assert side.read(reply) is None
    assert side.read(reply) is None
    side.close(reply)


def test_a_compressed_piece_comes_before_the_next_is_sent(side, serve):
    """A provider that compresses a stream flushes it at each event."""
    read: queue.Queue[bytes] = queue.Queue()

    def answer(asked) -> None:
        packer = zlib.compressobj(wbits=31)
        asked.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(5):
            asked.piece(packer.compress(b"event %d\n" % number) + packer.flush(zlib.Z_SYNC_FLUSH))
            assert read.get(timeout=PATIENCE) == b"event %d\n" % number
        asked.piece(packer.flush())
        asked.end()

    reply = side.send(side.open(), post(serve(answer).url, stream=True))
    for _ in range(5):
        read.put(side.read(reply))
    assert side.read_all(reply) == b""


def test_a_large_stream_arrives_whole(side, serve):
    """Ten megabytes, faster than they are read."""
    block = bytes(range(256)) * 256

    def answer(asked) -> None:
        asked.begin()
        for _ in range(160):
            asked.piece(block)
        asked.end()

    reply = side.send(side.open(), post(serve(answer).url, stream=True))
    assert side.read_all(reply) == block * 160


def test_an_error_status_is_read_whole(side, serve):
    """Core makes an error of it; there is nothing to stream."""
    server = serve(lambda asked: [asked.begin(429), asked.piece(b'{"error":', b'"slow down"}'), asked.end()])
    reply = side.send(side.open(), post(server.url, stream=True))
    assert (reply.status, reply.content, reply.source) == (429, b'{"error":"slow down"}', None)


def test_trailers_are_passed_over(side, serve):
    """They are headers after the body, and no piece of it."""
    server = serve(lambda asked: [asked.begin(), asked.piece(b"a"), asked.send(b"0\r\nx-after: b\r\n\r\n")])
    assert side.read_all(side.send(side.open(), post(server.url, stream=True))) == b"a"


# --- letting go ---


def endless(asked) -> None:
    """Send a piece, then only wait for the client to go."""
    asked.begin()
    asked.piece(b"first")
    asked.server.gone = asked.wait_gone()
    asked.hang_up()


def test_closing_a_stream_closes_its_connection(side, serve):
    """Closing twice is fine, and there is nothing more to read."""
    server = serve(endless)
    reply = side.send(side.open(), post(server.url, stream=True))
    assert side.read(reply) == b"first"
    side.close(reply)
    side.close(reply)
    assert side.read(reply) is None
    assert server.until(lambda: server.open == 0)
    assert server.gone


def test_a_stream_that_is_dropped_closes_its_connection(side, serve):
    """The garbage collector is late, but it is enough."""
    server = serve(endless)
    reply = side.send(side.open(), post(server.url, stream=True))
    assert side.read(reply) == b"first"
    del reply
    gc.collect()
    assert server.until(lambda: server.open == 0)


def test_a_stream_survives_the_end_of_its_transport(side, serve):
    """Closing a transport lets replies under way come to their end."""
    go_on = threading.Event()
    server = serve(
        lambda asked: [asked.begin(), asked.piece(b"a"), go_on.wait(PATIENCE), asked.piece(b"b"), asked.end()]
    )
    transport = side.open()
    reply = side.send(transport, post(server.url, stream=True))
    assert side.read(reply) == b"a"
    side.close_transport(transport)
    go_on.set()
    assert side.read_all(reply) == b"b"
    assert server.until(lambda: server.open == 0)


def test_closing_from_another_thread_ends_a_blocking_read(serve):
    """The reader finds the stream over."""
    server = serve(endless)
    transport = Reqwest().open(TransportOptions())
    source = transport.send(post(server.url, stream=True)).source
    assert source.read() == b"first"
    threading.Timer(0.2, source.close).start()
    assert source.read() is None
    assert server.until(lambda: server.open == 0)
    assert server.gone
    transport.close()


def silent(asked) -> None:
    """Never answer."""
    asked.wait_gone()
    asked.hang_up()


@pytest.mark.parametrize("stream", [False, True])
def test_cancelling_closes_the_connection_before_the_reply(serve, stream):
    """Nobody pays for an answer that nobody reads."""
    server = serve(silent)

    async def main() -> None:
        transport = Reqwest().open_async(TransportOptions())
        task = asyncio.create_task(transport.send(post(server.url, stream=stream)))
        assert await asyncio.to_thread(server.until, lambda: server.seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)
        await transport.aclose()

    asyncio.run(main())


def test_cancelling_closes_the_connection_within_the_reply(serve):
    """A reply that is not streamed may be long, too."""
    server = serve(endless)

    async def main() -> None:
        transport = Reqwest().open_async(TransportOptions())
        task = asyncio.create_task(transport.send(post(server.url)))
        assert await asyncio.to_thread(server.until, lambda: server.seen)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    asyncio.run(main())


def test_cancelling_a_read_leaves_the_stream_to_be_closed(serve):
    """As the driver does: a cancelled read, then aclose."""
    server = serve(endless)

    async def main() -> None:
        transport = Reqwest().open_async(TransportOptions())
        source = (await transport.send(post(server.url, stream=True))).source
        assert await source.read() == b"first"
        task = asyncio.create_task(source.read())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await source.aclose()
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    asyncio.run(main())


@pytest.mark.parametrize("answer", [silent, endless], ids=["before the reply", "within a stream"])
def test_ctrl_c_interrupts_a_blocking_call(serve, answer):
    """At once, and the connection is closed."""
    server = serve(answer)
    transport = Reqwest().open(TransportOptions())

    def talk() -> None:
        with contextlib.closing(transport.send(post(server.url, stream=True)).source) as source:
            while source.read() is not None:
                pass

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            talk()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert server.until(lambda: server.open == 0)
    transport.close()


def test_a_hundred_streams_at_once(serve):
    """On one loop, each with its own pieces in its own order."""

    def answer(asked) -> None:
        asked.begin()
        for number in range(20):
            asked.piece(f"{asked.path}:{number} ".encode())
        asked.end()

    server = serve(answer)

    async def read(transport, number: int) -> None:
        source = (await transport.send(post(f"{server.url}/{number}", stream=True))).source
        text = b""
        while (piece := await source.read()) is not None:
            text += piece
        assert text.decode().split() == [f"/{number}:{piece}" for piece in range(20)]

    async def main() -> None:
        transport = Reqwest().open_async(TransportOptions())
        await asyncio.gather(*(read(transport, number) for number in range(100)))
        await transport.aclose()

    asyncio.run(main())
    assert wait_for(lambda: server.open == 0)


# --- broken ---


def test_a_stream_that_breaks_says_so(side, serve):
    """What came before is read; then comes the error, and not an end."""
    server = serve(lambda asked: [asked.begin(), asked.piece(b"first"), asked.hang_up()])
    reply = side.send(side.open(), post(server.url, stream=True))
    assert side.read(reply) == b"first"
    with pytest.raises(APIConnectionError, match=rf"127.0.0.1:{server.port} failed: .* before the reply was complete"):
        side.read(reply)
    side.close(reply)
