"""Azure: literal requests, literal replies."""

from __future__ import annotations

import json

import httpx
import pytest
from forms import fields
from matrix import IMAGE_URL, PNG, image, say, show

from polyport import errors
from polyport_azure.conformance import ANSWER, ANSWER_STREAM

HELLO = [say("Hello")]
SAFE = {"hate": {"filtered": False, "severity": "safe"}}


def body(wire):
    """Return the JSON that was sent last."""
    return json.loads(wire.last.content)


def test_a_chat_on_the_wire(wire, client):
    """The body is OpenAI's; what the filters found is kept, of the prompt and of each choice."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER, headers={"apim-request-id": "apim-1"})
    got = client.completion("azure/gpt-4o", HELLO, max_tokens=5, api_version="2024-10-21")
    assert body(wire) == {"model": "gpt-4o", "messages": HELLO, "max_tokens": 5}
    assert got.text == "It is 4."
    assert got.choices[0]["content_filter_results"] == SAFE
    assert got.extra["prompt_filter_results"] == [{"prompt_index": 0, "content_filter_results": SAFE}]
    assert got.to_dict()["choices"][0]["content_filter_results"] == SAFE
    assert got.meta.request_id == "apim-1"


def test_a_streamed_chat(wire, client):
    """Chunks of the filters' alone say nothing, and what they found is there."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion("azure/gpt-4o", HELLO, stream=True) as stream:
        chunks = list(stream)
    told = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) == "It is 4."
    assert chunks[0].extra["prompt_filter_results"][0]["content_filter_results"] == SAFE
    assert told[0]["content_filter_results"] == SAFE
    assert told[1]["content_filter_offsets"] == {"check_offset": 44, "start_offset": 44, "end_offset": 52}


@pytest.mark.parametrize("model", ["o3-mini", "gpt-5", "gpt5-mini", "team-o1", "prod.gpt-5-nano", "codex-mini"])
def test_the_limit_of_models_that_think(wire, client, model):
    """Deployments that are named for one are sent max_completion_tokens; of others nobody knows."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    client.completion(f"azure/{model}", HELLO, max_tokens=5)
    assert body(wire)["max_completion_tokens"] == 5
    assert "max_tokens" not in body(wire)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-35-turbo", "mine", "grok-4", "proto3"])
def test_the_limit_of_other_models(wire, client, model):
    """It goes as it was given."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    client.completion(f"azure/{model}", HELLO, max_tokens=5)
    assert body(wire)["max_tokens"] == 5


def test_images_go_as_they_are(wire, client):
    """By URL or as data: Azure fetches them itself."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    messages = show({"type": "text", "text": "What is it?"}, image(IMAGE_URL), image(PNG))
    client.completion("azure/gpt-4o", messages)
    assert body(wire)["messages"] == messages


def test_data_of_one_s_own(wire, client):
    """`data_sources` goes along, and what was found in them is kept and does not go back."""
    context = {"citations": [{"content": "4"}], "intent": '["2 + 2"]'}
    message = {"role": "assistant", "content": "4 [doc1]", "context": context}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})
    got = client.completion("azure/gpt-4o", HELLO, data_sources=[{"type": "azure_search"}])
    assert body(wire)["data_sources"] == [{"type": "azure_search"}]
    assert got.choices[0].message.provider_specific_fields == {"context": context}
    client.completion("azure/gpt-4o", [*HELLO, got.choices[0].message, say("Sure?")])
    assert body(wire)["messages"][1] == {"role": "assistant", "content": "4 [doc1]"}


def test_pictures(wire, client):
    """Of a GPT image model they are base64 without being asked for; variations there are none."""
    wire.answer = lambda _: httpx.Response(200, json={"created": 1, "data": [{"b64_json": "aGk="}]})
    assert client.image_generation("A cat", "azure/my-gpt-image-1", response_format="b64_json").data[0].b64_json
    assert body(wire) == {"model": "my-gpt-image-1", "prompt": "A cat"}
    with pytest.raises(errors.UnsupportedParamsError, match="base64 only"):
        client.image_generation("A cat", "azure/gpt-image-1", response_format="url")
    client.image_generation("A cat", "azure/dall-e-3", response_format="url")
    assert body(wire)["response_format"] == "url"
    with pytest.raises(errors.UnsupportedParamsError, match="has no image_variation"):
        client.image_variation(("a.png", b"\x89PNG\r\n\x1a\n"), "azure/dall-e-3")


def test_sora(wire, client):
    """Jobs, as a form, on the v1 surface."""
    wire.answer = lambda _: httpx.Response(200, json={"id": "video_1", "object": "video", "status": "queued"})
    got = client.video_generation("A cat", "azure/sora-2", seconds=8, size="1280x720", api_version="2024-10-21")
    assert str(wire.last.url) == "https://res.openai.azure.com/openai/v1/videos"
    assert fields(wire.last) == {"model": "sora-2", "prompt": "A cat", "seconds": "8", "size": "1280x720"}
    assert got.status == "queued"


FILTERED = {
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"jailbreak": {"filtered": True, "detected": True}},
    },
}
ERRORS = [
    (400, FILTERED, errors.ContentPolicyViolationError, False),
    (400, {"code": "contentFilter", "message": "Your task failed as a result of our safety system."},
     errors.ContentPolicyViolationError, False),
    (400, {"code": "x", "message": "No.", "inner_error": {"code": "ResponsibleAIPolicyViolation"}},
     errors.ContentPolicyViolationError, False),
    (400, {"code": "context_length_exceeded", "message": "This model's maximum context length is 8192 tokens."},
     errors.ContextWindowExceededError, False),
    (400, {"code": "OperationNotSupported", "message": "The chatCompletion operation does not work with the model"},
     errors.BadRequestError, False),
    (401, {"code": "PermissionDenied", "message": "Principal does not have access to API/Operation."},
     errors.AuthenticationError, False),
    (404, {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."},
     errors.NotFoundError, False),
    (429, {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have exceeded call rate limit"},
     errors.RateLimitError, True),
    (500, {"code": "content_filter", "message": "Odd."}, errors.InternalServerError, True),
    (503, {"code": "InternalServerError", "message": "Backend returned unexpected response."},
     errors.ServiceUnavailableError, True),
]  # fmt: skip


@pytest.mark.parametrize(("code", "said", "kind", "retryable"), ERRORS)
def test_errors(wire, client, code, said, kind, retryable):
    """Each is what its status and codes say, with Azure's words and all that came with them."""
    wire.answer = lambda _: httpx.Response(code, json={"error": said})
    with pytest.raises(errors.APIError) as caught:
        client.completion("azure/gpt-4o", HELLO)
    assert (type(caught.value), caught.value.message, caught.value.retryable) == (kind, said["message"], retryable)
    assert caught.value.body == {"error": said}


def test_how_long_to_wait(wire, client):
    """Azure says it in milliseconds, too."""
    headers = {"retry-after": "2", "retry-after-ms": "1500"}
    wire.answer = lambda _: httpx.Response(429, json={"error": {"code": "429", "message": "Wait."}}, headers=headers)
    with pytest.raises(errors.RateLimitError) as caught:
        client.completion("azure/gpt-4o", HELLO)
    assert caught.value.retry_after == 1.5
