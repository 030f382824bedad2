"""A collector on 127.0.0.1 that decodes what it is sent, and clients that are observed."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from local_server import LocalServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from polyport import Client
from polyport.dialects.openai import OpenAICompatible, Responses
from polyport.middleware.observers import observe
from polyport.observing import Dispatcher, Observer
from polyport.testing import Reply, Sent, Wire

KEY = "sk-never-to-be-seen-0123456789"
ASK = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a secret question"}]
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def value_of(value: Any) -> Any:
    """Return a protobuf AnyValue as plain data."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes of a span, a point, a resource."""
    return {one.key: value_of(one.value) for one in thing.attributes}


class Received:
    """What a collector got: requests as they came, and what is in them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def at(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        """Return (headers, body) of the requests to a path."""
        return [(headers, body) for where, headers, body in self.requests if where == path]

    def spans(self, path: str = "/v1/traces") -> list[Any]:
        """Return every span."""
        found = [ExportTraceServiceRequest.FromString(body) for _, body in self.at(path)]
        return [span for one in found for r in one.resource_spans for s in r.scope_spans for span in s.spans]

    def resources(self) -> list[dict[str, Any]]:
        """Return the attributes of every resource that spans came from."""
        found = [ExportTraceServiceRequest.FromString(body) for _, body in self.at("/v1/traces")]
        return [attributes(resource.resource) for one in found for resource in one.resource_spans]

    def metrics(self) -> dict[str, Any]:
        """Return every metric by its name, the last one sent."""
        found = [ExportMetricsServiceRequest.FromString(body) for _, body in self.at("/v1/metrics")]
        return {
            metric.name: metric
            for one in found
            for resource in one.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def collector() -> Iterator[tuple[str, Received]]:
    """A collector's address and what it received."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.requests.append((self.path, headers, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = LocalServer(Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.address, received
    server.shutdown()
    server.server_close()
    thread.join()


class Fake(OpenAICompatible, Responses):
    base_url = "http://fake.invalid/v1"


def answer(sent: Sent) -> Any:
    """Answer a chat, streamed or not, a response, a vector; refuse what is called bad."""
    body = sent.json
    if body["model"] == "bad":
        return Reply.of({"error": {"message": f"{KEY}: a secret question is wrong", "code": "wrong"}}, status=400)
    if "embed" in sent.path:
        return {"object": "list", "model": "v", "data": [{"index": 0, "embedding": [0.5]}], "usage": USAGE}
    if body.get("stream"):
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": "a secret "}}]},
            {"choices": [{"index": 0, "delta": {"content": "answer"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": USAGE},
        ]
        lines = [json.dumps({"id": "c1", "model": "m-1", **chunk}) for chunk in chunks]
        return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
    call = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"a": "secret"}'}}
    message = {"role": "assistant", "content": "a secret answer", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {"id": "c1", "model": "m-1", "choices": [choice], "usage": USAGE}


class Watched:
    """A client with one observer."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._dispatcher = Dispatcher()
        layer = observe([observer], dispatcher=self._dispatcher)
        assert layer is not None
        self._layer = layer
        self.client = Client(http=Wire(answer), providers={"fake": Fake}, api_key=KEY, middleware=[layer])

    def tell(self) -> None:
        """Wait until everything was sent."""
        assert self._dispatcher.flush(20)

    def close(self) -> None:
        """Close everything."""
        self.client.close()
        assert self._dispatcher.close(self._layer.watchers, 20)


@pytest.fixture
def watched() -> Iterator[Callable[[Observer], Watched]]:
    """Make observed clients, which are closed with the test."""
    made: list[Watched] = []

    def make(observer: Observer) -> Watched:
        made.append(Watched(observer))
        return made[-1]

    yield make
    for one in made:
        one.close()
