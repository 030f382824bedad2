"""What goes wrong on the wire: each a clear error of the right class, the original chained, no key in any text."""

from __future__ import annotations

import gzip
import re
import socket
import time
import traceback
from email.utils import formatdate

import httpx
import pytest
from core.tests.conftest import DONE, KEY, ROLE, completion, event, tapping, wire
from local_server import free_port
from pace import given_time

from polyport import TimeoutSpec
from polyport.errors import (
    BY_STATUS,
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
)
from polyport.wire.sse import MAX_EVENT

HTML = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def fails(mode, client, url, expected, stream=False, **params):
    """Make a call that must fail as expected; return the error, having checked its text for the key."""
    params.setdefault("num_retries", 0)
    with pytest.raises(expected) as caught:
        if stream:
            mode.stream(client(url), **params)
        else:
            mode.chat(client(url), **params)
    error = caught.value
    assert type(error) is expected
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + str(error.body)
    assert (error.provider, error.model) == ("fake", "m")
    return error


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504, 529])
def test_a_status_becomes_its_error(mode, client, serve, status, stream):
    """Also for a stream, before any chunk; with the provider's words, body, headers and request id."""
    body = {"error": {"message": f"no more for {KEY}", "type": "t", "code": "c"}}
    server = serve(lambda exchange: exchange.reply(body, status, x_request_id="req_7"))
    expected = BY_STATUS.get(status) or (InternalServerError if status >= 500 else BadRequestError)
    error = fails(mode, client, server.url, expected, stream)
    assert error.status_code == status
    assert error.message == "no more for ***"
    assert error.request_id == "req_7"
    assert str(error) == "fake/m: no more for *** (request id req_7)"
    assert error.body["error"]["code"] == "c"
    assert error.headers["content-type"] == "application/json"
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "plain"}, "plain"),
        ({"message": "flat"}, "flat"),
        ({"detail": [{"loc": ["x"], "msg": "field required"}]}, "field required"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"error": {}}, "HTTP 400"),
        ({"code": 7}, 'HTTP 400: {"code":7}'),
        (b"just text", "HTTP 400: just text"),
        (b"", "HTTP 400 with an empty body"),
        (b"\xff\xfe\x00", "HTTP 400"),
        (None, "HTTP 400"),
        (b"0", "HTTP 400"),
    ],
)
def test_the_message_is_found_wherever_a_dialect_puts_it(mode, client, serve, body, message):
    """And an error without one still says what is known."""
    server = serve(lambda exchange: exchange.reply(body, 400))
    assert message in fails(mode, client, server.url, BadRequestError).message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_html_error_page_is_named_by_its_title(mode, client, serve, stream):
    """Not its markup: the page of a proxy says little else."""
    server = serve(lambda exchange: exchange.reply(HTML, 503, content_type="text/html"))
    error = fails(mode, client, server.url, ServiceUnavailableError, stream)
    assert "HTML page titled '502 Bad Gateway'" in error.message
    assert "<" not in error.message
    assert "api_base" in error.message


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (HTML, "not JSON but text/html; is api_base right"),
        (b'{"id": "c1", "choices": [', "not JSON"),
        (b"{'id': 1}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b'{"choices": "none"}', r"not of the promised shape.*\$\.choices"),
        (b"[1, 2]", "not of the promised shape"),
        (b"null", "not of the promised shape"),
    ],
)
def test_a_success_that_cannot_be_read_is_an_invalid_response(mode, client, serve, body, match):
    """HTML with 200, cut or wrong JSON, JSON of another shape: not retried, and the beginning is quoted."""
    server = serve(lambda exchange: exchange.reply(body, content_type="text/html"))
    error = fails(mode, client, server.url, InvalidResponseError, num_retries=2)
    assert re.search(match, error.message)
    assert error.status_code == 502
    assert error.__cause__ is not None
    assert error.body == body
    assert len(server.seen) == 1


def test_a_reply_that_echoes_the_key_has_it_hidden(mode, client, serve):
    """Some debugging proxies answer with what they were sent."""
    server = serve(lambda exchange: exchange.reply(f"<p>{exchange.headers['authorization']}".encode()))
    with pytest.raises(InvalidResponseError) as caught:
        mode.chat(client(server.url))
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert "Bearer ***" in str(caught.value)


def test_html_with_200_on_a_stream_is_an_error(mode, client, serve):
    """A login page in front of the API."""
    server = serve(lambda exchange: exchange.reply(HTML, content_type="text/html"))
    error = fails(mode, client, server.url, APIConnectionError, stream=True)
    assert "ended before it was complete" in error.message


def test_a_gzipped_reply_is_unpacked_and_a_broken_one_is_invalid(mode, client, serve):
    """What cannot be unpacked is named."""
    good = serve(
        lambda e: e.reply(gzip.compress(b'{"choices":[{"message":{"content":"small"}}]}'), content_encoding="gzip")
    )
    assert mode.chat(client(good.url)).text == "small"
    assert good.seen[0].headers["accept-encoding"] == "gzip, deflate"
    bad = serve(lambda exchange: exchange.reply(b"not gzip at all", content_encoding="gzip"))
    error = fails(mode, client, bad.url, InvalidResponseError)
    assert "cannot be decompressed" in error.message


def test_a_gzipped_stream_is_unpacked_as_it_comes(mode, client, serve):
    """Cut anywhere."""
    packed = gzip.compress(ROLE + event("a") + event("b") + DONE)
    server = serve(lambda exchange: [
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"),
        exchange.piece(*(packed[n : n + 7] for n in range(0, len(packed), 7))), exchange.end(),
    ])  # fmt: skip
    assert mode.stream(client(server.url)) == "ab"


# --- Retry-After ---


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "0.2"}, 0.2),
        ({"retry_after_ms": "200"}, 0.2),
        ({"retry_after_ms": "200", "retry_after": "60"}, 0.2),
        ({"retry_after": formatdate(1_000_001, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}, 1.0),
        ({"retry_after": formatdate(1_000_000, usegmt=True)}, 0.0),
        ({"retry_after": "-5"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_and_kept_in_seconds(mode, client, serve, headers, seconds):
    """Seconds, milliseconds, or a date by the reply's own clock; None where it says nothing."""
    server = serve(lambda exchange: exchange.reply({"error": {"message": "slow down"}}, 429, **headers))
    assert fails(mode, client, server.url, RateLimitError).retry_after == seconds


@pytest.mark.parametrize("headers", [{"retry_after": "0.15"}, {"retry_after_ms": "150"}])
def test_retry_after_is_waited_for(mode, client, serve, headers):
    """And the call then succeeds; the attempts are counted."""
    times: list[float] = []

    def answer(exchange) -> None:
        times.append(time.monotonic())
        exchange.reply({"error": {"message": "slow down"}}, 429, **headers) if len(times) == 1 else exchange.reply(
            completion("at last")
        )

    result = mode.chat(client(serve(answer).url))
    assert result.text == "at last"
    assert result.meta.attempts == 2
    assert times[1] - times[0] >= 0.15


def test_a_retry_after_of_minutes_is_reported_not_waited_for(mode, client, serve):
    """The caller can decide better."""
    server = serve(lambda exchange: exchange.reply(b"", 429, retry_after="3600"))
    assert fails(mode, client, server.url, RateLimitError, num_retries=3).retry_after == 3600
    assert len(server.seen) == 1


# --- broken connections ---


def test_a_refused_connection(mode, client):
    """Nobody listens there."""
    error = fails(mode, client, f"http://127.0.0.1:{free_port()}/v1", APIConnectionError)
    assert "127.0.0.1" in error.message
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert error.status_code is None
    assert error.retryable


def test_a_host_that_does_not_exist(mode, client):
    """The name is in the message."""
    error = fails(mode, client, "http://no-such-host.invalid/v1", APIConnectionError)
    assert "no-such-host.invalid" in error.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda e: e.reset(),
        lambda e: e.hang_up(),
        lambda e: [e.send(b"HTTP/1.1 200 OK\r\ncontent-le"), e.reset()],
        lambda e: [e.send(b"HTTP/1.1 200 OK\r\ncontent-le"), e.hang_up()],
        lambda e: [e.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), e.reset()],
        lambda e: [e.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), e.hang_up()],
        lambda e: [e.begin(), e.piece(ROLE), e.hang_up()],
        lambda e: [e.begin(), e.piece(ROLE), e.reset()],
        lambda e: [e.send(b"BLA 200 nonsense\r\n\r\n"), e.hang_up()],
    ],
    ids=["reset", "hung-up", "reset-in-headers", "cut-headers", "reset-in-body", "cut-body", "cut-chunks",
         "reset-in-chunks", "no-http"],
)  # fmt: skip
def test_a_connection_that_breaks(mode, client, serve, answer, stream):
    """Before, in or after the headers; retryable, and nothing stays open."""
    server = serve(answer)
    error = fails(mode, client, server.url, APIConnectionError, stream)
    assert error.retryable
    assert isinstance(error.__cause__, httpx.TransportError)
    assert server.until(lambda: server.open == 0)


@pytest.mark.parametrize("end", ["hang_up", "reset", "end"])
def test_a_stream_that_breaks_after_content_raises_there(mode, client, serve, end):
    """What came before was given to the reader; nothing is retried."""

    def answer(exchange) -> None:
        exchange.begin()
        exchange.piece(ROLE, event("one "), event("two"))
        server.until(lambda: "".join(seen) == "one two")  # a reset takes away what was not read
        getattr(exchange, end)()

    seen: list[str] = []
    server = serve(answer)
    one = client(server.url)
    one.middleware.append(tapping(seen))
    with pytest.raises(APIConnectionError):
        mode.stream(one, num_retries=3)
    assert "".join(seen) == "one two"
    assert len(server.seen) == 1


def test_an_event_cut_in_the_middle_is_a_broken_connection(mode, client, serve):
    """Even where the HTTP body ended properly."""
    server = serve(lambda exchange: exchange.events(ROLE, event("whole"), event("half")[:-20]))
    with pytest.raises(APIConnectionError, match="cut off in the middle of an event"):
        mode.stream(client(server.url))


def test_an_event_that_is_no_json_is_an_invalid_response(mode, client, serve):
    """Its beginning is quoted."""
    server = serve(lambda exchange: exchange.events(ROLE, b"data: <html>\n\n", DONE))
    error = fails(mode, client, server.url, InvalidResponseError, stream=True)
    assert "<html>" in error.message


def test_an_error_event_is_the_error_it_describes(mode, client, serve):
    """HTTP said 200 long before."""
    bad = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": 503}}\n\n'
    server = serve(lambda exchange: exchange.events(ROLE, bad))
    assert "overloaded" in fails(mode, client, server.url, ServiceUnavailableError, stream=True).message


def test_an_endless_event_is_refused(mode, client):
    """Something that is no event stream must not fill the memory."""
    piece = b"x" * (8 * 1024 * 1024)

    class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            yield b"data: "
            for _ in range(2 * MAX_EVENT // len(piece)):
                yield piece

        async def __aiter__(self):
            for one in self:
                yield one

    one = client(http=wire(lambda _: httpx.Response(200, stream=Endless())))
    with pytest.raises(InvalidResponseError, match="event is larger than"):
        mode.stream(one, num_retries=0)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_json_that_is_nested_deeper_than_python_goes(mode, client, stream, status):
    """In a reply, an event or an error, also where nobody reads it."""
    deep = b'{"error": %s}' if status == 400 else b'{"choices": [], "odd": %s}'
    deep %= b"[" * 100_000 + b"]" * 100_000
    one = client(http=wire(lambda request: httpx.Response(status, content=b"data: %s\n\n" % deep if stream else deep)))
    with pytest.raises(BadRequestError if status == 400 else InvalidResponseError):
        mode.stream(one, num_retries=0) if stream else mode.chat(one, num_retries=0)


# --- time ---


def test_a_connection_that_is_not_accepted_in_time(mode, client):
    """A full backlog stands for a host that does not answer."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        address = busy.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        error = fails(mode, client, f"http://127.0.0.1:{address[1]}/v1", Timeout,
                      timeout=TimeoutSpec(connect=0.15, read=None, total=None))  # fmt: skip
        for one in waiting:
            one.close()
    assert "within 0.15 s (connect timeout)" in error.message
    assert error.status_code == 408
    assert isinstance(error.__cause__, httpx.ConnectTimeout)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"], ids=["headers", "body"])
def test_a_reply_that_stops_coming(mode, client, serve, stream, begin):
    """The read timeout bounds each wait, before the headers and in the body; the connection is closed."""
    server = serve(lambda exchange: [exchange.send(begin), exchange.wait_gone()])
    error = fails(mode, client, server.url, Timeout, stream, timeout=TimeoutSpec(connect=30, read=0.15, total=None))
    assert "within 0.15 s (read timeout)" in error.message
    assert isinstance(error.__cause__, httpx.ReadTimeout)
    assert server.until(lambda: server.seen and server.seen[0].gone)


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"], ids=["headers", "body"])
def test_a_reply_that_drips_is_bounded_by_the_total(mode, client, serve, begin):
    """Each piece comes in time, the whole does not."""

    def drip(exchange) -> None:
        exchange.send(begin)
        while begin and not exchange.wait_gone(0.03):
            exchange.send(b" ")
        exchange.wait_gone()

    server = serve(drip)
    error = fails(mode, client, server.url, Timeout, timeout=TimeoutSpec(connect=30, read=30, total=0.25))
    assert "within 0.25 s (total timeout)" in error.message
    assert server.until(lambda: server.open == 0)


def test_a_timeout_in_seconds_bounds_everything(mode, client, serve):
    """`timeout=0.2` of a call goes before the client's."""
    server = serve(lambda exchange: exchange.wait_gone())
    error = fails(mode, lambda url: client(url, timeout=30), server.url, Timeout, timeout=0.2)
    assert "0.2 s" in error.message


def test_a_long_stream_outlives_the_total(mode, client, serve):
    """The total bounds a stream up to its headers; between pieces only `read` counts."""

    def attempt(total: float) -> None:
        def answer(exchange) -> None:
            exchange.begin()
            for n in range(3):
                exchange.piece(event(str(n)))
                time.sleep(0.4 * total)
            exchange.piece(DONE)
            exchange.end()

        assert mode.stream(client(serve(answer).url), timeout=TimeoutSpec(connect=30, read=30, total=total)) == "012"

    given_time(attempt, 1.5, 15)


# --- redirects ---


def test_a_get_is_redirected(mode, client, serve):
    """Within a host the key goes along."""

    def answer(exchange) -> None:
        if exchange.path.endswith("models"):
            exchange.reply(b"", 302, location="/v1/elsewhere")
        else:
            exchange.reply({"data": [{"id": "x"}]})

    server = serve(answer)
    assert [m.id for m in mode.call(client(server.url), "list_models", provider="fake").data] == ["x"]
    assert [exchange.path for exchange in server.seen] == ["/v1/models", "/v1/elsewhere"]
    assert server.seen[1].headers["authorization"] == f"Bearer {KEY}"


def test_nothing_secret_follows_to_another_host(mode, client, serve):
    """Neither the key nor the user's own headers."""
    other = serve(lambda exchange: exchange.reply({"data": []}))
    server = serve(lambda exchange: exchange.reply(b"", 307, location=f"{other.url}/models"))
    mode.call(
        client(server.url, headers={"x-corp-token": "t"}), "list_models", provider="fake", extra_headers={"x-more": "u"}
    )
    assert server.seen[0].headers["x-corp-token"] == "t"
    assert set(other.seen[0].headers) == {"host", "user-agent", "accept-encoding"}
    assert other.seen[0].headers["host"] == f"127.0.0.1:{other.port}"


def test_redirects_in_a_circle_end(mode, client, serve):
    """After five; the message names where it went."""
    server = serve(lambda exchange: exchange.reply(b"", 302, location="/v1/models"))
    with pytest.raises(BadRequestError, match="redirected to '/v1/models'"):
        mode.call(client(server.url), "list_models", provider="fake")
    assert len(server.seen) == 6


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_is_not_redirected(mode, client, serve, status, stream):
    """It is an error that names the target; nothing stays open, and the connection is used again."""
    server = serve(lambda exchange: exchange.reply(b"moved", status, location="https://elsewhere.example/v1"))
    error = fails(mode, client, server.url, BadRequestError, stream)
    assert error.status_code == status
    assert "https://elsewhere.example/v1" in error.message
    assert len(server.seen) == 1


def test_a_redirect_to_another_scheme_is_refused(mode, client, serve):
    """file: and the like are not followed."""
    server = serve(lambda exchange: exchange.reply(b"", 302, location="file:///etc/passwd"))
    with pytest.raises(APIError):
        mode.call(client(server.url), "list_models", provider="fake")


# --- what the classes say ---


def test_users_of_other_sdks_find_their_names(mode, client, serve):
    """status_code, llm_provider, body, headers."""
    server = serve(lambda exchange: exchange.reply({"error": {"message": "bad key"}}, 401))
    error = fails(mode, client, server.url, AuthenticationError)
    assert (error.status_code, error.llm_provider, error.model) == (401, "fake", "m")
    missing = serve(lambda exchange: exchange.reply({"error": {"message": "no such model"}}, 404))
    assert fails(mode, client, missing.url, NotFoundError).body == {"error": {"message": "no such model"}}
