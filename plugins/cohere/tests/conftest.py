"""A client whose provider is a function: requests are seen, replies are literal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from wires import Wire, connect, wire

from polyport import Client
from polyport_cohere import Cohere
from polyport_cohere.conformance import STREAM

__all__ = ["wire"]

HI: dict[str, Any] = {
    "id": "c1",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
    "finish_reason": "COMPLETE",
    "usage": {
        "billed_units": {"input_tokens": 1, "output_tokens": 1},
        "tokens": {"input_tokens": 9, "output_tokens": 2},
    },
}


def hello(request: httpx.Request) -> httpx.Response:
    """Say Hi, streamed where that was asked for."""
    streams = b'"stream":true' in request.content
    return httpx.Response(200, content=STREAM) if streams else httpx.Response(200, json=HI)


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client at the end of the wire, which knows Cohere and says Hi."""
    wire.answer = hello
    with connect(wire, cohere=Cohere) as client:
        yield client


@pytest.fixture
def ask(client: Client, wire: Wire) -> Callable[..., Any]:
    """Ask over the wire: `ask(messages, **params)` gives (the body sent, what was adapted)."""

    def ask(messages: Any = None, model: str = "command-a-03-2025", **params: Any) -> Any:
        result = client.completion(f"cohere/{model}", messages or [{"role": "user", "content": "Hello"}], **params)
        return json.loads(wire.last.content), [(a.parameter, a.action) for a in result.meta.adaptations]

    return ask
