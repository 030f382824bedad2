"""Clients over a wire that a test holds: what was sent is kept, what comes back is given."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from polyport import Client

KEY = "sk-ant-api03-not-a-real-key"
DATE = {"date": "Sun, 22 Nov 2026 10:00:00 GMT"}
USER = [{"role": "user", "content": "Hello"}]
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A reply's body in given pieces, which remembers that it was closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


class Wire:
    """One reply for every request, and the requests that came."""

    def __init__(
        self,
        reply: Any = MESSAGE,
        status: int = 200,
        headers: dict[str, str] | None = None,
        pieces: Iterable[bytes] | None = None,
    ) -> None:
        self.show(reply, status, headers, pieces)

    def show(
        self,
        reply: Any = MESSAGE,
        status: int = 200,
        headers: dict[str, str] | None = None,
        pieces: Iterable[bytes] | None = None,
    ) -> Wire:
        """Answer with this from now on, and forget what came before."""
        self.reply, self.status, self.headers = reply, status, {**DATE, **(headers or {})}
        self.body = Body(pieces) if pieces is not None else None
        self.requests: list[httpx.Request] = []
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.body is not None:
            kind = {"content-type": "text/event-stream"}
            return httpx.Response(self.status, headers={**self.headers, **kind}, stream=self.body)
        if isinstance(self.reply, bytes):
            return httpx.Response(self.status, headers=self.headers, content=self.reply)
        return httpx.Response(self.status, headers=self.headers, json=self.reply)

    @property
    def last(self) -> httpx.Request:
        """The latest request."""
        return self.requests[-1]

    @property
    def sent(self) -> Any:
        """The latest request's JSON body."""
        return json.loads(self.last.content)

    def client(self, **options: Any) -> Client:
        """Return a client over this wire."""
        options = {"api_key": KEY, "num_retries": 0, **options}
        return Client(http=httpx.MockTransport(self), **options)


Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def wire() -> type[Wire]:
    """The class of wires: `wire(reply, status, headers, pieces)`."""
    return Wire


@pytest.fixture
def ask() -> Ask:
    """Ask over a wire: `ask(model, messages, **params)` gives (the body sent, what was adapted, the result)."""

    def ask(model: str = "claude-sonnet-4-5", messages: Any = USER, **params: Any) -> Any:
        wire = Wire(params.pop("reply", MESSAGE))
        with wire.client() as client:
            result = client.completion(f"anthropic/{model}", messages, **params)
        return wire.sent, [(adapted.parameter, adapted.action) for adapted in result.meta.adaptations], result

    return ask


@pytest.fixture
def sent(ask: Ask) -> Ask:
    """The body that a chat call sends: `sent(model, messages, **params)`."""
    return lambda *args, **params: ask(*args, **params)[0]


@pytest.fixture
def adapted(ask: Ask) -> Ask:
    """What a chat call could not pass on as given: [(parameter, action)]."""
    return lambda *args, **params: ask(*args, **params)[1]


@pytest.fixture
def sse() -> Callable[..., bytes]:
    """Write events as an event stream."""
    return lambda *events: b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


@pytest.fixture
def message() -> dict[str, Any]:
    """A message as Anthropic sends it, to be changed."""
    copy: dict[str, Any] = json.loads(json.dumps(MESSAGE))
    return copy
