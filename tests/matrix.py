"""The conversations, tools and parameters that every chat provider's tests go through, in OpenAI's words.

    for name, fields in cases(): client.completion("provider/model", **fields)

`HISTORIES` are messages, `TOOLS` what the model may call, `PARAMETERS` everything else. `cases` gives each of them
alone; `products` all of them with all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

#: A PNG of one pixel, a PDF's and a WAV's first bytes.
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
#: What a server gives for this address is for the test to say.
PDF_URL = "https://files.example/report%20one.pdf"
IMAGE_URL = "https://images.example/cat.png"

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather in a town.",
        "parameters": {
            "type": "object",
            "properties": {
                "town": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["town"],
        },
    },
}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}


class Recipe(msgspec.Struct):
    """A structure to answer in, with one that may be missing and a list of others."""

    title: str
    minutes: int
    steps: list[str]
    note: str | None = None


def say(text: str) -> dict[str, Any]:
    """Return a message of the user's."""
    return {"role": "user", "content": text}


def show(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a message of the user's with parts."""
    return [{"role": "user", "content": list(parts)}]


def text(words: str, **more: Any) -> dict[str, Any]:
    """Return a text part."""
    return {"type": "text", "text": words, **more}


def image(url: str, **more: Any) -> dict[str, Any]:
    """Return an image part."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Return a tool call of the assistant's."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def called(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    """Return an assistant's message that calls tools."""
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(id: str, content: Any) -> dict[str, Any]:
    """Return a tool's message."""
    return {"role": "tool", "tool_call_id": id, "content": content}


ASKED = [say("How is the weather in Bath?"), called(call("call_1", "get_weather", town="Bath"))]

HISTORIES: dict[str, list[dict[str, Any]]] = {
    "text": [say("Hello")],
    "system": [{"role": "system", "content": "Be brief."}, say("Hello")],
    "developer": [{"role": "developer", "content": "Be brief."}, say("Hello")],
    "turns": [say("Hello"), {"role": "assistant", "content": "Hi."}, say("And in French?")],
    "two_systems": [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": [text("Be kind.")]},
        say("Hello"),
    ],
    "same_role_twice": [say("One"), say("Two")],
    "names": [{"role": "user", "name": "ada", "content": "Hello"}],
    "parts": show(text("Hello"), text("again")),
    "unicode": [say("Grüße, 世界 🌍 \u2028")],
    "image_url": show(text("What is it?"), image(IMAGE_URL, detail="low")),
    "image_url_bare": show({"type": "image_url", "image_url": IMAGE_URL}),
    "image_data": show(text("Compare"), image(PNG), image(PNG, detail="high")),
    "pdf_data": show(text("Sum up"), {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
    "pdf_unnamed": show({"type": "file", "file": {"file_data": PDF}}, text("Sum up")),
    "pdf_id": show(text("Sum up"), {"type": "file", "file": {"file_id": "file-1"}}),
    "pdf_url": show(text("Sum up"), {"type": "file", "file": {"file_url": PDF_URL}}),
    "audio": show(text("Listen"), {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}),
    "tool_result": [*ASKED, result("call_1", "Rain"), say("Thanks")],
    "tool_result_parts": [*ASKED, result("call_1", [text("Rain, "), text("then sun")])],
    "tool_result_image": [*ASKED, result("call_1", [text("A map:"), image(PNG)]), say("Where is the rain?")],
    "tool_result_image_only": [*ASKED, result("call_1", [image(PNG)])],
    "tool_error": [*ASKED, {**result("call_1", "No such town"), "is_error": True}],
    "parallel_calls": [
        say("Bath and York, and the time?"),
        called(
            call("call_1", "get_weather", town="Bath"),
            call("call_2", "get_weather", town="York"),
            call("call_3", "now"),
            content="I look.",
        ),
        result("call_1", "Rain"),
        result("call_2", "Sun"),
        result("call_3", "12:00"),
    ],
    "calls_in_turns": [
        *ASKED,
        result("call_1", "Rain"),
        called(call("call_2", "now")),
        result("call_2", "12:00"),
        {"role": "assistant", "content": "Rain, at noon."},
        say("Thanks"),
    ],
    "cached": [
        {"role": "system", "content": [text("A long text.", cache_control={"type": "ephemeral"})]},
        {"role": "user", "content": "Hello", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "thought": [
        say("17 * 23?"),
        {
            "role": "assistant",
            "content": "391",
            "reasoning_content": "17 * 20 + 17 * 3",
            "thinking_blocks": [{"type": "thinking", "thinking": "17 * 20 + 17 * 3", "signature": "c2ln"}],
        },
        say("Sure?"),
    ],
    "thought_then_called": [
        say("How is the weather in Bath?"),
        {
            **called(call("call_1", "get_weather", town="Bath")),
            "thinking_blocks": [
                {"type": "thinking", "thinking": "I look it up.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
            ],
        },
        result("call_1", "Rain"),
    ],
    "refused": [say("Hello"), {"role": "assistant", "content": None, "refusal": "No."}, say("Why?")],
    "prefilled": [say("A JSON object, please"), {"role": "assistant", "content": "{"}],
}

TOOLS: dict[str, dict[str, Any]] = {
    "one": {"tools": [WEATHER]},
    "two_required": {"tools": [WEATHER, NOW], "tool_choice": "required"},
    "none_now": {"tools": [WEATHER], "tool_choice": "none"},
    "forced": {"tools": [WEATHER, NOW], "tool_choice": {"type": "function", "function": {"name": "now"}}},
    "one_by_one": {"tools": [WEATHER], "tool_choice": "auto", "parallel_tool_calls": False},
    "strict": {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "strict": True,
                    "parameters": {
                        "type": "object",
                        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                        "required": ["a", "b"],
                        "additionalProperties": False,
                    },
                },
            }
        ]
    },
    "cached_tool": {"tools": [{**WEATHER, "cache_control": {"type": "ephemeral"}}]},
}

PARAMETERS: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 0.2, "top_p": 0.9, "seed": 7},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"50256": -100}},
    "limit": {"max_tokens": 50},
    "completion_limit": {"max_completion_tokens": 50},
    "stop_one": {"stop": "END"},
    "stop_many": {"stop": ["END", "\n\n"]},
    "several": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "user": {"user": "u-1", "safety_identifier": "hash", "prompt_cache_key": "app"},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "town",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            },
        }
    },
    "struct": {"response_format": Recipe},
    "effort": {"reasoning_effort": "low"},
    "spoken": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "predicted": {"prediction": {"type": "content", "content": "Hello, world"}},
    "search": {"web_search_options": {"search_context_size": "low"}},
    "tier": {"service_tier": "flex", "store": True, "metadata": {"job": "1"}, "verbosity": "low"},
    "stream": {"stream": True},
    "stream_usage": {"stream": True, "stream_options": {"include_usage": True}},
}


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give (name, arguments) of each history, and of each set of tools and parameters after "Hello"."""
    for name, messages in HISTORIES.items():
        yield f"history_{name}", {"messages": messages}
    for name, tools in TOOLS.items():
        yield f"tools_{name}", {"messages": HISTORIES["text"], **tools}
    for name, parameters in PARAMETERS.items():
        yield f"parameters_{name}", {"messages": HISTORIES["text"], **parameters}


def products() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give (name, arguments) of every history with every set of tools (or none) and every set of parameters."""
    histories, tools, parameters = HISTORIES.items(), {"": {}, **TOOLS}.items(), {"": {}, **PARAMETERS}.items()
    for (history, messages), (tool, with_tools), (name, given) in product(histories, tools, parameters):
        yield f"{history} {tool} {name}", {"messages": messages, **with_tools, **given}


def check_golden(path: Path, made: Any) -> None:
    """Hold `made` against the JSON file at `path`; `POLYPORT_GOLDEN=write` writes it anew, to be read."""
    if os.environ.get("POLYPORT_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    assert path.is_file(), f"{path} is missing: run with POLYPORT_GOLDEN=write, and read what it wrote"
    assert made == json.loads(path.read_text())


def made(request: Any, got: Any) -> dict[str, Any]:
    """Return what a golden file holds: where the request went, its body, and what had to be changed to send it."""
    return {
        "url": str(request.url),
        "body": json.loads(request.content),
        "adaptations": [f"{a.parameter} {a.action}: {a.why}" for a in got.meta.adaptations],
    }
