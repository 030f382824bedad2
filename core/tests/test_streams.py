"""Streams: however one is left, the provider's reply is closed and what middleware added runs exactly once."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import httpx
import pytest
from core.tests.conftest import ASK, DONE, PATIENCE, ROLE, Fake, event, wire

from polyport.errors import APIConnectionError
from polyport.flow import Items, Raw, Streaming
from polyport.hookspecs import hookimpl


@pytest.fixture
def ends():
    """How streams ended, as their epilogues were told."""
    return []


@pytest.fixture
def noting(ends):
    """A middleware that notes how streams end."""

    def layer(call, proceed):
        stream = yield from proceed(call)

        def end(error):
            ends.append(error)
            return
            yield

        return stream.epilogue(end)

    return layer


def endless(exchange) -> None:
    """Begin a stream and wait until the client goes."""
    exchange.begin()
    exchange.piece(ROLE, event("a"), event("b"), event("c"))
    exchange.wait_gone()


@pytest.mark.parametrize("take", [0, 1, 3])
@pytest.mark.parametrize("leave", ["close", "with", "del", "break"])
def test_a_stream_left_early_closes_the_connection(mode, client, serve, noting, ends, leave, take):
    """By close(), `with`, dropping it, or a `break` out of an unnamed one; unread or in the middle."""
    server = serve(endless)
    one = client(server.url, middleware=[noting])
    mode.stream(one, take=take, leave=leave)
    assert server.until(lambda: server.seen[0].gone)
    assert ends == [None]


@pytest.mark.parametrize("leave", ["close", "with", "del", "break"])
def test_a_stream_read_to_its_end_gives_its_connection_back(mode, client, serve, noting, ends, leave):
    """Its epilogue ran once; sync calls go on over the same connection."""
    server = serve(lambda exchange: exchange.events(ROLE, event("a"), event("b"), DONE))
    one = client(server.url, middleware=[noting])
    assert mode.stream(one, leave=leave) == "ab"
    assert mode.stream(one, leave=leave) == "ab"
    assert ends == [None, None]
    assert server.connections == (1 if mode.name == "sync" else 2)


def test_a_stream_is_read_where_it_is_made(client):
    """`for chunk in completion(...)` keeps the stream alive, and `async for` too; so does `iter_bytes()`."""
    one = client(http=wire(lambda _: httpx.Response(200, content=ROLE + event("a") + event("b") + DONE)))
    assert [c.choices[0].delta.content for c in one.completion("fake/m", ASK, stream=True)] == ["", "a", "b", None]
    assert len(list(one.completion("fake/m", ASK, stream=True).iter_bytes())) == 4

    async def main() -> list[str]:
        return [c.choices[0].delta.content async for c in await one.acompletion("fake/m", ASK, stream=True)]

    assert asyncio.run(main()) == ["", "a", "b", None]


def test_a_stream_can_be_left_and_taken_up_again(client, serve):
    """`break` out of a named stream keeps it open: the rest is still to come."""
    server = serve(lambda exchange: exchange.events(ROLE, event("a"), event("b"), DONE))
    stream = client(server.url).completion("fake/m", ASK, stream=True)
    for chunk in stream:
        if chunk.is_content():
            break
    assert [c.choices[0].delta.content for c in stream] == ["b", None]

    async def main() -> list[str | None]:
        again = await client(server.url).acompletion("fake/m", ASK, stream=True)
        async for chunk in again:
            if chunk.is_content():
                break
        return [c.choices[0].delta.content async for c in again]

    assert asyncio.run(main()) == ["b", None]


def test_closing_twice_is_fine_and_reading_on_finds_nothing(client, serve, noting, ends):
    """Sync and async."""
    server = serve(endless)
    stream = client(server.url, middleware=[noting]).completion("fake/m", ASK, stream=True)
    stream.close()
    stream.close()
    assert list(stream) == []

    async def main() -> list:
        one = await client(server.url, middleware=[noting]).acompletion("fake/m", ASK, stream=True)
        await one.aclose()
        await one.close()
        return [chunk async for chunk in one]

    assert asyncio.run(main()) == []
    assert ends == [None, None]


def test_an_abandoned_cycle_is_collected_and_closed(client, serve, noting, ends):
    """A stream in a reference cycle is closed by the garbage collector."""
    server = serve(endless)
    stream = client(server.url, middleware=[noting]).completion("fake/m", ASK, stream=True)
    next(stream)
    stream.itself = stream
    del stream
    gc.collect()
    assert server.until(lambda: server.seen[0].gone)
    assert ends == [None]


def test_an_error_in_the_reader_s_block_closes_the_stream(client, serve, noting, ends):
    """`with` closes it on the way out."""
    server = serve(endless)
    one = client(server.url, middleware=[noting])
    with pytest.raises(LookupError), one.completion("fake/m", ASK, stream=True) as stream:
        next(stream)
        raise LookupError

    async def main() -> None:
        async with await one.acompletion("fake/m", ASK, stream=True) as again:
            await anext(again)
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert server.until(lambda: all(exchange.gone for exchange in server.seen))
    assert ends == [None, None]


def test_a_broken_stream_s_epilogue_is_told_the_error(mode, client, serve, noting, ends):
    """The same that the reader gets."""

    def answer(exchange) -> None:
        exchange.begin()
        exchange.piece(ROLE, event("a"))
        time.sleep(0.05)
        exchange.reset()

    with pytest.raises(APIConnectionError) as caught:
        mode.stream(client(serve(answer).url, middleware=[noting]))
    assert ends == [caught.value]


def test_every_epilogue_runs_also_when_one_fails(mode, client, ends):
    """The innermost layer's first, so that outer ones see what it left; the failure is raised afterwards."""

    def layer(number, fails=False):
        def wrap(call, proceed):
            def end(error):
                ends.append(number)
                if fails:
                    raise LookupError(number)
                return
                yield

            return (yield from proceed(call)).epilogue(end)

        return wrap

    one = client(http=wire(lambda _: httpx.Response(200, content=ROLE + event("a") + DONE)),
                 middleware=[layer(1), layer(2, fails=True), layer(3)])  # fmt: skip
    with pytest.raises(LookupError, match="2"):
        mode.stream(one)
    assert ends == [3, 2, 1]


def test_an_epilogue_is_a_flow_and_may_send(mode, client, serve):
    """To tell a ledger what the stream used, say."""

    def answer(exchange) -> None:
        if exchange.path == "/v1/chat/completions":
            exchange.events(ROLE, event("a"), DONE)
        else:
            exchange.reply({"data": []})

    server = serve(answer)

    def layer(call, proceed):
        def end(error):
            yield from call_list()

        def call_list():
            from polyport.flow import HttpRequest

            reply = yield HttpRequest(method="GET", url=f"{server.url}/ledger")
            assert reply.status == 200

        return (yield from proceed(call)).epilogue(end)

    assert mode.stream(client(server.url, middleware=[layer])) == "a"
    assert [exchange.path for exchange in server.seen] == ["/v1/chat/completions", "/v1/ledger"]


def test_chunks_arrive_as_they_are_sent(client, serve):
    """Each before the next is sent: nothing is held back for more."""
    got = threading.Semaphore(0)

    def answer(exchange) -> None:
        exchange.begin()
        for n in range(20):
            exchange.piece(event(str(n)))
            assert got.acquire(timeout=PATIENCE)
        exchange.piece(DONE)
        exchange.end()

    server = serve(answer)
    texts = []
    for chunk in client(server.url).completion("fake/m", ASK, stream=True):
        texts.append(chunk.choices[0].delta.content)
        got.release()

    async def main() -> None:
        async for chunk in await client(server.url).acompletion("fake/m", ASK, stream=True):
            texts.append(chunk.choices[0].delta.content)
            got.release()

    asyncio.run(main())
    assert "".join(text or "" for text in texts) == "".join(map(str, range(20))) * 2


# --- streams of bytes, and those made in this process ---


class Pieces(Fake):
    """Makes its streams here: from a blocking generator."""

    closed: list[str] = []

    @hookimpl
    def speak(self, request):
        """Count in bytes."""
        return Streaming(Items(self.pieces()), Raw())
        yield

    def wait(self):
        """Take a while for each piece."""
        time.sleep(0.01)

    def pieces(self):
        """Give three pieces; note that the generator ended."""
        try:
            for n in range(3):
                self.wait()
                yield f"<{n}>".encode()
        finally:
            self.closed.append(threading.current_thread().name)


@pytest.fixture
def pieces(client):
    """A client whose provider makes streams in this process."""
    Pieces.closed.clear()
    return client(providers={"pieces": Pieces})


def test_a_stream_made_here_is_read_whole_in_pieces_or_to_a_file(pieces, tmp_path):
    """With `read`, `iter_bytes` and `stream_to_file`; its `finally` blocks run."""
    ask = {"input": "x", "model": "pieces/m", "stream": True}
    assert pieces.speech(**ask).read() == b"<0><1><2>"
    assert list(pieces.speech(**ask).iter_bytes()) == [b"<0>", b"<1>", b"<2>"]
    pieces.speech(**ask).stream_to_file(tmp_path / "a")

    async def main() -> None:
        assert await (await pieces.aspeech(**ask)).read() == b"<0><1><2>"
        assert [piece async for piece in (await pieces.aspeech(**ask)).iter_bytes()] == [b"<0>", b"<1>", b"<2>"]
        await (await pieces.aspeech(**ask)).stream_to_file(tmp_path / "b")

    asyncio.run(main())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"<0><1><2>"
    assert len(Pieces.closed) == 6


def test_a_stream_made_here_does_not_block_the_loop(client):
    """Its pieces are made in a worker thread: each here waits for the loop to have gone on."""
    ticked = threading.Semaphore(0)
    went_on: list[bool] = []

    class Waiting(Pieces):
        def wait(self):
            """For the loop."""
            went_on.append(ticked.acquire(timeout=PATIENCE))

    async def read() -> None:
        await (await client(providers={"pieces": Waiting}).aspeech(input="x", model="pieces/m", stream=True)).read()

    async def main() -> None:
        reading = asyncio.create_task(read())
        while not reading.done():
            ticked.release()
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert went_on == [True] * 3


def test_a_stream_made_here_that_is_left_early_runs_its_finally_blocks(pieces):
    """Also where the reader is cancelled while a piece is being made in another thread."""
    stream = pieces.speech(input="x", model="pieces/m", stream=True)
    next(stream)
    stream.close()
    assert len(Pieces.closed) == 1

    async def main() -> None:
        one = await pieces.aspeech(input="x", model="pieces/m", stream=True)
        reading = asyncio.create_task(one.read())
        await asyncio.sleep(0.015)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await one.aclose()

    asyncio.run(main())
    assert len(Pieces.closed) == 2
