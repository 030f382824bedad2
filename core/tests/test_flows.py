"""Flows under both drivers: side by side, first of several, off the loop; and what becomes of those not wanted."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import repeat

import pytest
from core.tests.conftest import PATIENCE

from polyport.drivers.aio import AsyncDriver
from polyport.drivers.sync import SyncDriver
from polyport.errors import APIConnectionError
from polyport.flow import All, Call, Close, First, HttpReply, Items, Now, Raw, Read, Sleep, Streaming


class Nowhere:
    """A transport for flows that send nothing."""

    def send(self, request):
        """Nothing is to be sent."""
        raise AssertionError(request)

    def close(self):
        """Nothing is open."""


def sync_run(flow):
    """Run a flow with the blocking driver; a stream is read to a list."""
    driver = SyncDriver(Nowhere())
    return driver.run(flow)


def async_run(flow):
    """Run a flow with the asynchronous driver."""

    async def main():
        return await AsyncDriver(Nowhere()).run(flow)

    return asyncio.run(main())


@pytest.fixture(params=[sync_run, async_run], ids=["sync", "async"])
def run(request):
    """Both drivers."""
    return request.param


def value(result, seconds=0.0):
    """A flow that takes its time."""
    yield Sleep(seconds)
    return result


def failing(error, seconds=0.0):
    """A flow that fails."""
    yield Sleep(seconds)
    raise error


def test_effects_do_what_they_say(run):
    """Sleep waits, Now is monotonic, Call calls, Read and Close work on bodies made here."""
    source = Items(iter([b"a", b"b"]))

    def flow():
        start = yield Now()
        yield Sleep(0.02)
        assert 0.02 <= (yield Now()) - start < 1
        assert (yield Call(lambda: 7)) == 7
        assert ((yield Read(source)), (yield Read(source)), (yield Read(source))) == (b"a", b"b", None)
        assert (yield Close(source)) is None
        return "done"

    assert run(flow()) == "done"


def test_an_effect_s_error_is_raised_where_it_was_yielded(run):
    """And may be handled there."""

    def flow():
        try:
            yield Call(lambda: 1 / 0)
        except ZeroDivisionError:
            return "handled"

    assert run(flow()) == "handled"
    with pytest.raises(ZeroDivisionError):
        run(iter_flow(Call(lambda: 1 / 0)))


def iter_flow(effect):
    """A flow of one effect."""
    return (yield effect)


def test_a_call_runs_off_the_loop_or_by_its_awaitable_twin():
    """A blocking call does not stop the loop."""

    async def twin():
        await asyncio.sleep(0)
        return "awaited"

    def flow():
        thread = yield Call(threading.get_ident)
        return thread, (yield Call(lambda: "blocked", twin))

    assert sync_run(flow()) == (threading.get_ident(), "blocked")
    thread, how = async_run(flow())
    assert thread != threading.get_ident()
    assert how == "awaited"


# --- All ---


def test_all_runs_side_by_side_and_keeps_the_order(run):
    """Each waits for all the others, and the last to finish is first in the list; none is fine too."""
    together = threading.Barrier(4, timeout=PATIENCE)

    def meet(n):
        yield Call(together.wait)
        yield Sleep(0.04 - n * 0.01)
        return n

    assert run(iter_flow(All([meet(n) for n in range(4)]))) == [0, 1, 2, 3]
    assert run(iter_flow(All([]))) == []


def test_all_nests(run):
    """Flows within flows."""
    inner = lambda n: iter_flow(All([value((n, m)) for m in range(2)]))  # noqa: E731
    assert run(iter_flow(All([inner(0), inner(1)]))) == [[(0, 0), (0, 1)], [(1, 0), (1, 1)]]


def test_the_first_error_of_all_cancels_the_others(run):
    """At once, also those that sleep; they may clean up, with effects."""
    cleaned = []

    def patient(n):
        try:
            yield Sleep(30)
        finally:
            cleaned.append((n, (yield Call(lambda: "released"))))

    start = time.monotonic()
    with pytest.raises(LookupError):
        run(iter_flow(All([patient(1), failing(LookupError(), 0.02), patient(2)])))
    assert time.monotonic() - start < 25
    assert sorted(cleaned) == [(1, "released"), (2, "released")]


def test_streams_that_all_opened_before_an_error_are_closed(run):
    """Nobody else could."""
    opened = Opened()
    with pytest.raises(LookupError):
        run(iter_flow(All([opened.flow(), failing(LookupError(), 0.03)])))
    assert opened.until_closed() == 1


# --- First ---


class Opened:
    """Flows that open streams, and how many were closed."""

    def __init__(self):
        self.opened = []
        self.ended = []

    def flow(self, seconds=0.0, name=""):
        """Open a stream after some time."""
        yield Sleep(seconds)

        def end(error):
            self.ended.append(name)
            return
            yield

        self.opened.append(name)
        return Streaming(Items(repeat(name)), Raw()).epilogue(end)

    def until_closed(self, count=1):
        """Wait for the closings of other threads."""
        limit = time.monotonic() + PATIENCE
        while len(self.ended) < count and time.monotonic() < limit:
            time.sleep(0.005)
        return len(self.ended)


def test_first_gives_the_first_success(run):
    """Whoever is quickest, in whatever place."""
    start = time.monotonic()
    assert run(iter_flow(First([value("slow", 30), value("quick", 0.02), value("slower", 60)]))) == "quick"
    assert time.monotonic() - start < 25


def test_first_passes_over_failures(run):
    """And raises the last of them when all fail."""
    assert run(iter_flow(First([failing(LookupError()), value("late", 0.05)]))) == "late"
    with pytest.raises(ValueError, match="the last"):
        run(iter_flow(First([failing(LookupError()), failing(ValueError("the last"), 0.05)])))
    with pytest.raises(ValueError, match="at least one"):
        run(iter_flow(First([])))


def test_the_losers_of_first_are_cancelled_and_may_clean_up(run):
    """They are not left to run."""
    cleaned = threading.Event()

    def loser():
        try:
            yield Sleep(30)
        finally:
            yield Call(cleaned.set)

    assert run(iter_flow(First([loser(), value("won", 0.02)]))) == "won"
    assert cleaned.wait(PATIENCE)


def test_the_winner_s_stream_stays_open_and_the_losers_are_closed(run):
    """Also that of a loser which finished in the same moment."""
    opened = Opened()

    def flow():
        won = yield First([opened.flow(0.02, "a"), opened.flow(0.02, "b"), opened.flow(0.02, "c")])
        chunks = yield from won.pull()
        yield Call(lambda: opened.until_closed(len(opened.opened) - 1))
        ended = list(opened.ended)
        yield from won.end(None)
        return chunks[0], ended

    name, ended = run(flow())
    assert sorted([name, *ended]) == sorted(opened.opened)


def test_a_loser_that_primes_a_stream_closes_it(run):
    """Cancelled while it waits for the first content of a hedged stream."""
    closed = threading.Event()

    def endless():
        try:
            while True:
                time.sleep(0.01)
                yield b"no content"
        finally:
            closed.set()

    def primed():
        yield Sleep(0)
        stream = Streaming(Items(endless()), Raw())
        try:
            yield from stream.prime(lambda chunk: False)
        except BaseException as error:
            yield from stream.end(error)
            raise

    assert run(iter_flow(First([primed(), value("won", 0.05)]))) == "won"
    assert closed.wait(PATIENCE)


def test_cancelling_a_call_cancels_the_flows_side_by_side():
    """All of them clean up before the cancellation is over."""
    cleaned = []

    def patient(n):
        try:
            yield Sleep(30)
        except asyncio.CancelledError:
            cleaned.append((yield Call(lambda: n)))
            raise

    async def main(effect):
        task = asyncio.create_task(AsyncDriver(Nowhere()).run(iter_flow(effect([patient(1), patient(2)]))))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main(All))
    asyncio.run(main(First))
    assert sorted(cleaned) == [1, 1, 2, 2]


# --- Streaming by hand ---


def test_a_stream_in_a_flow_is_pulled_to_its_end(run):
    """What was primed comes first; an empty list only at the end; the end runs once."""
    ends = []

    def end(error):
        ends.append(error)
        return
        yield

    def flow():
        stream = Streaming(Items(iter([b"a", b"", b"b", b"c"])), Raw()).epilogue(end)
        yield from stream.prime(lambda chunk: chunk == b"b")
        found = []
        while chunks := (yield from stream.pull()):
            found += chunks
        yield from stream.end(None)
        yield from stream.end(LookupError())
        return found

    assert run(flow()) == [b"a", b"", b"b", b"c"]
    assert ends == [None]


def test_a_whole_reply_streams_as_one_piece(run):
    """Where a provider answers a stream with all at once."""

    def flow():
        return (yield from Streaming(HttpReply(status=200, headers={"a": "b"}, content=b"all"), Raw()).pull())

    assert run(flow()) == [b"all"]


def test_changes_also_apply_to_what_was_primed(run):
    """A layer added after the first chunks were read ahead still sees them."""
    seen = []

    def flow():
        stream = Streaming(Items(iter([b"a", b"b"])), Raw())
        yield from stream.prime(lambda chunk: True)
        stream.map(bytes.upper).tap(seen.append)
        return [*(yield from stream.pull()), *(yield from stream.pull())]

    assert run(flow()) == [b"A", b"B"]
    assert seen == [b"A", b"B"]


def test_a_decoder_s_error_at_the_end_is_raised(run):
    """A stream that was cut off."""

    class Cut(Raw):
        def close(self):
            raise APIConnectionError("cut off")

    def flow():
        stream = Streaming(Items(iter([b"a"])), Cut())
        yield from stream.pull()
        yield from stream.pull()

    with pytest.raises(APIConnectionError, match="cut off"):
        run(flow())
