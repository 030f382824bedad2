"""The simulated wire: what it remembers, what it answers, and each way it can go wrong, under all three drivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from polyport import Client
from polyport.auth import Bearer
from polyport.dialects.openai import Chat
from polyport.drivers.simulation import Simulation
from polyport.errors import APIConnectionError, PolyportError, RateLimitError, Timeout
from polyport.testing import Reply, Wire

ANSWER = {"id": "c1", "model": "m", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
EVENT = b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}]}\n\n'
LAST = b'data: {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
ASK: dict[str, Any] = {"model": "toy/m", "messages": [{"role": "user", "content": "Hello"}]}


class Toy(Chat):
    """Speaks OpenAI's wire."""

    auth = Bearer(env="TOY_API_KEY")
    base_url = "https://toy.example/v1"


def client(wire: Wire, **settings: Any) -> Client:
    """Return a client that reaches nothing but the wire."""
    return Client(providers={"toy": Toy}, http=wire, api_key="a-key", **{"num_retries": 0, **settings})


def blocking(wire: Wire, **more: Any) -> Any:
    """Make the call, and of a stream the list of its chunks."""
    with client(wire) as polyport:
        result = polyport.completion(**ASK, **more)
        return list(result) if more.get("stream") else result


def asynchronous(wire: Wire, **more: Any) -> Any:
    """Make the call on an event loop."""

    async def run() -> Any:
        async with client(wire) as polyport:
            result = await polyport.acompletion(**ASK, **more)
            return [chunk async for chunk in result] if more.get("stream") else result

    return asyncio.run(run())


def simulated(wire: Wire, **more: Any) -> Any:
    """Make the call at a virtual clock."""
    with client(Wire([])) as polyport:
        return Simulation(wire.simulated).run_flow(polyport.flow("completion", **ASK, **more))


Driver = Callable[..., Any]
all_drivers = pytest.mark.parametrize("call", [blocking, asynchronous, simulated])
both_drivers = pytest.mark.parametrize("call", [blocking, asynchronous])


@all_drivers
def test_requests_are_remembered(call: Driver) -> None:
    """Method, URL, headers in lower case and the body, as they were sent."""
    wire = Wire(ANSWER)
    assert call(wire, extra_query={"v": "1"}).text == "Hi"
    (sent,) = wire.requests
    assert (sent.method, sent.path, sent.query) == ("POST", "/v1/chat/completions", {"v": "1"})
    assert sent.headers["authorization"] == "Bearer a-key"
    assert sent.json == {"model": "m", "messages": ASK["messages"]}
    assert wire.open == 0


def test_the_repr_of_a_request_shows_no_key() -> None:
    """Neither headers nor query are in it, where keys may be."""
    wire = Wire(ANSWER)
    blocking(wire, extra_query={"key": "a-key"})
    assert repr(wire.requests) == "[<Sent POST https://toy.example/v1/chat/completions body=60>]"


@all_drivers
def test_a_list_answers_one_request_each(call: Driver) -> None:
    """A call that is tried again gets the next answer."""
    wire = Wire([Reply.of({"error": "slow down"}, status=429, headers={"retry-after": "0"}), ANSWER])
    assert call(wire, num_retries=1).text == "Hi"
    assert len(wire.requests) == 2


@all_drivers
def test_a_request_too_many_is_an_assertion_error(call: Driver) -> None:
    """An answer that a test did not think of is not made up."""
    with pytest.raises(AssertionError, match="The wire has 0 answers; request 1 is <Sent POST"):
        call(Wire([]))


@all_drivers
def test_a_function_answers_by_the_request(call: Driver) -> None:
    """The answer may depend on what was asked."""
    wire = Wire(lambda sent: {**ANSWER, "model": sent.json["model"].upper()})
    assert call(wire).model == "M"


@all_drivers
def test_an_error_status_is_an_error(call: Driver) -> None:
    """Status and headers are the reply's."""
    wire = Wire(Reply.of("no more", status=429, headers={"Retry-After": "7"}))
    with pytest.raises(RateLimitError, match="no more") as raised:
        call(wire)
    assert raised.value.retry_after == 7.0


@all_drivers
@pytest.mark.parametrize("reply", [Reply(refused=True), Reply.of(ANSWER, reset_at=20)], ids=["refused", "reset"])
def test_a_broken_connection(call: Driver, reply: Reply) -> None:
    """No connection, or one that breaks in the body, is an APIConnectionError; nothing stays open."""
    wire = Wire(reply)
    with pytest.raises(APIConnectionError):
        call(wire)
    assert wire.open == 0


@all_drivers
@pytest.mark.parametrize(
    "fault", [{"reset_at": len(EVENT)}, {"ends_at": len(EVENT)}, {"ends_at": 9}], ids=["reset", "cut", "cut early"]
)
def test_a_broken_stream(call: Driver, fault: dict[str, Any]) -> None:
    """A stream that is reset, or just ends, is an APIConnectionError too."""
    wire = Wire(Reply.of(EVENT + LAST, **fault))
    with pytest.raises(APIConnectionError):
        call(wire, stream=True)
    assert wire.open == 0


@all_drivers
def test_a_stream_in_pieces(call: Driver) -> None:
    """The cuts are where the body is cut, and change nothing of what is read."""
    wire = Wire(Reply.of(EVENT + LAST, cuts=range(7, 500, 7)))
    chunks = call(wire, stream=True)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hi", None]


def test_pieces_end_where_the_body_does() -> None:
    """Cuts beyond the end, or where it is broken off, cut nothing."""
    assert Reply.of(b"abcdef", cuts=[2, 4, 9]).pieces() == [b"ab", b"cd", b"ef"]
    assert Reply.of(b"abcdef", cuts=[2, 4], ends_at=3).pieces() == [b"ab", b"c"]
    assert Reply.of(b"abcdef", reset_at=0).pieces() == []


@both_drivers
@pytest.mark.parametrize("slow", [{"delay": 600.0}, {"pause": 600.0}], ids=["delay", "pause"])
def test_a_slow_reply_times_out(call: Driver, slow: dict[str, Any]) -> None:
    """A wait longer than the client's read timeout is a Timeout, not before and not when the reply would come."""
    start = time.monotonic()
    with pytest.raises(Timeout):
        call(Wire(Reply.of(ANSWER, **slow)), timeout=0.05)
    assert 0.04 < time.monotonic() - start < 300


@both_drivers
def test_a_delay_within_the_timeout_is_waited_for(call: Driver) -> None:
    """A reply that is merely slow arrives."""
    start = time.monotonic()
    assert call(Wire(Reply.of(ANSWER, delay=0.05)), timeout=60).text == "Hi"
    assert time.monotonic() - start >= 0.05


def test_waits_are_virtual_in_a_simulation() -> None:
    """An hour of waiting takes no time."""
    start = time.monotonic()
    assert simulated(Wire(Reply.of(ANSWER, delay=3000.0)), timeout=3600).text == "Hi"
    with pytest.raises(Timeout):
        simulated(Wire(Reply.of(ANSWER, delay=3000.0)), timeout=60)
    assert time.monotonic() - start < 60


def test_an_open_stream_counts() -> None:
    """`open` tells a test whether somebody forgot to close a reply."""
    wire = Wire(Reply.of(EVENT + LAST, cuts=[len(EVENT)]))
    with client(wire) as polyport:
        stream = polyport.completion(**ASK, stream=True)
        assert (next(stream).choices[0].delta.content, wire.open) == ("Hi", 1)
        stream.close()
    assert wire.open == 0


def test_a_wire_is_a_transport_of_httpx() -> None:
    """Code that uses httpx itself can be tested over it as well."""
    wire = Wire("pong")
    with httpx.Client(transport=wire) as http:
        assert http.get("https://toy.example/ping").text == "pong"
    assert wire.requests[0].path == "/ping"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"a": 1}, "application/json"),
        (b" [1]", "application/json"),
        (b"event: x\ndata: y\n\n", "text/event-stream"),
        ("<html>", "text/html"),
        (b"\x89PNG", "application/octet-stream"),
    ],
)
def test_the_content_type_is_told_from_the_body(body: Any, kind: str) -> None:
    """A body given without headers has the type that it begins like; a given type wins."""
    assert Reply.of(body).headers["content-type"] == kind
    assert Reply.of(body, headers={"content-type": "x/y"}).headers["content-type"] == "x/y"


def test_the_error_of_a_wire_is_one_of_polyports() -> None:
    """What a user of polyport sees is polyport's own error, the original chained."""
    with pytest.raises(PolyportError) as raised:
        blocking(Wire(Reply(refused=True)))
    assert isinstance(raised.value.__cause__, httpx.ConnectError)
