"""`python -m tests.benchmarks.transport [--rounds N]`: what a transport alone costs on an event loop, in CPU µs.

A call is a POST with a JSON body answered at once, 1, 16 and 64 in flight; a streamed read is one event that comes by
itself, 2 ms after the last one, on each of 16 streams. CPU time (`time.process_time`) of the client's process only, the
least of several rounds in processes of their own: others on the machine then hardly matter. The client has the first
core, the upstream the last. Peers are measured where they are installed, uvloop too.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.__main__ import peer_python
from tests.benchmarks.upstream import pinned, upstream

BODY = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello, how are you?"}]}).encode()
HEADERS = {"authorization": "Bearer sk-0123456789", "content-type": "application/json", "user-agent": "polyport/0.1"}
KINDS = ("1", "16", "64", "read")
STREAMS, EVENTS = 16, 150
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'

Call = Callable[[], Awaitable[Any]]
Stream = Callable[[], AsyncIterator[bytes]]


def polyport_client(name: str, url: str) -> tuple[Call, Stream]:
    """Return a call and a stream through one of polyport's transports."""
    from polyport.flow import HttpRequest
    from polyport.transport import TransportOptions, factory

    transport = factory(name).open_async(TransportOptions(trust_env=False))

    def request(stream: bool) -> HttpRequest:
        return HttpRequest(method="POST", url=url, headers=HEADERS, content=BODY, stream=stream)

    async def call() -> None:
        reply = await transport.send(request(False))
        assert reply.status == 200
        assert reply.content

    async def stream() -> AsyncIterator[bytes]:
        source: Any = (await transport.send(request(True))).source
        while (piece := await source.read()) is not None:
            yield piece

    return call, stream


def pyreqwest(_: str, url: str) -> tuple[Call, Stream]:
    """Return the same through pyreqwest, told to hold no piece back."""
    from pyreqwest.client import ClientBuilder

    client = ClientBuilder().build()

    async def call() -> None:
        reply = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
        assert reply.status == 200
        assert await reply.bytes()

    async def stream() -> AsyncIterator[bytes]:
        builder = client.post(url).headers(HEADERS).body_bytes(BODY).streamed_read_buffer_limit(0)
        async with builder.build_streamed() as reply:
            while (piece := await reply.body_reader.read_chunk()) is not None:
                yield bytes(piece)

    return call, stream


def wreq(_: str, url: str) -> tuple[Call, Stream]:
    """Return the same through wreq."""
    from wreq import Client

    client = Client()

    async def call() -> None:
        reply = await client.post(url, headers=HEADERS, body=BODY)
        assert await reply.bytes()

    async def stream() -> AsyncIterator[bytes]:
        reply = await client.post(url, headers=HEADERS, body=BODY)
        async for piece in reply.stream():
            yield bytes(piece)

    return call, stream


def aiohttp(_: str, url: str) -> tuple[Call, Stream]:
    """Return the same through aiohttp."""
    import aiohttp

    client: Any = None

    def session() -> Any:
        nonlocal client
        client = client or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return client

    async def call() -> None:
        async with session().post(url, headers=HEADERS, data=BODY) as reply:
            assert await reply.read()

    async def stream() -> AsyncIterator[bytes]:
        async with session().post(url, headers=HEADERS, data=BODY) as reply:
            async for piece in reply.content.iter_any():
                yield piece

    return call, stream


def httpx(_: str, url: str) -> tuple[Call, Stream]:
    """Return the same through httpx."""
    import httpx

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), trust_env=False)

    async def call() -> None:
        assert (await client.post(url, headers=HEADERS, content=BODY)).content

    async def stream() -> AsyncIterator[bytes]:
        async with client.stream("POST", url, headers=HEADERS, content=BODY) as reply:
            async for piece in reply.aiter_raw():
                yield piece

    return call, stream


def bare(_: str, url: str) -> tuple[Call, Stream]:
    """Return the least that asyncio can do: a protocol that sends the same bytes, parses nothing and checks nothing.

    It keeps no time, notices no failure and takes 5 bytes for the end of a reply: what it costs is the loop's own.
    """
    parts = urlsplit(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "content-length": str(len(BODY))}.items())
    message = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{lines}\r\n".encode() + BODY
    idle: list[Bare] = []

    class Bare(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.data = data
            if not self.news.done():
                self.news.set_result(None)

    async def begin() -> Bare:
        loop = asyncio.get_running_loop()
        line = idle.pop() if idle else (await loop.create_connection(Bare, parts.hostname, parts.port))[1]
        line.news = loop.create_future()
        line.transport.write(message)
        return line

    async def call() -> None:
        line = await begin()
        await line.news
        idle.append(line)

    async def stream() -> AsyncIterator[bytes]:
        line = await begin()
        while True:
            await line.news
            line.news = asyncio.get_running_loop().create_future()
            yield line.data
            if line.data.endswith(b"0\r\n\r\n"):
                break
        idle.append(line)

    return call, stream


OURS = "reqwest"
CLIENTS: dict[str, Callable[[str, str], tuple[Call, Stream]]] = {
    OURS: polyport_client,
    "wreq": wreq,
    "pyreqwest": pyreqwest,
    "aiohttp": aiohttp,
    "httpx": httpx,
    "a bare protocol": bare,
}
PACKAGES = ("aiohttp", "httpx", "pyreqwest", "uvloop", "wreq")
LOOPS = ("asyncio", "uvloop")


# --- one measurement, in a process of its own ---


def measure(name: str, kind: str, url: str) -> float:
    """Return CPU microseconds of a call, or of a streamed read."""

    async def main() -> float:
        call, stream = CLIENTS[name](name, url)
        return await (_reads(stream) if kind == "read" else _calls(call, int(kind)))

    return asyncio.run(main())


async def _calls(call: Call, in_flight: int) -> float:
    await asyncio.gather(*(call() for _ in range(in_flight)))
    least = float("inf")
    for _ in range(5):
        done, stop, start = 0, time.perf_counter() + 0.3, time.process_time()

        async def worker(stop: float) -> int:
            count = 0
            while time.perf_counter() < stop:
                await call()
                count += 1
            return count

        done = sum(await asyncio.gather(*(worker(stop) for _ in range(in_flight))))
        least = min(least, (time.process_time() - start) / done)
    return least * 1e6


async def _reads(stream: Stream) -> float:
    async def read() -> int:
        return sum([1 async for _ in stream()])

    await read()
    start = time.process_time()
    pieces = sum(await asyncio.gather(*(read() for _ in range(STREAMS))))
    return (time.process_time() - start) / pieces * 1e6


# --- an upstream whose events come one by one ---


async def drip() -> None:
    """Serve streams of events, 2 ms apart; print the port, end with stdin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            except asyncio.IncompleteReadError:
                return writer.close()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(EVENTS):
                await asyncio.sleep(0.002)
                writer.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
            writer.write(b"0\r\n\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


@contextmanager
def dripping() -> Iterator[str]:
    """Run it on the last core, and give its base URL."""
    command = [*pinned(None), sys.executable, "-m", "tests.benchmarks.transport", "drip"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


# --- the table ---


def main(rounds: int) -> None:
    """Measure ours and its peers on both loops, and print the table with the ratios to ours."""
    python = dict.fromkeys(CLIENTS, peer_python("transport-peers", PACKAGES))
    python[OURS] = sys.executable
    figures: dict[tuple[str, str, str], float] = {}
    with upstream() as fast, dripping() as slow:
        for _ in range(rounds):
            for cell in product(CLIENTS, LOOPS, KINDS):
                url = f"{slow if cell[2] == 'read' else fast}/v1/chat/completions"
                figures[cell] = min(figures.get(cell, float("inf")), _run(python[cell[0]], *cell, url))
    print("| client, loop | CPU µs a call, 1 in flight | 16 | 64 | CPU µs a streamed read |\n|---|---|---|---|---|")
    for name, loop in product(CLIENTS, LOOPS):
        cells = ((figures[name, loop, kind], figures[OURS, loop, kind]) for kind in KINDS)
        print(f"| {name}, {loop} | {' | '.join(f'{cost:.1f} ({cost / ours:.1f} ×)' for cost, ours in cells)} |")


def _run(python: str, name: str, loop: str, kind: str, url: str) -> float:
    pin = ["taskset", "-c", "0"] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    command = [*pin, python, "-m", "tests.benchmarks.transport", "one", name, loop, kind, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} on {loop}, {kind}: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["drip"]:
        asyncio.run(drip())
    elif sys.argv[1:2] == ["one"]:
        if sys.argv[3] == "uvloop":
            import uvloop

            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        print(measure(sys.argv[2], sys.argv[4], sys.argv[5]), flush=True)
        os._exit(0)  # some peers take seconds to shut down
    else:
        main(int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 3)
