"""Every recorded exchange with Anthropic reads as its body says, read here with plain JSON and not by the plugin."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
import recorded
from recorded import cut, events, is_stream, needs_recordings, payload, status

from polyport import errors

pytestmark = needs_recordings

ASK = [{"role": "user", "content": "x"}]
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    None: None,
}
ERRORS = {400: errors.BadRequestError, 401: errors.AuthenticationError, 404: errors.NotFoundError}
#: Streams that are cut at every byte, besides those cut at random: it is slow, and short ones show as much.
SHORT = 6000
#: Text that is none; the API refuses it in a request.
EMPTY = {"type": "text", "text": ""}


def records(endpoint: str) -> list[Any]:
    """Return the records of an endpoint as parameters, none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    found = [record for record in recorded.records("anthropic") if record["endpoint"] == endpoint]
    apart = [one for record in found for one in split(record)]
    return [pytest.param(record, id=f"{endpoint}-{number}") for number, record in enumerate(apart)]


def split(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record apart for each message of its stream; one holds a conversation's two streams in a row."""
    if not is_stream(record) or payload(record).count(b'"message_start"') < 2:
        return [record]
    streams: list[list[Any]] = []
    for event in events(record):
        if event["type"] == "message_start":
            streams.append([])
        streams[-1].append(event)
    return [{**record, "response": {**record["response"], "body": {"chunks": chunks}}} for chunks in streams]


@pytest.fixture(scope="module")
def wire(wire):
    """One wire and one client for all: there are thousands of exchanges."""
    server = wire()
    with server.client() as client:
        server.client = lambda: client
        yield server.show


class Said:
    """What a body says: text, reasoning, calls, stop reason, tokens, content blocks."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.content: list[dict[str, Any]] = message["content"]
        self.text = "".join(block["text"] for block in self.content if block["type"] == "text")
        self.reasoning = "".join(block["thinking"] for block in self.content if block["type"] == "thinking")
        self.calls = [(b["id"], b["name"], b["input"]) for b in self.content if b["type"] == "tool_use"]
        self.thinking = [b for b in self.content if b["type"] in ("thinking", "redacted_thinking")]
        self.citations = [c for b in self.content if b["type"] == "text" for c in b.get("citations") or []]
        self.stop_reason = message["stop_reason"]
        self.usage = {name: value for name, value in message["usage"].items() if value is not None}


def said(record: dict[str, Any]) -> Said:
    """Return what a record says; a stream is put together event by event."""
    if not is_stream(record):
        return Said(record["response"]["body"]["json"])
    message: dict[str, Any] = {}
    pieces: dict[int, str] = {}
    for event in events(record):
        if event["type"] == "message_start":
            message = {**event["message"], "content": []}
        elif event["type"] == "content_block_start":
            message["content"].append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            grow(message["content"][event["index"]], event["delta"], pieces, event["index"])
        elif event["type"] == "content_block_stop" and pieces.get(event["index"]):
            message["content"][event["index"]]["input"] = json.loads(pieces[event["index"]])
        elif event["type"] == "message_delta":
            message["stop_reason"] = event["delta"]["stop_reason"]
            counted = {name: value for name, value in event["usage"].items() if value is not None}
            message["usage"] = {**message["usage"], **counted}
    return Said(message)


def grow(block: dict[str, Any], delta: dict[str, Any], pieces: dict[int, str], index: int) -> None:
    """Add a delta to its block."""
    if delta["type"] == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    elif delta["type"] == "input_json_delta":
        pieces[index] = pieces.get(index, "") + delta["partial_json"]
    else:
        for name in delta.keys() - {"type"}:
            block[name] = (block.get(name) or "") + delta[name]


def check_usage(usage: Any, truth: Said) -> None:
    """The prompt holds what the cache served and took; the buckets are disjoint and sum up."""
    read = truth.usage.get("cache_read_input_tokens", 0)
    written = truth.usage.get("cache_creation_input_tokens", 0)
    assert usage.prompt_tokens == truth.usage.get("input_tokens", 0) + read + written
    assert usage.completion_tokens == truth.usage["output_tokens"]
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens
    assert buckets.get("cached_input", 0) == read
    assert buckets.get("cache_write", 0) == written
    thought = truth.usage.get("output_tokens_details", {}).get("thinking_tokens", 0)
    assert buckets.get("reasoning", 0) == thought
    searched = {name: count for name, count in truth.usage.get("server_tool_use", {}).items() if count is not None}
    assert (usage.server_tool_use or {}) == searched
    hour = truth.usage.get("cache_creation", {}).get("ephemeral_1h_input_tokens", 0)
    details = usage.prompt_tokens_details
    assert ((details and details.cache_write_1h_tokens) or 0) == hour


def check_completion(result: Any, truth: Said) -> None:
    """Text, reasoning, calls, finish and usage are those of the body, and nothing of its blocks is lost."""
    choice = result.choices[0]
    message = choice.message
    assert (message.content or "") == truth.text
    assert (message.reasoning_content or "") == truth.reasoning
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
    assert calls == truth.calls
    assert choice.finish_reason == FINISH[truth.stop_reason]
    assert (message.thinking_blocks or []) == truth.thinking
    assert len(message.annotations or []) == len(truth.citations)
    for annotation in message.annotations or []:
        place = annotation[annotation["type"]]
        assert message.content[place["start_index"] : place["end_index"]]
    check_usage(result.usage, truth)


def joined(chunks: list[Any]) -> Any:
    """Put chunks together, by the rules a reader of OpenAI's streams follows."""
    parts: dict[str, Any] = {"content": "", "reasoning": "", "thinking": [], "annotations": [], "specific": {}}
    calls: dict[int, dict[str, str]] = {}
    finish = usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            parts["content"] += delta.content or ""
            parts["reasoning"] += delta.reasoning_content or ""
            parts["thinking"] += delta.thinking_blocks or []
            parts["annotations"] += delta.annotations or []
            parts["specific"].update(delta.provider_specific_fields or {})
            assert not (finish and choice.finish_reason), "a stream has one finish"
            finish = choice.finish_reason or finish
            for call in delta.tool_calls or []:
                if call.id is not None:
                    assert call.index not in calls, "id and name come once"
                    calls[call.index] = {"id": call.id, "name": call.function.name, "arguments": ""}
                calls[call.index]["arguments"] += call.function.arguments
    return {**parts, "calls": list(calls.values()), "finish": finish, "usage": usage}


def check_chunks(chunks: list[Any], truth: Said) -> None:
    """A stream's chunks come to what its events say."""
    got = joined(chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert got["content"] == truth.text
    assert got["reasoning"] == truth.reasoning
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for c in got["calls"]] == truth.calls
    assert got["finish"] == FINISH[truth.stop_reason]
    assert got["thinking"] == truth.thinking
    assert len(got["annotations"]) == len(truth.citations)
    check_usage(got["usage"], truth)


def pieces(record: dict[str, Any], seed: int) -> list[list[bytes]]:
    """Return a stream's bytes, cut at random and, where it is short, at every byte."""
    data = payload(record)
    return [list(cut(data, Random(seed))), *([list(cut(data))] if len(data) < SHORT else [])]


def raises(kind: type[Exception], call: Any) -> None:
    """Check that a call raises exactly this class."""
    with pytest.raises(errors.APIError) as caught:
        call()
    assert type(caught.value) is kind


@pytest.mark.parametrize("record", records("messages"))
def test_a_recorded_reply_reads_as_a_completion(record, wire):
    """Chat reads every recorded message, streamed or not, as its body says; errors are of their class."""
    if status(record) >= 400:
        client = wire(payload(record), status(record)).client()
        raises(ERRORS[status(record)], lambda: client.completion("anthropic/m", ASK))
        return
    truth = said(record)
    if not is_stream(record):
        result = wire(payload(record)).client().completion("anthropic/claude-opus-4-5", ASK)
        check_completion(result, truth)
        return
    for cuts in pieces(record, seed=1):
        chunks = list(wire(pieces=cuts).client().completion("anthropic/claude-opus-4-5", ASK, stream=True))
        check_chunks(chunks, truth)


@pytest.mark.parametrize("record", records("messages"))
def test_a_recorded_reply_reads_as_a_message(record, wire):
    """messages() gives every recorded message back whole, and every event of a stream."""
    if status(record) >= 400:
        client = wire(payload(record), status(record)).client()
        raises(ERRORS[status(record)], lambda: client.messages("anthropic/m", ASK))
        return
    if not is_stream(record):
        truth = said(record)
        result = wire(payload(record)).client().messages("anthropic/claude-opus-4-5", ASK)
        assert result.content == truth.content
        assert (result.text, result.stop_reason) == (truth.text, truth.stop_reason)
        check_usage(result.usage.to_usage(), truth)
        assert result.raw == record["response"]["body"]["json"]
        return
    for cuts in pieces(record, seed=2):
        got = list(wire(pieces=cuts).client().messages("anthropic/claude-opus-4-5", ASK, stream=True))
        assert [event.to_dict() for event in got] == events(record)


@pytest.mark.parametrize("record", [r for r in records("messages") if is_stream(r.values[0])])
def test_a_stream_and_its_message_agree(record, wire):
    """The message a stream adds up to, read without streaming, gives what the chunks gave."""
    truth = said(record)
    start = next(event["message"] for event in events(record) if event["type"] == "message_start")
    last = next(event for event in events(record) if event["type"] == "message_delta")
    delta = {name: value for name, value in last["delta"].items() if value is not None}
    whole = {**start, **delta, "content": truth.content, "usage": truth.usage}
    if last.get("context_management") is not None:
        whole["context_management"] = last["context_management"]
    result = wire(whole).client().completion("anthropic/claude-opus-4-5", ASK)
    chunks = list(wire(pieces=[payload(record)]).client().completion("anthropic/claude-opus-4-5", ASK, stream=True))
    got, choice = joined(chunks), result.choices[0]
    assert (got["content"], got["finish"]) == (choice.message.content or "", choice.finish_reason)
    assert got["usage"] == result.usage
    assert got["thinking"] == (choice.message.thinking_blocks or [])
    assert got["annotations"] == (choice.message.annotations or [])
    assert got["specific"] == (choice.message.provider_specific_fields or {})
    assert (chunks[-1].id, chunks[-1].model, chunks[-1].created) == (result.id, result.model, result.created)


def answers() -> list[Any]:
    """Return the recorded answers that say something."""
    found = [r for r in records("messages") if status(r.values[0]) == 200]
    return [r for r in found if any(block != EMPTY for block in said(r.values[0]).content)]


@pytest.mark.parametrize("record", answers())
def test_a_recorded_answer_goes_back_unchanged(record, wire):
    """An answer fed into the next turn reproduces its blocks: signatures, redacted and server tools' included."""
    truth = said(record)
    blocks = [block for block in truth.content if block != EMPTY]
    if is_stream(record):
        chunks = list(wire(pieces=[payload(record)]).client().completion("anthropic/m", ASK, stream=True))
        got = joined(chunks)
        answer: Any = {
            "role": "assistant",
            "content": got["content"],
            "thinking_blocks": got["thinking"],
            "provider_specific_fields": got["specific"],
            "tool_calls": [
                {"id": c["id"], "function": {"name": c["name"], "arguments": c["arguments"]}} for c in got["calls"]
            ],
        }
    else:
        answer = wire(payload(record)).client().completion("anthropic/m", ASK).choices[0].message
    again = wire()
    again.client().completion("anthropic/m", [*ASK, answer, *ASK])
    content = again.sent["messages"][1]["content"]
    content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    assert content == blocks


def requests() -> list[Any]:
    """Return the recorded requests that the Messages API understood."""
    found = [r for r in records("messages") if r.values[0]["request"] and status(r.values[0]) != 400]
    return [r for r in found if r.values[0]["request"]["body"]]


@pytest.mark.parametrize("record", requests())
def test_a_recorded_request_goes_through_messages_unchanged(record, wire):
    """messages() sends what it was given: thinking and tool blocks of earlier turns, server tools, markers."""
    body = record["request"]["body"]["json"]
    again = wire(pieces=[]) if body.get("stream") else wire()
    try:
        result = again.client().messages(**{**body, "model": f"anthropic/{body['model']}"})
        if body.get("stream"):
            list(result)
    except errors.APIConnectionError:
        assert body.get("stream"), "only the empty stream of this test is cut off"
    assert again.sent == {"max_tokens": again.sent["max_tokens"], **body}


@pytest.mark.parametrize("record", records("count_tokens"))
def test_a_recorded_count_reads(record, wire):
    """count_tokens sends the recorded request and reads the recorded count."""
    body = record["request"]["body"]["json"]
    again = wire(payload(record))
    extra = {name: value for name, value in body.items() if name not in ("model", "messages")}
    result = again.client().count_tokens(f"anthropic/{body['model']}", body["messages"], **extra)
    assert result.input_tokens == record["response"]["body"]["json"]["input_tokens"]
    assert again.sent == body


@pytest.mark.parametrize("record", records("files"))
def test_a_recorded_file_reads(record, wire):
    """Uploads, listings and deletions read as recorded."""
    body = record["response"]["body"]["json"]
    again = wire(payload(record))
    client = again.client()
    method = record["request"]["method"]
    if method == "POST":
        part = record["request"]["body"]["multipart"][0]
        given = (part["filename"], b"x" * part["size"], part["content_type"])
        file = client.create_file(given, purpose="user_data", provider="anthropic")
        assert (file.id, file.filename, file.bytes) == (body["id"], body["filename"], body["size_bytes"])
        assert file.extra == {"mime_type": body["mime_type"], "downloadable": body["downloadable"]}
        assert f'filename="{part["filename"]}"'.encode() in again.last.content
    elif method == "DELETE":
        deleted = client.delete_file(body["id"], provider="anthropic")
        assert (deleted.id, deleted.deleted) == (body["id"], True)
    else:
        listed = client.list_files(provider="anthropic")
        assert [file.id for file in listed.data] == [file["id"] for file in body["data"]]
        assert (listed.has_more, listed.last_id) == (body["has_more"], body["last_id"])


BATCH_STATUS = {"in_progress": "in_progress", "canceling": "cancelling", "ended": "completed"}


@pytest.mark.parametrize("record", records("batch"))
def test_a_recorded_batch_reads(record, wire):
    """Batches and their results read as recorded."""
    body = record["response"]["body"]["json"]
    client = wire(payload(record)).client()
    if record["request"]["url"].endswith("/results"):
        file = client.file_content("msgbatch_1_output", provider="anthropic")
        (line,) = [json.loads(line) for line in file.content.splitlines()]
        assert line["custom_id"] == body["custom_id"]
        answer = line["response"]["body"]
        truth = Said(body["result"]["message"])
        assert answer["choices"][0]["message"]["content"] == truth.text
        assert answer["usage"]["completion_tokens"] == truth.usage["output_tokens"]
        return
    batch = client.retrieve_batch(body["id"], provider="anthropic")
    assert (batch.id, batch.status) == (body["id"], BATCH_STATUS[body["processing_status"]])
    assert batch.request_counts["total"] == sum(body["request_counts"].values())
    assert batch.request_counts["completed"] == body["request_counts"]["succeeded"]
    assert (batch.output_file_id is not None) == (body["request_counts"]["succeeded"] > 0)
