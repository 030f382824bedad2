"""Recorded traffic with Ollama, at both of its doors, parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest
from recorded import is_stream, needs_recordings, payload, records, status
from replay import REASONING, counts, cut_at_random, events, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

CHAT = {"model": "ollama/m", "messages": [{"role": "user", "content": "x"}]}
COMPATIBLE = {**CHAT, "api_base": "http://localhost:11434/v1"}


def native(endpoint: str) -> list[dict[str, Any]]:
    """Return the records of an endpoint of Ollama's own API; those without a request are told by their bodies."""
    return [r for r in records("ollama") if r["endpoint"] == endpoint and not compatible(r)]


def compatible(record: dict[str, Any]) -> bool:
    """Whether an exchange speaks OpenAI's words; one is known by its reply alone."""
    if record["request"] is None:
        return "choices" in record["response"]["body"].get("json", {})
    return record["request"]["url"].endswith("/chat/completions")


def lines(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a reply: the lines of a streamed one, or the only one of another."""
    return [json.loads(line) for line in payload(record).decode().split("\n") if line.strip()]


def streams(record: dict[str, Any]) -> bool:
    """Whether a reply came line by line."""
    return not {"sse", "text"}.isdisjoint(record["response"]["body"])


def told(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the objects of a reply tell together, in Ollama's words."""
    messages = [answer["message"] for answer in answers]
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or []]
    last = answers[-1]
    return {
        "text": "".join(message.get("content") or "" for message in messages),
        "thought": "".join(message.get("thinking") or "" for message in messages),
        "calls": [(call["name"], call["arguments"]) for call in calls],
        "end": "tool_calls" if calls else last.get("done_reason", "stop"),
        "used": (last.get("prompt_eval_count", 0), last.get("eval_count", 0)),
        "model": last["model"],
    }


def heard(message: Any, end: str | None, answer: Any) -> dict[str, Any]:
    """Return the same of what the plugin made of it."""
    calls = message.get("tool_calls") or []
    return {
        "text": message.get("content") or "",
        "thought": message.get("reasoning_content") or "",
        "calls": [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
        "end": end,
        "used": (answer.usage.prompt_tokens, answer.usage.completion_tokens),
        "model": answer.model,
    }


def test_no_record_is_left_out():
    """Every record is one of the kinds tested below."""
    assert {r["endpoint"] for r in records("ollama")} == {"chat", "completion", "embedding"}
    assert len([r for r in records("ollama") if compatible(r)]) == 44
    assert [len(native(endpoint)) for endpoint in ("chat", "completion", "embedding")] == [21, 1, 3]


def test_chat_replies(wire, client):
    """Text, thinking, calls, why it ended and usage are the body's; every call has an id of its own."""
    found = [r for r in native("chat") if not streams(r) and status(r) == 200]
    assert len(found) == 13
    for record in found:
        wire.answer = lambda _, record=record: reply_of(record)
        got = client.completion(**CHAT)
        choice = got.choices[0]
        assert heard(choice.message, choice.finish_reason, got) == told(lines(record))
        ids = [call.id for call in choice.message.tool_calls or []]
        assert all(ids)
        assert len(ids) == len(set(ids))


def test_streams_cut_at_random(wire, client):
    """The same of streams, wherever they are cut."""
    found = [r for r in native("chat") if streams(r)]
    assert len(found) == 7
    for number, record in enumerate(found):
        wire.answer = lambda _, record=record, number=number: httpx.Response(
            200, content=cut_at_random(number)(payload(record))
        )
        with client.completion(**CHAT, stream=True) as stream:
            chunks = list(stream)
        deltas = [chunk.choices[0].delta for chunk in chunks]
        message = {
            "content": "".join(delta.content or "" for delta in deltas),
            "reasoning_content": "".join(delta.reasoning_content or "" for delta in deltas),
            "tool_calls": [call for delta in deltas for call in delta.tool_calls or []],
        }
        ends = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason]
        assert heard(message, *ends, chunks[-1]) == told(lines(record))
        assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)


def test_a_missing_model(wire, client):
    """Is not found, and the error says what to pull."""
    (record,) = [r for r in native("chat") if status(r) >= 400]
    wire.answer = lambda _: reply_of(record)
    with pytest.raises(errors.NotFoundError, match="ollama pull nonexistent-model:latest") as caught:
        client.completion(**CHAT)
    assert caught.value.body == record["response"]["body"]["json"]


def test_completions_and_vectors(wire, client):
    """A text, and vectors with their usage, are the body's."""
    (record,) = native("completion")
    wire.answer = lambda _: reply_of(record)
    raw, got = record["response"]["body"]["json"], client.text_completion("x", "ollama/m")
    assert (got.choices[0].text, got.choices[0].finish_reason) == (raw["response"], raw["done_reason"])
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (raw["prompt_eval_count"], raw["eval_count"])
    for record in native("embedding"):
        wire.answer = lambda _, record=record: reply_of(record)
        raw = record["response"]["body"]["json"]
        vectors = client.embedding("ollama/m", ["x"] * len(raw["embeddings"]))
        assert [item.embedding for item in vectors.data] == raw["embeddings"]
        assert vectors.usage is None or vectors.usage.prompt_tokens == raw["prompt_eval_count"]


def test_recorded_requests_go_out_as_they_were(wire, client):
    """A body that Ollama accepted, given as keyword arguments, is sent again with the same words."""
    wire.answer = lambda _: httpx.Response(418)
    sent = [r["request"]["body"]["json"] for r in native("chat") if r["request"] and status(r) == 200]
    number = 0
    for body in sent:
        given = {name: value for name, value in body.items() if value not in ("", None, [], {}) and name != "model"}
        if any(m.get("tool_calls") for m in given["messages"]):
            continue  # told in Ollama's words, with arguments that are objects
        with pytest.raises(errors.APIError):
            client.completion(f"ollama/{body['model']}", **given)
        made = json.loads(wire.last.content)
        expected = dict(given, model=body["model"], stream=body.get("stream", False))
        if "temperature" in expected:  # one client put it where Ollama does not look
            expected["options"] = {"temperature": expected.pop("temperature")}
        assert made == expected
        number += 1
    assert number >= 8


# --- the door that is OpenAI's ---


def test_replies_in_openais_words(wire, client):
    """Text, reasoning, calls, finish reasons and usage are the body's."""
    found = [r for r in records("ollama") if compatible(r) and not is_stream(r)]
    assert len(found) == 41
    for record in found:
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**COMPATIBLE)
        assert whole(got.to_dict(), ("reasoning_content",)) == whole(raw, REASONING)
        assert counts(got.usage.to_dict()) == counts(raw["usage"])


def test_streams_in_openais_words(wire, client):
    """The same of streams, wherever they are cut."""
    found = [r for r in records("ollama") if compatible(r) and is_stream(r)]
    assert len(found) == 3
    for number, record in enumerate(found):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**COMPATIBLE, stream=True) as stream:
            heard = story([chunk.to_dict() for chunk in stream], ("reasoning_content",))
        assert heard == story(events(record), REASONING)


def test_recorded_requests_in_openais_words(wire, client):
    """What Ollama accepted from others is sent in the same words; reasoning once, which some said twice."""
    wire.answer = lambda _: httpx.Response(418)
    for record in [r for r in records("ollama") if compatible(r) and r["request"]]:
        body = copy.deepcopy(record["request"]["body"]["json"])
        with pytest.raises(errors.APIError):
            client.completion(**{**body, "model": f"ollama/{body['model']}", "api_base": COMPATIBLE["api_base"]})
        made = json.loads(wire.last.content)
        for message in body["messages"]:
            assert message.pop("reasoning_content", message.get("reasoning")) == message.get("reasoning")
        assert {**made, "stream": made.get("stream", False)} == {**body, "stream": body.get("stream", False)}
