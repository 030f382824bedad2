"""Observed clients over a simulated wire; `told` waits until observers were told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core.tests.conftest import DONE, ROLE, Fake, completion, event

from polyport import Client
from polyport.dialects.openai import Images, Moderations, Rerank, Responses, Speech, Transcriptions
from polyport.middleware.observers import Observers, observe
from polyport.observing import Dispatcher
from polyport.testing import Sent, Wire

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
PRICES = {"input": 1.0, "output": 2.0}
STREAM = ROLE + event("Hel") + event("lo") + DONE


class Everything(Fake, Images, Moderations, Rerank, Responses, Speech, Transcriptions):
    """Has every operation."""


def answer(sent: Sent) -> Any:
    """Answer a chat with a text, or a stream of one."""
    return STREAM if sent.json.get("stream") else completion("a secret thing", usage=USAGE)


class Observed:
    """A client whose calls are observed, and the dispatcher that tells."""

    def __init__(self, client: Client, wire: Wire, layer: Observers, dispatcher: Dispatcher) -> None:
        self.client, self.wire, self.layer, self.dispatcher = client, wire, layer, dispatcher

    def tell(self) -> None:
        """Wait until observers were told of every call."""
        assert self.dispatcher.flush(10)


@pytest.fixture
def observed(client: Callable[..., Client]) -> Callable[..., Observed]:
    """`observed(callbacks, answers)`: a client with the layer over a wire with these answers."""

    def make(callbacks: Any = (), answers: Any = answer, capacity: int = 1000, **settings: Any) -> Observed:
        lists = {name: settings.pop(name) for name in ("success_callback", "failure_callback") if name in settings}
        redact = settings.pop("redact", None)
        wire, dispatcher = Wire(answers), Dispatcher(capacity)
        layer = observe(callbacks, redact=redact, dispatcher=dispatcher, **lists)
        assert layer is not None
        made = client(http=wire, providers={"fake": Everything}, middleware=[layer], **settings)
        return Observed(made, wire, layer, dispatcher)

    return make
