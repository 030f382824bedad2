"""Recorded traffic with Azure parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, records, status
from replay import counts, cut_at_random, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

SAY = [{"role": "user", "content": "x"}]
CALLS = {
    "chat": ("completion", {"model": "azure/m", "messages": SAY}),
    "completion": ("text_completion", {"model": "azure/m", "prompt": "x"}),
    "embedding": ("embedding", {"model": "azure/m", "input": "x"}),
    "responses": ("responses", {"model": "azure/m", "input": "x"}),
}


def kind(record: dict[str, Any]) -> str:
    """Return the endpoint; what was recorded without a request are responses under other names, but for one chat."""
    body = record["response"]["body"] or {}
    is_response = not record["request"] and ("chunks" in body or body["json"]["object"] == "response")
    return "responses" if is_response else record["endpoint"]


def failed(record: dict[str, Any]) -> bool:
    """Whether the reply is an error. What was filtered was recorded as a success, with the status in the body."""
    return status(record) >= 400 or bool((record["response"]["body"] or {}).get("json", {}).get("error"))


def replies(endpoint: str, *, stream: bool) -> list[dict[str, Any]]:
    """Return what was answered at an endpoint."""
    return [r for r in records("azure") if kind(r) == endpoint and is_stream(r) is stream and not failed(r)]


def make(client, wire, record: dict[str, Any], **more: Any) -> Any:
    """Make the call that a record answers."""
    wire.answer = lambda _: reply_of(record)
    function, given = CALLS[kind(record)]
    return getattr(client, function)(**given, **more)


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below, but for two of realtime calls, which polyport has not."""
    known = {(name, stream): len(replies(name, stream=stream)) for name in CALLS for stream in (False, True)}
    assert known == {
        ("chat", False): 40,
        ("chat", True): 12,
        ("completion", False): 1,
        ("completion", True): 0,
        ("embedding", False): 3,
        ("embedding", True): 0,
        ("responses", False): 11,
        ("responses", True): 6,
    }
    realtime = [r for r in records("azure") if "realtime" in r["endpoint"]]
    refused = [r for r in records("azure") if failed(r)]
    assert len(records("azure")) == sum(known.values()) + len(realtime) + len(refused)
    assert (len(realtime), len(refused)) == (2, 3)


def test_chat_replies(wire, client):
    """Text, tool calls, finish reasons, usage and what the filters found are the body's."""
    for record in replies("chat", stream=False):
        raw, got = record["response"]["body"]["json"], make(client, wire, record)
        assert whole(got.to_dict()) == whole(raw)
        assert counts(got.usage.to_dict()) == counts(raw["usage"])
        assert got.extra.get("prompt_filter_results") == raw.get("prompt_filter_results")
        for choice, told in zip(got.to_dict()["choices"], raw["choices"], strict=True):
            assert choice.get("content_filter_results") == told.get("content_filter_results")


def test_buckets_of_usage(wire, client):
    """They are disjoint: together they are what was read and written, and what was cached is no more than was read."""
    for record in replies("chat", stream=False):
        raw, buckets = record["response"]["body"]["json"]["usage"], make(client, wire, record).usage_buckets
        assert min(buckets.values()) >= 0
        assert sum(buckets.values()) in (raw["total_tokens"], raw["prompt_tokens"] + raw["completion_tokens"])


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut; chunks of the filters' alone say nothing."""
    for number, record in enumerate(replies("chat", stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**CALLS["chat"][1], stream=True) as stream:
            chunks = list(stream)
        assert story([chunk.to_dict() for chunk in chunks]) == story(events(record))
        found = [chunk.extra["prompt_filter_results"] for chunk in chunks if "prompt_filter_results" in chunk.extra]
        assert found == [e["prompt_filter_results"] for e in events(record) if "prompt_filter_results" in e]


def test_text_completions(wire, client):
    """The text is the body's."""
    for record in replies("completion", stream=False):
        raw, got = record["response"]["body"]["json"], make(client, wire, record)
        assert [(c.text, c.finish_reason) for c in got.choices] == [
            (c["text"], c["finish_reason"]) for c in raw["choices"]
        ]


def test_vectors(wire, client):
    """They come as they were sent."""
    for record in replies("embedding", stream=False):
        raw, got = record["response"]["body"]["json"], make(client, wire, record)
        assert [d.embedding for d in got.data] == [d["embedding"] for d in raw["data"]]
        assert got.usage.total_tokens == raw["usage"]["total_tokens"]


def test_responses(wire, client):
    """Output items and all fields are the body's, what the filters found among them."""
    for record in replies("responses", stream=False):
        raw, got = record["response"]["body"]["json"], make(client, wire, record)
        parts = [p for item in raw["output"] if item["type"] == "message" for p in item["content"]]
        assert got.output_text == "".join(p["text"] for p in parts if p["type"] == "output_text")
        assert got.output == raw["output"]
        assert got.to_dict().get("content_filters") == raw.get("content_filters")
        assert [name for name in raw if raw[name] not in (None, []) and name not in got.to_dict()] == []


def test_events_of_responses(wire, client):
    """Each arrives, equal and in order, wherever the stream is cut."""
    for number, record in enumerate(replies("responses", stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.responses(**CALLS["responses"][1], stream=True) as stream:
            assert [event.to_dict() for event in stream] == events(record)


def test_errors(wire, client):
    """A wrong key is an error of authentication; a prompt that was filtered is one of policy, with the verdicts."""
    kinds = []
    for record in [r for r in records("azure") if failed(r)]:
        with pytest.raises(errors.APIError) as caught:
            make(client, wire, record)
        kinds.append(type(caught.value).__name__)
        assert caught.value.body == record["response"]["body"]["json"]
    assert sorted(kinds) == ["AuthenticationError", "AuthenticationError", "ContentPolicyViolationError"]


def test_recorded_requests_go_out_as_they_were(wire, client):
    """What Azure accepted from others is sent to the same place in the same words."""
    wire.answer = lambda _: httpx.Response(418)
    number = 0
    for record in records("azure"):
        if kind(record) not in CALLS or not record["request"] or failed(record):
            continue
        url = record["request"]["url"].replace("RESOURCE", "res").replace(".com//", ".com/")
        sent = (record["request"]["body"] or {}).get("json")
        if not sent:
            continue
        deployment = next(
            (p for b, p in zip(url.split("/"), url.split("/")[1:], strict=False) if b == "deployments"), ""
        )
        given = {**sent, "model": f"azure/{deployment or sent['model']}", "api_base": url}
        with pytest.raises(errors.APIError):
            getattr(client, CALLS[kind(record)][0])(**given)
        assert str(wire.last.url) == url
        got, named = json.loads(wire.last.content), {"model": deployment or sent["model"]}
        assert got == {**sent, **named}
        number += 1
    assert number > 50
