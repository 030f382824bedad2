"""A client whose provider is a function: requests are seen, replies are literal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wires import Wire, connect, wire

from polyport import Client
from polyport_jina import Jina

__all__ = ["client", "wire"]


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client at the end of that wire, with a key and without retries."""
    with connect(wire, jina_ai=Jina) as client:
        yield client
