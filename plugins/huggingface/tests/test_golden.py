"""The exact request of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice
from pathlib import Path

import httpx
import pytest
from matrix import cases, check_golden, made, products

from polyport import errors
from polyport_huggingface.conformance import ANSWER, ANSWER_STREAM

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())
#: What providers take beyond the schema that Hugging Face publishes, which is that of text-generation-inference.
BEYOND = frozenset({"parallel_tool_calls", "reasoning_effort"})


def answer(request: httpx.Request) -> httpx.Response:
    """Be the router, and whoever has the file."""
    if request.method == "GET":
        return httpx.Response(200, content=b"%PDF-1.4")
    return httpx.Response(200, content=ANSWER_STREAM if json.loads(request.content).get("stream") else ANSWER)


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(wire, client, name):
    """A conversation becomes the body in its file, and what had to be changed is recorded there too."""
    wire.answer = answer
    got = client.completion("huggingface/openai/gpt-oss-120b:cheapest", **CASES[name], drop_params=True)
    list(got) if CASES[name].get("stream") else got
    check_golden(GOLDEN / f"{name}.json", made(wire.last, got))


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)


def known(kind):
    """Return the fields of one of the SDK's types."""
    return {field.name for field in dataclasses.fields(kind)}


def test_chats_fit_the_official_types(wire, client):
    """Every fifth of all histories with all tools and parameters has only fields that huggingface_hub knows."""
    sdk = pytest.importorskip("huggingface_hub.inference._generated.types.chat_completion")
    wire.answer = lambda _: httpx.Response(418)
    number = 0
    for name, fields in islice(products(), 0, None, 5):
        with pytest.raises(errors.APIError):
            client.completion("huggingface/org/model", **fields, drop_params=True)
        body = json.loads(wire.last.content)
        assert body.keys() - BEYOND <= known(sdk.ChatCompletionInput), name
        for message in body["messages"]:
            assert message.keys() - {"tool_call_id"} <= known(sdk.ChatCompletionInputMessage), name
            for call in message.get("tool_calls") or []:
                assert call.keys() <= known(sdk.ChatCompletionInputToolCall), name
        number += 1
    assert number > 800


TASKS = [
    ("text_to_image", "TextToImage", lambda client: client.image_generation(
        "A cat", "huggingface/a/b:hf-inference", size="64x32", seed=1, negative_prompt="dog", guidance_scale=2.0,
        num_inference_steps=4, scheduler="euler")),
    ("image_to_image", "ImageToImage", lambda client: client.image_edit(
        b"x", "A hat", "huggingface/a/b:hf-inference", size="64x32", negative_prompt="dog", guidance_scale=2.0)),
    ("automatic_speech_recognition", "AutomaticSpeechRecognition", lambda client: client.transcription(
        "huggingface/a/b:hf-inference", b"x", temperature=0.5, response_format="verbose_json")),
    ("text_to_speech", "TextToSpeech", lambda client: client.speech(
        "huggingface/a/b:hf-inference", "Hello", generation_parameters={"do_sample": True})),
    ("feature_extraction", "FeatureExtraction", lambda client: client.embedding(
        "huggingface/a/b", ["a"], normalize=True, prompt_name="query", truncate=True)),
    ("sentence_similarity", "SentenceSimilarity", lambda client: client.rerank("huggingface/a/b", "q", ["a"])),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "call"), TASKS, ids=[task[0] for task in TASKS])
def test_tasks_fit_the_official_types(wire, client, module, name, call):
    """Bodies of Hugging Face's own tasks have the fields that huggingface_hub has for them, and no others."""
    sdk = pytest.importorskip(f"huggingface_hub.inference._generated.types.{module}")
    wire.answer = lambda _: httpx.Response(418)
    with pytest.raises(errors.APIError):
        call(client)
    body = json.loads(wire.last.content)
    assert body.keys() <= known(getattr(sdk, f"{name}Input"))
    if "parameters" in body:
        assert body["parameters"].keys() <= known(getattr(sdk, f"{name}Parameters"))
