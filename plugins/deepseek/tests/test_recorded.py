"""Recorded traffic with DeepSeek parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, records, status
from replay import counts, cut_at_random, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

CHAT = {"model": "deepseek/m", "messages": [{"role": "user", "content": "x"}]}
RESPONSE = {"model": "deepseek/m", "input": "x"}


def answered(endpoint: str, *, stream: bool) -> list[dict[str, Any]]:
    """Return the successful replies of an endpoint."""
    kept = [r for r in records("deepseek") if r["endpoint"] == endpoint and is_stream(r) is stream]
    return [r for r in kept if stream or status(r) < 400]


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below."""
    kinds = [(endpoint, stream) for endpoint in ("chat", "responses") for stream in (False, True)]
    assert [len(answered(endpoint, stream=stream)) for endpoint, stream in kinds] == [22, 14, 6, 4]
    assert {r["endpoint"] for r in records("deepseek")} == {"chat", "responses", "models"}


def test_chat_replies(wire, client):
    """Text, reasoning, tool calls, finish reasons and usage are the body's."""
    for record in answered("chat", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**CHAT)
        assert whole(got.to_dict()) == whole(raw)
        cached = {"prompt_tokens_details": {"cached_tokens": raw["usage"].get("prompt_cache_hit_tokens")}}
        assert counts(got.usage.to_dict()) == counts({**raw["usage"], **cached})
        assert sum(got.usage_buckets.values()) == raw["usage"]["total_tokens"]


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut."""
    for number, record in enumerate(answered("chat", stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**CHAT, stream=True) as stream:
            told = story([chunk.to_dict() for chunk in stream])
        sent = [
            {**e, "usage": {"prompt_tokens_details": {"cached_tokens": u.get("prompt_cache_hit_tokens")}, **u}}
            for e in events(record)
            for u in [e.get("usage") or {}]
        ]
        assert told == story(sent)


def test_responses(wire, client):
    """Items, text and usage are the body's."""
    for record in answered("responses", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.responses(**RESPONSE)
        assert got.output == raw["output"]
        parts = [part for item in raw["output"] if item["type"] == "message" for part in item["content"]]
        assert got.output_text == "".join(part["text"] for part in parts)
        assert got.usage.total_tokens == raw["usage"]["total_tokens"]


def test_response_events(wire, client):
    """Every event arrives, equal and in order."""
    for number, record in enumerate(answered("responses", stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.responses(**RESPONSE, stream=True) as stream:
            assert [event.to_dict() for event in stream] == events(record)


def test_models_and_errors(wire, client):
    """The list is the body's; a refused request is a bad one."""
    (models,) = [r for r in records("deepseek") if r["endpoint"] == "models"]
    wire.answer = lambda _: reply_of(models)
    got = client.list_models(provider="deepseek")
    assert [model.id for model in got.data] == [m["id"] for m in models["response"]["body"]["json"]["data"]]
    (refused,) = [r for r in records("deepseek") if status(r) >= 400]
    wire.answer = lambda _: reply_of(refused)
    with pytest.raises(errors.BadRequestError, match="No tool output found"):
        client.responses(**RESPONSE)


def test_recorded_requests_go_out_as_they_were(wire, client):
    """What DeepSeek accepted from others is sent in the same words, but for reasoning that it does not want back."""
    wire.answer = lambda _: httpx.Response(418)
    for record in [r for r in records("deepseek") if r["request"] and status(r) == 200 and r["endpoint"] == "chat"]:
        sent = record["request"]["body"]["json"]
        with pytest.raises(errors.APIError):
            client.completion(**{**sent, "model": f"deepseek/{sent['model']}"}, drop_params=True)
        assert json.loads(wire.last.content) == sent
