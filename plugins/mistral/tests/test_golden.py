"""The exact request of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from matrix import cases, check_golden, made

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())
ANSWER = {"model": "m", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(request: httpx.Request) -> httpx.Response:
    """Be Mistral."""
    streams = json.loads(request.content).get("stream")
    return httpx.Response(200, content=CHUNK) if streams else httpx.Response(200, json=ANSWER)


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(wire, client, name):
    """A conversation becomes the body in its file, and what had to be changed is recorded there too."""
    wire.answer = answer
    got = client.completion("mistral/mistral-small-latest", **CASES[name], drop_params=True)
    list(got) if CASES[name].get("stream") else got
    check_golden(GOLDEN / f"{name}.json", made(wire.last, got))


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)
