"""One measurement of one client, in a process of its own: `python measure.py CLIENT KIND URL` prints JSON.

Each client is a row of three small functions over the same upstream: a blocking call, an asynchronous call, a stream.
Run by `python -m tests.benchmarks`; needs nothing of this repository but polyport itself where that is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

MESSAGES = [{"role": "user", "content": "Hello"}]
BODY = {"model": "gpt-4o", "messages": MESSAGES}
IN_FLIGHT = 64


def openai_client(url: str, asynchronous: bool) -> Any:
    """Return the official SDK's client for the upstream."""
    import openai

    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(base_url=f"{url}/v1", api_key="k", max_retries=0)


class OpenAI:
    def __init__(self, url: str) -> None:
        self.sync, self.aio = openai_client(url, False), openai_client(url, True)

    def call(self) -> Any:
        return self.sync.chat.completions.create(**BODY)

    async def acall(self) -> Any:
        return await self.aio.chat.completions.create(**BODY)

    def stream(self) -> Any:
        return self.sync.chat.completions.create(**BODY, stream=True)


class LiteLLM:
    def __init__(self, url: str) -> None:
        import litellm

        self.litellm, self.more = litellm, {"api_base": f"{url}/v1", "api_key": "k", "num_retries": 0}

    def call(self) -> Any:
        return self.litellm.completion("openai/gpt-4o", MESSAGES, **self.more)

    async def acall(self) -> Any:
        return await self.litellm.acompletion("openai/gpt-4o", MESSAGES, **self.more)

    def stream(self) -> Any:
        return self.litellm.completion("openai/gpt-4o", MESSAGES, stream=True, **self.more)


class Polyport:
    transport = "httpx"

    def __init__(self, url: str) -> None:
        import polyport

        self.client = polyport.Client(api_key="k", api_base=f"{url}/v1", transport=self.transport, trust_env=False)

    def call(self) -> Any:
        return self.client.completion("openai/gpt-4o", MESSAGES)

    async def acall(self) -> Any:
        return await self.client.acompletion("openai/gpt-4o", MESSAGES)

    def stream(self) -> Any:
        return self.client.completion("openai/gpt-4o", MESSAGES, stream=True)


class PolyportFast(Polyport):
    transport = "reqwest"


class Httpx:
    def __init__(self, url: str) -> None:
        import httpx

        self.url = f"{url}/v1/chat/completions"
        self.sync, self.aio = httpx.Client(), httpx.AsyncClient(limits=httpx.Limits(max_connections=None))

    def call(self) -> Any:
        return self.sync.post(self.url, json=BODY).json()

    async def acall(self) -> Any:
        return (await self.aio.post(self.url, json=BODY)).json()

    def stream(self) -> Any:
        with self.sync.stream("POST", self.url, json={**BODY, "stream": True}) as reply:
            yield from (json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: {"))


class Pyreqwest:
    def __init__(self, url: str) -> None:
        from pyreqwest.client import ClientBuilder, SyncClientBuilder

        self.url = f"{url}/v1/chat/completions"
        self.sync, self.aio = SyncClientBuilder().build(), ClientBuilder().build()

    def call(self) -> Any:
        return self.sync.post(self.url).body_json(BODY).build().send().json()

    async def acall(self) -> Any:
        return await (await self.aio.post(self.url).body_json(BODY).build().send()).json()

    def stream(self) -> Any:
        request = self.sync.post(self.url).body_json({**BODY, "stream": True}).build_streamed()
        with request as reply:
            rest = b""
            while (piece := reply.body_reader.read_chunk()) is not None:
                *lines, rest = (rest + bytes(piece)).split(b"\n")
                yield from (json.loads(line[6:]) for line in lines if line.startswith(b"data: {"))


CLIENTS = {
    "polyport": Polyport,
    "polyport[fast]": PolyportFast,
    "openai": OpenAI,
    "litellm": LiteLLM,
    "httpx": Httpx,
    "pyreqwest": Pyreqwest,
}


def imports(name: str, _url: str) -> dict[str, float]:
    """Milliseconds and megabytes of `import`, on top of a bare interpreter."""
    module = name.partition("[")[0]
    before = _memory()
    start = time.perf_counter()
    __import__(module)
    return {"ms": (time.perf_counter() - start) * 1e3, "mb": _memory(), "more_mb": _memory() - before}


def ready(name: str, url: str) -> dict[str, float]:
    """Milliseconds from a bare interpreter to the end of a first blocking call: what lazy imports only put off."""
    start = time.perf_counter()
    CLIENTS[name](url).call()
    return {"ms": (time.perf_counter() - start) * 1e3, "mb": _memory()}


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sync_call(name: str, url: str) -> dict[str, float]:
    """Microseconds of one blocking call, the median of a second of calls."""
    client = CLIENTS[name](url)
    return {"us": median_us(client.call)}


def async_calls(name: str, url: str) -> dict[str, float]:
    """Calls a second with 64 in flight."""
    return asyncio.run(_async_calls(CLIENTS[name](url).acall))


async def _async_calls(call: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
    stop = time.perf_counter() + 2.0
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < stop:
            await call()
            done += 1

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return {"per_s": done / (time.perf_counter() - start)}


def streams(name: str, url: str) -> dict[str, float]:
    """CPU microseconds a chunk, over streams of 200 chunks."""
    client = CLIENTS[name](url)
    chunks = sum(1 for _ in client.stream())
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(10):
            for _chunk in client.stream():
                pass
        rounds.append((time.process_time() - start) / 10 / chunks * 1e6)
    return {"us": statistics.median(rounds), "chunks": chunks}


def median_us(call: Callable[[], Any]) -> float:
    """Return the median of a call's time in microseconds, after a warm-up."""
    for _ in range(50):
        call()
    times = []
    stop = time.perf_counter() + 1.5
    while time.perf_counter() < stop:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


KINDS = {"import": imports, "ready": ready, "sync": sync_call, "async": async_calls, "stream": streams}

if __name__ == "__main__":
    _, chosen, kind, base = sys.argv
    print(json.dumps(KINDS[kind](chosen, base)))
    sys.stdout.flush()
    os._exit(0)  # some peers take seconds to shut down
