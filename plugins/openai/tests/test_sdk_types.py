"""Every body that polyport sends to OpenAI is one that the official SDK's own types, read strictly, allow."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import httpx
import pytest
from matrix import PDF_URL, PNG, WEATHER, products, say, show
from sdk_types import check

import polyport
from polyport import Client
from polyport.rendering import render
from polyport.types.upload import Upload

WAV = ("a.wav", b"RIFF\0\0\0\0WAVE")
pytest.importorskip("openai.types")
IMAGE = ("a.png", b"\x89PNG\r\n\x1a\n")


def type_of(name: str) -> Any:
    """Return one of the SDK's types by its path below `openai.types`."""
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(f"openai.types.{module}"), kind)


def test_chat_bodies(wire, client):
    """Every history with every set of tools and parameters of the shared matrix."""
    wire.answer = lambda request: httpx.Response(200 if str(request.url) == PDF_URL else 418, content=b"%PDF-")
    whole = type_of("chat.completion_create_params.CompletionCreateParamsNonStreaming")
    streaming = type_of("chat.completion_create_params.CompletionCreateParamsStreaming")
    number = 0
    for name, fields in products():
        number += 1
        with pytest.raises(polyport.APIError):
            client.completion("openai/gpt-5", **fields)
        body = json.loads(wire.last.content)
        assert check(streaming if body.get("stream") else whole, body) == [], name
    assert number > 4000


ITEMS = [
    {
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": PNG, "detail": "auto"}],
    },
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "42"},
]
FUNCTION = {"type": "function", "strict": True, **WEATHER["function"]}

JSON: list[tuple[str, str, dict[str, Any]]] = [
    ("completion_create_params.CompletionCreateParamsNonStreaming", "text_completion",
     {"prompt": ["a", "b"], "suffix": "!", "echo": True, "best_of": 2, "max_tokens": 5, "logprobs": 1, "stop": ["x"],
      "temperature": 0, "user": "u", "seed": 1, "n": 2}),
    ("completion_create_params.CompletionCreateParamsStreaming", "text_completion",
     {"prompt": [1, 2], "stream": True, "stream_options": {"include_usage": True}}),
    ("responses.response_create_params.ResponseCreateParamsNonStreaming", "responses",
     {"input": ITEMS, "instructions": "brief", "tools": [FUNCTION, {"type": "web_search"}], "tool_choice": "auto",
      "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": False,
      "text": {"format": {"type": "text"}, "verbosity": "low"}, "max_output_tokens": 50, "background": True,
      "previous_response_id": "resp_1", "parallel_tool_calls": False, "truncation": "auto", "metadata": {"a": "b"}}),
    ("responses.response_create_params.ResponseCreateParamsStreaming", "responses",
     {"input": "hi", "stream": True, "stream_options": {"include_obfuscation": False}}),
    ("embedding_create_params.EmbeddingCreateParams", "embedding",
     {"input": ["a", "b"], "dimensions": 256, "encoding_format": "base64", "user": "u"}),
    ("embedding_create_params.EmbeddingCreateParams", "embedding", {"input": [[1, 2], [3]]}),
    ("moderation_create_params.ModerationCreateParams", "moderation", {"input": "x"}),
    ("moderation_create_params.ModerationCreateParams", "moderation",
     {"input": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}}]}),
    ("image_generate_params.ImageGenerateParamsNonStreaming", "image_generation",
     {"prompt": "a cat", "n": 2, "size": "1024x1024", "quality": "high", "background": "opaque", "moderation": "low",
      "output_format": "webp", "output_compression": 50, "user": "u", "style": "vivid", "response_format": "url"}),
    ("image_generate_params.ImageGenerateParamsStreaming", "image_generation",
     {"prompt": "a cat", "stream": True, "partial_images": 2}),
    ("audio.speech_create_params.SpeechCreateParams", "speech",
     {"input": "hi", "voice": "nova", "response_format": "opus", "speed": 1.5, "instructions": "slowly"}),
    ("audio.speech_create_params.SpeechCreateParams", "speech", {"input": "hi"}),
    ("batch_create_params.BatchCreateParams", "create_batch", {"input_file_id": "file-1", "metadata": {"a": "b"}}),
]  # fmt: skip

FORMS: list[tuple[str, str, dict[str, Any]]] = [
    ("image_edit_params.ImageEditParamsNonStreaming", "image_edit",
     {"image": [IMAGE, IMAGE], "mask": IMAGE, "prompt": "a hat", "n": 2, "size": "auto", "quality": "low",
      "input_fidelity": "high", "background": "auto", "output_format": "jpeg", "output_compression": 10, "user": "u"}),
    ("image_edit_params.ImageEditParamsStreaming", "image_edit",
     {"image": IMAGE, "prompt": "a hat", "stream": True, "partial_images": 1}),
    ("image_create_variation_params.ImageCreateVariationParams", "image_variation",
     {"image": IMAGE, "n": 2, "size": "256x256", "response_format": "b64_json", "user": "u"}),
    ("audio.transcription_create_params.TranscriptionCreateParamsNonStreaming", "transcription",
     {"file": WAV, "language": "en", "prompt": "names", "response_format": "verbose_json", "temperature": 0.2,
      "timestamp_granularities": ["word", "segment"], "include": ["logprobs"],
      "chunking_strategy": {"type": "server_vad", "threshold": 0.4}}),
    ("audio.transcription_create_params.TranscriptionCreateParamsNonStreaming", "transcription",
     {"model": "openai/gpt-4o-transcribe-diarize", "file": WAV, "diarize": True}),
    ("audio.transcription_create_params.TranscriptionCreateParamsStreaming", "transcription",
     {"file": WAV, "stream": True}),
    ("audio.translation_create_params.TranslationCreateParams", "translation",
     {"file": WAV, "prompt": "names", "response_format": "srt", "temperature": 0}),
    ("video_create_params.VideoCreateParams", "video_generation",
     {"prompt": "waves", "seconds": 8, "size": "1280x720", "input_reference": IMAGE}),
    ("file_create_params.FileCreateParams", "create_file",
     {"file": ("a.jsonl", b"{}"), "purpose": "batch", "expires_after": {"anchor": "created_at", "seconds": 3600}}),
]  # fmt: skip


def rendered(function: str, fields: dict[str, Any]) -> Any:
    """Return the request that a call would send."""
    about = (
        {"provider": "openai"} if function in ("create_batch", "create_file", "moderation") else {"model": "openai/m"}
    )
    with Client(api_key="sk-test") as client:
        return render(function, client=client, **{**about, **fields})


@pytest.mark.parametrize(("kind", "function", "fields"), JSON)
def test_json_bodies(kind, function, fields):
    """The bodies of the endpoints that take JSON."""
    assert check(type_of(kind), json.loads(rendered(function, fields).content)) == []


@pytest.mark.parametrize(("kind", "function", "fields"), FORMS)
def test_forms(kind, function, fields):
    """The forms of the endpoints that take files; `name[]` is a list, `name[key]` a dict."""
    assert check(type_of(kind), unflat(rendered(function, fields).form)) == []


def unflat(form: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a form as the SDK writes them."""
    made: dict[str, Any] = {}
    for name, value in form:
        value = value.read() if isinstance(value, Upload) else value
        outer, key = re.fullmatch(r"(\w+)(?:\[(\w*)\])?", name).groups()
        if key:
            made.setdefault(outer, {})[key] = value
        elif key == "":
            made.setdefault(outer, []).append(value)
        else:
            made[outer] = value
    return made


def test_the_types_would_object():
    """The check is not blind: what OpenAI refuses is refused here."""
    kind = type_of("chat.completion_create_params.CompletionCreateParamsNonStreaming")
    assert check(kind, {"model": "m", "messages": show({"type": "video_url", "video_url": {"url": "x"}})})
    assert check(kind, {"model": "m", "messages": [{**say("hi"), "cache_control": {}}]})
