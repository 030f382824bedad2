"""Recorded traffic with Mistral parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from forms import fields
from matrix import image, say, show
from recorded import events, is_stream, needs_recordings, records, status
from replay import counts, cut_at_random, reply_of, story, whole

from polyport import errors
from polyport_mistral.history import CALL_ID

pytestmark = needs_recordings

CHAT = {"model": "mistral/m", "messages": [say("x")]}
WAV = ("a.wav", b"RIFF....WAVEfmt ")


def of(endpoint: str) -> list[dict[str, Any]]:
    """Return the records of an endpoint."""
    return [record for record in records("mistral") if record["endpoint"] == endpoint]


def json_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded body."""
    return record["response"]["body"].get("json") or {}


def chats(*, stream: bool) -> list[dict[str, Any]]:
    """Return the chats that were answered; one record that says chat is a document that was read."""
    kept = [record for record in of("chat") if is_stream(record) is stream]
    return [r for r in kept if stream or (status(r) < 400 and "choices" in json_of(r))]


def apart(said: dict[str, Any]) -> dict[str, Any]:
    """Return a message or delta with its chunks as text and as reasoning."""
    if not isinstance(said.get("content"), list):
        return said
    texts = [part["text"] for part in said["content"] if part["type"] == "text"]
    thoughts = [inner["text"] for part in said["content"] if part["type"] == "thinking" for inner in part["thinking"]]
    return {**said, "content": "".join(texts), "reasoning_content": "".join(thoughts)}


def plain(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an answer whose messages or deltas are taken apart."""
    return {**answer, "choices": [{**choice, name: apart(choice[name])} for choice in answer["choices"]]}


def used(usage: dict[str, Any] | None) -> dict[str, int]:
    """Return the counts; what was heard belongs to the prompt, and is told in the total."""
    found = dict(usage or {})
    heard = found.get("total_tokens", 0) - found.get("prompt_tokens", 0) - found.get("completion_tokens", 0)
    if found.get("prompt_audio_seconds") and heard:
        found["prompt_tokens"] += heard
        details = found.get("prompt_tokens_details") or {}
        assert details.get("audio_tokens", heard) == heard
        found["prompt_tokens_details"] = {**details, "audio_tokens": heard}
    if found.get("num_cached_tokens") and not found.get("prompt_tokens_details"):
        found["prompt_tokens_details"] = {"cached_tokens": found["num_cached_tokens"]}
    return counts(found)


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below."""
    found = {name: len(of(name)) for name in {r["endpoint"] for r in records("mistral")}}
    assert found == {
        "chat": 89, "embedding": 10, "transcription": 6, "models": 2, "ocr": 2, "speech": 1, "files": 1
    }  # fmt: skip
    assert (len(chats(stream=False)), len(chats(stream=True))) == (72, 15)


def test_chat_replies(wire, client):
    """Text, reasoning, tool calls, finish reasons and usage are the body's."""
    thought = 0
    for record in chats(stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = json_of(record), client.completion(**CHAT)
        assert whole(got.to_dict(), ("reasoning_content",)) == whole(plain(raw, "message"), ("reasoning_content",))
        assert counts(got.usage.to_dict()) == used(raw["usage"])
        assert sum(got.usage_buckets.values()) == raw["usage"]["total_tokens"]
        thought += bool(got.choices[0].message.reasoning_content)
    assert thought == 5


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut."""
    thought = 0
    for number, record in enumerate(chats(stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**CHAT, stream=True) as stream:
            told = story([chunk.to_dict() for chunk in stream], ("reasoning_content",))
        sent = [plain(event, "delta") for event in events(record)]
        assert told == story(sent, ("reasoning_content",))
        thought += bool(told[0]["thought"])
    assert thought == 2


def test_documents_that_were_read(wire, client):
    """The pages' markdown is the answer."""
    documents = [*of("ocr"), *(r for r in of("chat") if "pages" in json_of(r))]
    assert len(documents) == 3
    for record in documents:
        wire.answer = lambda _, record=record: reply_of(record)
        got = client.completion("mistral/mistral-ocr-latest", show(image("https://images.example/a.png")))
        pages = json_of(record)["pages"]
        assert got.text == "\n\n".join(page["markdown"] for page in pages)
        assert got.choices[0].message.provider_specific_fields["pages"] == pages
        assert got.extra["usage_info"] == json_of(record)["usage_info"]


def test_vectors(wire, client):
    """Each vector is the body's, in order."""
    for record in of("embedding"):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = json_of(record), client.embedding("mistral/mistral-embed", ["x"] * len(json_of(record)["data"]))
        assert [item.embedding for item in got.data] == [item["embedding"] for item in raw["data"]]
        assert counts(got.usage.to_dict()) == used(raw["usage"])


def test_transcripts_and_speech(wire, client):
    """A transcript's text, times and usage are the body's; speech is its bytes."""
    for record in of("transcription"):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = json_of(record), client.transcription("mistral/m", WAV)
        assert (got.text, got.language) == (raw["text"], raw.get("language"))
        times = [(part["text"], part["start"], part["end"]) for part in raw.get("segments") or []]
        assert [(part.text, part.start, part.end) for part in got.segments or []] == times
        assert counts(got.usage and got.usage.to_dict()) == used(raw.get("usage"))
    for record in of("speech"):
        wire.answer = lambda _, record=record: reply_of(record)
        assert client.speech("mistral/m", "x").content == base64.b64decode(json_of(record)["audio_data"])


def test_files_and_models(wire, client):
    """What was uploaded, and which models there are."""
    for record in of("files"):
        wire.answer = lambda _, record=record: reply_of(record)
        got = client.create_file(("sample.pdf", b"%PDF-"), purpose="ocr", provider="mistral")
        assert {name: got[name] for name in ("id", "bytes", "filename", "purpose", "created_at")} == {
            name: json_of(record)[name] for name in ("id", "bytes", "filename", "purpose", "created_at")
        }
        assert got.extra["sample_type"] == "ocr_input"
        assert fields(wire.last) == {"purpose": "ocr"}
    for record in of("models"):
        wire.answer = lambda _, record=record: reply_of(record)
        got = client.list_models(provider="mistral")
        assert [model.id for model in got.data] == [model["id"] for model in json_of(record)["data"]]


def test_errors(wire, client):
    """A wrong key."""
    refused = [record for record in of("chat") if status(record) >= 400]
    assert len(refused) == 1
    wire.answer = lambda _: reply_of(refused[0])
    with pytest.raises(errors.AuthenticationError, match="Invalid API Key"):
        client.completion(**CHAT)


def test_recorded_requests_go_out_as_they_were(wire, client):
    """Chats that Mistral accepted from others are sent in the same words, but for what it takes in several forms.

    Audio goes as base64 alone, which its documentation has; a user's `image_url` as an object.
    """
    wire.answer = lambda _: httpx.Response(418)
    number = 0
    for record in [r for r in of("chat") if r["request"] and status(r) == 200]:
        given = record["request"]["body"]["json"]
        with pytest.raises(errors.APIError):
            client.completion(**{**given, "model": f"mistral/{given['model']}"})
        assert tidy(json.loads(wire.last.content)) == tidy(given)
        number += 1
    assert number == 74


def test_recorded_requests_for_vectors_and_speech(wire, client):
    """They go out as they were, too; a voice under the name that the newer documentation has."""
    wire.answer = lambda _: httpx.Response(418)
    asked = [("embedding", record) for record in of("embedding")] + [("speech", record) for record in of("speech")]
    for function, record in [(function, record) for function, record in asked if record["request"]]:
        given = record["request"]["body"]["json"]
        with pytest.raises(errors.APIError):
            getattr(client, function)(**{**given, "model": f"mistral/{given['model']}"})
        voice = {"voice_id": given["voice"]} if "voice" in given else {}
        assert json.loads(wire.last.content) == {k: v for k, v in given.items() if k != "voice"} | voice


def tidy(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with the forms that mean one thing as one."""
    found = json.loads(json.dumps(body))
    for message in found["messages"]:
        if message["role"] == "assistant" and message.get("prefix") is False:
            del message["prefix"]
        for call in message.get("tool_calls") or []:
            call.pop("index", None)
            assert CALL_ID.fullmatch(call["id"])
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part["type"] == "image_url" and isinstance(part["image_url"], str):
                part["image_url"] = {"url": part["image_url"]}
            if part["type"] == "input_audio" and isinstance(part["input_audio"], dict):
                part["input_audio"] = part["input_audio"]["data"]
    for tool in found.get("tools") or []:
        tool.setdefault("type", "function")
    return {name: value for name, value in found.items() if value is not None}
