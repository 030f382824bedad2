"""One matrix of conversations, every vendor's models: bodies fit botocore's service model, and are here to be read."""

from __future__ import annotations

import base64
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from matrix import IMAGE_URL, PDF, PDF_URL, PNG, cases, check_golden, made, products

from polyport import Client
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import STREAM

GOLDEN = Path(__file__).parent / "golden"
MODELS = {
    "claude": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "nova": "us.amazon.nova-2-lite-v1:0",
    "llama": "us.meta.llama4-maverick-17b-instruct-v1:0",
    "gpt_oss": "openai.gpt-oss-120b-1:0",
    "claude_old": "anthropic.claude-3-haiku-20240307-v1:0",
    "claude_new": "global.anthropic.claude-opus-5-5",
}
#: 1 takes all of them, which takes minutes.
SOME = 7
HI = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}
FILES = {IMAGE_URL: PNG, PDF_URL: PDF}


def answer(sent: Any) -> Any:
    """Answer as Bedrock does, and as the servers that pictures and documents are fetched from."""
    file = FILES.get(sent.url)
    if file is not None:
        head, _, body = file.partition(",")
        return Reply(content=base64.b64decode(body), headers={"content-type": head[5:].partition(";")[0]})
    if sent.path.endswith("converse-stream"):
        return STREAM
    return HI


def run(asked: Client, wire: Wire, model: str, fields: dict[str, Any]) -> tuple[Any, Any]:
    """Return (the request that Bedrock saw, the result)."""
    wire.requests.clear()
    got = asked.completion(f"bedrock/{model}", **fields, drop_params=True)
    if fields.get("stream"):
        list(got)
    return next(one for one in wire.requests if "bedrock-runtime" in one.url), got


@pytest.mark.parametrize("vendor", ["claude", "nova"])
@pytest.mark.parametrize(("name", "fields"), list(cases()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_body_is_as_it_was_read(connect, vendor, name, fields):
    """A literal body for each conversation, beside what had to be changed to send it."""
    wire = Wire(answer)
    with connect(wire) as asked:
        check_golden(GOLDEN / vendor / f"{name}.json", made(*run(asked, wire, MODELS[vendor], fields)))


@pytest.mark.parametrize("vendor", MODELS)
def test_bodies_fit_the_service_model(connect, check_body, vendor):
    """Each conversation, and of every history with every set of tools and of parameters one in SOME."""
    wire = Wire(answer)
    offset = list(MODELS).index(vendor)
    with connect(wire) as asked:
        for name, fields in [*cases(), *islice(products(), offset, None, SOME)]:
            request, _ = run(asked, wire, MODELS[vendor], fields)
            operation = "ConverseStream" if fields.get("stream") else "Converse"
            try:
                check_body("bedrock-runtime", operation, json.loads(request.content))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
