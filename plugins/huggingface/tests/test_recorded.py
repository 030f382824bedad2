"""Recorded traffic with Hugging Face parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, records
from replay import REASONING, counts, cut_at_random, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

CHAT = {"model": "huggingface/org/model", "messages": [{"role": "user", "content": "x"}]}


def chats(*, stream: bool) -> list[dict[str, Any]]:
    """Return the chats."""
    return [r for r in records("huggingface") if r["endpoint"] == "chat" and is_stream(r) is stream]


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below."""
    assert {r["endpoint"] for r in records("huggingface")} == {"chat", "models"}
    assert (len(chats(stream=False)), len(chats(stream=True)), len(records("huggingface"))) == (6, 2, 15)


def test_chat_replies(wire, client):
    """Text, reasoning, tool calls, finish reasons and usage are the body's."""
    for record in chats(stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**CHAT)
        assert whole(got.to_dict(), ("reasoning_content",)) == whole(raw, REASONING)
        assert counts(got.usage.to_dict()) == counts(raw["usage"])
        assert sum(got.usage_buckets.values()) == raw["usage"]["total_tokens"]


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut."""
    for number, record in enumerate(chats(stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**CHAT, stream=True) as stream:
            told = story([chunk.to_dict() for chunk in stream], ("reasoning_content",))
        assert told == story(events(record), REASONING)


def test_recorded_requests_go_out_as_they_were(wire, client):
    """What was accepted from others is sent to the same address in the same words; null is not said."""
    wire.answer = lambda _: httpx.Response(418)
    for record in [*chats(stream=False), *chats(stream=True)]:
        sent = record["request"]["body"]["json"]
        base = record["request"]["url"].removesuffix("/chat/completions")
        with pytest.raises(errors.APIError):
            client.completion(**{**sent, "model": f"huggingface/{sent['model']}", "api_base": base})
        assert str(wire.last.url) == record["request"]["url"]
        made = json.loads(wire.last.content)
        assert without_null({**made, "stream": made.get("stream", False)}) == without_null(sent)


def without_null(value: Any) -> Any:
    """Return the value without null, and without parts of a message's that are none."""
    if isinstance(value, dict):
        return {name: without_null(inner) for name, inner in value.items() if inner is not None}
    return [without_null(inner) for inner in value] if isinstance(value, list) else value


def test_models_of_the_hub(wire, client):
    """A repository that the Hub describes without a provider is served by nobody, and the error says so."""
    found = [r for r in records("huggingface") if r["endpoint"] == "models"]
    assert len(found) == 7
    for record in found:
        wire.answer = lambda _, record=record: reply_of(record)
        with pytest.raises(errors.NotFoundError, match="the Hub lists nobody"):
            client.image_generation("A cat", f"huggingface/{record['response']['body']['json']['id']}")
