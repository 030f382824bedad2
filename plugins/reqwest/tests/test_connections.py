"""Connections: which are kept, which are not used again, and when a request may go out a second time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time

import pytest
from pace import given_time
from plugins.reqwest.tests.conftest import LOOPS, PATIENCE, post, wait_for

from polyport.errors import APIConnectionError, Timeout
from polyport.flow import HttpRequest, TimeoutSpec
from polyport.transport import TransportOptions
from polyport_reqwest import AsyncReqwestTransport
from polyport_reqwest.message import LARGE
from polyport_reqwest.routes import Routes
from polyport_reqwest.talk import AT_ONCE, MOST_IDLE, Talk


class Pieces:
    """A body in pieces, of any length that is said."""

    def __init__(self, *pieces: bytes, length: int | None = None) -> None:
        self.pieces, self.length = pieces, length

    def __iter__(self):
        return iter(self.pieces)


def second(first, then):
    """Answer the first request of each connection in one way, and the others in another."""
    known: set[int] = set()

    def answer(asked) -> None:
        new = id(asked.connection) not in known
        known.add(id(asked.connection))
        (first if new else then)(asked)

    return answer


def fine(asked) -> None:
    """Answer well."""
    asked.reply()


# --- which are not used again ---

#: What the server does -> whether the connection is used again.
ENDINGS = {
    "well": (fine, True),
    "chunked": (lambda asked: [asked.begin(), asked.piece(b"o", b"k"), asked.end()], True),
    "with trailers": (lambda asked: [asked.begin(), asked.piece(b"ok"), asked.send(b"0\r\nx-a: b\r\n\r\n")], True),
    "after interim replies": (lambda asked: [asked.send(b"HTTP/1.1 103 Hints\r\n\r\n" * 3), asked.reply()], True),
    "with connection: close": (lambda asked: asked.reply(b"ok", 200, "connection: close"), False),
    "until the end": (lambda asked: [asked.send(b"HTTP/1.1 200 OK\r\n\r\nok"), asked.hang_up()], False),
    "by HTTP/1.0": (lambda asked: asked.send(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"), False),
    "and hangs up": (lambda asked: [asked.reply(), asked.hang_up()], False),
    "and resets": (lambda asked: [asked.reply(), asked.server.was_read(), asked.reset()], False),
    "and says more later": (lambda asked: [asked.reply(), asked.server.was_read(), asked.send(b"more")], False),
    "and a second time later": (lambda asked: [asked.reply(), asked.server.was_read(), asked.reply(b"odd")], False),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_connection_is_used_again_where_nothing_speaks_against_it(side, serve, ending, stream):
    """Each call gets its own reply, whatever became of the connection of the last one."""
    answer, kept = ENDINGS[ending]
    done: list[str] = []
    read = threading.Semaphore(0)
    server = serve(lambda asked: [answer(asked), done.append(asked.path)])
    server.was_read = lambda: read.acquire(timeout=PATIENCE)
    transport = side.open()
    for number in range(3):
        reply = side.send(transport, post(f"{server.url}/{number}", stream=stream))
        assert (side.read_all(reply) if stream else reply.content) == b"ok"
        read.release()
        assert wait_for(lambda: len(done) == len(server.seen))
        side.idle(0.02)
    assert server.connections == (1 if kept else 3)
    assert [asked.path for asked in server.seen] == ["/0", "/1", "/2"]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_replies_without_a_body_leave_the_connection_usable(side, serve, method):
    """A reply to HEAD and a 304 announce a body that does not come."""
    status = 200 if method == "HEAD" else 304
    server = serve(lambda asked: asked.send(b"HTTP/1.1 %d Said\r\ncontent-length: 99\r\n\r\n" % status))
    transport = side.open()
    for _ in range(3):
        reply = side.send(transport, HttpRequest(method=method, url=server.url, timeout=TimeoutSpec.of(5)))
        assert (reply.status, reply.content, reply.headers["content-length"]) == (status, b"", "99")
    assert server.connections == 1


def test_more_than_was_announced_is_no_part_of_the_next_reply(side, serve):
    """In the same packet it is an error, at the next byte already."""
    server = serve(second(lambda asked: asked.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok+++"), fine))
    transport = side.open()
    for _ in range(2):
        with contextlib.suppress(APIConnectionError):
            assert side.send(transport, post(server.url)).content == b"ok"
    assert server.connections == 2


def test_an_idle_connection_is_closed_in_time(side, serve):
    """On an event loop by itself, without one at the next call to anywhere."""
    server, other = serve(fine), serve(fine)
    transport = side.open(keep_alive=0.2)
    side.send(transport, post(server.url))
    side.idle(0.5)
    if side.name == "sync":
        side.send(transport, post(other.url))
    assert server.until(lambda: server.open == 0)
    side.send(transport, post(server.url))
    assert server.connections == 2


def test_the_connection_that_was_used_last_is_used_first(serve):
    """The others may then end."""
    both = threading.Barrier(2, timeout=PATIENCE)
    server = serve(lambda asked: [asked.path == "/both" and both.wait(), asked.reply()])

    async def main() -> None:
        transport = AsyncReqwestTransport(TransportOptions())
        await asyncio.gather(*(transport.send(post(f"{server.url}/both")) for _ in range(2)))
        for _ in range(5):
            await transport.send(post(f"{server.url}/one"))
        await transport.aclose()

    asyncio.run(main())
    assert len({asked.connection for asked in server.seen if asked.path == "/one"}) == 1


def test_no_more_than_so_many_idle_connections_are_kept(serve):
    """The others are closed when they are not needed any more."""
    many = MOST_IDLE + 20
    all_there = threading.Barrier(many, timeout=60)
    server = serve(lambda asked: [all_there.wait(), asked.reply()])

    async def main() -> None:
        transport = AsyncReqwestTransport(TransportOptions())
        await asyncio.gather(*(transport.send(post(server.url, timeout=TimeoutSpec.of(60))) for _ in range(many)))
        assert await asyncio.to_thread(server.until, lambda: server.open == MOST_IDLE)
        await transport.aclose()

    asyncio.run(main())
    assert server.connections == many


# --- a second time ---


@pytest.mark.parametrize("content", [b"{}", b"x" * (LARGE + 1), Pieces(b"ab", b"c", length=3), Pieces(b"ab", b"c")])
@pytest.mark.parametrize("way", ["hang_up", "reset"])
def test_a_connection_that_was_closed_meanwhile_is_replaced(side, serve, way, content):
    """The request goes out again, once and whole, on a new connection."""

    def attempt(_: float) -> None:
        server = serve(second(fine, lambda asked: getattr(asked, way)()))
        transport = side.open()
        for _ in range(3):
            assert side.send(transport, post(server.url, content)).content == b"ok"
        assert (server.connections, len(server.seen)) == (3, 5)
        assert len({asked.body for asked in server.seen}) == 1

    given_time(attempt, *[AT_ONCE] * 5)


def late(asked) -> None:
    """Hang up after a while, as if it had worked on the request."""
    time.sleep(1.2)
    asked.hang_up()


FAILURES = {
    "a new connection closes": (lambda asked: asked.hang_up(), None),
    "a used one closes after a byte": (fine, lambda asked: [asked.send(b"H"), asked.hang_up()]),
    "a used one closes late": (fine, late),
    "a used one says what is no HTTP": (fine, lambda asked: asked.send(b"SSH-2.0\r\n\r\n")),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_a_server_may_have_worked_on_is_not_sent_again(side, serve, failure):
    """It is an error, and whoever made the call decides."""
    first, then = FAILURES[failure]
    server = serve(second(first, then or first))
    transport = side.open()
    if then is not None:
        side.send(transport, post(server.url))
    before = len(server.seen)
    with pytest.raises(APIConnectionError):
        side.send(transport, post(server.url))
    assert len(server.seen) == before + 1


def test_a_request_goes_out_twice_at_most(side, serve):
    """A server that always hangs up gets no third."""

    def attempt(_: float) -> None:
        closing = False
        server = serve(lambda asked: asked.hang_up() if closing else asked.reply())
        transport = side.open()
        side.send(transport, post(server.url))
        closing = True
        with pytest.raises(APIConnectionError, match="closed before a reply came"):
            side.send(transport, post(server.url))
        assert len(server.seen) == 3

    given_time(attempt, *[AT_ONCE] * 5)


# --- bodies on their way out ---


@pytest.mark.parametrize("hangs_up", [False, True])
def test_an_answer_may_come_before_the_body_is_sent(side, serve, hangs_up):
    """It is the reply; a connection on which the rest of the body is missing is not used again."""

    def answer(asked) -> None:
        if asked.headers["content-length"] == "3":
            return asked.receive_body() or asked.reply()
        asked.reply(b"too large", 413)
        return asked.hang_up() if hangs_up else asked.receive_body()

    class Endless:
        length = 10_000_000

        def __iter__(self):
            for _ in range(100):
                time.sleep(0.01)
                yield b"x" * 100_000

    server = serve(answer, body_first=False)
    transport = side.open()
    reply = side.send(transport, post(server.url, Endless()))
    assert (reply.status, reply.content) == (413, b"too large")
    assert side.send(transport, post(server.url, b"abc")).content == b"ok"
    assert server.connections == (1 if side.name == "sync" and not hangs_up else 2)  # that one sends it all first


@pytest.mark.parametrize("content", [b"x" * 30_000_000, Pieces(*[b"x" * 1_000_000] * 30, length=30_000_000)])
def test_a_server_that_does_not_read_is_waited_for_so_long(side, serve, content):
    """`read` bounds it."""
    over = threading.Event()
    server = serve(lambda asked: over.wait(PATIENCE), body_first=False)
    with pytest.raises(Timeout, match=r"within 0.4 s \(read timeout\)"):
        side.send(side.open(), post(server.url, content, timeout=TimeoutSpec(read=0.4)))
    over.set()


# --- streams that nobody reads ---


def test_a_stream_that_is_not_read_is_not_received(side, serve):
    """The server has to wait, however much it has; nothing of it is lost."""
    block, count = bytes(range(256)) * 1024, 200
    sent = 0

    def answer(asked) -> None:
        nonlocal sent
        asked.begin()
        for _ in range(count):
            asked.piece(block)
            sent += 1
        asked.end()

    server = serve(answer)
    reply = side.send(side.open(), post(server.url, stream=True))
    first = side.read(reply)
    side.idle(0.5)
    assert sent < count / 2
    assert first + side.read_all(reply) == block * count
    assert wait_for(lambda: sent == count)


# --- event loops ---


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "sync"])
def test_connections_close_with_their_loop(serve, name):
    """Though nobody closed the transport: an idle one, and one with a stream under way."""
    server = serve(lambda asked: [asked.begin(), asked.piece(b"a"), asked.path == "/idle" and asked.end()])
    transport = AsyncReqwestTransport(TransportOptions())
    kept = []

    async def main() -> None:
        for path in ("/idle", "/open"):
            kept.append((await transport.send(post(server.url + path, stream=True))).source)
            assert await kept[-1].read() == b"a"
        assert await kept[0].read() is None

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(main())
    assert server.until(lambda: server.open == 0)


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "sync"])
def test_connections_close_with_their_transport(serve, name):
    """One that is forgotten lets go of what is idle, while its loop goes on."""
    server = serve(fine)

    async def main() -> None:
        transport = AsyncReqwestTransport(TransportOptions())
        await transport.send(post(server.url))
        assert server.open == 1
        del transport
        gc.collect()
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(main())


def test_loops_in_threads_share_a_transport(serve):
    """Each with connections of its own; closing it in one closes them in all."""
    server = serve(lambda asked: asked.reply(asked.path.encode()))
    transport = AsyncReqwestTransport(TransportOptions())
    done, wrong = threading.Barrier(5, timeout=60), []

    async def work(thread: int) -> None:
        for number in range(30):
            path = f"/{thread}/{number}"
            if (await transport.send(post(server.url + path))).content != path.encode():
                wrong.append(path)
        await asyncio.to_thread(done.wait)
        await asyncio.to_thread(done.wait)

    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    done.wait()
    assert (server.connections, server.open) == (4, 4)
    asyncio.run(transport.aclose())
    assert server.until(lambda: server.open == 0)
    done.wait()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", [name for name in LOOPS if name != "sync"])
def test_cancelling_ends_what_is_under_way(serve, name, scheme):
    """A TLS handshake that does not end, and a body that is being sent."""
    server = serve(lambda asked: None, body_first=False)
    server._converse = read_for_ever

    class Endless:
        length = None

        def __iter__(self):
            while True:
                time.sleep(0.01)
                yield b"x"

    async def main() -> None:
        transport = AsyncReqwestTransport(TransportOptions(verify=False))
        request = post(f"{scheme}://127.0.0.1:{server.port}/", Endless())
        task = asyncio.create_task(transport.send(request))
        assert await asyncio.to_thread(server.until, lambda: server.open == 1)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)
        await transport.aclose()

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(main())


def read_for_ever(connection) -> None:
    """Read until the client goes."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "sync"])
def test_many_calls_that_are_cancelled_leave_nothing(serve, name):
    """At any moment: before, within and after the reply; the transport goes on."""
    server = serve(lambda asked: [asked.begin(), asked.piece(b"a"), asked.end()])

    async def main() -> None:
        transport = AsyncReqwestTransport(TransportOptions())
        for number in range(150):
            task = asyncio.create_task(transport.send(post(server.url)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(task, number * 0.00003)
        assert (await transport.send(post(server.url))).content == b"a"
        assert await asyncio.to_thread(server.until, lambda: server.open <= 1)
        await transport.aclose()
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(main())


# --- secrets ---


def test_no_secret_is_in_a_repr(serve):
    """Of nothing that a debugger or a log may come upon."""
    key = "sk-never-to-be-seen"
    routes = Routes(TransportOptions(proxy=f"http://user:{key}@127.0.0.1:1"))
    request = post(f"https://user:{key}@host.invalid/?key={key}", headers={"authorization": key}, secrets=(key,))
    way, talk = routes.find(request.url), Talk(request, routes)
    things = [routes, way, way.route, way.route.tunnel, talk, AsyncReqwestTransport(TransportOptions())]
    assert key not in repr(things)
