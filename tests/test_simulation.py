"""Flows under the simulating driver: the same ones that run for real, at a virtual clock."""

import asyncio
from collections import Counter
from random import Random

import httpx
import pytest

import polyport
from polyport.drivers.aio import AsyncDriver
from polyport.drivers.simulation import Answer, Simulation, Task
from polyport.drivers.sync import SyncDriver
from polyport.flow import All, First, Flow, HttpReply, HttpRequest, Now, Sleep
from polyport.transport import agiven, given

QUESTION = [{"role": "user", "content": "Hello"}]
REPLY = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
OK = HttpReply(status=200, content=REPLY)
BUSY = HttpReply(status=429, headers={"retry-after": "2"}, content=b'{"error":{"message":"slow down"}}')
STREAM = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


@pytest.fixture
def client():
    """A client whose real wire, where one is used, answers at once."""
    with polyport.Client(
        api_key="k", seed=1, http=httpx.MockTransport(lambda _: httpx.Response(200, content=REPLY))
    ) as it:
        yield it


@pytest.mark.slow
def test_two_hundred_thousand_routed_requests(client):
    """200 000 calls at 100 a second, one in ten refused at first, all succeed after the waits that were asked for."""
    random = Random(7)
    outcome: Counter[str] = Counter()

    def wire(request: HttpRequest, now: float) -> Answer:
        return Answer(random.uniform(0.2, 2.0), BUSY if random.random() < 0.1 else OK)

    def done(task: Task) -> None:
        outcome["failed" if task.error else "ok"] += 1
        if task.error is None:
            outcome["attempts"] += task.result.meta.attempts
            assert task.ended - task.started == pytest.approx(task.result.meta.latency)

    simulation = Simulation(wire)
    flows = (
        (n / 100, client.flow("completion", model="openai/gpt-4o", messages=QUESTION, num_retries=12))
        for n in range(200_000)
    )
    simulation.arrive(flows, done)
    simulation.run()
    assert (outcome["ok"], outcome["failed"]) == (200_000, 0)
    assert outcome["attempts"] / 200_000 == pytest.approx(1 / 0.9, rel=0.01)
    assert simulation.now >= 1999.99


def test_retry_after_passes_on_the_virtual_clock(client):
    """Two refusals with Retry-After: 2 and three latencies of a second take seven virtual seconds."""
    answers = iter([BUSY, BUSY, OK])
    simulation = Simulation(lambda request, now: Answer(1.0, next(answers)))
    result = simulation.run_flow(client.flow("completion", model="openai/gpt-4o", messages=QUESTION))
    assert result.text == "Hi"
    assert (simulation.now, result.meta.latency, result.meta.attempts) == (7.0, 7.0, 3)


def test_streams_come_at_virtual_times(client):
    """Each piece takes its time, and the chunks are those of a real stream."""
    pieces = [(0.5, piece) for piece in STREAM]
    simulation = Simulation(lambda request, now: Answer(1.0, pieces=pieces))
    chunks = simulation.run_flow(client.flow("completion", model="openai/gpt-4o", messages=QUESTION, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert simulation.now == pytest.approx(2.5)


def test_a_stream_that_breaks_before_its_first_content_is_tried_again(client):
    """A reset after the headers falls back to a second attempt; one after content is the reader's error."""
    reset = polyport.APIConnectionError("reset")
    answers = iter([[(0.1, reset)], [(0.1, STREAM[0]), (0.1, reset)]])
    simulation = Simulation(lambda request, now: Answer(0.1, pieces=next(answers)))
    task = simulation.start(client.flow("completion", model="openai/gpt-4o", messages=QUESTION, stream=True))
    simulation.run()
    assert isinstance(task.error, polyport.APIConnectionError)
    assert [chunk.choices[0].delta.content for chunk in task.chunks or []] == ["Hel"]


def test_an_answer_later_than_the_timeout_is_a_timeout(client):
    """The total timeout holds on the virtual clock."""
    simulation = Simulation(lambda request, now: Answer(30.0, OK))
    flow = client.flow("completion", model="openai/gpt-4o", messages=QUESTION, timeout=5, num_retries=0)
    with pytest.raises(polyport.Timeout):
        simulation.run_flow(flow)
    assert simulation.now == pytest.approx(5.0)


# --- one flow, three drivers ------------------------------------------------------------------------------


def _waits(seconds: float, log: list[str], name: str) -> Flow[str]:
    try:
        yield Sleep(seconds)
        return name
    finally:
        log.append(name)


def race(log: list[str]) -> Flow[str]:
    """Hedge: the faster of two."""
    return (yield First([_waits(0.05, log, "slow"), _waits(0.001, log, "fast")]))


def together(log: list[str]) -> Flow[list[str]]:
    """Both, in the order they were given."""
    return (yield All([_waits(0.02, log, "a"), _waits(0.001, log, "b")]))


def chat_text(client: polyport.Client) -> Flow[tuple[str, bool]]:
    """A whole call inside a flow of one's own, timed by the driver's clock."""
    start = yield Now()
    result = yield from client.flow("completion", model="openai/gpt-4o", messages=QUESTION)
    return result.text, (yield Now()) >= start


def _mock() -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, content=REPLY))


async def _on_a_loop(flow: Flow[object]) -> object:
    return await AsyncDriver(agiven(_mock())).run(flow)


RUNNERS = {
    "sync": lambda flow: SyncDriver(given(_mock())).run(flow),
    "async": lambda flow: asyncio.run(_on_a_loop(flow)),
    "simulation": lambda flow: Simulation(lambda request, now: Answer(0.1, OK)).run_flow(flow),
}


@pytest.mark.parametrize("driver", RUNNERS)
def test_the_same_flows_run_under_every_driver(driver, client):
    """A call, a race and a pair give the same results whoever performs their effects; the loser is closed."""
    run = RUNNERS[driver]
    log: list[str] = []
    assert run(chat_text(client)) == ("Hi", True)
    assert run(together(log)) == ["a", "b"]
    log.clear()
    assert run(race(log)) == "fast"
    assert log[0] == "fast"
    if driver != "sync":  # a blocking sleep cannot be interrupted: its flow is closed when it returns
        assert sorted(log) == ["fast", "slow"]
