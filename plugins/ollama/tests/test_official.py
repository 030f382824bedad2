"""The bodies that go out are those that Ollama's own client sends for the same: what it cannot say is named."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import httpx
import pytest
from matrix import PNG, cases

from polyport_ollama.conformance import ANSWER, ANSWER_STREAM, TEXT, VECTORS

sdk = pytest.importorskip("ollama")
CASES = dict(cases())


def answer(request: httpx.Request) -> httpx.Response:
    """Be Ollama, and whoever has the image."""
    if request.url.host not in ("127.0.0.1", "box"):
        return httpx.Response(200, content=base64.b64decode(PNG.partition(",")[2]))
    if request.url.path == "/api/embed":
        return httpx.Response(200, content=VECTORS)
    if request.url.path == "/api/generate":
        return httpx.Response(200, content=TEXT)
    return httpx.Response(200, content=ANSWER_STREAM if json.loads(request.content)["stream"] else ANSWER)


@pytest.fixture
def theirs(wire):
    """Ollama's own client, at the end of the same wire."""
    return sdk.Client(host="http://box:11434", transport=httpx.MockTransport(wire))


def sayable(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what the client (0.6.3) has no field for: ids of calls, no text, keywords of schemas."""
    body = copy.deepcopy(body)
    for message in body["messages"]:
        message.pop("tool_call_id", None)
        if not message["content"]:
            del message["content"]
        for call in message.get("tool_calls", []):
            call.pop("id", None)
            call["function"].pop("index", None)
    for tool in body.get("tools", []):
        tool["function"]["parameters"].pop("additionalProperties", None)
    return body


@pytest.mark.parametrize("name", CASES)
def test_chats(wire, client, theirs, name):
    """Every conversation of the shared matrix."""
    wire.answer = answer
    got = client.completion("ollama/qwen3", **CASES[name], drop_params=True)
    list(got) if CASES[name].get("stream") else got
    sent = json.loads(wire.last.content)
    again = theirs.chat(**copy.deepcopy(sent))
    list(again) if sent["stream"] else again
    assert wire.last.url.path == "/api/chat"
    assert without_none(json.loads(wire.last.content)) == sayable(sent)


def without_none(body: dict[str, Any]) -> dict[str, Any]:
    """Return the client's body without the lists and options that it sends empty."""
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def test_texts_and_vectors(wire, client, theirs):
    """The two other endpoints."""
    wire.answer = answer
    client.text_completion("def f(", "ollama/codellama", suffix="x", temperature=0.1, raw=True, logprobs=2)
    sent = json.loads(wire.last.content)
    theirs.generate(**copy.deepcopy(sent))
    assert without_none(json.loads(wire.last.content)) == sent
    client.embedding("ollama/all-minilm", ["a", "b"], dimensions=3, truncate=False, keep_alive="5m", num_ctx=512)
    sent = json.loads(wire.last.content)
    theirs.embed(**copy.deepcopy(sent))
    assert json.loads(wire.last.content) == sent
