"""The official `anthropic` SDK with only base URL and key changed, over a provider that speaks OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

anthropic = pytest.importorskip("anthropic")
KEY = "sk-master-1234"
HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(params=["api_key", "auth_token"])
def client(gateway: Any, well: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The SDK, on the gateway, with either style of header."""
    with anthropic.Anthropic(base_url=gateway.url, max_retries=0, **{request.param: KEY}) as made:
        yield made


def test_a_message_is_answered(client: Any, well: Any) -> None:
    """Another vendor's model answers in Anthropic's shape."""
    message = client.messages.create(model="gpt", max_tokens=9, messages=HELLO, system="Be brief.")
    assert message.content[0].text == "Well, hello"
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 3)
    assert well.last["messages"][0]["content"] == "Be brief."


def test_a_stream_is_events(client: Any) -> None:
    """Text as it comes, and the whole message at the end."""
    with client.messages.stream(model="gpt", max_tokens=9, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Well, hello"
        message = stream.get_final_message()
    assert message.usage.output_tokens == 3


def test_errors_are_the_sdks_own(client: Any, well: Any) -> None:
    """In Anthropic's shape, with the request's id."""
    wrong = client.with_options(api_key="sk-wrong", auth_token=None)
    with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
        wrong.messages.create(model="gpt", max_tokens=9, messages=HELLO)
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        client.messages.create(model="nope", max_tokens=9, messages=HELLO)
    well.failing = (429, {"retry-after": "3"}, {"error": {"message": "Slow down"}})
    with pytest.raises(anthropic.RateLimitError) as limited:
        client.messages.create(model="gpt", max_tokens=9, messages=HELLO)
    assert limited.value.body["error"]["type"] == "rate_limit_error"
    assert limited.value.body["request_id"] == limited.value.response.headers["x-request-id"]


def test_models_are_listed_in_its_shape(client: Any) -> None:
    """The same address answers each vendor's SDK in its own shape."""
    assert "gpt" in [model.id for model in client.models.list()]


def test_documents_are_ranked_or_refused_in_coheres_shape(gateway: Any) -> None:
    """A provider without rerank says so, where Cohere's SDK looks for it."""
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        asked = {"model": "gpt", "query": "q", "documents": ["a"]}
        told = httpx.post(gateway.url + path, json=asked, headers={"authorization": f"bearer {KEY}"}, timeout=60)
        assert told.status_code == 404, told.text
        assert "has no rerank" in told.json()["message"]
