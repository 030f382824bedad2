"""A fal of the tests: every job submitted is done at once, and answers what the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from polyport import Client
from polyport.testing import Reply, Sent, Wire
from polyport_fal import Fal

KEY = "key-id:key-secret"
ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"


class Queue:
    """Answers as fal's queue does. `states` are what a job is asked after for says, the last one again and again."""

    def __init__(self, result: Any = None, states: tuple[Any, ...] = ("COMPLETED",), files: Any = b"file") -> None:
        self.result, self.states, self.files = result, list(states), files
        self.sent: list[Sent] = []

    def __call__(self, sent: Sent) -> Any:
        """Answer a request."""
        self.sent.append(sent)
        if not sent.url.startswith("https://queue.fal.run/"):
            return self.files(sent) if callable(self.files) else self.files
        root = "/".join(sent.url.split("/requests/")[0].split("/")[:5])
        if sent.method == "POST":
            base = f"{root}/requests/{ID}"
            return {"status": "IN_QUEUE", "request_id": ID, "queue_position": 0, "response_url": base,
                    "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}  # fmt: skip
        if sent.method == "PUT":
            return Reply.of({"status": "CANCELLATION_REQUESTED"}, status=202)
        if sent.path.endswith("/status"):
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return {"status": state, "request_id": ID, "logs": []} if isinstance(state, str) else state
        return self.result

    @property
    def body(self) -> Any:
        """The body of the first job."""
        return next(sent for sent in self.sent if sent.method == "POST" and "queue.fal.run" in sent.url).json

    @property
    def jobs(self) -> list[Any]:
        """The bodies of every job."""
        return [sent.json for sent in self.sent if sent.method == "POST" and "queue.fal.run" in sent.url]


@pytest.fixture
def fake() -> type[Queue]:
    """The queue of the tests: `fake(result, states=..., files=...)`."""
    return Queue


@pytest.fixture
def connect() -> Callable[..., Client]:
    """Open a client at the end of a queue: `connect(queue, **options)`."""

    def connect(queue: Queue, **options: Any) -> Client:
        return Client(http=Wire(queue), providers={"fal_ai": Fal}, **{"api_key": KEY, "num_retries": 0, **options})

    return connect


@pytest.fixture
def ask(connect: Any) -> Callable[..., Any]:
    """Ask a queue: `ask(queue, function, **arguments)` gives the result."""

    def ask(queue: Queue, function: str, **arguments: Any) -> Any:
        with connect(queue) as client:
            return getattr(client, function)(**arguments)

    return ask
