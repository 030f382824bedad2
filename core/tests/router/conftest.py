"""A field of simulated deployments: each host does as its test says, at a virtual clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from core.tests.conftest import ASK, DONE, ROLE, Fake, completion, event

from polyport import Router
from polyport.drivers.simulation import Answer, Simulation
from polyport.flow import HttpReply, HttpRequest

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TOLD = b'data: {"id":"c1","model":"m","choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n"
STREAM = (ROLE, event("Hel"), event("lo"), DONE.replace(b"data: [DONE]\n\n", b""), TOLD + b"data: [DONE]\n\n")

Behaviour = Callable[[HttpRequest, float], Answer]


def ok(latency: float = 1.0, text: str = "hi") -> Behaviour:
    """Answer after so many seconds, as a stream where one is asked for."""
    whole = HttpReply(status=200, content=json.dumps(completion(text, usage=USAGE)).encode())

    def answer(request: HttpRequest, now: float) -> Answer:
        if request.stream:
            return Answer(latency, HttpReply(status=200), pieces=[(0.1, piece) for piece in STREAM])
        return Answer(latency, whole)

    return answer


def fails(status: int = 500, latency: float = 0.1, **headers: str) -> Behaviour:
    """Refuse with a status."""
    body = json.dumps({"error": {"message": f"status {status}"}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, now: Answer(latency, HttpReply(status=status, headers=named, content=body))


class Field:
    """Hosts and what they do; `seen` counts the requests that each got, `times` when."""

    def __init__(self, **hosts: Behaviour) -> None:
        self.hosts = hosts
        self.seen: Counter[str] = Counter()
        self.requests: list[HttpRequest] = []
        self.times: dict[str, list[float]] = {}
        self.simulation = Simulation(self._answer)

    def _answer(self, request: HttpRequest, now: float) -> Answer:
        host = str(urlsplit(request.url).hostname)
        self.seen[host] += 1
        self.requests.append(request)
        self.times.setdefault(host, []).append(now)
        return self.hosts[host](request, now)

    def entry(self, host: str, group: str = "g", info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        """Return an entry of `model_list` for a host."""
        given = {"model": "fake/m", "api_base": f"http://{host}/v1", "api_key": f"key-of-{host}", **params}
        return {"model_name": group, "params": given, "model_info": {"id": host, **(info or {})}}

    def router(self, *entries: dict[str, Any], **settings: Any) -> Router:
        """Return a router over these entries, or over one deployment a host."""
        rows = entries or tuple(self.entry(host) for host in self.hosts)
        return Router(rows, providers={"fake": Fake}, **{"seed": 1, **settings})

    def ask(self, router: Router, model: str = "g", **params: Any) -> Any:
        """Make one call, and return its result, of a stream its chunks."""
        return self.simulation.run_flow(router.flow("completion", model=model, **{"messages": ASK, **params}))


@pytest.fixture
def field() -> Iterator[Callable[..., Field]]:
    """Return what makes a field."""
    return Field
