"""Bodies fit the models of Mistral's own SDK (mistralai 3.7.0, 2026-11-23), and nothing is in them that those lack.

The SDK's models take any further field and leave it out again: what comes out of one must be what went in.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import httpx
import pytest
from forms import fields
from matrix import WAV, products, say

from polyport import errors

models = pytest.importorskip("mistralai.client.models")

HELLO = [say("Hello")]


def check(kind: Any, body: dict[str, Any], name: str = "") -> None:
    """Hold a body against a model of the SDK: valid, and the same when it is written again."""
    read = kind.model_validate(body)
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    assert tidy(again) == tidy(body), name


def tidy(value: Any) -> Any:
    """Return the same without what a model says of itself: null, and a type that has one value only."""
    if isinstance(value, dict):
        return {key: tidy(inner) for key, inner in value.items() if inner is not None}
    return [tidy(inner) for inner in value] if isinstance(value, list) else value


def sent(wire, client, function, *args, **params):
    """Return the body of a call that Mistral refuses."""
    wire.answer = lambda _: httpx.Response(418)
    with pytest.raises(errors.APIError):
        getattr(client, function)(*args, **params)
    return json.loads(wire.last.content)


def test_chats(wire, client):
    """Every fifth of all histories with all tools and parameters."""
    number = 0
    for name, given in islice(products(), 0, None, 5):
        body = sent(wire, client, "completion", "mistral/mistral-small-latest", **given, drop_params=True)
        kind = models.ChatCompletionStreamRequest if body.get("stream") else models.ChatCompletionRequest
        check(kind, body, name)
        number += 1
    assert number > 800


def test_what_is_mistrals_own(wire, client):
    """Parameters that OpenAI does not have."""
    own = {"safe_prompt": True, "prompt_mode": "reasoning", "min_tokens": 1, "repetition_penalty": 1.1,
           "guardrails": [{"block_on_error": True}]}  # fmt: skip
    check(models.ChatCompletionRequest, sent(wire, client, "completion", "mistral/m", HELLO, top_k=5, **own))


def test_other_endpoints(wire, client):
    """Gaps, vectors, verdicts, speech, reading, jobs."""
    gap = {"suffix": "}", "max_tokens": 9, "stop": ["\n"], "seed": 7, "temperature": 0.1, "top_p": 0.9, "min_tokens": 2}
    check(models.FIMCompletionRequest, sent(wire, client, "text_completion", "{", "mistral/codestral-latest", **gap))
    vectors = {"dimensions": 64, "encoding_format": "float", "output_dtype": "int8"}
    check(models.EmbeddingRequest, sent(wire, client, "embedding", "mistral/codestral-embed", ["a", "b"], **vectors))
    judged = sent(wire, client, "moderation", ["a"], "mistral/mistral-moderation-2603")
    check(models.ClassificationRequest, judged)
    judged = sent(wire, client, "moderation", [say("a")], "mistral/mistral-moderation-2603")
    check(models.ChatModerationRequest, judged)
    spoken = {"voice": "gb_jane_sad", "response_format": "wav", "expressiveness": 2.0}
    check(models.SpeechRequest, sent(wire, client, "speech", "mistral/voxtral-mini-tts-3-0", "Hi", **spoken))
    pdf = {"type": "file", "file": {"file_id": "f-1"}}
    read = sent(
        wire, client, "completion", "mistral/mistral-ocr-latest", [{"role": "user", "content": [pdf]}], pages=[0, 2]
    )
    check(models.OCRRequest, read)
    job = sent(wire, client, "create_batch", input_file_id="f-1", provider="mistral", metadata={"a": "b"})
    check(models.CreateBatchJobRequest, job)


def test_forms(wire, client):
    """A recording's fields are those of the SDK."""
    wire.answer = lambda _: httpx.Response(418)
    given = {"language": "en", "temperature": 0.1, "diarize": True, "context_bias": ["Bath", "York"]}
    with pytest.raises(errors.APIError):
        client.transcription("mistral/voxtral-mini-latest", ("a.wav", WAV.encode()), **given)
    assert fields(wire.last).keys() <= models.AudioTranscriptionRequest.model_fields.keys()
