"""Traces and metrics as a collector gets them: real exporters, real HTTP, protobuf decoded."""

from __future__ import annotations

import json

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from polyport.errors import BadRequestError
from polyport_otel import Otlp

from .conftest import ASK, KEY, attributes

CLIENT, ERROR = 3, 2  # opentelemetry.proto.trace.v1: SPAN_KIND_CLIENT, STATUS_CODE_ERROR


def test_a_call_is_a_span_by_the_conventions(collector, watched):
    """Named, timed, attributed; without content."""
    url, received = collector
    one = watched(Otlp(url, service_name="shop"))
    prices = {"input": 1.0, "cached_input": 0.5, "output": 2.0, "reasoning": 2.0}
    one.client.completion(
        "fake/m", ASK, temperature=0.5, max_tokens=50, stop=["x"], seed=7, user="ann", metadata={"team": "red"},
        prices=prices,
    )  # fmt: skip
    one.tell()
    (span,) = received.spans()
    found = attributes(span)
    assert (span.name, span.kind) == ("chat m", CLIENT)
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 5e9
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-1",
        "gen_ai.response.id": "c1",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.seed": 7,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "user.id": "ann",
        "polyport.metadata.team": "red",
        "polyport.attempts": 1,
        "polyport.cache_hit": False,
    }
    assert expected.items() <= found.items()
    assert found["polyport.cost_usd"] == pytest.approx((60 + 20 + 40) / 1e6)
    assert "stop" in found["polyport.withheld"]
    assert received.resources()[0]["service.name"] == "shop"


def test_a_failure_is_an_error_span(collector, watched):
    """With the error's class, not with what it quotes."""
    url, received = collector
    one = watched(Otlp(url))
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK)
    one.tell()
    (span,) = received.spans()
    assert span.status.code == ERROR
    assert span.status.message == "BadRequestError"
    assert attributes(span)["error.type"] == "BadRequestError"
    assert attributes(span)["http.response.status_code"] == 400


def test_metrics_are_those_of_the_conventions(collector, watched):
    """Durations, tokens by side, time to the first chunk, and the cost."""
    url, received = collector
    one = watched(Otlp(url))
    one.client.completion("fake/m", ASK, prices={"input": 1.0, "output": 1.0})
    [*one.client.completion("fake/m", ASK, stream=True)]
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK)
    one.tell()
    metrics = received.metrics()
    duration = metrics["gen_ai.client.operation.duration"]
    points = {attributes(p).get("error.type"): p for p in duration.histogram.data_points}
    assert duration.unit == "s"
    assert points[None].count == 2
    assert points["BadRequestError"].count == 1
    assert list(points[None].explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    tokens = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {attributes(p)["gen_ai.token.type"]: (p.count, p.sum) for p in tokens} == {
        "input": (2, 200),
        "output": (2, 40),
    }
    assert metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points[0].count == 1
    assert metrics["polyport.client.cost"].sum.data_points[0].as_double > 0


def test_a_stream_is_one_span(collector, watched):
    """As the answer that its chunks make."""
    url, received = collector
    one = watched(Otlp(url, content=True))
    [*one.client.completion("fake/m", ASK, stream=True)]
    one.tell()
    (span,) = received.spans()
    found = attributes(span)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    assert found["gen_ai.usage.output_tokens"] == 20
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a secret answer"}], "finish_reason": "stop"}
    ]


def test_content_is_sent_only_where_it_is_wanted(collector, watched):
    """Messages of parts; tool calls with their arguments."""
    url, received = collector
    one = watched(Otlp(url, content=True))
    one.client.completion("fake/m", ASK)
    one.client.embedding("fake/m", ["a secret text"])
    one.tell()
    chat, vectors = (attributes(span) for span in received.spans())
    assert json.loads(chat["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
        {"role": "user", "parts": [{"type": "text", "content": "a secret question"}]},
    ]
    (said,) = json.loads(chat["gen_ai.output.messages"])
    assert said["parts"][1] == {"type": "tool_call", "id": "t1", "name": "find", "arguments": '{"a": "secret"}'}
    assert vectors["gen_ai.operation.name"] == "embeddings"
    assert json.loads(vectors["polyport.input"]) == {"input": ["a secret text"]}


@pytest.mark.parametrize("content", [True, False])
def test_no_key_is_ever_sent_and_no_content_unasked(collector, watched, content):
    """In whatever bytes reach the collector."""
    url, received = collector
    one = watched(Otlp(url, content=content))
    one.client.completion(
        "fake/m", [{"role": "user", "content": f"a secret question with {KEY}"}], extra_headers={"x": KEY}
    )
    [*one.client.completion("fake/m", ASK, stream=True)]
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK, metadata={"token": KEY})
    one.tell()
    sent = b"".join(body for _, _, body in received.requests)
    assert sent
    assert KEY.encode() not in sent
    assert (b"secret" in sent) is content


def test_the_variable_switches_content_on_for_those_given_by_name(collector, watched, monkeypatch):
    """For all that are installed, at once."""
    url, received = collector
    monkeypatch.setenv("POLYPORT_OBSERVE_CONTENT", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    one = watched(Otlp())
    one.client.completion("fake/m", ASK)
    one.tell()
    assert "gen_ai.input.messages" in attributes(received.spans()[0])


def test_a_span_stands_below_the_callers(watched):
    """The one that was current where the call was made, also for a stream that is read elsewhere."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    reader = InMemoryMetricReader()
    one = watched(Otlp(tracer_provider=provider, meter_provider=MeterProvider([reader])))
    with provider.get_tracer("mine").start_as_current_span("outer") as outer:
        one.client.completion("fake/m", ASK)
        stream = one.client.completion("fake/m", ASK, stream=True)
    assert [*stream]
    one.client.completion("fake/m", ASK)
    one.tell()
    spans = [span for span in memory.get_finished_spans() if span.name == "chat m"]
    below = [span.parent.span_id if span.parent else None for span in spans]
    assert below == [outer.get_span_context().span_id] * 2 + [None]
    assert reader.get_metrics_data() is not None
    provider.shutdown()
