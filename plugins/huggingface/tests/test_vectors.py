"""Vectors and rerank: literal calls beside the literal JSON that they become."""

from __future__ import annotations

import base64
import json
import struct

import httpx
import pytest

from polyport import errors
from polyport_huggingface.conformance import RANKS, SCORES, VECTORS, mapping

TEI = "http://localhost:8080"


def body(wire):
    """The JSON that was sent last."""
    return json.loads(wire.last.content)


def adapted(got):
    """What was not passed on as it was given."""
    return [(a.parameter, a.action) for a in got.meta.adaptations]


def test_vectors_by_the_router(wire, client):
    """The router's own provider is asked, under the model's name."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    got = client.embedding("huggingface/intfloat/multilingual-e5-large", ["a", "b"], normalize=True)
    assert str(wire.last.url) == (
        "https://router.huggingface.co/hf-inference/models/intfloat/multilingual-e5-large/pipeline/feature-extraction"
    )
    assert body(wire) == {"inputs": ["a", "b"], "normalize": True}
    assert [item.embedding for item in got.data] == [[0.01, -0.02, 0.03], [0.04, 0.05, -0.06]]
    assert got.usage is None
    got = client.embedding("huggingface/org/model:hf-inference", ["a", "b"], encoding_format="base64")
    assert struct.unpack("<3f", base64.b64decode(got.data[1].embedding)) == pytest.approx([0.04, 0.05, -0.06])
    assert adapted(got) == [("encoding_format", "emulated")]
    wire.answer = lambda _: httpx.Response(200, json=[0.5, 0.25])
    assert client.embedding("huggingface/org/model", "a").data[0].embedding == [0.5, 0.25]


def test_vectors_at_an_endpoint(wire, client):
    """In text-embeddings-inference's own words, with its count of tokens; in OpenAI's where the address ends in /v1."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS, headers={"x-compute-tokens": "8"})
    got = client.embedding("huggingface/tei", ["a", "b"], api_base=TEI, truncate=True, prompt_name="query")
    assert str(wire.last.url) == f"{TEI}/embed"
    assert body(wire) == {"inputs": ["a", "b"], "truncate": True, "prompt_name": "query"}
    assert got.usage_buckets == {"input": 8}
    wire.answer = lambda _: httpx.Response(200, json={"data": [{"index": 0, "embedding": [0.5]}]})
    got = client.embedding("huggingface/tei", "a", api_base=f"{TEI}/v1", dimensions=1)
    assert str(wire.last.url) == f"{TEI}/v1/embeddings"
    assert body(wire) == {"model": "tei", "input": "a", "dimensions": 1}
    assert got.data[0].embedding == [0.5]


def test_vectors_by_another_provider(wire, client):
    """The Hub says what the model is called there."""

    def answer(request):
        if request.url.host == "huggingface.co":
            return httpx.Response(200, json=mapping("feature-extraction", "scaleway", "bge-multilingual-gemma2"))
        return httpx.Response(200, json={"data": [{"index": 0, "embedding": [0.5]}]})

    wire.answer = answer
    client.embedding("huggingface/BAAI/bge-multilingual-gemma2:scaleway", "a", dimensions=8)
    assert str(wire.seen[0].url) == (
        "https://huggingface.co/api/models/BAAI/bge-multilingual-gemma2?expand%5B%5D=inferenceProviderMapping"
    )
    assert str(wire.last.url) == "https://router.huggingface.co/scaleway/v1/embeddings"
    assert body(wire) == {"model": "bge-multilingual-gemma2", "input": "a", "dimensions": 8}


@pytest.mark.parametrize("given", [{"dimensions": 3}, {"input_type": "search_query"}, {"user": "u"}])
def test_what_features_do_not_have(wire, client, given):
    """Is refused with the reason, and with drop_params left out and recorded."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    (name,) = given
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        client.embedding("huggingface/org/model", ["a", "b"], **given)
    got = client.embedding("huggingface/org/model", ["a", "b"], **given, drop_params=True)
    assert (body(wire), adapted(got)) == ({"inputs": ["a", "b"]}, [(name, "dropped")])


def test_replies_that_are_no_vectors(wire, client):
    """A vector a token, or too few of them, are named."""
    wire.answer = lambda _: httpx.Response(200, json=[[[0.1], [0.2]], [[0.3], [0.4]]])
    with pytest.raises(errors.InvalidResponseError, match="a vector a token"):
        client.embedding("huggingface/org/model", ["a", "b"])
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    with pytest.raises(errors.InvalidResponseError, match="3 inputs gave 2"):
        client.embedding("huggingface/org/model", ["a", "b", "c"])
    with pytest.raises(errors.UnsupportedParamsError, match="is an image"):
        client.embedding("huggingface/org/model", "data:image/png;base64,AAAA")


def test_a_reranker_at_an_endpoint(wire, client):
    """Documents by relevance, cut here."""
    wire.answer = lambda _: httpx.Response(200, content=RANKS)
    documents = [{"text": "one"}, "two"]
    got = client.rerank(
        "huggingface/tei", "q", documents, api_base=TEI, top_n=1, return_documents=True, raw_scores=True
    )
    assert str(wire.last.url) == f"{TEI}/rerank"
    assert body(wire) == {"query": "q", "texts": ["one", "two"], "raw_scores": True}
    assert [(r.index, r.relevance_score, r.document) for r in got.results] == [(1, 0.98, {"text": "two"})]
    assert got.documents == documents
    assert adapted(got) == [("top_n", "emulated")]
    with pytest.raises(errors.UnsupportedParamsError, match="max_chunks_per_doc"):
        client.rerank("huggingface/tei", "q", documents, api_base=TEI, max_chunks_per_doc=2)


def test_rerank_by_the_router(wire, client):
    """Similarity stands in for relevance, and it is said so."""
    wire.answer = lambda _: httpx.Response(200, content=SCORES)
    got = client.rerank("huggingface/org/model", "q", ["one", "two"])
    assert str(wire.last.url) == (
        "https://router.huggingface.co/hf-inference/models/org/model/pipeline/sentence-similarity"
    )
    assert body(wire) == {"inputs": {"source_sentence": "q", "sentences": ["one", "two"]}}
    assert [(r.index, r.relevance_score) for r in got.results] == [(1, 0.87), (0, 0.11)]
    assert adapted(got) == [("model", "emulated")]
    with pytest.raises(errors.UnsupportedParamsError, match="endpoint"):
        client.rerank("huggingface/org/model:together", "q", ["one"])
    wire.answer = lambda _: httpx.Response(200, json=[0.5])
    with pytest.raises(errors.InvalidResponseError, match="2 documents"):
        client.rerank("huggingface/org/model", "q", ["one", "two"])
