"""`python -m tests.benchmarks.added [--seconds 5] [--in-flight 16]`: what the gateway adds to the time of a call.

The upstream answers after 50 ms, as a fast model would, so that the gateway is busy but not full. The same load goes to
the upstream itself, to nginx and to the gateway with everything on; what is told is the median time to the first byte
of a whole answer, and to the first piece of a stream, and how much more that is than without anything between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from tests.benchmarks.gateway import BODY, Server, free_port, nginx, polyport, running

#: Seconds that the upstream takes to its first byte.
TAKES = 0.05


@contextmanager
def slow_upstream(folder: Path) -> Iterator[Server]:
    """An upstream that takes its time."""
    port = free_port()
    program = str(Path(__file__).with_name("slow.py"))
    with running([sys.executable, program, str(port), str(TAKES)], port, folder, "k", core=None) as server:
        yield server


async def ask(server: Server, seconds: float, in_flight: int, *, stream: bool) -> list[float]:
    """Keep so many calls in flight, and return the seconds to the first byte of each body."""
    body = json.dumps({**BODY, "stream": True} if stream else BODY).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {server.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    until = time.monotonic() + seconds

    async def one(place: int) -> list[float]:
        await asyncio.sleep(TAKES * place / in_flight)  # callers do not keep step
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        found = []
        while time.monotonic() < until:
            start = time.monotonic()
            writer.write(head + body)
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 200"), told
            if stream:
                await reader.readuntil(b"data: ")
                found.append(time.monotonic() - start)
                await reader.readuntil(b"0\r\n\r\n")
            else:
                size = int(told.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(size)
                found.append(time.monotonic() - start)
        writer.close()
        return found

    each = await asyncio.gather(*(one(place) for place in range(in_flight)))
    return sorted(time for times in each for time in times)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--in-flight", type=int, default=16)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # with the upstream; the first core is the server's
    print(
        "| through | calls/s | p50 ms | p99 ms | added p50 | first piece p50 | added |\n"
        "| --- | --: | --: | --: | --: | --: | --: |"
    )
    with tempfile.TemporaryDirectory(prefix="polyport-added-") as place, slow_upstream(Path(place)) as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        ways = {"nothing": None, "nginx": nginx, "polyport": polyport}
        if not shutil.which("nginx"):
            del ways["nginx"]
        before: tuple[float, float] | None = None
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(prefix="polyport-added-") as folder:
                if way is None:
                    found = measure(upstream, arguments.seconds, arguments.in_flight)
                else:
                    with way(url, Path(folder)) as server:
                        found = measure(server, arguments.seconds, arguments.in_flight)
            whole, first = found
            medians = statistics.median(whole) * 1e3, statistics.median(first) * 1e3
            before = before or medians
            late = whole[int(len(whole) * 0.99)] * 1e3
            told = [medians[0], late, medians[0] - before[0], medians[1], medians[1] - before[1]]
            figures = " | ".join(f"{one:.2f}" for one in told)
            print(f"| {name} | {len(whole) / arguments.seconds:.0f} | {figures} |", flush=True)


def measure(server: Server, seconds: float, in_flight: int) -> tuple[list[float], list[float]]:
    """Return the times of whole answers, and those to the first piece of streams."""
    uvloop.run(ask(server, 1, in_flight, stream=False))  # warm
    return (
        uvloop.run(ask(server, seconds, in_flight, stream=False)),
        uvloop.run(ask(server, seconds, in_flight, stream=True)),
    )


if __name__ == "__main__":
    main()
