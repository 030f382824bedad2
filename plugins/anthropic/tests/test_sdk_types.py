"""Every body that goes to Anthropic is one that the official SDK's own types, read strictly, allow.

The SDK describes the API version of 2026-10-21. Sampling parameters, which only the older version has, are not in
its types (2.12.0, read 2026-11-22), so they are taken out of bodies for models that have them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from matrix import HISTORIES, PARAMETERS, TOOLS, WEATHER, products, say
from sdk_types import check

from polyport.building import build
from polyport.types.batch import BatchRequest
from polyport.types.chat import ChatRequest
from polyport.types.messages import MessagesRequest
from polyport.types.record import Options
from polyport_anthropic import to_messages
from polyport_anthropic.batch import to_batch_body
from polyport_anthropic.chat import SAMPLING
from polyport_anthropic.native import to_count, to_native

types = pytest.importorskip("anthropic.types")
params = pytest.importorskip("anthropic.types.message_create_params")
batches = pytest.importorskip("anthropic.types.messages.batch_create_params")

DROP = Options(drop_params=True)


def wrong(body: dict[str, Any]) -> list[str]:
    """Return what the SDK's types have against a body."""
    streaming, whole = params.MessageCreateParamsStreaming, params.MessageCreateParamsNonStreaming
    kind = streaming if body.get("stream") else whole
    return check(kind, {name: value for name, value in body.items() if name not in SAMPLING})


class Judge:
    """Checks bodies, but none whose fields all stood in right bodies before: a TypedDict's fields are independent."""

    def __init__(self) -> None:
        self.known: set[tuple[str, bytes]] = set()

    def wrong(self, body: dict[str, Any]) -> list[str]:
        """Return what the SDK's types have against a body."""
        fields = {(name, msgspec.json.encode(value)) for name, value in body.items()}
        if {"model", "max_tokens", "messages"} <= body.keys() and fields <= self.known:
            return []
        found = wrong(body)
        if not found:
            self.known |= fields
        return found


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-4-5", "claude-sonnet-4-0"])
def test_chat_bodies(model):
    """Every history with every set of tools and parameters, for models of three generations."""
    number, judge = 0, Judge()
    for name, fields in products():
        request = build(ChatRequest, dict(fields), DROP)
        request.model = model
        assert judge.wrong(to_messages(request)) == [], name
        number += 1
    assert number > 4000


NATIVE: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}]},
        {"role": "user", "content": "y"},
    ],
    "system": [{"type": "text", "text": "s"}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "low"},
    "stop_sequences": ["a"],
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "container": "c",
    "betas": ["b"],
}


def test_native_bodies():
    """messages() adds the limit and nothing else; a count leaves out what does not weigh."""
    request = build(MessagesRequest, dict(NATIVE), DROP)
    request.model = "claude-opus-5-5"
    assert wrong(to_native(request)) == []
    assert check(types.MessageCountTokensParams, to_count(request)) == []


def test_batch_bodies():
    """Each line becomes a request of its own, native ones too."""
    bodies = [
        {"messages": HISTORIES["parallel_calls"], **TOOLS["one"], **PARAMETERS["json_schema"]},
        {"messages": [say("x")], "stream": True, "stream_options": {"include_usage": True}, "tools": [WEATHER]},
    ]
    lines = [
        {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", **body}}
        for number, body in enumerate(bodies)
    ]
    native = {"custom_id": "n", "url": "/v1/messages", "body": {"model": "m", "max_tokens": 5, "messages": [say("x")]}}
    content = b"\n".join(msgspec.json.encode(line) for line in [*lines, native])
    request = build(BatchRequest, {"input_file_id": "f"}, DROP)
    assert check(batches.BatchCreateParams, to_batch_body(content, request, "anthropic")) == []
