"""The Responses bridge held against recorded traffic of OpenAI's: requests that came, streams that went."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from sdk_types import check

from polyport import UnsupportedParamsError
from polyport.bridges.responses import STATE, to_chat
from polyport.bridges.responses_events import ResponseEvents
from polyport.bridges.responses_tools import Toolset
from polyport.building import build
from polyport.types.chat import ChatCompletionChunk
from polyport.types.record import Options
from polyport.types.responses import ResponsesRequest

EVENT = TypeAdapter(ResponseStreamEvent)
LENIENT = Options(drop_params=True)
#: Values that ask for what happens anyway.
MOOT: dict[str, Any] = {
    "store": False,
    "background": False,
    "truncation": "disabled",
    "include": [],
    "stream": False,
    "tools": [],
}
#: Parameter -> the chat's parameters, one of which must then be there.
BECOMES = {
    "input": ("messages",),
    "instructions": ("messages",),
    "include": ("logprobs",),
    "max_output_tokens": ("max_tokens",),
    "reasoning": ("reasoning_effort",),
    "text": ("response_format", "verbosity"),
    "tools": ("tools", "web_search_options"),
}
#: Chat's request as the SDK types it lacks what other providers take, and what those providers' histories need.
BEYOND_SDK = ("reasoning_content", "thinking_blocks", "file_url", ".detail: ", ".content: expected str, got [")
#: Items that refer to what OpenAI keeps.
KEPT_ITEMS = frozenset({"compaction", "item_reference"})


def requests(recorded):
    """The recorded request bodies."""
    for record in recorded("openai", "responses"):
        body = ((record["request"] or {}).get("body") or {}).get("json")
        if isinstance(body, dict):
            yield body


def bridged(body, options=LENIENT):
    """Return the outer request, and the chat request it becomes."""
    request = build(ResponsesRequest, {k: v for k, v in body.items() if k != "model"}, options)
    request.model = "m"
    return request, to_chat(request, Toolset(request))


def types_of(body):
    """The types of the input's items."""
    items = body["input"] if isinstance(body.get("input"), list) else []
    return [item.get("type", "message") for item in items]


def lost(name, value, request, inner):
    """Whether a parameter neither arrived, nor was recorded, nor asks for what happens anyway."""
    if value is None or MOOT.get(name) == value or inner.extra.get(name) is not None:
        return False
    if any(adaptation.parameter.split(".")[0] == name for adaptation in request.adaptations):
        return False
    if any(getattr(inner, known, None) is not None for known in (*BECOMES.get(name, ()), name)):
        return False
    return not PASSED_OVER.get(name, lambda value, request: False)(value, request)


#: What leaves no trace and needs none: it is answered by the response itself, or says the default.
PASSED_OVER = {
    "include": lambda value, request: set(value) <= {"reasoning.encrypted_content"},
    "metadata": lambda value, request: True,
    "text": lambda value, request: value.get("format") == {"type": "text"},
    "reasoning": lambda value, request: value.get("context") == "auto",
    "tool_choice": lambda value, request: (
        value == "auto" and not any(tool["type"] == "function" for tool in request.tools or [])
    ),
    "parallel_tool_calls": lambda value, request: not request.tools,
}


def test_no_recorded_parameter_gets_lost(recorded):
    """Each top-level parameter arrives in the chat request, is recorded as adapted, or raises."""
    seen = 0
    for body in requests(recorded):
        if any(body.get(name) for name in STATE):
            with pytest.raises(UnsupportedParamsError):
                bridged(body)
            continue
        if any(item in KEPT_ITEMS for item in types_of(body)):
            with pytest.raises(UnsupportedParamsError, match=r"\$\.input"):
                bridged(body)
            continue
        request, inner = bridged(body)
        missing = [name for name, value in body.items() if name != "model" and lost(name, value, request, inner)]
        assert not missing, (missing, body)
        seen += 1
    assert seen > 400


def test_no_recorded_item_gets_lost(recorded):
    """Each text, argument, output, image and file of the input stands in the messages, or its type is recorded."""
    for body in requests(recorded):
        items = body.get("input")
        if any(body.get(name) for name in STATE) or not KEPT_ITEMS.isdisjoint(types_of(body)):
            continue
        request, inner = bridged(body)
        said = msgspec.json.encode(inner.messages).decode()
        recorded_as = " ".join(adaptation.parameter for adaptation in request.adaptations)
        for item in items if isinstance(items, list) else [{"content": items}]:
            for kind, value in values_of(item):
                assert msgspec.json.encode(value).decode()[1:-1] in said or kind in recorded_as, (kind, value)


def values_of(item):
    """The strings of an item that a model would read, each with what its loss would be recorded as."""
    kind = item.get("type") or "message"
    for key in ("text", "arguments", "call_id", "name", "image_url", "file_data", "file_url", "file_id", "filename"):
        if isinstance(item.get(key), str) and kind not in ("tool_search_call", "tool_search_output"):
            yield kind, item[key]
    for key in ("content", "output", "summary"):
        value = item.get(key)
        if isinstance(value, str):
            yield kind, value
        for part in value if isinstance(value, list) else ():
            yield from values_of(part)
    if item.get("encrypted_content"):
        yield "encrypted_content", item["encrypted_content"]


def test_recorded_requests_become_requests_of_openais_chat(recorded):
    """What the bridge asks is what the SDK's own type of a chat request takes."""
    for body in requests(recorded):
        if any(body.get(name) for name in STATE) or not KEPT_ITEMS.isdisjoint(types_of(body)):
            continue
        _, inner = bridged(body)
        kind = CompletionCreateParamsStreaming if inner.stream else CompletionCreateParamsNonStreaming
        errors = check(kind, {"model": "m", **inner.given()})
        assert not [error for error in errors if not any(known in error for known in BEYOND_SDK)], body


def test_recorded_streams_have_the_order_that_the_bridge_makes(recorded):
    """A chat that says the same in the same pieces comes out as the same events, in the same order."""
    seen = 0
    for record in recorded("openai", "responses"):
        events = events_of((record["response"]["body"] or {}).get("sse") or "")
        last = events[-1] if events else {}
        if last.get("type") not in ("response.completed", "response.incomplete"):
            continue
        output = last["response"]["output"]
        kinds = [item["type"] for item in output]
        if not {*kinds} <= {"reasoning", "message", "function_call"} or ("message", "message") in pairwise(kinds):
            continue  # a chat has no such items, or says both messages as one
        events = [event for event in events if event["type"] not in ("response.queued", "keepalive")]
        made = replay(events)
        assert [event["type"] for event in made] == [event["type"] for event in events]
        for ours, theirs in zip(made, events, strict=True):
            EVENT.validate_python(dict(ours))
            assert theirs.keys() - {"obfuscation"} <= ours.keys()
        assert same(made[-1]["response"]) == same(last["response"])
        seen += 1
    assert seen > 100


def events_of(text):
    """The events of a recorded stream."""
    lines = (line[5:] for line in text.splitlines() if line.startswith("data:") and "[DONE]" not in line)
    return [event for line in lines if isinstance(event := msgspec.json.decode(line), dict)]


def replay(events):
    """Stream to the bridge what the events say, as a chat says it."""
    request = build(ResponsesRequest, {"input": "x"}, LENIENT)
    maker = ResponseEvents(request, Toolset(request))
    made = []
    for delta, more in deltas_of(events):
        chunk = {"id": "x", "choices": [{"index": 0, "delta": delta, **more}]}
        made += maker.feed(msgspec.convert(chunk, ChatCompletionChunk))
    usage = events[-1]["response"]["usage"]
    counted = {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage["input_tokens_details"]["cached_tokens"]},
        "completion_tokens_details": usage["output_tokens_details"],
    }
    made += maker.feed(msgspec.convert({"choices": [], "usage": counted}, ChatCompletionChunk))
    return made + maker.close()


def deltas_of(events):
    """The chat deltas (and what else stands in their choice) that say what the events say."""
    calls = -1
    for event in events:
        kind = event["type"]
        item = event.get("item") or {}
        if kind == "response.output_item.done" and item["type"] == "reasoning" and not item["summary"]:
            yield {"thinking_blocks": [{"type": "sealed", "data": item.get("encrypted_content")}]}, {}
        elif kind == "response.output_item.added" and item["type"] == "function_call":
            calls += 1
            yield {"tool_calls": [{"index": calls, "id": item["call_id"], "function": {"name": item["name"]}}]}, {}
        elif kind == "response.function_call_arguments.delta":
            yield {"tool_calls": [{"index": calls, "function": {"arguments": event["delta"]}}]}, {}
        elif kind == "response.output_text.delta":
            logprobs = {"content": event["logprobs"]} if event.get("logprobs") else None
            yield {"content": event["delta"]}, {"logprobs": logprobs}
        elif kind == "response.refusal.delta":
            yield {"refusal": event["delta"]}, {}
        elif kind == "response.output_item.done" and item["type"] == "message":
            yield {"provider_specific_fields": None}, {}
        elif kind == "response.incomplete":
            reason = event["response"]["incomplete_details"]["reason"]
            yield {}, {"finish_reason": {"max_output_tokens": "length"}.get(reason, reason)}


def same(response):
    """What must be equal of a response: what was said, how it ended, what it used."""
    usage = response["usage"]
    texts = [part.get("text", part.get("refusal")) for i in response["output"] for part in i.get("content") or []]
    calls = [(i["call_id"], i["name"], i["arguments"]) for i in response["output"] if i["type"] == "function_call"]
    return (
        response["status"],
        response["incomplete_details"],
        texts,
        calls,
        usage["input_tokens"],
        usage["output_tokens"],
    )
