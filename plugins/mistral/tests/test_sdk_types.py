"""Bodies fit the models of Mistral's own SDK (mistralai 3.7.0, 2026-11-23), and nothing is in them that those lack.

The SDK's models take any further field and leave it out again: what comes out of one must be what went in.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import httpx
import pytest
from forms import fields, files
from matrix import products, say

from polyport import errors

models = pytest.importorskip("mistralai.client.models")
mistralai = pytest.importorskip("mistralai.client")
mistralai_errors = pytest.importorskip("mistralai.client.errors")

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
           "extra_body": {"guardrails": [{"block_on_error": True}]}}  # fmt: skip
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


@pytest.fixture
def official(wire):
    """Mistral's own client, at the end of the same wire."""
    with httpx.Client(transport=httpx.MockTransport(wire)) as http:
        yield mistralai.Mistral(api_key="sk-test", client=http, retry_config=None)


def asked(wire, function, *args, **params):
    """Return what a call asks for: method, path and query, and the fields and files of a form."""
    wire.answer = lambda _: httpx.Response(418, json={})
    with pytest.raises((errors.APIError, mistralai_errors.SDKError)):
        function(*args, **params)
    found = wire.last
    query = dict(found.url.params)
    if not found.headers.get("content-type", "").startswith("multipart"):
        return found.method, found.url.path, query, json.loads(found.content or b"null")
    return found.method, found.url.path, query, (fields(found), [(name, data) for name, _, _, data in files(found)])


def test_the_official_client_asks_the_same(wire, client, official):
    """Forms, queries and paths."""
    file = {"file_name": "a.wav", "content": b"RIFF"}
    heard = {"language": "en", "diarize": True, "context_bias": ["Bath", "York"]}
    theirs = official.audio.transcriptions.complete
    assert asked(
        wire, client.transcription, "mistral/m", ("a.wav", b"RIFF"), timestamp_granularities=["segment"], **heard
    ) == without_stream(asked(wire, theirs, model="m", file=file, timestamp_granularities=["segment"], **heard))
    kept = {"purpose": "ocr", "visibility": "workspace"}
    upload = asked(wire, client.create_file, ("a.wav", b"RIFF"), provider="mistral", **kept)
    assert upload == asked(wire, official.files.upload, file=file, **kept)
    for ours, their in [
        ("retrieve_file", official.files.retrieve),
        ("delete_file", official.files.delete),
    ]:
        assert asked(wire, getattr(client, ours), "f-1", provider="mistral") == asked(wire, their, file_id="f-1")
    for ours, their in [("retrieve_batch", official.batch.jobs.get), ("cancel_batch", official.batch.jobs.cancel)]:
        assert asked(wire, getattr(client, ours), "j-1", provider="mistral") == asked(wire, their, job_id="j-1")
    assert asked(wire, client.delete_batch, "j-1", provider="mistral")[:2] == ("DELETE", "/v1/batch/jobs/j-1")
    page = asked(wire, client.list_batches, limit=5, after="page_2", provider="mistral")
    assert page[:2] == asked(wire, official.batch.jobs.list, page=2, page_size=5)[:2]
    assert page[2].items() <= asked(wire, official.batch.jobs.list, page=2, page_size=5)[2].items()


def without_stream(request):
    """Return a request without the fields that say no."""
    method, path, query, (form, attached) = request
    return method, path, query, ({name: value for name, value in form.items() if name != "stream"}, attached)
