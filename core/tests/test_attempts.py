"""The attempt engine: what is tried again, how long it waits, what falls back, and until where a stream can."""

from __future__ import annotations

import asyncio
import statistics
import time
from random import Random

import httpx
import pytest
from core.tests.conftest import ASK, DONE, ROLE, Fake, completion, event, tapping, wire

import polyport
from polyport.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
    UnprocessableEntityError,
)
from polyport.hookspecs import hookimpl
from polyport.middleware.retry import FIRST_WAIT, LONGEST_WAIT, wait

SOON = {"retry-after-ms": "1"}


def answers(*replies):
    """A wire that gives each reply once, the last one for ever; and the list of requests it saw."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        reply = replies[min(len(seen), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, int):
            return httpx.Response(reply, headers=SOON, json={"error": {"message": f"status {reply}"}})
        if isinstance(reply, bytes):
            return httpx.Response(200, content=reply)
        return httpx.Response(200, json=reply)

    return wire(answer), seen


OK = completion("ok")
STREAM = ROLE + event("ok") + DONE


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("failure", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(mode, client, failure, stream):
    """Statuses that say: not now."""
    transport, seen = answers(failure, failure, STREAM if stream else OK)
    one = client(http=transport)
    assert (mode.stream(one) if stream else mode.chat(one).text) == "ok"
    assert len(seen) == 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("failure", [httpx.ConnectError("no"), httpx.ReadError("cut"), httpx.ReadTimeout("late")])
def test_a_broken_connection_is_tried_again(mode, client, failure, stream):
    """After the first of the exponential waits."""
    transport, seen = answers(failure, STREAM if stream else OK)
    one = client(http=transport)
    start = time.monotonic()
    assert (mode.stream(one) if stream else mode.chat(one).text) == "ok"
    assert len(seen) == 2
    assert time.monotonic() - start >= FIRST_WAIT / 2


@pytest.mark.parametrize("failure", [400, 401, 403, 404, 413, 418, 422])
def test_what_cannot_pass_is_not_tried_again(mode, client, failure):
    """Never a 401."""
    transport, seen = answers(failure, OK)
    with pytest.raises(APIError):
        mode.chat(client(http=transport), num_retries=5)
    assert len(seen) == 1


@pytest.mark.parametrize(("retries", "attempts"), [(None, 3), (0, 1), (1, 2), (4, 5)])
def test_num_retries_bounds_the_attempts(mode, client, retries, attempts):
    """Two by default; of the call, else of the client. The last error is raised."""
    transport, seen = answers(500)
    with pytest.raises(InternalServerError, match="status 500"):
        mode.chat(client(http=transport), num_retries=retries)
    assert len(seen) == attempts
    transport, seen = answers(500)
    with pytest.raises(InternalServerError):
        mode.chat(client(http=transport, num_retries=retries))
    assert len(seen) == attempts


def test_attempts_are_counted_in_meta(mode, client):
    """With the latency of the whole call, and the request id of the attempt that succeeded."""
    replies = iter([httpx.Response(500, headers={**SOON, "x-request-id": "first"}),
                    httpx.Response(429, headers=SOON), httpx.Response(200, json=OK)])  # fmt: skip
    result = mode.chat(client(http=wire(lambda _: next(replies))))
    assert result.meta.attempts == 3
    assert result.meta.request_id is None
    assert (result.meta.provider, result.meta.model) == ("fake", "m")
    assert 0 < result.meta.latency < 5


def test_an_error_s_request_id_is_that_of_its_own_attempt(mode, client):
    """Not of an earlier one, which the provider would look up in vain."""

    def answer(_: httpx.Request) -> httpx.Response:
        if not calls:
            calls.append(1)
            return httpx.Response(500, headers={**SOON, "x-request-id": "first"})
        raise httpx.ReadError("cut")

    calls: list[int] = []
    with pytest.raises(APIConnectionError) as caught:
        mode.chat(client(http=wire(answer)), num_retries=1)
    assert caught.value.request_id is None


def test_waits_are_exponential_jittered_and_bounded():
    """0.5, 1, 2, 4, 8, 8 ... seconds, up to half of it taken off, evenly spread; what is asked for is kept to."""
    random = Random(1)
    for attempt in range(8):
        full = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT)
        waits = [wait(attempt, None, random) for _ in range(500)]
        assert full / 2 <= min(waits) < full * 0.52
        assert full * 0.98 < max(waits) <= full
        assert statistics.mean(waits) == pytest.approx(full * 0.75, rel=0.03)
    assert wait(5, 0.01, random) == 0.01
    assert wait(0, 60.0, random) == 60.0


def test_a_seeded_client_waits_the_same_way_twice(client):
    """So that a simulation can be repeated."""
    waits = []
    for _ in range(2):
        flow = client(seed=7, api_key="k").flow("completion", model="fake/m", messages=ASK)
        effect, found = next(flow), []
        while len(found) < 2:
            if type(effect).__name__ == "HttpRequest":
                effect = flow.throw(APIConnectionError("cut"))
            elif type(effect).__name__ == "Sleep":
                found.append(effect.seconds)
                effect = flow.send(None)
            else:
                effect = flow.send(0.0)
        flow.close()
        waits.append(found)
    assert waits[0] == waits[1]


# --- streams commit at their first content ---


def test_a_stream_that_breaks_before_content_is_tried_again(mode, client):
    """A role is no content."""
    transport, seen = answers(ROLE, ROLE + b'data: {"error":{"message":"busy","code":503}}\n\n', STREAM)
    assert mode.stream(client(http=transport)) == "ok"
    assert len(seen) == 3


def test_a_stream_that_breaks_after_content_is_not(mode, client, serve):
    """The reader has seen some of it: the error is raised in the stream."""

    def answer(exchange) -> None:
        exchange.begin()
        exchange.piece(ROLE, event("begun"))
        server.until(lambda: "begun" in seen)  # a reset takes away what was not read
        exchange.reset()

    seen: list[str] = []
    server = serve(answer)
    with pytest.raises(APIConnectionError):
        mode.stream(client(server.url, middleware=[tapping(seen)]), num_retries=3, fallbacks=["fake/other"])
    assert len(server.seen) == 1


def test_a_stream_s_attempts_are_in_its_meta(client):
    """Known before the first chunk is read; the latency at the end."""
    transport, _ = answers(503, STREAM)
    stream = client(http=transport).completion("fake/m", ASK, stream=True)
    assert stream.meta.attempts == 2
    assert stream.meta.latency is None
    assert len(list(stream)) == 3
    assert stream.meta.latency > 0


# --- fallbacks ---


class Other(Fake):
    """Another provider."""


@pytest.fixture
def two(client):
    """A client of two providers, on one wire."""
    return lambda transport, **settings: client(http=transport, providers={"fake": Fake, "other": Other}, **settings)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fallbacks_are_tried_in_order(mode, two, stream):
    """Each with its own retries; the meta says who answered, and counts on."""
    transport, seen = answers(500, 500, 404, STREAM if stream else OK)
    one = two(transport, api_key={"fake": "key-of-fake", "other": "key-of-other"})
    params = {"fallbacks": ["other/b", "fake/c"], "num_retries": 1}
    if stream:
        assert mode.stream(one, **params) == "ok"
    else:
        result = mode.chat(one, **params)
        assert (result.meta.provider, result.meta.model, result.meta.attempts) == ("fake", "c", 4)
    assert [b'"a"' in r.content or r.content.split(b'"model":"')[1][:1].decode() for r in seen] == ["m", "m", "b", "c"]
    assert seen[2].headers["authorization"] == "Bearer key-of-other"
    assert seen[3].headers["authorization"] == "Bearer key-of-fake"


def test_the_last_error_is_raised_and_chained_to_those_before(mode, two):
    """With the name of who raised it."""
    transport, _ = answers(500, 503, httpx.ConnectError("no"))
    with pytest.raises(APIConnectionError) as caught:
        mode.chat(two(transport), fallbacks=["fake/b", "other/c"], num_retries=0)
    assert (caught.value.provider, caught.value.model) == ("other", "c")
    chain = []
    error = caught.value
    while error is not None:
        chain.append(type(error))
        error = error.__cause__
    assert chain == [APIConnectionError, httpx.ConnectError, ServiceUnavailableError, InternalServerError]


@pytest.mark.parametrize(
    ("status", "falls_back"),
    [(400, False), (422, False), (401, True), (403, True), (404, True), (408, True), (429, True), (500, True)],
)
def test_only_what_another_model_may_do_better_falls_back(mode, two, status, falls_back):
    """A request that is wrong as it stands is wrong everywhere."""
    transport, seen = answers(status, OK)
    one = two(transport)
    if falls_back:
        assert mode.chat(one, fallbacks=["other/b"], num_retries=0).text == "ok"
    else:
        with pytest.raises((BadRequestError, UnprocessableEntityError)):
            mode.chat(one, fallbacks=["other/b"], num_retries=0)
    assert len(seen) == 1 + falls_back


@pytest.mark.parametrize("kind", [ContextWindowExceededError, ContentPolicyViolationError])
def test_what_is_too_long_or_refused_here_may_pass_elsewhere(mode, client, kind):
    """Two 400s that are worth another model."""

    class Strict(Fake):
        @hookimpl
        def refine_error(self, error, reply, body):
            return kind(error.message)

    transport, seen = answers(400, OK)
    one = client(http=transport, providers={"strict": Strict, "fake": Fake})
    assert mode.chat(one, "strict/a", fallbacks=["fake/b"]).text == "ok"
    assert len(seen) == 2


def test_a_fallback_nobody_answers_for_is_an_error(mode, two):
    """When its turn comes."""
    transport, _ = answers(500)
    with pytest.raises(NotFoundError, match="No provider for 'nobody/x'"):
        mode.chat(two(transport), fallbacks=["nobody/x"], num_retries=0)


# --- cancellation ---


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_cancelling_closes_the_upstream_connection(client, serve, stream):
    """While it waits for headers; the server sees it."""
    server = serve(lambda exchange: exchange.wait_gone())

    async def main() -> None:
        task = asyncio.create_task(client(server.url).acompletion("fake/m", ASK, stream=stream))
        while not server.seen:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.seen[0].gone)

    asyncio.run(main())
    assert len(server.seen) == 1


def test_cancelling_a_reader_closes_the_upstream_connection(client, serve):
    """In the middle of a stream; epilogues run once, with the cancellation."""
    ends: list[BaseException | None] = []
    server = serve(lambda exchange: [exchange.begin(), exchange.piece(ROLE, event("a")), exchange.wait_gone()])

    async def read(one: polyport.Client) -> None:
        async for _ in await one.acompletion("fake/m", ASK, stream=True):
            pass

    async def main() -> None:
        one = client(server.url, middleware=[noting(ends)])
        task = asyncio.create_task(read(one))
        while not server.seen:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.seen[0].gone)

    asyncio.run(main())
    assert [type(error) for error in ends] == [asyncio.CancelledError]


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


def test_cancelling_stops_the_retries(client):
    """A cancelled call does not come back."""
    transport, seen = answers(httpx.ConnectError("no"))

    async def main() -> None:
        task = asyncio.create_task(client(http=transport).acompletion("fake/m", ASK, num_retries=10))
        while not seen:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(seen) == 1


def test_a_cancelled_flow_may_still_send(client, serve):
    """A provider that cancels its job upstream when its caller goes away."""
    server = serve(lambda e: e.reply({}) if e.method == "DELETE" else e.wait_gone())

    class Jobs(Fake):
        @hookimpl
        def chat(self, request):
            try:
                yield self.post("/jobs", json={})
            finally:
                yield self.delete("/jobs/1")

    async def main() -> None:
        one = client(server.url, providers={"jobs": Jobs})
        task = asyncio.create_task(one.acompletion("jobs/m", ASK))
        while not server.seen:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [exchange.method for exchange in server.seen] == ["POST", "DELETE"]


# --- the onion ---


def test_middleware_wraps_in_order_and_sees_the_call(mode, client):
    """The first is the outermost; retries are inside."""
    order: list[str] = []

    def layer(name):
        def wrap(call, proceed):
            order.append(f"{name} in {call.operation.function} {call.provider.name}/{call.request.model}")
            result = yield from proceed(call)
            order.append(f"{name} out after {call.meta.attempts}")
            return result

        return wrap

    transport, _ = answers(500, OK)
    mode.chat(client(http=transport, middleware=[layer("a"), layer("b")]))
    assert order == ["a in completion fake/m", "b in completion fake/m", "b out after 2", "a out after 2"]


def test_middleware_may_answer_by_itself(mode, client):
    """A cache; nothing is sent."""

    def layer(call, proceed):
        return polyport_completion("kept")
        yield

    transport, seen = answers(OK)
    result = mode.chat(client(http=transport, middleware=[layer]))
    assert result.text == "kept"
    assert result.meta.attempts == 0
    assert seen == []


def polyport_completion(text):
    """A completion that was made here."""
    from polyport.types.chat import ChatCompletion, Choice, Message

    return ChatCompletion(choices=[Choice(message=Message(content=text))])


def test_middleware_sees_and_changes_chunks_in_the_order_it_was_added(mode, client):
    """The inner layer's first: it is nearer to the provider."""
    seen: list[str] = []

    def upper(call, proceed):
        def change(chunk):
            delta = chunk.choices[0].delta
            delta.content = (delta.content or "").upper() + "!" if delta.content else delta.content
            return chunk

        return (yield from proceed(call)).map(change)

    def tap(call, proceed):
        return (yield from proceed(call)).tap(lambda chunk: seen.append(chunk.choices[0].delta.content or ""))

    transport, _ = answers(ROLE + event("a") + event("b") + DONE)
    assert mode.stream(client(http=transport, middleware=[upper, tap])) == "A!B!"
    assert "".join(seen) == "ab"
    seen.clear()
    transport, _ = answers(ROLE + event("a") + event("b") + DONE)
    assert mode.stream(client(http=transport, middleware=[tap, upper])) == "A!B!"
    assert "".join(seen) == "A!B!"


def test_an_error_in_middleware_that_watches_a_stream_reaches_the_reader(mode, client):
    """And the reply is closed."""

    def layer(call, proceed):
        def see(chunk):
            raise LookupError("no such tap")

        return (yield from proceed(call)).tap(see)

    transport, _ = answers(STREAM)
    with pytest.raises(LookupError, match="no such tap"):
        mode.stream(client(http=transport, middleware=[layer]))


def test_an_authentication_error_reaches_the_user_through_the_onion(mode, client):
    """The same object, not a copy."""
    caught: list[BaseException] = []

    def layer(call, proceed):
        try:
            return (yield from proceed(call))
        except AuthenticationError as error:
            caught.append(error)
            raise

    transport, _ = answers(401)
    with pytest.raises(AuthenticationError) as raised:
        mode.chat(client(http=transport, middleware=[layer]))
    assert caught == [raised.value]


def test_a_rate_limit_keeps_its_retry_after_when_retries_end(mode, client):
    """For whoever schedules the next call."""
    transport, _ = answers(429)
    with pytest.raises(RateLimitError) as caught:
        mode.chat(client(http=transport), num_retries=1)
    assert caught.value.retry_after == 0.001
