"""Every recorded exchange with Converse reads as its body says, read here with plain JSON, not by the plugin.

Event streams are cut into frames by botocore, not by the plugin's own reader.
"""

from __future__ import annotations

import base64
import json
from itertools import accumulate
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
import recorded
from recorded import cut, needs_recordings, payload, status

from polyport import Client, errors
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import frame

pytestmark = needs_recordings

ASK = [{"role": "user", "content": "x"}]
FILTERED = {"guardrail_intervened", "content_filtered"}
LENGTH = {"max_tokens", "model_context_window_exceeded"}
#: Streams that are cut at every byte, besides those cut at random: it is slow, and short ones show as much.
SHORT = 6000


def model_of(record: dict[str, Any]) -> str:
    """Return the model that a record was asked of."""
    url = (record["request"] or {}).get("url", "")
    return unquote(url.partition("/model/")[2].partition("/")[0]) or "amazon.nova-lite-v1:0"


def is_converse(record: dict[str, Any]) -> bool:
    """Whether a record is of Converse; one of the chats is of an endpoint in OpenAI's shape."""
    url = (record["request"] or {}).get("url", "/converse")
    return record["endpoint"] == "chat" and "/converse" in url


def records(wanted: Any) -> list[Any]:
    """Return the records that are wanted as parameters, none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    found = [record for record in recorded.records("bedrock") if wanted(record)]
    return [pytest.param(record, id=f"{record['endpoint']}-{number}") for number, record in enumerate(found)]


def events(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]] | None:
    """Return (kind, event) of a stream, None for a reply that is none."""
    body = record["response"]["body"] or {}
    if "chunks" in body:
        return [next(iter(chunk.items())) for chunk in body["chunks"]]
    if "b64" not in body:
        return None
    eventstream = pytest.importorskip("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(base64.b64decode(body["b64"]))
    return [(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]


def stream_bytes(record: dict[str, Any]) -> bytes:
    """Return a stream's bytes; one that was kept as JSON is put into frames."""
    body = record["response"]["body"]
    return b"".join(frame(*event) for event in events(record) or []) if "chunks" in body else payload(record)


class Said:
    """What a body says: text, thoughts, calls, finish, tokens, citations."""

    def __init__(self, blocks: list[dict[str, Any]], reason: str, usage: dict[str, Any] | None) -> None:
        self.blocks, self.stop, self.usage = blocks, reason, usage
        self.text, self.thoughts, self.calls, self.cited = "", "", [], 0
        for block in blocks:
            self.text += block.get("text", "")
            cited = block.get("citationsContent", {})
            self.text += "".join(piece["text"] for piece in cited.get("content", []))
            self.cited += len(cited.get("citations", []))
            self.thoughts += block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")
            use = block.get("toolUse")
            if use is not None and use.get("type") != "server_tool_use":
                self.calls.append((use["toolUseId"], use["name"], use["input"]))

    @property
    def reason(self) -> str:
        """Why it ended, in OpenAI's word."""
        if self.stop in FILTERED:
            return "content_filter"
        return "length" if self.stop in LENGTH else "tool_calls" if self.calls else "stop"


def put_together(found: list[tuple[str, dict[str, Any]]]) -> Said:
    """Return what the events of a stream say."""
    blocks: dict[int, dict[str, Any]] = {}
    reason, usage = "", None
    for kind, event in found:
        if kind == "messageStop":
            reason = event["stopReason"]
        elif kind == "metadata":
            usage = event["usage"]
        elif kind == "contentBlockStart" and "toolUse" in event["start"]:
            blocks[event["contentBlockIndex"]] = {"toolUse": {**event["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockStart" and "toolResult" in event["start"]:
            blocks[event["contentBlockIndex"]] = {"toolResult": {**event["start"]["toolResult"], "content": []}}
        elif kind == "contentBlockDelta":
            grow(blocks.setdefault(event["contentBlockIndex"], {}), event["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
        if "citations" in block:
            block["citationsContent"] = {"content": [{"text": block.pop("text")}], "citations": block.pop("citations")}
    return Said([blocks[index] for index in sorted(blocks)], reason, usage)


def grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Grow a block by a delta."""
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    if "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    if "toolResult" in delta:
        block["toolResult"]["content"] += delta["toolResult"]
    if "citation" in delta:
        block.setdefault("citations", []).append(delta["citation"])
    thought = delta.get("reasoningContent", {})
    if "redactedContent" in thought:
        block["reasoningContent"] = {"redactedContent": thought["redactedContent"]}
    elif thought:
        inner = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        inner["text"] += thought.get("text", "")
        if "signature" in thought:
            inner["signature"] = inner.get("signature", "") + thought["signature"]


def said(record: dict[str, Any]) -> Said:
    """Return what a record says."""
    found = events(record)
    if found is not None:
        return put_together(found)
    body = record["response"]["body"]["json"]
    return Said(body["output"]["message"]["content"], body["stopReason"], body.get("usage"))


def check_usage(usage: Any, truth: Said) -> None:
    """The prompt holds what the cache served and took; buckets sum up to what Bedrock counted."""
    if truth.usage is None:
        assert usage is None
        return
    count = lambda name: truth.usage.get(name) or 0  # noqa: E731
    read, written = count("cacheReadInputTokens"), count("cacheWriteInputTokens")
    assert usage.prompt_tokens == count("inputTokens") + read + written
    assert usage.completion_tokens == count("outputTokens")
    assert usage.total_tokens == count("totalTokens")
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens
    assert (buckets.get("cached_input", 0), buckets.get("cache_write", 0)) == (read, written)


def check_message(message: dict[str, Any], finish: Any, truth: Said) -> None:
    """Text, thoughts, calls, citations and finish are those of the body."""
    assert (message["content"] or "") == truth.text
    assert (message["reasoning_content"] or "") == truth.thoughts
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in message["calls"]] == truth.calls
    assert finish == truth.reason
    assert len(message["annotations"]) == truth.cited
    for annotation in message["annotations"]:
        place = annotation[annotation["type"]]
        assert message["content"][place["start_index"] : place["end_index"]]


def of_result(result: Any) -> dict[str, Any]:
    """Return what is compared of a completion."""
    message = result.choices[0].message
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or []
    ]
    return {
        "content": message.content,
        "reasoning_content": message.reasoning_content,
        "thinking_blocks": message.thinking_blocks or [],
        "calls": calls,
        "annotations": message.annotations or [],
        "specific": message.provider_specific_fields or {},
    }


def joined(chunks: list[Any]) -> tuple[dict[str, Any], Any, Any]:
    """Put chunks together, by the rules a reader of OpenAI's streams follows: (message, finish, usage)."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "annotations": [], "specific": {}}
    message["thinking_blocks"] = []
    calls: dict[int, dict[str, Any]] = {}
    finish = usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            assert not finish, "nothing comes after the finish"
            finish = choice.finish_reason or finish
            message["content"] += delta.content or ""
            message["reasoning_content"] += delta.reasoning_content or ""
            message["thinking_blocks"] += delta.thinking_blocks or []
            message["annotations"] += delta.annotations or []
            message["specific"].update(delta.provider_specific_fields or {})
            for call in delta.tool_calls or []:
                if call.id is not None:
                    assert call.index not in calls, "id and name come once"
                    calls[call.index] = {"id": call.id, "name": call.function.name, "arguments": ""}
                calls[call.index]["arguments"] += call.function.arguments
    message["calls"] = list(calls.values())
    return message, finish, usage


def client(wire: Wire) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, api_key="bedrock-api-key-test", num_retries=0)


def stream(record: dict[str, Any], pieces: list[bytes]) -> list[Any]:
    """Return the chunks of a recorded stream that arrives in pieces."""
    edges = list(accumulate(map(len, pieces)))
    wire = Wire(Reply.of(stream_bytes(record), cuts=edges))
    with client(wire) as asked:
        return list(asked.completion(f"bedrock/{model_of(record)}", ASK, stream=True))


@pytest.mark.parametrize("record", records(lambda record: is_converse(record) and status(record) < 400))
def test_a_recorded_reply_reads_as_a_completion(record):
    """Converse's replies, streamed or not, read as their bodies say, wherever a stream is cut."""
    truth = said(record)
    if events(record) is None:
        wire = Wire(payload(record))
        with client(wire) as asked:
            result = asked.completion(f"bedrock/{model_of(record)}", ASK)
        check_message(of_result(result), result.choices[0].finish_reason, truth)
        check_usage(result.usage, truth)
        return
    data = stream_bytes(record)
    for pieces in [list(cut(data, Random(1))), *([list(cut(data))] if len(data) < SHORT else [])]:
        chunks = stream(record, pieces)
        assert chunks[0].choices[0].delta.role == "assistant"
        message, finish, usage = joined(chunks)
        check_message(message, finish, truth)
        check_usage(usage, truth)


@pytest.mark.parametrize("record", records(lambda record: status(record) >= 400))
def test_a_recorded_error_is_a_bad_request(record):
    """Every recorded error is one of validation; its message is passed on, streaming or not."""
    reply = Reply.of(payload(record), status=status(record), headers=record["response"]["headers"] or {})
    with client(Wire(reply)) as asked, pytest.raises(errors.BadRequestError) as raised:
        asked.completion(f"bedrock/{model_of(record)}", ASK, stream="stream" in record["request"]["url"])
    assert raised.value.message == record["response"]["body"]["json"]["message"]


@pytest.mark.parametrize("record", records(lambda record: is_converse(record) and status(record) < 400))
def test_a_recorded_answer_goes_back_unchanged(record):
    """An answer fed into the next turn reproduces its blocks: signatures, redacted thoughts, citations, Amazon's tools.

    What is not signed stays here, as the models that do not sign refuse it.
    """
    truth = said(record)
    expected = [sendable(block) for block in truth.blocks if not unsigned(block) and block not in ({}, {"text": ""})]
    if not expected:
        return
    if events(record) is None:
        with client(Wire(payload(record))) as asked:
            message = of_result(asked.completion(f"bedrock/{model_of(record)}", ASK))
    else:
        message, _, _ = joined(stream(record, [stream_bytes(record)]))
    answer = {
        "role": "assistant",
        "content": message["content"],
        "thinking_blocks": message["thinking_blocks"],
        "provider_specific_fields": message["specific"],
        "tool_calls": [
            {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in message["calls"]
        ],
    }
    wire = Wire(b'{"output": {"message": {"content": []}}, "stopReason": "end_turn"}')
    with client(wire) as asked:
        asked.completion("bedrock/anthropic.claude-v2", [*ASK, answer, *ASK])
    assert wire.requests[-1].json["messages"][1]["content"] == expected


def unsigned(block: dict[str, Any]) -> bool:
    """Whether a block is reasoning that nobody signed."""
    text = block.get("reasoningContent", {}).get("reasoningText")
    return text is not None and not text.get("signature")


def sendable(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block as requests have it: without the type that calls of users' tools have in replies only."""
    if "toolUse" in block and block["toolUse"].get("type") == "tool_use":
        return {"toolUse": {name: value for name, value in block["toolUse"].items() if name != "type"}}
    return {"text": block["text"]} if block.get("type") == "text" else block


# --- InvokeModel and the rest ---


def invoked(family: str) -> Any:
    """Return what tells records of InvokeModel of a family of models."""
    return lambda record: (
        record["endpoint"] in ("invoke", "embedding") and family in model_of(record) and status(record) < 400
    )


def speaks_messages(record: dict[str, Any]) -> bool:
    """Whether a record is of the Messages API: Claude's before it had another body."""
    if not invoked("anthropic.claude")(record):
        return False
    found = chunks_of(record)
    return found[0].get("type") in ("message", "message_start")


def chunks_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events inside of a stream's chunks, or the whole reply."""
    found = events(record)
    if found is None:
        return [record["response"]["body"]["json"]]
    return [json.loads(base64.b64decode(event["bytes"])) for _, event in found]


@pytest.mark.parametrize("record", records(speaks_messages))
def test_a_recorded_message_of_claudes_reads_as_it_is(record):
    """`messages()` gives Anthropic's own shape, and a stream's events as they came inside of the chunks."""
    truth, model = chunks_of(record), f"bedrock/{model_of(record)}"
    if events(record) is None:
        with client(Wire(payload(record))) as asked:
            made = asked.messages(model, ASK, max_tokens=9)
        assert made.content == truth[0]["content"]
        assert made.stop_reason == truth[0]["stop_reason"]
        assert made.usage.output_tokens == truth[0]["usage"]["output_tokens"]
        return
    data = payload(record)
    for pieces in [list(cut(data, Random(2))), *([list(cut(data))] if len(data) < SHORT else [])]:
        edges = list(accumulate(map(len, pieces)))
        with client(Wire(Reply.of(data, cuts=edges))) as asked:
            got = list(asked.messages(model, ASK, max_tokens=9, stream=True))
        assert [dict(event) for event in got] == truth


@pytest.mark.parametrize(
    "record", records(lambda record: any(invoked(name)(record) for name in ("embed", "inference-profile%2F")))
)
def test_a_recorded_vector_reads(record):
    """Titan's, Cohere's and Nova's vectors and counts, and the request that made them."""
    body, asked_for = record["response"]["body"]["json"], record["request"]["body"]["json"]
    found = body.get("embeddings", body.get("embedding"))
    vectors = found["float"] if isinstance(found, dict) else [one["embedding"] for one in found] if isinstance(
        found[0], dict
    ) else [found]  # fmt: skip
    texts = asked_for.get("texts") or [
        asked_for.get("inputText") or asked_for["singleEmbeddingParams"]["text"]["value"]
    ]
    wire = Wire(Reply.of(payload(record), headers=record["response"]["headers"]))
    with client(wire) as asking:
        made = asking.embedding(f"bedrock/{model_of(record)}", texts, input_type="search_query")
    assert [one.embedding for one in made.data] == vectors
    assert made.usage.prompt_tokens == int(record["response"]["headers"]["x-amzn-bedrock-input-token-count"])
    sent = wire.requests[-1].json
    assert (sent.get("texts"), sent.get("inputText")) == (asked_for.get("texts"), asked_for.get("inputText"))


def test_an_application_profile_gives_vectors_when_it_is_said_what_it_is():
    """An ARN of such a profile does not tell its model: base_model does."""
    record = next(r for r in recorded.records("bedrock") if "application-inference-profile" in model_of(r))
    wire = Wire(Reply.of(payload(record), headers=record["response"]["headers"]))
    with client(wire) as asking:
        with pytest.raises(errors.UnsupportedParamsError, match="base_model"):
            asking.embedding(f"bedrock/{model_of(record)}", "x")
        made = asking.embedding(f"bedrock/{model_of(record)}", "x", base_model="amazon.titan-embed-text-v2:0")
    assert made.data[0].embedding == record["response"]["body"]["json"]["embedding"]
    assert wire.requests[0].url == record["request"]["url"]


@pytest.mark.parametrize(
    "record", records(lambda record: record["endpoint"] == "count_tokens" and status(record) < 400)
)
def test_a_recorded_count_reads(record):
    """The count, asked of the model itself even where a profile was named."""
    wire = Wire(payload(record))
    with client(wire) as asking:
        made = asking.count_tokens(f"bedrock/us.{model_of(record)}", ASK)
    assert made.input_tokens == record["response"]["body"]["json"]["inputTokens"]
    assert unquote(wire.requests[0].url) == unquote(record["request"]["url"])


@pytest.mark.parametrize("record", records(lambda record: record["endpoint"] == "guardrail"))
def test_a_recorded_guardrail_reads(record):
    """A guardrail's verdict, with each of its filters; the request is the recorded one."""
    body = record["response"]["body"]["json"]
    text = record["request"]["body"]["json"]["content"][0]["text"]["text"]
    wire = Wire(payload(record))
    with client(wire) as asking:
        made = asking.moderation(text, model="bedrock/274u1upxm897:1")
    assert made.results[0].flagged == (body["action"] == "GUARDRAIL_INTERVENED")
    for one in body["assessments"][0]["contentPolicy"]["filters"]:
        assert made.results[0].categories[f"content/{one['type']}"] == one["detected"]
    assert (wire.requests[0].url, wire.requests[0].json) == (
        record["request"]["url"],
        record["request"]["body"]["json"],
    )


def test_the_recorded_models_read():
    """Every model of the region, with whatever else Bedrock says of it."""
    (record,) = [r for r in recorded.records("bedrock") if r["endpoint"] == "other:/foundation-models"]
    body = record["response"]["body"]["json"]["modelSummaries"]
    answers = iter([Reply.of({"message": "not allowed"}, status=403), payload(record)])
    wire = Wire(lambda sent: next(answers))
    with client(wire) as asking:
        made = asking.list_models(provider="bedrock")
    assert [model.id for model in made.data] == [one["modelId"] for one in body]
    assert made.data[0].extra["inputModalities"] == body[0]["inputModalities"]
    assert [(a.parameter, a.action) for a in made.meta.adaptations] == [("profiles", "dropped")]
    assert wire.requests[1].url == record["request"]["url"]


def test_a_recorded_ranking_reads():
    """The Rerank API's scores."""
    (record,) = [r for r in recorded.records("bedrock") if r["endpoint"] == "rerank"]
    model = "bedrock/arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0"
    with client(Wire(payload(record))) as asking:
        made = asking.rerank(model, "q", list("abcdef"))
    truth = [(one["index"], one["relevanceScore"]) for one in record["response"]["body"]["json"]["results"]]
    assert [(one.index, one.relevance_score) for one in made.results] == truth
