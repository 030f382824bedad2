"""The exact request of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import httpx
import pytest
from matrix import PDF_URL, cases, check_golden, products
from sdk_types import check

from polyport import errors

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())
DATED = {"api_version": "2025-04-01-preview"}
ANSWER = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(request: httpx.Request) -> httpx.Response:
    """Be the host of the PDF, which is shown no key, and Azure."""
    if str(request.url) == PDF_URL:
        assert "api-key" not in request.headers
        return httpx.Response(200, content=b"%PDF-1.4\n", headers={"content-type": "application/pdf"})
    streams = json.loads(request.content).get("stream")
    return httpx.Response(200, content=CHUNK) if streams else httpx.Response(200, json=ANSWER)


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(wire, client, name):
    """A conversation becomes the body in its file, and what had to be changed is recorded there too."""
    wire.answer = answer
    got = client.completion("azure/gpt-4o", **CASES[name], **DATED, drop_params=True)
    list(got) if CASES[name].get("stream") else got
    made = {
        "url": str(wire.last.url),
        "body": json.loads(wire.last.content),
        "adaptations": [f"{a.parameter} {a.action}: {a.why}" for a in got.meta.adaptations],
    }
    check_golden(GOLDEN / f"{name}.json", made)


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)


def test_bodies_fit_the_official_types(wire, client):
    """Every fifth of all histories with all tools and parameters is one that OpenAI's SDK would send to Azure."""
    params = pytest.importorskip("openai.types.chat.completion_create_params")
    refuse = lambda request: answer(request) if str(request.url) == PDF_URL else httpx.Response(418)  # noqa: E731
    wire.answer = refuse
    number = 0
    for name, fields in islice(products(), 0, None, 5):
        with pytest.raises(errors.APIError):
            client.completion("azure/gpt-4o", **fields, drop_params=True)
        body = json.loads(wire.last.content)
        streams = body.get("stream")
        kind = params.CompletionCreateParamsStreaming if streams else params.CompletionCreateParamsNonStreaming
        assert check(kind, body) == [], name
        number += 1
    assert number > 800
