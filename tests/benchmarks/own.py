"""`python -m tests.benchmarks.own [NAME ...] [--json] [--profile]`: what polyport itself costs a call, in CPU time.

The transport answers at once from memory, so that all there is to measure is validating, routing, translating, the
onion, the driver and decoding. Beside it stands the least that such a call can be: a generator that yields one
request, a body encoded and an answer decoded by msgspec. Ratios to it hold on any machine, also on a busy one, since
the kinds of calls take turns and of each the fastest round counts. `--profile` shows where the time of one kind goes.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

import polyport
from polyport.caching import Cache
from polyport.drivers.aio import AsyncDriver
from polyport.drivers.sync import SyncDriver
from polyport.flow import HttpReply, HttpRequest
from polyport.observing import flush_callbacks
from polyport.router import Router
from polyport.types.chat import ChatCompletion, ChatCompletionChunk

MESSAGES = [{"role": "user", "content": "Hello"}]
MODEL = "openai/gpt-4o"
HEADERS = {"content-type": "application/json", "x-request-id": "req_benchmark"}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 9,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}
MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": "Hello! How can I help you today?",
    "refusal": None,
    "annotations": [],
}
ANSWER = {
    "id": "chatcmpl-benchmark",
    "object": "chat.completion",
    "created": 1763800000,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
    "service_tier": "default",
    "system_fingerprint": "fp_benchmark",
}
CHUNKS = 200
#: Calls in a round, and how many rounds each kind gets.
CALLS, ROUNDS = 100, 60


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Return one event of a stream."""
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return b"data: %b\n\n" % msgspec.json.encode(
        {**ANSWER, "object": "chat.completion.chunk", "choices": choices, "usage": None, **more}
    )


EVENTS = [
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": f" word{number}"}) for number in range(CHUNKS - 3)),
    chunk({}, "stop"),
    chunk({}, choices=[], usage=USAGE),
    b"data: [DONE]\n\n",
]


class Pieces:
    """An open body from memory, for either driver."""

    def __init__(self) -> None:
        self.read = iter([*EVENTS, None]).__next__

    def close(self) -> None:
        """Nothing is held."""


class AsyncPieces:
    """The same, awaited."""

    def __init__(self) -> None:
        self._next = iter([*EVENTS, None]).__next__

    async def read(self) -> bytes | None:
        """Return the next piece, None at the end."""
        return self._next()

    async def aclose(self) -> None:
        """Nothing is held."""


class Answering:
    """A transport that answers from memory."""

    content = msgspec.json.encode(ANSWER)

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the answer, or an open body."""
        if request.stream:
            return HttpReply(status=200, headers=HEADERS, source=Pieces())
        return HttpReply(status=200, headers=HEADERS, content=self.content)

    def close(self) -> None:
        """Nothing is held."""


class AsyncAnswering:
    """The same for an event loop."""

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the answer, or an open body."""
        if request.stream:
            return HttpReply(status=200, headers=HEADERS, source=AsyncPieces())
        return HttpReply(status=200, headers=HEADERS, content=Answering.content)

    async def aclose(self) -> None:
        """Nothing is held."""


def connected(client: polyport.Client) -> polyport.Client:
    """Return the client with its two drivers over the answers from memory."""
    client._drivers._sync = SyncDriver(Answering())
    client._drivers._aio[asyncio.get_running_loop()] = AsyncDriver(AsyncAnswering())
    return client


# --- the least a call can be ---


def bare_call() -> ChatCompletion:
    """Encode, yield, decode: what every way of asking has to do."""
    flow = _bare()
    next(flow)
    try:
        flow.send(HttpReply(status=200, headers=HEADERS, content=Answering.content))
    except StopIteration as stop:
        found: ChatCompletion = stop.value
        return found
    raise AssertionError("the flow goes on")


def _bare() -> Any:
    content = _encode({"model": "gpt-4o", "messages": MESSAGES})
    reply = yield HttpRequest(method="POST", url="https://api.openai.com/v1/chat/completions", content=content)
    return _decode(reply.content)


def bare_stream() -> None:
    """Cut events off their frame and decode them."""
    for event in EVENTS[:-1]:
        _decode_chunk(event[6:-2])


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ChatCompletion).decode
_decode_chunk = msgspec.json.Decoder(ChatCompletionChunk).decode


# --- what is measured ---

Kind = tuple[str, Callable[[int], Coroutine[Any, Any, None]], str]


def kinds() -> dict[str, Kind]:
    """Return name -> (title, what runs so many calls, the name of the least there is to compare it to)."""

    def client(**options: Any) -> polyport.Client:
        return connected(polyport.Client(api_key="k", **options))

    plain, stored, filling = client(), client(cache=Cache()), client(cache=Cache())
    watched, guarded = client(callbacks=[lambda *_: None]), client(guardrails=[passing])
    deployments = [
        {"model_name": "chat", "litellm_params": {"model": MODEL, "api_key": f"k{number}"}} for number in range(3)
    ]
    router = Router(deployments, client=client())
    numbers = iter(range(10**9))

    def ask(client: Any, model: str = MODEL) -> Callable[[], Any]:
        return lambda: client.completion(model, MESSAGES)

    def stream(client: Any) -> Callable[[], Any]:
        return lambda: sum(1 for _ in client.completion(MODEL, MESSAGES, stream=True))

    async def astream() -> None:
        async for _ in await plain.acompletion(MODEL, MESSAGES, stream=True):
            pass

    async def planned() -> None:
        call, flow = router.plan("completion", model="chat", messages=MESSAGES)
        await router.client.arun(flow)
        _ = call.meta

    def missing() -> None:
        filling.completion(MODEL, [{"role": "user", "content": f"Hello {next(numbers)}"}])

    async def watching(count: int) -> None:
        for _ in range(count):
            watched.completion(MODEL, MESSAGES)
        flush_callbacks()

    return {
        "bare": ("bare generator and msgspec", times(bare_call), "bare"),
        "sync": ("blocking call", times(ask(plain)), "bare"),
        "async": ("asynchronous call", atimes(lambda: plain.acompletion(MODEL, MESSAGES)), "bare"),
        "routed": ("blocking call, routed (3 deployments)", times(ask(router, "chat")), "bare"),
        "planned": ("asynchronous call, routed, as the gateway does", atimes(planned), "bare"),
        "cost": ("blocking call, its cost and bill read", times(lambda: _read(ask(plain)())), "bare"),
        "hit": ("blocking call, found in the cache", times(ask(stored)), "bare"),
        "miss": ("blocking call, not yet in the cache", times(missing), "bare"),
        "observer": ("blocking call, observed (the observer's thread too)", watching, "bare"),
        "guardrail": ("blocking call, one passing guardrail", times(ask(guarded)), "bare"),
        "bare chunk": ("bare streamed chunk", times(bare_stream, CHUNKS), "bare chunk"),
        "chunk": ("streamed chunk", times(stream(plain), CHUNKS), "bare chunk"),
        "async chunk": ("streamed chunk, asynchronous", atimes(astream, CHUNKS), "bare chunk"),
    }


def passing(seen: Any) -> bool:
    """A guardrail that looks at what is asked, and lets it pass."""
    return bool(seen.text)


def _read(result: Any) -> None:
    _ = result.meta.cost, result.meta.bill.lines


def times(call: Callable[[], Any], parts: int = 1) -> Callable[[int], Coroutine[Any, Any, None]]:
    """Return what runs a blocking call so many times, or as often as comes to so many parts."""

    async def run(count: int) -> None:
        for _ in range(count // parts):
            call()

    return run


def atimes(call: Callable[[], Coroutine[Any, Any, Any]], parts: int = 1) -> Callable[[int], Coroutine[Any, Any, None]]:
    """The same for an asynchronous one, each awaited before the next."""

    async def run(count: int) -> None:
        for _ in range(count // parts):
            await call()

    return run


async def measure(names: list[str]) -> dict[str, tuple[str, float, float]]:
    """Return name -> (title, microseconds of CPU, ratio to the least)."""
    found = kinds()
    wanted = {name: found[name] for name in found if not names or name in names or found[name][2] == name}
    for _, run, _ in wanted.values():
        await run(3 * CHUNKS)
    best = dict.fromkeys(wanted, float("inf"))
    for _ in range(ROUNDS):
        for name, (_, run, _) in wanted.items():
            count = CHUNKS if "chunk" in name else CALLS
            start = time.process_time()
            await run(count)
            best[name] = min(best[name], (time.process_time() - start) / count * 1e6)
    return {name: (title, best[name], best[name] / best[least]) for name, (title, _, least) in wanted.items()}


async def profile(name: str) -> None:
    """Print where the time of one kind goes."""
    _, run, _ = kinds()[name]
    await run(1000)
    profiler = cProfile.Profile()
    profiler.enable()
    await run(20000)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def main(arguments: list[str]) -> None:
    """Measure the kinds that are named, or all."""
    names = [one for one in arguments if not one.startswith("--")]
    if "--profile" in arguments:
        asyncio.run(profile(names[0] if names else "sync"))
        return
    figures = asyncio.run(measure(names))
    if "--json" in arguments:
        print(json.dumps({name: micro for name, (_, micro, _) in figures.items()}))
        return
    print("| | CPU µs | × bare |\n|---|---|---|")
    for title, micro, ratio in figures.values():
        print(f"| {title} | {micro:.1f} | {ratio:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
