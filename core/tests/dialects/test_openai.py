"""A look-alike of OpenAI's is a class with quirks: what differs is said, not written again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from matrix import IMAGE_URL, PNG, image, say, show

from polyport import Client, errors
from polyport.auth import Bearer
from polyport.dialects.openai import OpenAICompatible, Quirks, Rerank, Transcriptions

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
RANKED = {
    "model": "r",
    "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


class Lookalike(OpenAICompatible, Rerank, Transcriptions):
    """A provider that is OpenAI's twin but for this."""

    auth = Bearer(env="LOOKALIKE_API_KEY")
    base_url = "https://api.lookalike.example/v1"
    quirks = Quirks(
        unsupported={"chat": {"logprobs": "Lookalike has none"}},
        renames={"chat": {"seed": "random_seed", "top_k": "top_k"}, "embed": {"input_type": "task"}},
        defaults={"chat": {"safe": True}},
        history=frozenset({"reasoning_content", "cache_control"}),
        parts=frozenset({"video_url"}),
        inline=frozenset({"image_url"}),
        images=True,
        paths={"/rerank": "/reranks"},
    )


class Wire:
    """What stands for the provider."""

    def __init__(self) -> None:
        self.seen: list[httpx.Request] = []
        self.reply: object = ANSWER

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        if request.method == "GET" and request.url.host == "images.example":
            return httpx.Response(200, content=b"\x89PNG\r\n\x1a\n")
        return httpx.Response(200, json=self.reply)

    @property
    def body(self):
        """The JSON that was sent last."""
        return json.loads(self.seen[-1].content)


@pytest.fixture
def wire() -> Wire:
    """The wire of this test."""
    return Wire()


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client that knows the look-alike."""
    with Client(http=httpx.MockTransport(wire), api_key="k", providers={"twin": Lookalike}) as client:
        yield client


def test_parameters_by_their_names_there(wire, client):
    """Renamed ones are recorded, those taken beyond OpenAI's are not, defaults give way."""
    got = client.completion("twin/m", [say("Hello")], seed=7, top_k=5, safe=False)
    assert wire.body == {"safe": False, "model": "m", "messages": [say("Hello")], "random_seed": 7, "top_k": 5}
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("seed", "renamed")]
    client.completion("twin/m", [say("Hello")])
    assert wire.body["safe"] is True


def test_what_it_cannot_do(wire, client):
    """The reason is the provider's own; OpenAI's other gaps remain."""
    with pytest.raises(errors.UnsupportedParamsError, match="Lookalike has none"):
        client.completion("twin/m", [say("Hello")], logprobs=True)
    with pytest.raises(errors.UnsupportedParamsError, match="thinking"):
        client.completion("twin/m", [say("Hello")], thinking={"type": "enabled"})
    with pytest.raises(errors.UnsupportedParamsError, match="has no image_generation"):
        client.image_generation("Hello", "twin/m")
    with pytest.raises(errors.UnsupportedParamsError, match="speakers"):
        client.transcription("twin/m", ("a.wav", b"RIFF"), diarize=True)


def test_a_history_keeps_what_it_takes(wire, client):
    """Fields and parts beyond OpenAI's go out where the quirks name them."""
    messages = [
        {"role": "assistant", "content": "Hi", "reasoning_content": "greet back"},
        {"role": "user", "content": [{"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}}]},
        *show({"type": "video_url", "video_url": {"url": "https://v.example/a.mp4"}}),
    ]
    got = client.completion("twin/m", messages)
    assert wire.body["messages"] == messages
    assert got.meta.adaptations == []


def test_images_that_it_cannot_fetch_are_sent_along(wire, client):
    """An image by URL becomes a data: URL, fetched without the key; one that is data stays."""
    client.completion("twin/m", show(image(IMAGE_URL), image(PNG)))
    fetched, _ = wire.seen
    assert "authorization" not in fetched.headers
    assert wire.body["messages"] == show(image("data:image/png;base64,iVBORw0KGgo="), image(PNG))


def test_rerank_in_the_common_shape(wire, client):
    """At the path it has there; the inputs stand by the results."""
    wire.reply = RANKED
    got = client.rerank("twin/r", "q", ["a", "b"], top_n=1, return_documents=True)
    assert str(wire.seen[-1].url) == "https://api.lookalike.example/v1/reranks"
    assert wire.body == {"model": "r", "query": "q", "documents": ["a", "b"], "top_n": 1, "return_documents": True}
    assert (got.results[0].index, got.results[0].document, got.documents) == (1, {"text": "b"}, ["a", "b"])
    assert got.usage_buckets == {"input": 3}


def test_rerank_sends_dicts_as_the_text_that_counts(wire, client):
    """A document with fields is ranked by its text, or by the fields that were named."""
    wire.reply = RANKED
    documents = [{"title": "A", "text": "a"}, {"title": "B", "text": "b"}]
    got = client.rerank("twin/r", "q", documents, rank_fields=["title", "text"])
    assert wire.body["documents"] == ["A\na", "B\nb"]
    assert (got.documents, got.results[0].document) == (documents, documents[1])
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("rank_fields", "emulated")]
    client.rerank("twin/r", "q", documents)
    assert wire.body["documents"] == ["a", "b"]


def test_images_are_embedded_where_that_works(wire, client):
    """A provider that embeds images is sent them, and the purpose under its own name."""
    wire.reply = {"data": [{"index": 0, "embedding": [1.0]}], "model": "e"}
    client.embedding("twin/e", [PNG], input_type="search_query")
    assert wire.body == {"model": "e", "input": [PNG], "task": "search_query"}
