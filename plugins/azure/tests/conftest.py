"""A client whose provider is a function: requests are seen, replies are literal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest
from wires import Wire, wire

from polyport import Client
from polyport_azure import Azure

__all__ = ["BASE", "client", "connect", "connected", "wire"]

BASE = "https://res.openai.azure.com"


@pytest.fixture(autouse=True)
def nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks Entra for a token, whatever is installed on this machine."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client at the end of that wire, with a resource, a key and without retries."""
    with connect(wire, api_key="azure-test-key", api_base=BASE) as client:
        yield client


@pytest.fixture
def connected(wire: Wire) -> Callable[..., Client]:
    """Return what makes a client that knows no environment but the one given."""
    return lambda env=None, **given: connect(wire, env, **given)


def connect(wire: Wire, env: Mapping[str, str] | None = None, azure: object = Azure, **given: object) -> Client:
    """Return a client at the end of a wire."""
    http = httpx.MockTransport(wire)
    return Client(http=http, num_retries=0, providers={"azure": azure}, secrets=dict(env or {}).get, **given)
