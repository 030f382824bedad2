"""The router's state in a real Redis: shared, exact, and no harm where it is away."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from contextlib import closing

import httpx
import pytest
from pace import given_time

from polyport import Router
from polyport.drivers.sync import SyncDriver
from polyport.errors import RateLimitError
from polyport.states import Limits, MemoryState, Outcome, Refusal, Ticket
from polyport.transport import given
from polyport_redis import RedisState

ASK = [{"role": "user", "content": "hello"}]
REPLY = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
}

#: Takes as often as it can from four threads, and prints how often it could.
HAMMER = """
import sys, threading, time, httpx
from polyport.drivers.sync import SyncDriver
from polyport.transport import given
from polyport.states import Limits, Outcome, Ticket
from polyport_redis import RedisState

port, rpm, tries = (int(word) for word in sys.argv[1:])
state, driver = RedisState(port=port, timeout=60), SyncDriver(given(httpx.MockTransport(None)))
taken = []

def hammer():
    for _ in range(tries):
        got = driver.run(state.take("shared", Limits(rpm=rpm), 1, time.monotonic()))
        if isinstance(got, Ticket):
            taken.append(got)
            driver.run(state.settle(got, Outcome(tokens=3), time.monotonic()))

threads = [threading.Thread(target=hammer) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
state.close()
print(len(taken))
"""


@pytest.fixture
def driver():
    """What performs the effects of a state's flows."""
    return SyncDriver(given(httpx.MockTransport(lambda _: httpx.Response(200))))


@pytest.fixture
def state(server):
    """A state in the running Redis."""
    made = RedisState(port=server.port, timeout=5)
    yield made
    made.close()


def router(server, **settings):
    """A router of two deployments whose state is in Redis."""
    entries = [
        {
            "model_name": "g",
            "params": {"model": "openai/m", "api_key": f"k{n}", "rpm": 3},
            "model_info": {"id": f"d{n}"},
        }
        for n in range(2)
    ]
    http = httpx.MockTransport(lambda _: httpx.Response(200, json=REPLY))
    return Router(entries, http=http, redis_host="127.0.0.1", redis_port=server.port, **settings)


def test_it_says_what_a_state_in_memory_says(state, driver):
    """The same takes and settlements of both leave both standing alike."""
    memory, start = MemoryState(), time.monotonic()
    limits = Limits(rpm=6, tpm=100, parallel=3)
    tickets = []
    for step in range(30):
        now = time.monotonic()
        if step % 3 < 2:
            got = [driver.run(one.take("d", limits, 7 * (step % 4), now)) for one in (state, memory)]
            assert [type(one) for one in got] == [type(got[1])] * 2
            if isinstance(got[0], Refusal):
                assert got[0].limit == got[1].limit
            else:
                tickets.append(got)
        elif tickets:
            outcome = Outcome(tokens=step, latency=step / 10, failed=step % 4 == 0, cool=300, allowed=1)
            for one, ticket in zip((state, memory), tickets.pop(0), strict=True):
                driver.run(one.settle(ticket, outcome, now))
        ours, theirs = (driver.run(one.look(["d", "unseen"], now)) for one in (state, memory))
        assert (ours[0].busy, ours[0].requests, ours[0].tokens, ours[0].failures) == (
            theirs[0].busy, theirs[0].requests, theirs[0].tokens, theirs[0].failures,
        )  # fmt: skip
        assert ours[0].latency == pytest.approx(theirs[0].latency)
        assert ours[0].cooling == pytest.approx(theirs[0].cooling, abs=0.01 + time.monotonic() - start)
        assert ours[1] == theirs[1]
    driver.run(state.forget(["d"]))
    assert driver.run(state.look(["d"], 0.0))[0].requests == 0


def test_two_processes_keep_a_shared_limit_exactly(server):
    """Eight threads of two processes ask ten times as often as they may; what they get is the limit."""
    command = [sys.executable, "-c", HAMMER, str(server.port), "100", "125"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(taken) == 100


def test_a_refusal_says_when_there_is_room(state, driver):
    """In seconds; of calls in flight nobody knows."""
    limits, start = Limits(rpm=1, parallel=1), time.monotonic()
    driver.run(state.take("d", limits, 0, 0.0))
    assert driver.run(state.take("d", limits, 0, 0.0)) == Refusal("parallel")
    refusal = driver.run(state.take("d", Limits(rpm=1), 0, 0.0))
    assert refusal.limit == "rpm"
    assert refusal.seconds + time.monotonic() - start > 59
    assert refusal.seconds <= 61


def test_a_process_that_was_killed_counts_no_longer_than_its_lease(server, driver):
    """Its calls in flight are forgotten then; settling one later changes nothing."""

    def attempt(lease: float) -> None:
        with closing(RedisState(port=server.port, lease=lease, prefix=f"for-{lease}")) as state:
            ticket = driver.run(state.take("d", Limits(parallel=1), 4, 0.0))
            assert driver.run(state.look(["d"], 0.0))[0].busy == 1
            time.sleep(1.1 * lease)
            assert isinstance(driver.run(state.take("d", Limits(parallel=1), 4, 0.0)), Ticket)
            driver.run(state.settle(ticket, Outcome(tokens=400), 0.0))
            standing = driver.run(state.look(["d"], 0.0))[0]
            assert (standing.busy, standing.tokens) == (1, 8)

    given_time(attempt, 1, 15)


def test_scripts_that_redis_forgot_are_loaded_again(state, driver):
    """And nothing is counted twice for it."""
    for _ in range(3):
        ticket = driver.run(state.take("d", Limits(), 1, 0.0))
        state.connections.client().script_flush()
        driver.run(state.settle(ticket, Outcome(tokens=1), 0.0))
        state.connections.client().script_flush()
    standing = driver.run(state.look(["d"], 0.0))[0]
    assert (standing.busy, standing.requests, standing.tokens) == (0, 3, 3)


def test_without_redis_a_process_goes_by_itself_until_it_is_back(server, driver, caplog):
    """One line for its going, one for its coming; a call that began with it is settled then."""
    state = RedisState(port=server.port, timeout=60, retry_after=0.2)
    limits = Limits(rpm=2, parallel=5)
    with caplog.at_level(logging.WARNING, "polyport.router"):
        before = driver.run(state.take("d", limits, 1, time.monotonic()))
        server.stop()
        for _ in range(2):
            assert isinstance(driver.run(state.take("d", limits, 1, time.monotonic())), Ticket)
        assert driver.run(state.take("d", limits, 1, time.monotonic())).limit == "rpm"
        assert driver.run(state.look(["d"], time.monotonic()))[0].requests == 2
        driver.run(state.settle(before, Outcome(tokens=9), time.monotonic()))
        server.start()
        time.sleep(0.3)
        assert driver.run(state.look(["d"], time.monotonic()))[0].requests == 0
        after = driver.run(state.take("d", limits, 1, time.monotonic()))
        assert after.lease
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "The router's Redis is away",
        "The router's Redis is back: limits and rests are shared again",
    ]
    state.close()


def test_a_settlement_that_was_owed_is_made(server, driver):
    """Where Redis went away without forgetting: a pause is enough."""

    def attempt(timeout: float) -> None:
        settings = {"timeout": timeout, "retry_after": 0.1, "prefix": f"for-{timeout}"}
        with closing(RedisState(port=server.port, **settings)) as state:
            ticket = driver.run(state.take("d", Limits(), 1, time.monotonic()))
            server.pause()
            driver.run(state.settle(ticket, Outcome(tokens=5), time.monotonic()))
            server.resume()
            time.sleep(0.2)
            driver.run(state.look(["other"], time.monotonic()))
            standing = driver.run(state.look(["d"], time.monotonic()))[0]
            assert (standing.busy, standing.tokens) == (0, 5)

    given_time(attempt, 1, 15)


def test_routers_share_limits_and_counts(server):
    """Two routers, one blocking and one asynchronous: six calls a minute in all, and all is given back."""
    with router(server) as one:
        for _ in range(4):
            one.completion("g", ASK)

        async def rest():
            async with router(server) as other:
                for _ in range(2):
                    await other.acompletion("g", ASK)
                with pytest.raises(RateLimitError, match="its limit"):
                    await other.acompletion("g", ASK)

        asyncio.run(rest())
        told = one.explain("g", ASK).considered
        assert (
            sorted((row.standing.requests, row.standing.busy, row.standing.tokens) for row in told) == [(3, 0, 30)] * 2
        )
