"""Clients over a wire that a test holds: what was sent is kept, what comes back is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from polyport import Client
from polyport.testing import Reply, Wire

KEY = "AIza-not-a-real-key"
USER = [{"role": "user", "content": "Hello"}]
HI: dict[str, Any] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r-1",
}


def client(wire: Wire, **options: Any) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, **{"api_key": KEY, "num_retries": 0, **options})


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Ask over a wire: `ask(model, messages, **params)` gives (the body sent, what was adapted, the result)."""

    def ask(model: str = "gemini-2.5-flash", messages: Any = USER, **params: Any) -> Any:
        wire = Wire(Reply.of(params.pop("reply", HI)))
        with client(wire) as asked:
            result = asked.completion(f"gemini/{model}", messages, **params)
        return wire.requests[-1].json, [(a.parameter, a.action) for a in result.meta.adaptations], result

    return ask


@pytest.fixture
def sent(ask: Any) -> Callable[..., Any]:
    """The body that a chat call sends: `sent(model, messages, **params)`."""
    return lambda *args, **params: ask(*args, **params)[0]


@pytest.fixture
def adapted(ask: Any) -> Callable[..., Any]:
    """What a chat call could not pass on as given: [(parameter, action)]."""
    return lambda *args, **params: ask(*args, **params)[1]


@pytest.fixture
def said(ask: Any) -> Callable[..., Any]:
    """The result of a chat call answered with the body given: `said(reply)`."""
    return lambda reply, **params: ask(reply=reply, **params)[2]
