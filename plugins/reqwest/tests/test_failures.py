"""What can go wrong on the way: each the right error, naming the host and no secret."""

from __future__ import annotations

import gc
import traceback

import pytest
from local_server import free_port
from plugins.reqwest.tests.conftest import post

from polyport.errors import APIConnectionError, BadRequestError, Timeout
from polyport.flow import TimeoutSpec

KEY = "sk-never-to-be-seen"


WAYS = {
    "drop": (lambda asked: asked.hang_up(), "closed before a reply came"),
    "reset": (lambda asked: asked.reset(), "Connection reset by peer"),
    "half a head": (lambda asked: [asked.send(b"HTTP/1.1 200 OK\r\ncont"), asked.hang_up()], "closed before"),
    "half a body": (
        lambda asked: [asked.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), asked.hang_up()],
        "closed before the reply was complete",
    ),
    "half the chunks": (
        lambda asked: [asked.begin(), asked.piece(b"abc"), asked.hang_up()],
        "closed before the reply was complete",
    ),
    "not HTTP": (lambda asked: [asked.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), asked.hang_up()], "not HTTP"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_fails(side, serve, way):
    """The message says how; the original error is chained."""
    answer, words = WAYS[way]
    server = serve(answer)
    with pytest.raises(APIConnectionError, match=words) as raised:
        side.send(side.open(), post(server.url))
    assert f"The connection to 127.0.0.1:{server.port} failed: " in raised.value.message
    assert raised.value.__cause__ is not None
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("host", "words"), [("127.0.0.1", "Connection refused"), ("nowhere.invalid", "Name or service not known")]
)
def test_a_host_that_is_not_there(side, host, words):
    """Nobody listens, or nobody has the name."""
    port = free_port()
    with pytest.raises(APIConnectionError, match=words) as raised:
        side.send(side.open(), post(f"http://{host}:{port}/v1"))
    assert f"{host}:{port}" in raised.value.message


@pytest.mark.parametrize("way", ["refused", "drop", "timeout", "scheme"])
def test_no_secret_is_in_an_error(side, serve, way):
    """Not in the message, not in what is chained, not in a traceback."""
    server = serve((lambda asked: asked.hang_up()) if way == "drop" else (lambda asked: asked.wait_gone()))
    port = free_port() if way == "refused" else server.port
    scheme = "ftp" if way == "scheme" else "http"
    request = post(
        f"{scheme}://user:{KEY}-a@127.0.0.1:{port}/v1?key={KEY}-b",
        headers={"x-api-key": f"{KEY}-c"},
        timeout=TimeoutSpec.of(0.3),
        secrets=(f"{KEY}-c",),
    )
    expected = {"timeout": Timeout, "scheme": BadRequestError}.get(way, APIConnectionError)
    with pytest.raises(expected, match=f"127.0.0.1:{port}") as raised:
        side.send(side.open(), request)
    error = raised.value
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__)


def test_a_transport_works_after_every_failure(side, serve):
    """A connection that failed is not used again."""
    ways = iter(WAYS.values())

    def answer(asked) -> None:
        if asked.path == "/fine":
            asked.reply(b"ok", 200, "connection: close")
        else:
            next(ways)[0](asked)

    server = serve(answer)
    transport = side.open()
    for _ in WAYS:
        with pytest.raises(APIConnectionError):
            side.send(transport, post(server.url))
        assert side.send(transport, post(f"{server.url}/fine")).content == b"ok"


def test_nothing_is_left_open(side, serve):
    """Transports and streams that are forgotten warn of nothing: every warning is an error here."""
    server = serve(lambda asked: [asked.begin(), asked.piece(b"a"), asked.wait_gone(), asked.hang_up()])
    transport = side.open()
    for _ in range(5):
        side.send(transport, post(server.url, stream=True))
    gc.collect()
    side.close_transport(transport)
    assert server.until(lambda: server.open == 0)
