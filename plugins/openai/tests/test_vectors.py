"""Embeddings and moderation with OpenAI: literal requests, literal replies."""

from __future__ import annotations

import json

import httpx
import pytest
from matrix import PNG

from polyport import errors


def vectors(*values):
    """Return OpenAI's reply with these vectors."""
    data = [{"object": "embedding", "index": i, "embedding": value} for i, value in enumerate(values)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}


def test_embeddings_as_floats(wire, client):
    """One vector per input, in input order, readable both ways."""
    wire.answer = lambda _: httpx.Response(200, json=vectors([0.5, -1], [2, 0.25]))
    got = client.embedding("text-embedding-3-small", ["a", "b"], dimensions=2)
    assert json.loads(wire.last.content) == {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 2}
    assert str(wire.last.url) == "https://api.openai.com/v1/embeddings"
    assert got.data[1].embedding == got.data[1]["embedding"] == [2.0, 0.25]
    assert got.usage_buckets == {"input": 8}


def test_embeddings_as_base64(wire, client):
    """Base64 is asked for, and given, where the user wants it."""
    wire.answer = lambda _: httpx.Response(200, json=vectors("AAAAPwAAgL8="))
    got = client.embedding("text-embedding-3-small", [1, 2, 3], encoding_format="base64")
    assert json.loads(wire.last.content)["encoding_format"] == "base64"
    assert got.data[0].embedding == "AAAAPwAAgL8="


def test_what_embeddings_do_not_have(wire, client):
    """The purpose of a vector is nothing OpenAI asks for; an image would be embedded as its base64."""
    with pytest.raises(errors.UnsupportedParamsError, match="input_type"):
        client.embedding("text-embedding-3-small", "a", input_type="search_query")
    with pytest.raises(errors.UnsupportedParamsError, match=r"\$\.input\[1\] is an image"):
        client.embedding("text-embedding-3-small", ["a", PNG])
    assert wire.seen == []


VERDICT = {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}


def test_moderation(wire, client):
    """The model is the current one where none is named."""
    wire.answer = lambda _: httpx.Response(200, json={"id": "modr-1", "model": "o", "results": [VERDICT]})
    got = client.moderation("kill", provider="openai")
    assert str(wire.last.url) == "https://api.openai.com/v1/moderations"
    assert json.loads(wire.last.content) == {"model": "omni-moderation-latest", "input": "kill"}
    assert (got.results[0].flagged, got.results[0].categories["violence"]) == (True, True)
    client.moderation(["a"], "text-moderation-stable")
    assert json.loads(wire.last.content)["model"] == "text-moderation-stable"
