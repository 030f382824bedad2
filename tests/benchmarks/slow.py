"""`python -m tests.benchmarks.slow PORT SECONDS`: an upstream that takes so many seconds to begin an answer.

A stream's second piece, which ends it, comes 20 ms after the first.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, cast

import uvloop

SAID = {"id": "c", "created": 1, "model": "gpt-4o"}
WHOLE = json.dumps({
    **SAID, "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}).encode()  # fmt: skip
AFTER = 0.02


def chunk(data: bytes) -> bytes:
    """Return a piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """Return an event of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: %b\n\n" % json.dumps({**SAID, "object": "chat.completion.chunk", "choices": choices}).encode()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = chunk(event({"role": "assistant", "content": "Paris"}))
LAST = chunk(event({}, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Slow(asyncio.Protocol):
    """One connection, which asks for one thing at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole, later."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length or 0):
            self._data = b""
            stream = b'"stream":true' in body.replace(b" ", b"")
            asyncio.get_running_loop().call_later(self._seconds, self._answer, stream)

    def _answer(self, stream: bool) -> None:
        if not stream:
            self._transport.write(HEAD + WHOLE)
            return
        self._transport.write(STREAM + FIRST)
        asyncio.get_running_loop().call_later(AFTER, self._transport.write, LAST)


async def main() -> None:
    """Serve until the process ends."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(lambda: Slow(seconds), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
