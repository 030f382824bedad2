"""The Messages bridge held against recorded traffic of Anthropic's: requests that came, streams that went."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from sdk_types import check

from polyport import BadRequestError
from polyport.bridges.messages import to_chat
from polyport.bridges.messages_events import MessageEvents
from polyport.building import build
from polyport.types.chat import ChatCompletionChunk
from polyport.types.messages import MessagesRequest
from polyport.types.record import Options

LENIENT = Options(drop_params=True)
BECOMES = {
    "system": ("messages",),
    "stop_sequences": ("stop",),
    "tools": ("tools", "web_search_options"),
    "output_format": ("response_format",),
    "output_config": ("reasoning_effort", "response_format"),
    "metadata": ("user",),
}
#: What the SDK's type of a chat request lacks, and providers other than OpenAI take.
BEYOND_SDK = (
    "reasoning_content", "thinking_blocks", "file_url", "cache_control", "is_error", "top_k", ".title", ".citations",
    ".content: expected str, got [",
)  # fmt: skip
TEXTS = ("text", "name", "id", "tool_use_id", "data", "url", "thinking", "signature", "tool_name", "title", "file_id")


#: Types whose loss is recorded by their own name, also inside a tool's result.
RECORDED_TYPES = ("image", "document", "search_result", "tool_reference")


def requests(recorded):
    """The recorded request bodies that a provider would take."""
    for record in recorded("anthropic", "messages"):
        body = ((record["request"] or {}).get("body") or {}).get("json")
        if isinstance(body, dict) and all(isinstance(message, dict) for message in body["messages"]):
            yield body


def bridged(body):
    """Return the outer request, and the chat request it becomes."""
    request = build(MessagesRequest, {k: v for k, v in body.items() if k != "model"}, LENIENT)
    request.model = "m"
    return request, to_chat(request)


def test_no_recorded_parameter_gets_lost(recorded):
    """Each top-level parameter arrives in the chat request or is recorded as adapted."""
    seen = 0
    for body in requests(recorded):
        request, inner = bridged(body)
        noted = {adaptation.parameter.split(".")[0] for adaptation in request.adaptations}
        for name, value in body.items():
            if name == "model" or value in (None, [], False) or name in noted:
                continue
            arrived = any(getattr(inner, known, None) is not None for known in (*BECOMES.get(name, ()), name))
            moot = name == "tool_choice" and value == {"type": "auto"}
            assert arrived or moot or inner.extra.get(name) is not None, (name, body)
        seen += 1
    assert seen > 400


def test_no_recorded_block_gets_lost(recorded):
    """Each string of a block stands in the messages, or its type is recorded."""
    for body in requests(recorded):
        request, inner = bridged(body)
        said = msgspec.json.encode(inner.messages).decode().replace("\\\\", "\\")
        noted = " ".join(adaptation.parameter for adaptation in request.adaptations)
        for message in [{"content": body.get("system") or ""}, *body["messages"]]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                for kind, value in strings(block):
                    found = msgspec.json.encode(value).decode()[1:-1].replace("\\\\", "\\") in said
                    assert found or f"messages.{kind}" in noted, (block, value)


def strings(block, kind=None):
    """The strings of a block and of what lies in it, each with the type of its block; citations are recorded."""
    if kind is None or (kind == "tool_result" and block["type"] in RECORDED_TYPES):
        kind = block["type"]
    for key in TEXTS:
        if block.get(key) and isinstance(block[key], str):
            yield kind, block[key]
    for key in ("content", "source"):
        inner = block.get(key)
        if isinstance(inner, str):
            yield kind, inner
        for one in [inner] if isinstance(inner, dict) else inner if isinstance(inner, list) else ():
            yield from strings(one, kind)


def test_cache_marks_are_kept(recorded):
    """As many marks go into the chat as came, but for those on blocks that are recorded as dropped."""
    marked = 0
    for body in requests(recorded):
        request, inner = bridged(body)
        noted = {adaptation.parameter for adaptation in request.adaptations}
        if not any(name.startswith(("messages.", "tools.", "cache_control")) for name in noted):
            plain = [msgspec.json.encode(value) for value in (body, inner.messages, inner.tools)]
            came, *went = (text.count(b'"cache_control":{') for text in plain)
            assert came == sum(went), body
            marked += came
    assert marked > 50


def test_recorded_requests_become_requests_of_openais_chat(recorded):
    """What the bridge asks is what the SDK's own type of a chat request takes, and what others take beyond it."""
    for body in requests(recorded):
        _, inner = bridged(body)
        kind = CompletionCreateParamsStreaming if inner.stream else CompletionCreateParamsNonStreaming
        errors = check(kind, {"model": "m", **inner.given()})
        assert not [error for error in errors if not any(known in error for known in BEYOND_SDK)], body


def test_messages_that_are_none_are_named(recorded):
    """The one recorded request with text for a message is an error that says where."""
    with pytest.raises(BadRequestError, match=r"\$\.messages"):
        bridged({"messages": ["Invalid content"], "max_tokens": 1})


START = ("content_block_start", "text")
PLAIN = ("text", "thinking", "redacted_thinking", "tool_use")


def test_recorded_streams_have_the_order_that_the_bridge_makes(recorded):
    """A chat that says the same in the same pieces comes out as the same events, in the same order."""
    seen = 0
    for record in recorded("anthropic", "messages"):
        text = (record["response"]["body"] or {}).get("sse") or ""
        events = [msgspec.json.decode(line[5:]) for line in text.splitlines() if line.startswith("data:")]
        events = [event for event in events if event["type"] != "ping" and not says_nothing(event)]
        blocks = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        if not events or events[-1]["type"] != "message_stop" or not set(blocks) <= set(PLAIN):
            continue
        steps = [(event["type"], event.get("content_block", {}).get("type")) for event in events]
        if ("text", "text") in pairwise(blocks) or (START, ("content_block_stop", None)) in pairwise(steps):
            continue  # a chat says two texts in a row as one, and an empty one not at all
        if any(e.get("delta", {}).get("type") == "citations_delta" for e in events):
            continue
        maker = MessageEvents(build(MessagesRequest, {"messages": []}, LENIENT))
        made = [event for chunk in chunks_of(events) for event in maker.feed(chunk)] + maker.close()
        assert [shape(event) for event in made] == [shape(event) for event in events]
        seen += 1
    assert seen > 80


def says_nothing(event):
    """Whether an event is a delta of an empty text; a chat leaves such chunks out."""
    delta = event.get("delta", {})
    return "" in (delta.get("partial_json"), delta.get("text"), delta.get("thinking"))


def shape(event):
    """What must be equal of two events."""
    delta = event.get("delta", {})
    said = {
        k: v for k, v in delta.items() if k in ("type", "text", "thinking", "signature", "partial_json", "stop_reason")
    }
    return event["type"], event.get("index"), event.get("content_block", {}).get("type"), said


def chunks_of(events):
    """The chat's chunks that say what the events say."""
    calls, block = -1, {}
    finishes = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}
    for event in events:
        delta = event.get("delta", {})
        if event["type"] == "content_block_start":
            block = {**event["content_block"]}
            if block["type"] == "tool_use":
                calls += 1
                function = {"name": block["name"], "arguments": ""}
                yield chunk({"tool_calls": [{"index": calls, "id": block["id"], "function": function}]})
            if block["type"] == "redacted_thinking":
                yield chunk({"thinking_blocks": [block]})
        elif delta.get("type") == "text_delta":
            yield chunk({"content": delta["text"]})
        elif delta.get("type") == "thinking_delta":
            block["thinking"] += delta["thinking"]
            yield chunk({"reasoning_content": delta["thinking"]})
        elif delta.get("type") == "signature_delta":
            yield chunk({"thinking_blocks": [{**block, "signature": delta["signature"]}]})
        elif delta.get("type") == "input_json_delta":
            yield chunk({"tool_calls": [{"index": calls, "function": {"arguments": delta["partial_json"]}}]})
        elif delta.get("stop_reason"):
            sequence = delta.get("stop_sequence")
            more = {"provider_specific_fields": {"stop_sequence": sequence}} if sequence else {}
            yield chunk(more, finishes.get(delta["stop_reason"], "stop"))


def chunk(delta, finish=None):
    """A chunk with one delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return msgspec.convert({"id": "x", "choices": [choice]}, ChatCompletionChunk)
