"""A caller's trace goes on through the gateway to the call of the provider, as a collector of OpenTelemetry gets it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve as serve_sockets

from .conftest import AUTHORIZED, KEY
from .services import Answering, Local, listening
from .waiting import until

traces = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
pytest.importorskip("polyport_otel", reason="spans are made by polyport-otel")

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "a secret question"}]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3


class Collector(Local):
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.spans: list[Any] = []
        self.raw = b""

    def of(self, trace: str, count: int) -> list[Any]:
        """Return the spans of a trace, when there are so many."""

        def there() -> list[Any]:
            found = [span for span in [*self.spans] if span.trace_id.hex() == trace]
            return found if len(found) >= count else []

        found: list[Any] = until(there, f"{count} spans are there")
        return found


class _Handler(Answering):
    server: Collector

    def serve(self) -> None:
        body = self.body()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            self.server.raw += body
            told = traces.ExportTraceServiceRequest.FromString(body)
            self.server.spans += [span for r in told.resource_spans for s in r.scope_spans for span in s.spans]
        self.send(b"")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, which gateways that start now send to."""
    with listening(Collector()) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield server


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def config(upstream: Any, callbacks: list[str]) -> dict[str, Any]:
    """A configuration with one model."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-upstream-secret"}
    return {
        "model_list": [{"model_name": "gpt", "params": params}],
        "router_settings": {"num_retries": 0},
        "litellm_settings": {"callbacks": callbacks},
        "general_settings": {"master_key": KEY, "passthrough": {"providers": ["openai"]}},
    }


def test_a_callers_trace_goes_on(start: Callable[..., Any], upstream: Any, well: Any, collector: Collector) -> None:
    """caller -> request -> call of the provider, streamed or not; no content, no key."""
    gateway = start(config(upstream, ["otel"]), "--workers", "2")
    for number, stream in enumerate((False, True)):
        trace = f"{TRACE[:-1]}{number}"
        headers = {**AUTHORIZED, "traceparent": f"00-{trace}-{PARENT}-01", "baggage": "user=anna"}
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions", json={**CHAT, "stream": stream}, headers=headers
        , timeout=60)  # fmt: skip
        assert answer.status_code == 200
        spans = {span.kind: span for span in collector.of(trace, 2)}
        request, call = spans[SERVER], spans[CLIENT]
        assert (request.name, request.parent_span_id.hex()) == ("POST /chat/completions", PARENT)
        assert (call.name, call.parent_span_id) == ("chat gpt", request.span_id)
        told = attributes(request)
        assert (told["http.route"], told["http.response.status_code"]) == ("/chat/completions", 200)
        assert told["gen_ai.request.model"] == "gpt"
        assert told["polyport.request_id"] == answer.headers["x-polyport-request-id"]
        assert attributes(call)["gen_ai.usage.input_tokens"] == 7
        assert request.start_time_unix_nano <= call.start_time_unix_nano
        sent = {name.lower(): value for name, value in well.asked[-1][1].items()}
        assert sent["traceparent"] == f"00-{trace}-{request.span_id.hex()}-01"
        assert "baggage" not in sent
    assert b"sk-" not in collector.raw
    assert b"secret question" not in collector.raw


def test_what_failed_and_what_was_refused_is_in_the_trace(
    start: Callable[..., Any], upstream: Any, well: Any, collector: Collector
) -> None:
    """A server's fault is the span's error, a caller's only its type; who said that it is not kept is obeyed."""
    gateway = start(config(upstream, ["otel"]))
    path = f"{gateway.url}/v1/chat/completions"
    unsampled = f"00-{TRACE[:-1]}9-{PARENT}-00"
    assert httpx.post(path, json=CHAT, headers={**AUTHORIZED, "traceparent": unsampled}, timeout=60).status_code == 200
    refused = {"authorization": "Bearer sk-nobody", "traceparent": f"00-{TRACE[:-1]}3-{PARENT}-01"}
    assert httpx.post(path, json=CHAT, headers=refused, timeout=60).status_code == 401
    well.failing = (503, {}, {"error": {"message": "down"}})
    failed = {**AUTHORIZED, "traceparent": f"00-{TRACE[:-1]}4-{PARENT}-01"}
    assert httpx.post(path, json=CHAT, headers=failed, timeout=60).status_code == 503
    one = collector.of(f"{TRACE[:-1]}3", 1)[0]
    assert (attributes(one)["error.type"], one.status.code) == ("invalid_api_key", 0)
    one = next(span for span in collector.of(f"{TRACE[:-1]}4", 2) if span.kind == SERVER)
    assert (attributes(one)["error.type"], one.status.code) == ("ServiceUnavailableError", 2)
    assert not [span for span in collector.spans if span.trace_id.hex() == f"{TRACE[:-1]}9"]


def test_what_passes_through_is_in_the_trace(
    start: Callable[..., Any], upstream: Any, well: Any, collector: Collector
) -> None:
    """With the call of the provider below it, which no observer is told of, and which is sent the trace."""
    gateway = start(config(upstream, ["otel"]))
    path = f"{gateway.url}/passthrough/openai/v1/chat/completions"
    headers = {**AUTHORIZED, "traceparent": f"00-{TRACE[:-1]}5-{PARENT}-01"}
    assert httpx.post(path, json={**CHAT, "model": "gpt-4o"}, headers=headers, timeout=60).status_code == 200
    spans = {span.kind: span for span in collector.of(f"{TRACE[:-1]}5", 2)}
    request, call = spans[SERVER], spans[CLIENT]
    assert (request.name, request.parent_span_id.hex()) == ("POST /passthrough/{provider}/{path}", PARENT)
    assert (call.name, call.parent_span_id) == ("passthrough gpt-4o", request.span_id)
    told = attributes(call)
    assert (told["gen_ai.provider.name"], told["gen_ai.request.model"]) == ("openai", "gpt-4o")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (7, 3)
    assert request.start_time_unix_nano <= call.start_time_unix_nano < call.end_time_unix_nano
    sent = {name.lower(): value for name, value in well.asked[-1][1].items()}
    assert sent["traceparent"] == f"00-{TRACE[:-1]}5-{request.span_id.hex()}-01"


class Speaker:
    """A provider of realtime sessions; `carried` is what traces came with them."""

    def __init__(self) -> None:
        self.carried: list[str | None] = []
        self.server = serve_sockets(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.socket.getsockname()[1]}/v1"

    def _answer(self, session: ServerConnection) -> None:
        assert session.request is not None
        self.carried.append(session.request.headers.get("traceparent"))
        usage = {"total_tokens": 12, "input_tokens": 9, "output_tokens": 3}
        for _ in session:
            session.send(json.dumps({"type": "response.created", "response": {"id": "r"}}))
            session.send(json.dumps({"type": "response.done", "response": {"id": "r", "usage": usage}}))


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    """The provider of sessions."""
    made = Speaker()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join(60)


def test_a_session_and_each_of_its_responses_are_in_the_trace(
    start: Callable[..., Any], collector: Collector, speaker: Speaker
) -> None:
    """The session is one span, as long as it lasts; a response is one below it, with what it used."""
    gateway = start(config(speaker, ["otel"]))
    headers = {**AUTHORIZED, "traceparent": f"00-{TRACE[:-1]}6-{PARENT}-01"}
    url = f"ws{gateway.url.removeprefix('http')}/v1/realtime?model=gpt"
    with connect(url, additional_headers=headers, open_timeout=60) as session:
        for _ in range(2):
            session.send(json.dumps({"type": "response.create"}))
            while json.loads(session.recv(30))["type"] != "response.done":
                pass
    spans = collector.of(f"{TRACE[:-1]}6", 3)
    whole = next(span for span in spans if span.kind == SERVER)
    responses = [span for span in spans if span.kind == CLIENT]
    assert (whole.name, whole.parent_span_id.hex()) == ("GET /realtime", PARENT)
    assert attributes(whole)["http.response.status_code"] == 101
    assert [(one.name, one.parent_span_id) for one in responses] == [("realtime gpt-4o", whole.span_id)] * 2
    assert [attributes(one)["gen_ai.usage.input_tokens"] for one in responses] == [9, 9]
    assert speaker.carried == [f"00-{TRACE[:-1]}6-{whole.span_id.hex()}-01"]
