"""A simulated wire: stands for the network in tests, so that nobody needs mocks.

    wire = Wire([Reply.of({"error": "slow down"}, status=429, headers={"retry-after": "1"}), {"choices": [...]}])
    client = Client(http=wire, ...)
    client.completion(...)
    wire.requests[0].json["messages"]

One wire serves blocking and asynchronous clients as an httpx transport, and simulations as `wire.simulated`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from polyport.drivers.simulation import Answer
from polyport.errors import APIConnectionError
from polyport.flow import HttpReply, HttpRequest

#: First bytes of a body -> its media type, for bodies given without one.
KINDS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"{", b"["), "application/json"),
    ((b"data:", b"event:", b"id:", b":"), "text/event-stream"),
    ((b"<",), "text/html"),
)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the wire answers one request with, and what goes wrong on the way.

    `delay` seconds pass before the status line, `pause` before each piece of the body; `cuts` are the positions
    where the body is cut into pieces. `refused`: no connection at all. `reset_at`: the connection breaks after so
    many bytes of the body. `ends_at`: the body ends there as if it were complete.
    """

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    pause: float = 0.0
    cuts: Sequence[int] = ()
    refused: bool = False
    reset_at: int | None = None
    ends_at: int | None = None

    @classmethod
    def of(cls, value: Answerable, **changes: Any) -> Reply:
        """Return bytes, text or plain JSON data as a reply, its content type told from how it begins."""
        if isinstance(value, Reply):
            return msgspec.structs.replace(value, **changes) if changes else value
        content = value.encode() if isinstance(value, str) else value
        if not isinstance(content, bytes):
            content = msgspec.json.encode(content)
        kind = next((kind for starts, kind in KINDS if content.lstrip().startswith(starts)), "application/octet-stream")
        headers = {"content-type": kind, **changes.pop("headers", {})}
        return cls(content=content, headers=headers, **changes)

    def pieces(self) -> list[bytes]:
        """Return the body as it arrives: up to where it ends, cut where it is cut."""
        ends = [end for end in (self.ends_at, self.reset_at) if end is not None]
        body = self.content[: min(ends)] if ends else self.content
        edges = [0, *sorted(cut for cut in self.cuts if 0 < cut < len(body)), len(body)]
        return [body[start:end] for start, end in pairwise(edges) if end > start]


Answerable: TypeAlias = "Reply | bytes | str | Mapping[str, Any] | list[Any]"


class Sent(msgspec.Struct, frozen=True):
    """A request as it arrived. Header names are lower case. The repr shows neither headers nor query."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body as plain JSON data."""
        return msgspec.json.decode(self.content)

    @property
    def path(self) -> str:
        """The URL's path."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The URL's query."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    def __repr__(self) -> str:
        return f"<Sent {self.method} {self.url.partition('?')[0]} body={len(self.content)}>"


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers requests and remembers them, in `requests`. `open` counts reply bodies that nobody has closed yet.

    `answers` is one answer for every request, a list of one answer each, or a function of the request. A request
    for which there is no answer left is an AssertionError.
    """

    def __init__(self, answers: Answerable | Sequence[Answerable] | Callable[[Sent], Answerable]) -> None:
        self.requests: list[Sent] = []
        self.open = 0
        self._answers = answers

    def answer(self, sent: Sent) -> Reply:
        """Remember the request and return the reply to it."""
        number = len(self.requests)
        self.requests.append(sent)
        answers = self._answers
        if callable(answers):
            return Reply.of(answers(sent))
        if not isinstance(answers, list | tuple):
            return Reply.of(answers)  # type: ignore[arg-type]  # a Sequence that is no list or tuple is bytes or text
        if number >= len(answers):
            raise AssertionError(f"The wire has {len(answers)} answers; request {number + 1} is {sent!r}")
        return Reply.of(answers[number])

    # --- as an httpx transport ---

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a blocking client."""
        reply = self.answer(_sent(request, request.read()))
        wait, late = _bounded(reply.delay, request)
        time.sleep(wait)
        return self._respond(reply, request, late)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer an asynchronous client."""
        reply = self.answer(_sent(request, await request.aread()))
        wait, late = _bounded(reply.delay, request)
        await asyncio.sleep(wait)
        return self._respond(reply, request, late)

    def _respond(self, reply: Reply, request: httpx.Request, late: bool) -> httpx.Response:
        if late:
            raise httpx.ReadTimeout("the simulated reply is late", request=request)
        if reply.refused:
            raise httpx.ConnectError("the simulated connection was refused", request=request)
        self.open += 1
        body = _Body(reply, request, self)
        return httpx.Response(reply.status, headers=dict(reply.headers), stream=body, request=request)

    # --- as the wire of a simulation ---

    def simulated(self, request: HttpRequest, now: float) -> Answer:
        """Answer a `polyport.drivers.simulation.Simulation`, for which this is the wire; its waits are virtual."""
        content = request.content if isinstance(request.content, bytes) else b"".join(request.content or ())
        reply = self.answer(Sent(request.method, request.url, dict(request.headers), content))
        if reply.refused:
            return Answer(reply.delay, error=APIConnectionError("The simulated connection was refused"))
        broken = APIConnectionError("The simulated connection was reset") if reply.reset_at is not None else None
        pieces: list[tuple[float, bytes | Exception]] = [(reply.pause, piece) for piece in reply.pieces()]
        whole = b"".join(reply.pieces())
        headers = {name.lower(): value for name, value in reply.headers.items()}
        answered = HttpReply(status=reply.status, headers=headers, content=whole)
        if request.stream and reply.status < 400:
            return Answer(reply.delay, answered, pieces=[*pieces, *([(0.0, broken)] if broken else [])])
        return Answer(reply.delay + reply.pause * len(pieces), answered, error=broken)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A reply's body, for either side."""

    def __init__(self, reply: Reply, request: httpx.Request, wire: Wire) -> None:
        self._reply = reply
        self._request = request
        self._wire = wire
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        wait, late = _bounded(self._reply.pause, self._request)
        for piece in self._reply.pieces():
            time.sleep(wait)
            self._check(late)
            yield piece
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        wait, late = _bounded(self._reply.pause, self._request)
        for piece in self._reply.pieces():
            await asyncio.sleep(wait)
            self._check(late)
            yield piece
        self._end()

    def _check(self, late: bool) -> None:
        if late:
            raise httpx.ReadTimeout("the simulated body is late", request=self._request)

    def _end(self) -> None:
        if self._reply.reset_at is not None:
            raise httpx.ReadError("the simulated connection was reset", request=self._request)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._wire.open -= 1

    async def aclose(self) -> None:
        self.close()


def _sent(request: httpx.Request, content: bytes) -> Sent:
    return Sent(request.method, str(request.url), {name.lower(): v for name, v in request.headers.items()}, content)


def _bounded(seconds: float, request: httpx.Request) -> tuple[float, bool]:
    """Return how long to wait, and whether the client's read timeout comes first."""
    limit = request.extensions.get("timeout", {}).get("read")
    return (limit, True) if limit is not None and seconds > limit else (seconds, False)
