"""DeepSearch: literal streams, as https://github.com/jina-ai/node-DeepResearch writes them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from replay import cut_at_random
from wires import Wire

from polyport import Client, errors

MODEL = "jina_ai/jina-deepsearch-v1"
ASK = [{"role": "user", "content": "Who made it?"}]
HEAD = {"id": "17", "object": "chat.completion.chunk", "created": 17, "model": "m", "system_fingerprint": "fp_17"}
USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
CITED = {
    "type": "url_citation",
    "url_citation": {"title": "T", "exactQuote": "q", "url": "https://e.com", "dateTime": "2026-01-01"},
}


def chunk(finish: str | None = None, beside: Any = None, **delta: Any) -> bytes:
    """Write an event."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice], **(beside or {})}).encode() + b"\n\n"


THOUGHTS = (
    chunk(role="assistant", content="<think>", type="think"),
    chunk(content="Let me ", type="think"),
    chunk(url="https://e.com", type="think"),
    chunk(content="see. ", type="think"),
)
STREAM = b"".join(
    (
        *THOUGHTS,
        chunk("thinking_end", content="</think>\n\n", type="think"),
        chunk(
            "stop",
            {"usage": USAGE, "visitedURLs": ["https://e.com"]},
            content="Ann [^1].",
            type="text",
            annotations=[CITED],
        ),
    )
)
FAILED = b"".join(
    (*THOUGHTS, chunk("error", content="</think>", type="think"), chunk("error", content="No budget", type="error"))
)


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_streamed(client: Client, wire: Wire, seed: int | None) -> None:
    """Thoughts are reasoning, pages are told, the answer comes whole with its citations."""
    wire.answer = lambda _: httpx.Response(200, content=STREAM if seed is None else cut_at_random(seed)(STREAM))
    chunks = list(client.completion(MODEL, ASK, stream=True, reasoning_effort="low", max_attempts=2))
    assert str(wire.last.url) == "https://deepsearch.jina.ai/v1/chat/completions"
    assert json.loads(wire.last.content) == {
        "model": "jina-deepsearch-v1",
        "messages": ASK,
        "stream": True,
        "reasoning_effort": "low",
        "max_attempts": 2,
    }
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.reasoning_content or "" for choice in choices) == "Let me see. "
    assert "".join(choice.delta.content or "" for choice in choices) == "Ann [^1]."
    assert [choice.finish_reason for choice in choices] == [None] * 5 + ["stop"]
    assert [choice.delta.provider_specific_fields for choice in choices if choice.delta.provider_specific_fields] == [
        {"url": "https://e.com"}
    ]
    assert choices[-1].delta.annotations == [CITED]
    assert chunks[-1].usage.total_tokens == 100
    assert chunks[-1].extra["visitedURLs"] == ["https://e.com"]


def test_failed_and_cut_off(client: Client, wire: Wire) -> None:
    """An error among the chunks is raised, and thoughts without an answer are none."""
    wire.answer = lambda _: httpx.Response(200, content=FAILED)
    with pytest.raises(errors.InternalServerError, match="No budget"):
        list(client.completion(MODEL, ASK, stream=True))
    wire.answer = lambda _: httpx.Response(200, content=b"".join(THOUGHTS))
    with pytest.raises(errors.APIConnectionError):
        list(client.completion(MODEL, ASK, stream=True))


def whole(**message: Any) -> httpx.Response:
    """Answer at once."""
    finish = "error" if message["type"] == "error" else "stop"
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish}
    return httpx.Response(200, json={**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})


def test_whole(client: Client, wire: Wire) -> None:
    """A schema goes without its name; what is no answer is raised."""
    wire.answer = lambda _: whole(content='{"name": "Ann"}', type="json", annotations=[CITED])
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    got = client.completion(MODEL, ASK, response_format=asked)
    assert json.loads(wire.last.content)["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert got.text == '{"name": "Ann"}'
    assert got.choices[0].message.annotations == [CITED]
    assert got.choices[0].message.provider_specific_fields is None
    wire.answer = lambda _: whole(content="Error: No budget", type="error")
    with pytest.raises(errors.InternalServerError, match="No budget"):
        client.completion(MODEL, ASK)


def test_what_it_does_not_take(client: Client, wire: Wire) -> None:
    """A limit of the answer would be one of the whole search; it may not be taken for that."""
    for params in ({"max_tokens": 100}, {"temperature": 0.0}, {"tools": [{"type": "function"}]}, {"top_k": 1}):
        with pytest.raises(errors.UnsupportedParamsError, match=next(iter(params))):
            client.completion(MODEL, ASK, **params)
    assert not wire.seen


def test_pictures_are_fetched(client: Client, wire: Wire) -> None:
    """DeepSearch takes them as data: URLs only."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, content=b"PNG", headers={"content-type": "image/png"})
        return whole(content="Hi", type="text")

    wire.answer = answer
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    client.completion(MODEL, [{"role": "user", "content": [picture]}])
    part = json.loads(wire.last.content)["messages"][0]["content"][0]
    assert part == {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}


def test_another_address_counts(client: Client, wire: Wire) -> None:
    """A DeepSearch of one's own is asked where the user says."""
    wire.answer = lambda _: whole(content="Hi", type="text")
    client.completion(MODEL, ASK, api_base="http://localhost:3000/v1")
    assert str(wire.last.url) == "http://localhost:3000/v1/chat/completions"
