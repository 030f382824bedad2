"""A client whose provider is a function: requests are seen, replies are literal. For the conftest.py of a plugin:

from wires import connect, wire

__all__ = ["client", "wire"]

@pytest.fixture
def client(wire):
    with connect(wire, theirs=Theirs) as client:
        yield client
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from polyport import Client


class Wire:
    """What stands for the provider: `answer` gives the reply, `seen` holds the requests."""

    def __init__(self) -> None:
        self.seen: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(200, json={})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        return self.answer(request)

    @property
    def last(self) -> httpx.Request:
        """The request seen last."""
        return self.seen[-1]


@pytest.fixture
def wire() -> Wire:
    """The wire of this test."""
    return Wire()


def connect(wire: Wire, **providers: type) -> Client:
    """Return a client at the end of that wire, with a key and without retries; of these providers, or all there are."""
    return Client(http=httpx.MockTransport(wire), api_key="sk-test", num_retries=0, providers=providers or None)
