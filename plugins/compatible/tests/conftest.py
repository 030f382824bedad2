"""A client whose provider is a function: requests are seen, replies are literal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from polyport import Client


class Wire:
    """What stands for a look-alike: `answer` gives the reply, `seen` holds the requests."""

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


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client at the end of that wire, with a key and without retries."""
    with Client(http=httpx.MockTransport(wire), api_key="sk-test", num_retries=0) as client:
        yield client
