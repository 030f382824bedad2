"""Vectors, rankings, transcripts and models: literal requests and literal replies."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from wires import connect

from polyport import errors, model_info
from polyport_cohere.yaml import to_yaml

PNG = "data:image/png;base64,iVBORw0KGgo="


def embedder(types: tuple[str, ...] = ("float",)) -> Any:
    """Be Embed: a vector tells the place of its input in its call, and how many there were."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        inputs = body.get("texts") or body.get("inputs") or body["images"]
        vectors = {name: [[place, len(inputs)] for place, _ in enumerate(inputs)] for name in types}
        billed = {"input_tokens": len(inputs), "image_tokens": 0}
        return httpx.Response(200, json={"id": "e", "embeddings": vectors, "meta": {"billed_units": billed}})

    return answer


def sent(wire) -> list[dict[str, Any]]:
    """Return the bodies of all requests."""
    return [json.loads(request.content) for request in wire.seen]


def test_texts(client, wire):
    """The body is Cohere's; what it insists on and was not said is told."""
    wire.answer = embedder()
    got = client.embedding("cohere/embed-v4.0", "a", dimensions=256, truncate="NONE")
    assert sent(wire) == [
        {
            "model": "embed-v4.0",
            "input_type": "search_document",
            "embedding_types": ["float"],
            "output_dimension": 256,
            "truncate": "NONE",
            "texts": ["a"],
        }
    ]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("input_type", "emulated")]
    assert got.data[0].embedding == [0, 1]
    assert got.usage.prompt_tokens == 1


@pytest.mark.parametrize("number", [96, 97, 200])
def test_many_texts_are_sent_in_calls_of_96(client, wire, number):
    """The vectors come joined in order, the tokens summed."""
    wire.answer = embedder()
    texts = [str(index) for index in range(number)]
    got = client.embedding("cohere/embed-v4.0", texts, input_type="search_query")
    assert [text for body in sent(wire) for text in body["texts"]] == texts
    assert [len(body["texts"]) for body in sent(wire)] == [96] * (number // 96) + [number % 96] * bool(number % 96)
    assert [item.index for item in got.data] == list(range(number))
    assert [item.embedding[0] for item in got.data] == [index % 96 for index in range(number)]
    assert got.usage.prompt_tokens == number


def test_pictures_and_both_together(client, wire):
    """From version 4 on a vector is of a content, and texts may stand beside pictures in one call."""
    wire.answer = embedder()
    mixed = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG}}]
    client.embedding("cohere/embed-v4.0", [PNG, "b", mixed, {"content": mixed}], input_type="search_document")
    picture = {"type": "image_url", "image_url": {"url": PNG}}
    assert sent(wire)[0]["inputs"] == [
        {"content": [picture]},
        {"content": [{"type": "text", "text": "b"}]},
        {"content": [{"type": "text", "text": "a"}, picture]},
        {"content": [{"type": "text", "text": "a"}, picture]},
    ]


def test_pictures_of_version_3_go_one_by_one(client, wire):
    """Texts stay together, in order."""
    wire.answer = embedder()
    got = client.embedding("cohere/embed-english-v3.0", ["a", "b", PNG, PNG, "c"], input_type="clustering")
    calls = [(body.get("texts"), body.get("images"), body["input_type"]) for body in sent(wire)]
    assert calls == [
        (["a", "b"], None, "clustering"),
        (None, [PNG], "image"),
        (None, [PNG], "image"),
        (["c"], None, "clustering"),
    ]
    assert [item.embedding for item in got.data] == [[0, 2], [1, 2], [0, 1], [0, 1], [0, 1]]
    with pytest.raises(errors.BadRequestError, match="embed-v4"):
        client.embedding(
            "cohere/embed-english-v3.0", [[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": PNG}]]
        )


def test_a_picture_by_address_is_fetched(client, wire):
    """Cohere takes data: URLs only."""
    inner = embedder()
    wire.answer = lambda request: (
        httpx.Response(200, content=b"\x89PNG\r\n\x1a\n", headers={"content-type": "image/png"})
        if request.url.host == "images.example"
        else inner(request)
    )
    part = {"type": "image_url", "image_url": {"url": "https://images.example/a.png"}}
    client.embedding("cohere/embed-v4.0", [part], input_type="search_document")
    assert "authorization" not in wire.seen[0].headers
    url = sent(wire_after(wire))[0]["inputs"][0]["content"][0]["image_url"]["url"]
    assert url == "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def wire_after(wire) -> Any:
    """Return the wire without the request that fetched the picture."""
    del wire.seen[0]
    return wire


def test_heavy_pictures_are_spread_over_calls(client, wire):
    """A call holds 20 MB of pictures."""
    wire.answer = embedder()
    heavy = "data:image/png;base64," + "A" * 12_000_000
    client.embedding("cohere/embed-v4.0", [heavy] * 3, input_type="search_document")
    assert [len(body["inputs"]) for body in sent(wire)] == [2, 1]


@pytest.mark.parametrize("encoding", ["int8", "ubinary"])
def test_vectors_of_small_numbers(client, wire, encoding):
    """They are whole numbers."""
    wire.answer = embedder((encoding,))
    got = client.embedding("cohere/embed-v4.0", ["a"], encoding_format=encoding, input_type="search_query")
    assert sent(wire)[0]["embedding_types"] == [encoding]
    assert got.data[0].embedding == [0, 1]
    assert all(type(number) is int for number in got.data[0].embedding)


def test_base64_is_cohere_s_own(client, wire):
    """It is little-endian float32, as OpenAI's."""
    wire.answer = lambda _: httpx.Response(200, json={"embeddings": {"base64": ["AAAAPw=="]}})
    got = client.embedding("cohere/embed-v4.0", "a", encoding_format="base64", input_type="search_query")
    assert got.data[0].embedding == "AAAAPw=="


def test_several_types_at_once(client, wire):
    """The first is the answer's, and all are there, over all calls."""
    wire.answer = embedder(("float", "int8"))
    texts = ["x"] * 97
    got = client.embedding("cohere/embed-v4.0", texts, embedding_types=["float", "int8"], input_type="search_query")
    assert len(got.data) == 97
    assert {name: len(vectors) for name, vectors in got.extra["embeddings"].items()} == {"float": 97, "int8": 97}


def test_what_cannot_be_embedded_is_named(client, wire):
    """Token ids, unknown words for a type, and vectors that are missing."""
    wire.answer = embedder()
    for wrong in ([1, 2], [None], [{"type": "input_audio", "input_audio": {"data": ""}}]):
        with pytest.raises(errors.BadRequestError, match="Cohere embeds texts and pictures"):
            client.embedding("cohere/embed-v4.0", wrong, input_type="search_query")
    with pytest.raises(errors.BadRequestError, match="search_document"):
        client.embedding("cohere/embed-v4.0", "a", input_type="query")
    with pytest.raises(errors.BadRequestError, match="ubinary"):
        client.embedding("cohere/embed-v4.0", "a", encoding_format="float64")
    wire.answer = lambda _: httpx.Response(200, json={"embeddings": {"float": [[1.0]]}})
    with pytest.raises(errors.InvalidResponseError, match="2 inputs gave 1 vectors"):
        client.embedding("cohere/embed-v4.0", ["a", "b"], input_type="search_query")


RANKED = {"id": "r", "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]}


def test_documents_with_fields_are_ranked_as_yaml(client, wire):
    """By the fields asked for; without any, by the text, or by everything there is."""
    wire.answer = lambda _: httpx.Response(200, json=RANKED)
    documents = [{"title": "A: b", "text": "x", "year": 2020}, {"title": "B", "year": None}]
    got = client.rerank("cohere/rerank-v3.5", "q", documents, top_n=2, return_documents=True, max_tokens_per_doc=99)
    assert sent(wire)[-1] == {
        "model": "rerank-v3.5",
        "query": "q",
        "documents": ["x", "title: B\nyear: null"],
        "top_n": 2,
        "max_tokens_per_doc": 99,
    }
    assert [result.document for result in got.results] == [documents[1], documents[0]]
    assert got.documents == documents
    client.rerank("cohere/rerank-v3.5", "q", documents, rank_fields=["year", "title"])
    assert sent(wire)[-1]["documents"] == ['year: 2020\ntitle: "A: b"', "year: null\ntitle: B"]


def test_documents_come_back_only_where_asked_for(client, wire):
    """Cohere returns none; they are the inputs."""
    wire.answer = lambda _: httpx.Response(200, json=RANKED)
    assert client.rerank("cohere/rerank-v3.5", "q", ["a", "b"]).results[0].document is None
    got = client.rerank("cohere/rerank-v3.5", "q", ["a", "b"], return_documents=True)
    assert got.results[0].document == {"text": "b"}


def test_stretches_that_count(client, wire):
    """`relevant_spans` asks for them, and each result has its own."""
    spans = [{"start": 0, "end": 1, "relevance_score": 0.8}]
    result = {"index": 0, "relevance_score": 0.9, "relevant_spans": spans}
    wire.answer = lambda _: httpx.Response(200, json={"results": [result]})
    got = client.rerank("cohere/rerank-v5.0-pro", "q", ["a"], relevant_spans={"mode": "enabled"})
    assert sent(wire)[-1]["relevant_spans"] == {"mode": "enabled"}
    assert got.results[0].relevant_spans == spans
    assert got.results[0]["relevant_spans"] == spans


def test_a_document_that_was_not_sent(client, wire):
    """A ranking of it cannot be read."""
    wire.answer = lambda _: httpx.Response(200, json=RANKED)
    with pytest.raises(errors.InvalidResponseError, match="document 1"):
        client.rerank("cohere/rerank-v3.5", "q", ["a"])
    with pytest.raises(errors.UnsupportedParamsError, match="max_tokens_per_doc"):
        client.rerank("cohere/rerank-v3.5", "q", ["a"], max_chunks_per_doc=1)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain words, and more", "plain words, and more"),
        ("https://a.example/b", "https://a.example/b"),
        ("two\nlines", r'"two\nlines"'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ("", '""'),
        ("yes", '"yes"'),
        ("12.5", '"12.5"'),
        ("- dash", '"- dash"'),
        ("ends: ", '"ends: "'),
        (12.5, "12.5"),
        (["a", {"b": True}], '["a",{"b":true}]'),
    ],
)
def test_values_in_yaml(value, written):
    """Text that would mean something else has quotes; lists and dicts are JSON, which is YAML."""
    assert to_yaml({"k": value}) == f"k: {written}"


WAV = ("a.wav", b"RIFF\0\0\0\0WAVE")


def test_transcripts(client, wire):
    """The form has what Cohere takes; the text comes alone where that was asked for."""
    wire.answer = lambda _: httpx.Response(200, json={"text": " Hello"})
    model = "cohere/cohere-transcribe-03-2026"
    assert client.transcription(model, WAV, language="en", temperature=0.2).text == " Hello"
    assert str(wire.last.url) == "https://api.cohere.com/v2/audio/transcriptions"
    form = wire.last.content
    for field in (b'name="language"\r\n\r\nen', b'name="temperature"\r\n\r\n0.2', b'filename="a.wav"'):
        assert field in form
    assert client.transcription(model, WAV, language="en", response_format="text") == " Hello"


@pytest.mark.parametrize(
    "parameters",
    [{"response_format": "srt"}, {"prompt": "x"}, {"diarize": True}, {"timestamp_granularities": ["word"]}],
)
def test_transcripts_are_text_and_nothing_else(client, parameters):
    """Times, speakers and prompts are refused."""
    with pytest.raises(errors.UnsupportedParamsError):
        client.transcription("cohere/x", WAV, language="en", **parameters)


def test_a_transcript_needs_a_language(client):
    """The message says what to do."""
    with pytest.raises(errors.BadRequestError, match="language='en'"):
        client.transcription("cohere/x", WAV)


def test_models(client, wire):
    """Each has what else Cohere says of it; the token of the next page is there."""
    model = {"name": "command-x", "endpoints": ["chat"], "context_length": 9}
    wire.answer = lambda _: httpx.Response(200, json={"models": [model], "next_page_token": "p2"})
    got = client.list_models(provider="cohere", after="p1", endpoint="chat")
    assert dict(wire.last.url.params) == {"page_size": "1000", "page_token": "p1", "endpoint": "chat"}
    assert got.data[0].id == "command-x"
    assert got.data[0].extra == {"endpoints": ["chat"], "context_length": 9}
    assert got.has_more
    assert got.extra == {"next_page_token": "p2"}


@pytest.mark.parametrize("prefix", ["cohere", "cohere_chat"])
def test_both_prefixes_are_cohere(wire, prefix):
    """The second is what users of other libraries write; both know the same facts."""
    wire.answer = lambda _: httpx.Response(200, json={"embeddings": {"float": [[1.0]]}})
    with connect(wire) as client:
        got = client.embedding(f"{prefix}/embed-v4.0", "a", input_type="search_query")
    assert got.meta.provider == prefix
    assert model_info(f"{prefix}/embed-v4.0").dimensions == 1536
