"""Every recorded exchange with Cohere reads as its body says, read here with plain JSON, not by the plugin.

Records of the first version's chat and generate are of another API, and one is of a single model's facts: three
endpoints that this plugin does not speak.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import recorded
from recorded import events, is_stream, needs_recordings, status
from replay import cut_at_random, reply_of

from polyport import errors

pytestmark = needs_recordings

SAY = [{"role": "user", "content": "x"}]
ENDS = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "STOP_SEQUENCE": "stop"}
FOREIGN = ("/v1/chat", "/v1/generate", "/v1/models/")
KINDS = {401: errors.AuthenticationError, 404: errors.NotFoundError}


def records(endpoint: str, choose: Callable[[Any], bool] = lambda record: True) -> list[Any]:
    """Return the records of an endpoint that are of this API; none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    ours = [record for record in recorded.records("cohere") if record["endpoint"] == endpoint and is_ours(record)]
    chosen = [(number, record) for number, record in enumerate(ours) if choose(record)]
    return [pytest.param(record, id=f"{endpoint}-{number}") for number, record in chosen]


def is_ours(record: dict[str, Any]) -> bool:
    """Whether a record is of an endpoint that the plugin speaks."""
    url = (record["request"] or {}).get("url", "")
    return not any(foreign in url for foreign in FOREIGN)


def succeeded(record: dict[str, Any]) -> bool:
    """Whether the reply is a success."""
    return status(record) < 300


def body_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a reply."""
    found: dict[str, Any] = record["response"]["body"]["json"]
    return found


def sent_in(record: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of the request, {} where it was not recorded."""
    return ((record["request"] or {}).get("body") or {}).get("json") or {}


def check_usage(usage: Any, told: dict[str, Any] | None) -> None:
    """The tokens are what the model read and wrote, pictures included; the buckets sum up; the bill is kept."""
    if not told:
        assert usage is None
        return
    tokens = told["tokens"]
    image = tokens.get("image_tokens") or 0
    assert usage.prompt_tokens == tokens["input_tokens"] + image
    assert usage.completion_tokens == tokens["output_tokens"]
    assert usage.billed_units == told["billed_units"]
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert buckets.get("cached_input", 0) == (told.get("cached_tokens") or 0)
    assert buckets.get("reasoning", 0) == (tokens.get("reasoning_tokens") or 0)
    assert buckets.get("image_input", 0) == image


@pytest.mark.parametrize("record", records("chat", lambda r: succeeded(r) and not is_stream(r)))
def test_replies(client, wire, record):
    """Text, calls, plan, citations, end and usage are those of the body."""
    wire.answer = lambda _: reply_of(record)
    got = client.completion("cohere/command-a-03-2025", SAY)
    told = body_of(record)
    said, message = told["message"], got.choices[0].message
    assert got.id == told["id"]
    assert (message.content or "") == "".join(part["text"] for part in said.get("content") or [])
    assert (message.reasoning_content or "") == said.get("tool_plan", "")
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    assert calls == [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in said.get("tool_calls") or []]
    kept = message.provider_specific_fields or {}
    assert kept.get("citations", []) == said.get("citations", []) == got.extra.get("citations", [])
    assert kept.get("tool_plan", "") == said.get("tool_plan", "")
    assert got.choices[0].finish_reason == ENDS[told["finish_reason"]]
    check_usage(got.usage, told["usage"])
    for citation in said.get("citations") or []:
        assert message.content[citation["start"] : citation["end"]] == citation["text"]


class Story:
    """What the events of a stream tell together."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.text = self.thought = self.plan = ""
        self.calls: dict[int, list[str]] = {}
        self.citations: list[Any] = []
        self.end: dict[str, Any] = {}
        for event in events(record):
            self.read(event, (event.get("delta") or {}).get("message") or {})

    def read(self, event: dict[str, Any], message: dict[str, Any]) -> None:
        """Take an event in."""
        match event["type"]:
            case "content-start" | "content-delta":
                self.text += message["content"].get("text", "")
                self.thought += message["content"].get("thinking", "")
            case "tool-plan-delta":
                self.plan += message["tool_plan"]
            case "tool-call-start":
                call = message["tool_calls"]
                self.calls[event["index"]] = [call["id"], call["function"]["name"], call["function"]["arguments"]]
            case "tool-call-delta":
                self.calls[event["index"]][2] += message["tool_calls"]["function"]["arguments"]
            case "citation-start":
                self.citations.append(message["citations"])
            case "message-end":
                self.end = event["delta"]


def collect(chunks: list[Any]) -> dict[str, Any]:
    """Return what chunks tell together, as a user would put them together."""
    told: dict[str, Any] = {"text": "", "thought": "", "calls": {}, "blocks": [], "end": None, "kept": {}, "cited": 0}
    for chunk in chunks:
        for choice in chunk.choices:
            delta = choice.delta
            told["text"] += delta.content or ""
            told["thought"] += delta.reasoning_content or ""
            told["blocks"] += delta.thinking_blocks or []
            told["cited"] += len(delta.annotations or [])
            told["end"] = choice.finish_reason or told["end"]
            told["kept"] |= delta.provider_specific_fields or {}
            for piece in delta.tool_calls or []:
                call = told["calls"].setdefault(piece.index, [piece.id, piece.function.name, ""])
                call[2] += piece.function.arguments
    return told


def check_story(chunks: list[Any], story: Story) -> None:
    """The chunks tell what the events tell."""
    told = collect(chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert told["text"] == story.text
    assert told["thought"] == story.thought + story.plan
    assert "".join(block["thinking"] for block in told["blocks"]) == story.thought
    assert told["calls"] == {index: [call, name, text or "{}"] for index, (call, name, text) in story.calls.items()}
    assert told["kept"].get("tool_plan", "") == story.plan
    assert told["kept"].get("citations", []) == story.citations
    assert told["cited"] == sum(len(citation["sources"]) for citation in story.citations)
    assert told["end"] == ENDS[story.end["finish_reason"]]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage is not None]
    check_usage(usage, story.end["usage"])


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize("record", records("chat", is_stream))
def test_streams(client, wire, record, seed):
    """Streams tell what their events tell, wherever they are cut; one that ends with an error raises it."""
    wire.answer = lambda _: reply_of(record, cut_at_random(seed) if seed else None)
    story = Story(record)
    if story.end["finish_reason"] == "ERROR":
        with pytest.raises(errors.UnprocessableEntityError, match=story.end["error"]):
            list(client.completion("cohere/command-a-03-2025", SAY, stream=True))
        return
    check_story(list(client.completion("cohere/command-a-03-2025", SAY, stream=True)), story)


def failed(record: dict[str, Any]) -> bool:
    """Whether the reply is an error."""
    return not succeeded(record)


@pytest.mark.parametrize("record", [*records("chat", failed), *records("embedding", failed)])
def test_errors(client, wire, record):
    """An error says what Cohere says, as the class that its status is."""
    wire.answer = lambda _: reply_of(record)
    ask = client.completion if record["endpoint"] == "chat" else client.embedding
    with pytest.raises(KINDS[status(record)]) as caught:
        ask("cohere/command-a-03-2025", SAY if record["endpoint"] == "chat" else "x")
    assert caught.value.message == body_of(record)["message"]


@pytest.mark.parametrize("record", records("embedding", succeeded))
def test_vectors(client, wire, record):
    """The vectors come in order, one an input; the tokens are those that are billed."""
    told = body_of(record)
    vectors = told["embeddings"]["float"]
    inputs = sent_in(record).get("texts") or told["texts"]
    wire.answer = lambda _: httpx.Response(200, json=told)
    got = client.embedding("cohere/embed-v4.0", inputs, input_type="search_document")
    assert [item.embedding for item in got.data] == vectors
    assert [item.index for item in got.data] == list(range(len(inputs)))
    assert got.usage.prompt_tokens == told["meta"]["billed_units"]["input_tokens"]


@pytest.mark.parametrize("record", records("rerank"))
def test_rankings(client, wire, record):
    """The ranking is the body's, the documents are those that were sent."""
    told, sent = body_of(record), sent_in(record)
    wire.answer = lambda _: httpx.Response(200, json=told)
    got = client.rerank("cohere/rerank-v3.5", sent["query"], sent["documents"], return_documents=True)
    ranked = [(result.index, result.relevance_score) for result in got.results]
    assert ranked == [(result["index"], result["relevance_score"]) for result in told["results"]]
    assert [result.document["text"] for result in got.results] == [sent["documents"][i] for i, _ in ranked]
    assert got.usage.search_units == told["meta"]["billed_units"]["search_units"]


@pytest.mark.parametrize("record", records("transcription"))
def test_transcripts(client, wire, record):
    """The text is the body's."""
    wire.answer = lambda _: reply_of(record)
    file = ("ruby.wav", b"RIFF\0\0\0\0WAVE")
    got = client.transcription("cohere/cohere-transcribe-03-2026", file, language="en")
    assert got.text == body_of(record)["text"]


def test_requests_are_those_that_were_answered(ask):
    """What others sent and Cohere answered is what is sent here for the same wishes."""
    compared = 0
    for (record,) in (param.values for param in records("chat", succeeded)):
        sent = sent_in(record)
        if not sent or any(message["role"] in ("tool", "assistant") for message in sent["messages"]):
            continue
        if "response_format" in sent or "thinking" in sent:
            continue  # written in OpenAI's words by the user
        wishes = {name: value for name, value in sent.items() if name not in ("messages", "model", "stream")}
        wishes["tool_choice"] = sent.get("tool_choice", "AUTO").lower()
        body, _ = ask(sent["messages"], model=sent["model"], **wishes)
        assert flat(body) == flat(sent)
        compared += 1
    assert compared > 20


def flat(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what says the same in other words: text as one part, stream=false."""
    messages = [{**message, "content": as_parts(message["content"])} for message in body["messages"]]
    return {name: value for name, value in body.items() if name != "stream"} | {"messages": messages}


def as_parts(content: Any) -> Any:
    """Return content as parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
