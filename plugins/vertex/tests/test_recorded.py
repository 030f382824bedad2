"""Every recorded exchange with Vertex AI reads as its body says, read here with plain JSON, not by the plugin."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
import recorded
from recorded import cut, events, is_stream, needs_recordings, payload, status

from polyport import Client, errors
from polyport.testing import Reply, Wire

pytestmark = needs_recordings

ASK = [{"role": "user", "content": "x"}]
PLACE = {"vertex_project": "p"}
#: Finish reasons, by name and as the numbers that `$alt=json;enum-encoding=int` gives.
FINISH = {"STOP": "stop", 1: "stop", "MAX_TOKENS": "length", 2: "length", "MODEL_ARMOR": "content_filter",
          "UNEXPECTED_TOOL_CALL": "stop", None: None}  # fmt: skip
ERRORS = {400: errors.BadRequestError, 404: errors.NotFoundError}


def records(*endpoints: str) -> list[Any]:
    """Return records as parameters, none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    found = [as_events(record) for record in recorded.records("vertex_ai") if record["endpoint"] in endpoints]
    return [pytest.param(record, id=f"{endpoints[0]}-{number}") for number, record in enumerate(found)]


def as_events(record: dict[str, Any]) -> dict[str, Any]:
    """Return a stream that was asked for without `alt=sse`, which is one JSON list, as the events it has otherwise."""
    body = record["response"]["body"]
    if not isinstance(body.get("json"), list):
        return record
    return {**record, "response": {**record["response"], "body": {"chunks": body["json"]}}}


def client(wire: Wire) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, api_key="ya29.test", num_retries=0)


def documents(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the replies that a record is made of."""
    return events(record) if is_stream(record) else [record["response"]["body"]["json"]]


def check(record: dict[str, Any], message: dict[str, Any], finish: Any, usage: Any) -> None:
    """Text, thoughts, calls, finish and tokens are those of the body."""
    parts: list[dict[str, Any]] = []
    reason, counted = None, {}
    for document in documents(record):
        counted = document.get("usageMetadata") or counted
        for candidate in document["candidates"]:
            parts += (candidate.get("content") or {}).get("parts") or []
            reason = candidate.get("finishReason") or reason
    texts = [part for part in parts if "text" in part]
    calls = [
        (part["functionCall"]["name"], part["functionCall"].get("args") or {})
        for part in parts
        if "functionCall" in part
    ]
    assert (message["content"] or "") == "".join(part["text"] for part in texts if not part.get("thought"))
    assert (message["thoughts"] or "") == "".join(part["text"] for part in texts if part.get("thought"))
    assert message["calls"] == calls
    assert finish == ("tool_calls" if calls and FINISH[reason] == "stop" else FINISH[reason])
    count = lambda name: counted.get(name) or 0  # noqa: E731
    assert usage.prompt_tokens == count("promptTokenCount") + count("toolUsePromptTokenCount")
    assert usage.completion_tokens == count("candidatesTokenCount") + count("thoughtsTokenCount")
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens
    assert buckets.get("cached_input", 0) == count("cachedContentTokenCount")
    assert buckets.get("reasoning", 0) == count("thoughtsTokenCount")


@pytest.mark.parametrize("record", records("chat"))
def test_a_recorded_reply_reads_as_a_completion(record):
    """Chat reads every recorded reply, streamed or not, as its body says; errors are of their class."""
    if status(record) >= 400:
        too_long = b"exceeds the maximum number of tokens" in payload(record)
        kind = errors.ContextWindowExceededError if too_long else ERRORS[status(record)]
        with client(Wire(Reply.of(payload(record), status=status(record)))) as asked, pytest.raises(kind) as caught:
            asked.completion("vertex_ai/gemini-x", ASK, **PLACE)
        assert type(caught.value) is kind
        return
    if not is_stream(record):
        with client(Wire(payload(record))) as asked:
            result = asked.completion("vertex_ai/gemini-x", ASK, **PLACE)
        choice = result.choices[0]
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
        message = {"content": choice.message.content, "thoughts": choice.message.reasoning_content, "calls": calls}
        check(record, message, choice.finish_reason, result.usage)
        return
    data = payload(record)
    for pieces in (list(cut(data, Random(3))), [data]):
        edges = [sum(map(len, pieces[:number])) for number in range(1, len(pieces))]
        with client(Wire(Reply.of(data, cuts=edges))) as asked:
            chunks = list(asked.completion("vertex_ai/gemini-x", ASK, stream=True, **PLACE))
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        calls = [call for delta in deltas for call in delta.tool_calls or []]
        message = {
            "content": "".join(delta.content or "" for delta in deltas),
            "thoughts": "".join(delta.reasoning_content or "" for delta in deltas),
            "calls": [(call.function.name, json.loads(call.function.arguments)) for call in calls],
        }
        check(record, message, chunks[-1].choices[0].finish_reason, chunks[-1].usage)


PREDICTED = [r for r in records("embedding") if "predictions" in r.values[0]["response"]["body"]["json"]]


@pytest.mark.parametrize("record", PREDICTED)
def test_recorded_vectors_read(record):
    """As many vectors as were recorded, each as it was, with the tokens of all; the recorded body is what is sent."""
    truth = record["response"]["body"]["json"]["predictions"]
    asked = record["request"]["body"]["json"]["instances"] if record["request"] else [{"content": "x"}] * len(truth)
    wire = Wire(payload(record))
    with client(wire) as asking:
        result = asking.embedding("vertex_ai/text-embedding-004", [one["content"] for one in asked], **PLACE)
    assert [item.embedding for item in result.data] == [one["embeddings"]["values"] for one in truth]
    assert result.usage.prompt_tokens == sum(one["embeddings"]["statistics"]["token_count"] for one in truth)
    if record["request"] and "parameters" not in record["request"]["body"]["json"]:
        assert wire.requests[0].json == record["request"]["body"]["json"]


@pytest.mark.parametrize("record", records("count_tokens"))
def test_a_recorded_count_reads(record):
    """The count is the recorded one."""
    with client(Wire(payload(record))) as asking:
        result = asking.count_tokens("vertex_ai/gemini-2.5-flash", ASK, **PLACE)
    assert result.input_tokens == record["response"]["body"]["json"]["totalTokens"]
