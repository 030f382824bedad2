"""The official `google-genai` SDK with only base URL and key changed, over a provider of OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_openai")
KEY = "sk-master-1234"


@pytest.fixture(params=["v1", "v1beta"])
def client(gateway: Any, well: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The SDK, on the gateway, with either version."""
    with httpx.Client() as http:
        options = {"base_url": gateway.url, "api_version": request.param, "httpx_client": http}
        yield genai.Client(api_key=KEY, http_options=options)


CONFIG = {
    "system_instruction": "Be brief.",
    "temperature": 0.5,
    "max_output_tokens": 20,
    "response_mime_type": "application/json",
    "response_schema": {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": True}}},
    "tools": [{"function_declarations": [{"name": "look", "description": "Look.", "parameters": {"type": "OBJECT"}}]}],
    "tool_config": {"function_calling_config": {"mode": "ANY"}},
}


def test_contents_are_generated(client: Any, well: Any) -> None:
    """A request with all that chats have becomes that chat."""
    answer = client.models.generate_content(model="gpt", contents="Hello?", config=CONFIG)
    assert answer.text == "Well, hello"
    assert (answer.usage_metadata.total_token_count, answer.candidates[0].finish_reason.name) == (10, "STOP")
    schema = {"type": "object", "properties": {"type": {"type": ["string", "null"]}}}
    sent = well.last
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    assert sent["tools"][0]["function"] == {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert (sent["tool_choice"], sent["temperature"]) == ("required", 0.5)


def test_a_conversation_with_calls_and_pictures(client: Any, well: Any) -> None:
    """Calls and their answers find each other without ids, as in Gemini's interface."""
    contents = [
        {"role": "user", "parts": [{"text": "Look"}, {"inline_data": {"mime_type": "image/png", "data": b"\x89P"}}]},
        {"role": "model", "parts": [{"function_call": {"name": "look", "args": {"at": 1}}}]},
        {"role": "user", "parts": [{"function_response": {"name": "look", "response": {"seen": True}}}]},
    ]
    client.models.generate_content(model="gpt", contents=contents)
    asked, called, answered = well.last["messages"]
    assert asked["content"][1]["image_url"]["url"] == "data:image/png;base64,iVA="
    assert called["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert answered["tool_call_id"] == called["tool_calls"][0]["id"]
    assert answered["content"] == '{"seen":true}'


def test_a_stream_is_responses(client: Any) -> None:
    """Text as it comes, the usage at the end."""
    chunks = list(client.models.generate_content_stream(model="gpt", contents="Hello?"))
    assert "".join(chunk.text or "" for chunk in chunks) == "Well, hello"
    assert chunks[-1].usage_metadata.total_token_count == 10


def test_tokens_are_counted(client: Any) -> None:
    """About, as this provider does not count."""
    counted = client.models.count_tokens(model="gpt", contents=["Hello?", "How are you today, and tomorrow?"])
    assert counted.total_tokens > 8


def test_texts_become_vectors(client: Any, well: Any) -> None:
    """One or several, of as many numbers as are asked for."""
    asked = {"output_dimensionality": 2}
    found = client.models.embed_content(model="embed", contents="Hello?", config=asked).embeddings
    assert [one.values for one in found] == [[0.5, -1.0]]
    assert (well.last["input"], well.last["dimensions"]) == (["Hello?"], 2)


def test_vectors_of_one_content(gateway: Any, well: Any) -> None:
    """By the address for one alone; what has no place with other vendors is refused by its path."""
    url, headers = f"{gateway.url}/v1beta/models/embed:embedContent", {"x-goog-api-key": KEY}
    asked = {"content": {"parts": [{"text": "Hello?"}]}}
    assert httpx.post(url, json=asked, headers=headers).json() == {"embedding": {"values": [0.5, -1.0]}}
    refused = httpx.post(url, json={**asked, "taskType": "FACT_VERIFICATION"}, headers=headers)
    assert (refused.status_code, "taskType" in refused.json()["error"]["message"]) == (400, True)
    many = {"requests": [asked, {**asked, "outputDimensionality": 2}]}
    mixed = httpx.post(url.replace("embedContent", "batchEmbedContents"), json=many, headers=headers)
    assert (mixed.status_code, "one kind" in mixed.json()["error"]["message"]) == (400, True)


def test_errors_are_googles(client: Any) -> None:
    """With Google's word for the status."""
    with pytest.raises(genai.errors.ClientError) as unknown:
        client.models.generate_content(model="nope", contents="x")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    with pytest.raises(genai.errors.ClientError, match="safetySettings"):
        client.models.generate_content(
            model="gpt",
            contents="x",
            config={"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
        )


def test_models_are_listed(gateway: Any) -> None:
    """Under v1beta, in Google's shape."""
    told = httpx.get(f"{gateway.url}/v1beta/models", headers={"x-goog-api-key": KEY}).json()
    assert "models/gpt" in [model["name"] for model in told["models"]]
