"""Timeouts: which limit was reached, after how long, and what does not count."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from pace import given_time
from plugins.reqwest.tests.conftest import post

from polyport.errors import Timeout
from polyport.flow import TimeoutSpec

NONE = {"connect": None, "read": None, "total": None}


def limits(**given: float) -> TimeoutSpec:
    """Return limits that are off unless given."""
    return TimeoutSpec(**{**NONE, **given})


@pytest.fixture
def full() -> Iterator[int]:
    """A port whose queue of connections is full: connecting to it never ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    time.sleep(0.05)
    yield port
    for one in (*waiting, listener):
        one.close()


def expect(side, request, limit: str, seconds: float) -> None:
    """The request ends with a Timeout that names the limit, not before; the connection is closed."""
    begun = time.monotonic()
    with pytest.raises(Timeout) as raised:
        reply = side.send(side.open(), request)
        side.read_all(reply)
    assert f"did not answer within {seconds} s ({limit} timeout)" in raised.value.message
    assert "127.0.0.1:" in raised.value.message
    assert time.monotonic() - begun >= seconds


def silent(asked) -> None:
    """Never answer."""
    asked.wait_gone()
    asked.hang_up()


def dripping(asked, seconds: float = 0.05) -> None:
    """Answer a piece every so many seconds."""
    asked.begin()
    for _ in range(40):
        time.sleep(seconds)
        asked.piece(b"x")
    asked.end()


def stuck(asked) -> None:
    """Begin an answer, and say no more."""
    asked.begin()
    asked.piece(b"first")
    silent(asked)


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_is_not_made(side, full, stream):
    """`connect` bounds the TCP handshake."""
    expect(side, post(f"http://127.0.0.1:{full}/", timeout=limits(connect=0.3), stream=stream), "connect", 0.3)


def test_tls_counts_as_connecting(side, serve):
    """A server that accepts and then says nothing."""
    server = serve(lambda asked: None)
    server._converse = silent_socket
    expect(side, post(f"https://127.0.0.1:{server.port}/", timeout=limits(connect=0.3)), "connect", 0.3)


def silent_socket(connection: socket.socket) -> None:
    """Read until the client goes."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("limit", ["read", "total"])
def test_a_reply_that_does_not_come(side, serve, limit, stream):
    """Either bounds the wait for it."""
    server = serve(silent)
    expect(side, post(server.url, timeout=limits(**{limit: 0.3}), stream=stream), limit, 0.3)
    assert server.until(lambda: server.open == 0)


def test_one_number_for_everything_is_the_total(side, serve):
    """What `timeout=0.3` becomes."""
    expect(side, post(serve(silent).url, timeout=TimeoutSpec.of(0.3)), "total", 0.3)


def test_a_reply_that_stops_half_way(side, serve):
    """`read` bounds each wait for a piece of it."""
    server = serve(stuck)
    expect(side, post(server.url, timeout=limits(read=0.3, total=300)), "read", 0.3)
    assert server.until(lambda: server.open == 0)


def test_a_reply_that_comes_too_slowly(side, serve):
    """`total` ends it, though every piece is in time."""
    expect(side, post(serve(dripping).url, timeout=limits(read=60, total=0.4)), "total", 0.4)


def test_a_stream_may_take_longer_than_the_total(side, serve):
    """After the first piece only `read` counts, and only between pieces."""

    def attempt(total: float) -> None:
        server = serve(lambda asked: dripping(asked, 1.3 * total / 40))
        reply = side.send(side.open(), post(server.url, timeout=limits(read=60, total=total), stream=True))
        assert side.read_all(reply) == b"x" * 40

    given_time(attempt, 1.5, 15)


def test_a_stream_whose_first_piece_does_not_come(side, serve):
    """The headers alone are not enough: `total` goes on until there is something to read."""

    def answer(asked) -> None:
        asked.begin()
        silent(asked)

    expect(side, post(serve(answer).url, timeout=limits(read=60, total=0.4), stream=True), "total", 0.4)


def test_a_stream_that_stops(side, serve):
    """`read` bounds the wait for the next piece; the time between two reads does not count."""

    def attempt(limit: float) -> None:
        server = serve(stuck)
        reply = side.send(side.open(), post(server.url, timeout=limits(read=limit, total=300), stream=True))
        assert side.read(reply) == b"first"
        time.sleep(1.2 * limit)
        begun = time.monotonic()
        with pytest.raises(Timeout, match=rf"within {limit} s \(read timeout\)"):
            side.read(reply)
        assert time.monotonic() - begun >= limit
        side.close(reply)
        assert server.until(lambda: server.open == 0)

    given_time(attempt, 0.4, 10)


class Slow:
    """A body that takes its time to be sent: a second and a half, unless told otherwise."""

    length = 10

    def __init__(self, seconds: float = 1.5) -> None:
        self.seconds = seconds

    def __iter__(self):
        for _ in range(10):
            time.sleep(self.seconds / 10)
            yield b"x"


@pytest.mark.parametrize("stream", [False, True])
def test_sending_is_not_waiting(side, serve, stream):
    """`read` counts from when the body is gone."""
    server = serve(lambda asked: asked.reply(asked.body))

    def attempt(limit: float) -> None:
        asked = post(server.url, Slow(1.25 * limit), timeout=limits(read=limit), stream=stream)
        reply = side.send(side.open(), asked)
        assert (side.read_all(reply) if stream else reply.content) == b"x" * 10

    given_time(attempt, 1.2, 15)


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_does_not_come_after_a_long_body(side, serve, stream):
    """Then `read` does count."""
    server = serve(silent)
    begun = time.monotonic()
    with pytest.raises(Timeout, match=r"within 0.5 s \(read timeout\)"):
        side.send(side.open(), post(server.url, Slow(), timeout=limits(read=0.5), stream=stream))
    assert time.monotonic() - begun > 1.8
    assert server.until(lambda: server.open == 0)


def test_a_body_that_takes_too_long(side, serve):
    """`total` bounds sending, too."""
    with pytest.raises(Timeout, match=r"within 0.4 s \(total timeout\)"):
        side.send(side.open(), post(serve(silent).url, Slow(), timeout=limits(read=60, total=0.4)))


def test_limits_belong_to_one_request(side, serve):
    """The next one on the same transport has its own."""

    def answer(asked) -> None:
        if len(server.seen) in (1, 3):
            silent(asked)
            return
        time.sleep(0.4 if len(server.seen) == 2 else 0)
        asked.reply()

    server = serve(answer)
    transport = side.open()
    with pytest.raises(Timeout):
        side.send(transport, post(server.url, timeout=limits(read=0.1)))
    assert side.send(transport, post(server.url, timeout=limits(read=60))).content == b"ok"
    with pytest.raises(Timeout):
        side.send(transport, post(server.url, timeout=limits(total=0.1)))
    for seconds in range(31, 50):
        assert side.send(transport, post(server.url, timeout=TimeoutSpec(connect=seconds))).status == 200


def test_no_time_left_is_a_timeout(side, serve):
    """A deadline that has passed is not the same as no limit."""
    server = serve(silent)
    for stream in (False, True):
        with pytest.raises(Timeout):
            side.send(side.open(), post(server.url, timeout=limits(total=0), stream=stream))
