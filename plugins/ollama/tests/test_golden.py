"""The exact request of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

import base64
import json
from itertools import islice
from pathlib import Path

import httpx
import pytest
from matrix import PNG, cases, check_golden, made, products

from polyport import errors
from polyport_ollama.conformance import ANSWER, ANSWER_STREAM
from polyport_ollama.quirks import OPTIONS

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())


def answer(request: httpx.Request) -> httpx.Response:
    """Be Ollama, and whoever has the image."""
    if request.url.host != "127.0.0.1":
        return httpx.Response(200, content=base64.b64decode(PNG.partition(",")[2]))
    return httpx.Response(200, content=ANSWER_STREAM if json.loads(request.content)["stream"] else ANSWER)


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(wire, client, name):
    """A conversation becomes the body in its file, and what had to be changed is recorded there too."""
    wire.answer = answer
    got = client.completion("ollama/qwen3", **CASES[name], drop_params=True)
    list(got) if CASES[name].get("stream") else got
    check_golden(GOLDEN / f"{name}.json", made(wire.last, got))


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)


def test_bodies_fit_the_official_types(wire, client):
    """Every history with all tools and parameters is a body that Ollama's SDK reads whole: nothing is unknown to it.

    The SDK (0.6.3, 2026-11-23) lacks the ids of calls and `index`, which Ollama's documentation has; it reads schemas
    of parameters less closely than its server.
    """
    sdk = pytest.importorskip("ollama._types")
    known = {
        "body": set(sdk.ChatRequest.model_fields),
        "message": set(sdk.Message.model_fields) | {"tool_call_id"},
        "call": {"function", "id"},
        "function": {"name", "arguments", "index"},
        "tool": {"name", "description", "parameters"},
    }
    wire.answer = answer
    number = 0
    for name, fields in islice(products(), 0, None, 3):
        try:
            got = client.completion("ollama/qwen3", **fields, drop_params=True)
            list(got) if fields.get("stream") else got
        except errors.UnsupportedParamsError as error:
            pytest.fail(f"{name}: {error}")
        body = json.loads(wire.last.content)
        sdk.ChatRequest.model_validate(body)
        assert body.keys() <= known["body"], name
        assert body.get("options", {}).keys() <= set(sdk.Options.model_fields) <= OPTIONS, name
        sdk.Options.model_validate(body.get("options", {}))
        for message in body["messages"]:
            assert message.keys() <= known["message"], name
            assert isinstance(message["content"], str), name
            for call in message.get("tool_calls", []):
                assert call.keys() <= known["call"], name
                assert call["function"].keys() <= known["function"], name
        assert all(tool["function"].keys() <= known["tool"] for tool in body.get("tools", [])), name
        number += 1
    assert number > 1400
