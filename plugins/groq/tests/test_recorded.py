"""Recorded traffic with Groq parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, payload, records, status
from replay import counts, cut_at_random, failing, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

CHAT = {"model": "groq/m", "messages": [{"role": "user", "content": "x"}]}
WAV = ("a.wav", b"RIFF....WAVEfmt ")


def chats(*, stream: bool) -> list[dict[str, Any]]:
    """Return the chats that were answered."""
    kept = [r for r in records("groq") if r["endpoint"] == "chat" and is_stream(r) is stream]
    return [r for r in kept if stream or status(r) < 400]


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below."""
    assert {r["endpoint"] for r in records("groq")} == {"chat", "transcription", "speech"}
    assert (len(chats(stream=False)), len(chats(stream=True))) == (43, 10)


def test_chat_replies(wire, client):
    """Text, reasoning, tool calls, finish reasons and usage are the body's."""
    for record in chats(stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**CHAT)
        assert whole(got.to_dict(), ("reasoning_content",)) == whole(raw, ("reasoning",))
        assert counts(got.usage.to_dict()) == counts(raw["usage"])
        assert sum(got.usage_buckets.values()) == raw["usage"]["total_tokens"]


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut; usage is `x_groq`'s; an error event is raised."""
    failed = 0
    for number, record in enumerate(chats(stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        if error := failing(record):
            failed += 1
            with (
                pytest.raises(errors.BadRequestError, match=error["message"]) as caught,
                client.completion(**CHAT, stream=True) as stream,
            ):
                list(stream)
            assert caught.value.body == {"error": error}
            continue
        with client.completion(**CHAT, stream=True) as stream:
            told = story([chunk.to_dict() for chunk in stream], ("reasoning_content",))
        sent = [{**e, "usage": e.get("usage") or (e.get("x_groq") or {}).get("usage")} for e in events(record)]
        assert told == story(sent, ("reasoning",))
    assert failed == 1


def test_executed_tools_are_kept(wire, client):
    """What a compound system ran is found in the stream that told it."""
    found = 0
    for record in chats(stream=True):
        deltas = [choice["delta"] for event in events(record) for choice in event.get("choices") or []]
        told = [delta["executed_tools"] for delta in deltas if delta.get("executed_tools")]
        if not told:
            continue
        found += 1
        wire.answer = lambda _, record=record: reply_of(record)
        with client.completion(**CHAT, stream=True) as stream:
            kept = [d.provider_specific_fields for c in stream for d in [c.choices[0].delta] if c.choices]
        assert [fields["executed_tools"] for fields in kept if fields] == told
    assert found


def test_transcripts_and_speech(wire, client):
    """A transcript's text and usage are the body's; speech is its bytes."""
    for record in [r for r in records("groq") if r["endpoint"] == "transcription"]:
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.transcription("groq/m", WAV)
        assert got.text == raw.get("text", "")
        assert counts(got.usage and got.usage.to_dict()) == counts(raw.get("usage"))
    for record in [r for r in records("groq") if r["endpoint"] == "speech"]:
        wire.answer = lambda _, record=record: reply_of(record)
        assert client.speech("groq/m", "x").content == payload(record)


def test_errors(wire, client):
    """An unknown model is not found."""
    refused = [r for r in records("groq") if status(r) >= 400]
    assert len(refused) == 2
    for record in refused:
        wire.answer = lambda _, record=record: reply_of(record)
        with pytest.raises(errors.NotFoundError) as caught:
            client.completion(**CHAT)
        assert caught.value.message == record["response"]["body"]["json"]["error"]["message"]


def test_recorded_requests_go_out_as_they_were(wire, client):
    """What Groq accepted from others is sent in the same words; Qwen 3 is asked for its reasoning apart."""
    wire.answer = lambda _: httpx.Response(418)
    for record in [r for r in records("groq") if r["request"] and status(r) == 200]:
        sent = record["request"]["body"]["json"]
        with pytest.raises(errors.APIError):
            client.completion(**{**sent, "model": f"groq/{sent['model']}"})
        asked = {"reasoning_format": "parsed"} if "qwen3" in sent["model"] else {}
        assert json.loads(wire.last.content) == {**sent, **asked}
