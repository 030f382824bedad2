"""A ModelsLab of the tests: what is sent is kept, and answered with what the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from polyport import Client
from polyport.testing import Wire
from polyport_modelslab import ModelsLab

KEY = "ml-not-a-real-key"


@pytest.fixture
def connect() -> Callable[..., Client]:
    """Open a client at the end of a wire: `connect(wire, **options)`."""

    def connect(wire: Wire, **options: Any) -> Client:
        options = {"api_key": KEY, "num_retries": 0, **options}
        return Client(http=wire, providers={"modelslab": ModelsLab}, **options)

    return connect


@pytest.fixture
def ask(connect: Any) -> Callable[..., Any]:
    """Ask over a wire: `ask(wire, function, **arguments)` gives the result."""

    def ask(wire: Wire, function: str, **arguments: Any) -> Any:
        with connect(wire) as client:
            return getattr(client, function)(**arguments)

    return ask
