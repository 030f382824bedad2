"""Chat and text completion: by the router, and at endpoints."""

from __future__ import annotations

import json

import httpx
import pytest
from matrix import IMAGE_URL, WEATHER, image, say, show

from polyport import Client, errors
from polyport_huggingface import HuggingFace
from polyport_huggingface.conformance import ANSWER, ANSWER_STREAM, MODELS, TEXT, TEXT_STREAM
from polyport_huggingface.naming import Name, place, read

HELLO = [say("Hello")]
ENDPOINT = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"


def body(wire):
    """The JSON that was sent last."""
    return json.loads(wire.last.content)


def test_a_chat_by_the_router(wire, client):
    """The provider stands after the model's name; reasoning is read wherever a provider puts it."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    got = client.completion(
        "huggingface/openai/gpt-oss-120b:groq", HELLO, max_completion_tokens=50, tools=[WEATHER], reasoning_effort="low"
    )
    assert str(wire.last.url) == "https://router.huggingface.co/v1/chat/completions"
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert body(wire) == {
        "model": "openai/gpt-oss-120b:groq",
        "messages": HELLO,
        "max_tokens": 50,
        "tools": [WEATHER],
        "reasoning_effort": "low",
    }
    message = got.choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 4.", "2 + 2 = 4")
    assert got.usage_buckets == {"input": 44, "cached_input": 40, "output": 5, "reasoning": 8}
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("max_completion_tokens", "renamed")]


NAMES = [
    ("org/model", Name("org/model")),
    ("org/model:fal-ai", Name("org/model", "fal-ai")),
    ("org/model:auto", Name("org/model")),
    ("together/org/model", Name("org/model", "together")),
    ("gpt2", Name("gpt2")),
]


@pytest.mark.parametrize(("model", "name"), NAMES)
def test_names(model, name):
    """A repository, and perhaps a provider, in either way of writing it."""
    assert read(model) == name


PLACES = [
    ("https://router.huggingface.co", "/v1/chat/completions", "https://router.huggingface.co/v1/chat/completions"),
    ("https://router.huggingface.co/v1", "/hf-inference/models/a/b", "https://router.huggingface.co/hf-inference/models/a/b"),
    ("https://router.huggingface.co/together/v1", "/v1/chat/completions",
     "https://router.huggingface.co/together/v1/chat/completions"),
    ("http://localhost:8080/", "/embed", "http://localhost:8080/embed"),
    (f"{ENDPOINT}/", "/", ENDPOINT),
]  # fmt: skip


@pytest.mark.parametrize(("base", "path", "url"), PLACES)
def test_places(base, path, url):
    """The router's paths begin at its root, whichever of its addresses is given."""
    assert place(base, path) == url


def test_an_endpoint_of_ones_own(wire, client):
    """Is asked under its own address, for a model by any name; TGI's reasons to finish are OpenAI's."""
    reply = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "eos_token"}]}
    wire.answer = lambda _: httpx.Response(200, json=reply)
    got = client.completion("huggingface/tgi", HELLO, api_base=ENDPOINT)
    assert (str(wire.last.url), body(wire)["model"]) == (f"{ENDPOINT}/v1/chat/completions", "tgi")
    assert got.choices[0].finish_reason == "stop"
    client.completion("huggingface/org/model:x", HELLO, api_base=f"{ENDPOINT}/v1")
    assert (str(wire.last.url), body(wire)["model"]) == (f"{ENDPOINT}/v1/chat/completions", "org/model:x")


def test_a_streamed_chat(wire, client):
    """Reasoning, text, one finish, usage at the end."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion("huggingface/openai/gpt-oss-120b", HELLO, stream=True) as stream:
        chunks = list(stream)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "2 + 2 = 4"
    assert "".join(delta.content or "" for delta in deltas) == "It is 4."
    assert chunks[-1].usage.total_tokens == 97


def test_images_go_as_they_are(wire, client):
    """Providers fetch them themselves."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    messages = show({"type": "text", "text": "What is it?"}, image(IMAGE_URL))
    client.completion("huggingface/Qwen/Qwen2.5-VL-7B-Instruct", messages)
    assert body(wire)["messages"] == messages


@pytest.mark.parametrize("given", [{"n": 2}, {"logit_bias": {"1": 1}}, {"user": "u"}, {"top_k": 3}, {"store": True}])
def test_what_chat_cannot_do(wire, client, given):
    """Is refused with the reason, and with drop_params left out and recorded."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    (name,) = given
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        client.completion("huggingface/org/model", HELLO, **given)
    got = client.completion("huggingface/org/model", HELLO, **given, drop_params=True)
    assert name not in body(wire)
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [(name, "dropped")]


def test_text_completion(wire, client):
    """An endpoint continues a text; by the router it is asked as a chat, and said so."""
    wire.answer = lambda _: httpx.Response(200, content=TEXT)
    got = client.text_completion("Once", "huggingface/tgi", api_base=ENDPOINT, max_tokens=3)
    assert str(wire.last.url) == f"{ENDPOINT}/v1/completions"
    assert got.choices[0].text == " upon a time"
    wire.answer = lambda _: httpx.Response(200, content=TEXT_STREAM)
    with client.text_completion("Once", "huggingface/tgi", api_base=ENDPOINT, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == " upon a time"
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    got = client.text_completion("Once", "huggingface/org/model")
    assert str(wire.last.url).endswith("/v1/chat/completions")
    assert got.choices[0].text == "It is 4."
    assert ("prompt", "emulated") in [(a.parameter, a.action) for a in got.meta.adaptations]


def test_models(wire, client):
    """The router's, with their providers."""
    wire.answer = lambda _: httpx.Response(200, content=MODELS)
    assert [model.id for model in client.list_models(provider="huggingface").data] == ["openai/gpt-oss-120b"]
    assert str(wire.last.url) == "https://router.huggingface.co/v1/models"


ERRORS = [
    (401, {"error": "Invalid username or password."}, errors.AuthenticationError),
    (402, {"error": "You have exceeded your monthly included credits"}, errors.RateLimitError),
    (404, {"error": "Repository not found"}, errors.NotFoundError),
    (400, {"error": {"message": "This model's maximum context length is 8192 tokens"}},
     errors.ContextWindowExceededError),
    (413, {"error": "Input validation error: `inputs` must have less than 512 tokens. Given: 900",
           "error_type": "Validation"}, errors.ContextWindowExceededError),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
           "error_type": "validation"}, errors.ContextWindowExceededError),
    (422, {"detail": [{"type": "content_policy_violation", "msg": "flagged", "loc": ["body", "prompt"]}]},
     errors.ContentPolicyViolationError),
    (422, {"error": "Tokenization error", "error_type": "tokenizer"}, errors.UnprocessableEntityError),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, errors.RateLimitError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind"), ERRORS)
def test_errors(wire, client, status, said, kind):
    """Each is what its status and words say."""
    wire.answer = lambda _: httpx.Response(status, json=said)
    with pytest.raises(errors.APIError) as caught:
        client.completion("huggingface/org/model", HELLO)
    assert (type(caught.value), caught.value.status_code) == (kind, status)


def test_a_model_that_is_being_loaded(wire, client):
    """Says how long that takes."""
    said = {"error": "Model org/model is currently loading", "estimated_time": 20.5}
    wire.answer = lambda _: httpx.Response(503, json=said)
    with pytest.raises(errors.ServiceUnavailableError) as caught:
        client.embedding("huggingface/org/model", "a")
    assert caught.value.retry_after == 20.5


def test_the_alias_and_the_keys(wire, monkeypatch):
    """`hf/` is the same provider; HF_TOKEN comes first."""
    monkeypatch.setenv("HUGGINGFACE_API_KEY", "hf_second")
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    with Client(http=httpx.MockTransport(wire)) as client:
        assert client.completion("hf/org/model", HELLO).text == "It is 4."
    assert wire.last.headers["authorization"] == "Bearer hf_first"
    with (
        Client(http=httpx.MockTransport(wire), providers={"huggingface": HuggingFace}, secrets={}.get) as client,
        pytest.raises(errors.AuthenticationError, match="HF_TOKEN"),
    ):
        client.completion("huggingface/org/model", HELLO)
