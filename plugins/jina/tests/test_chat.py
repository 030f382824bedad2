"""Reading pictures by chat: OpenAI's wire, without what Jina's model does not do."""

from __future__ import annotations

import json

import httpx
import pytest
from wires import Wire

from polyport import Client, errors
from polyport_jina.conformance import READ, REPLY, STREAM

MODEL = "jina_ai/jina-ocr-v1"


def test_a_picture_is_read(client: Client, wire: Wire) -> None:
    """Pictures go as they are; the limit has its newer name here."""
    wire.answer = lambda _: httpx.Response(200, json=REPLY)
    got = client.completion(MODEL, READ, max_tokens=100, temperature=0)
    assert str(wire.last.url) == "https://api.jina.ai/v1/chat/completions"
    assert json.loads(wire.last.content) == {
        "model": "jina-ocr-v1",
        "messages": READ,
        "max_completion_tokens": 100,
        "temperature": 0,
    }
    assert got.text == "# Bill, ünïcode"
    assert got.usage.total_tokens == 14
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("max_tokens", "renamed")]


def test_streamed(client: Client, wire: Wire) -> None:
    """The pieces make the same text."""
    wire.answer = lambda _: httpx.Response(200, content=STREAM)
    chunks = list(client.completion(MODEL, READ, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "# Bill, ünïcode"
    assert json.loads(wire.last.content)["stream"] is True


def test_tools_are_refused(client: Client, wire: Wire) -> None:
    """The model reads pictures, and calls nothing."""
    tool = {"type": "function", "function": {"name": "now"}}
    with pytest.raises(errors.UnsupportedParamsError, match="tools"):
        client.completion(MODEL, READ, tools=[tool])
    wire.answer = lambda _: httpx.Response(200, json=REPLY)
    client.completion(MODEL, READ, tools=[tool], drop_params=True)
    assert "tools" not in json.loads(wire.last.content)


def test_openais_errors_are_known(client: Client, wire: Wire) -> None:
    """Chat answers in OpenAI's envelope."""
    error = {"message": "This model's maximum context length is 8192 tokens", "type": "invalid_request_error"}
    wire.answer = lambda _: httpx.Response(400, json={"error": error})
    with pytest.raises(errors.ContextWindowExceededError):
        client.completion(MODEL, READ)
