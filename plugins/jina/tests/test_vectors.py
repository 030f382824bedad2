"""Vectors, rankings and models: literal requests and literal replies, as https://api.jina.ai/openapi.json has them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from wires import Wire

from polyport import Client, errors, model_info
from polyport_jina.conformance import RANKED

PNG = "data:image/png;base64,iVBORw0KGgo="
URL = "https://example.com/a.png"
PDF = "data:application/pdf;base64,JVBERi0="


def embedder(*vectors: Any, usage: Any = None) -> Any:
    """Answer with vectors, the last first."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    made = {"model": "m", "object": "list", "usage": usage or {"total_tokens": 7}, "data": data[::-1]}
    return lambda _: httpx.Response(200, json=made)


def sent(wire: Wire) -> Any:
    """Return the last request's body."""
    return json.loads(wire.last.content)


def told(got: Any) -> list[tuple[str, str]]:
    """Return what was adapted."""
    return [(a.parameter, a.action) for a in got.meta.adaptations]


def test_texts(client: Client, wire: Wire) -> None:
    """Order is the inputs', prompt tokens are the total where no others are told, Jina's parameters go in."""
    wire.answer = embedder([0.5, 1.0], [0.25, 0.0])
    got = client.embedding(
        "jina_ai/jina-embeddings-v3",
        ["a", "b"],
        dimensions=2,
        input_type="search_document",
        late_chunking=True,
        truncate=True,
    )
    assert str(wire.last.url) == "https://api.jina.ai/v1/embeddings"
    assert sent(wire) == {
        "model": "jina-embeddings-v3",
        "dimensions": 2,
        "task": "retrieval.passage",
        "late_chunking": True,
        "truncate": True,
        "input": ["a", "b"],
    }
    assert [item.embedding for item in got.data] == [[0.5, 1.0], [0.25, 0.0]]
    assert (got.usage.prompt_tokens, got.usage.total_tokens) == (7, 7)
    assert told(got) == []


def test_pictures(client: Client, wire: Wire) -> None:
    """A data: URL loses its head, an http URL goes as it is; image tokens are told."""
    wire.answer = embedder(*[[1.0]] * 6, usage={"total_tokens": 20, "prompt_tokens": 20, "image_tokens": 18})
    part = {"type": "image_url", "image_url": {"url": URL}}
    inputs = [PNG, part, [part], {"image": PNG}, {"text": "b"}, "c"]
    got = client.embedding("jina_ai/jina-clip-v2", inputs, input_type="search_document")
    bare = {"image": "iVBORw0KGgo="}
    assert sent(wire) == {
        "model": "jina-clip-v2",
        "input": [bare, {"image": URL}, {"image": URL}, bare, {"text": "b"}, "c"],
    }
    assert got.usage.buckets() == {"input": 2, "image_input": 18}


@pytest.mark.parametrize(
    "given",
    [{"pdf": PDF}, {"type": "file", "file": {"file_data": PDF}}, [{"type": "file", "file": {"file_data": PDF}}]],
)
def test_a_pdf_is_sent_alone_and_gives_a_vector_per_page(client: Client, wire: Wire, given: Any) -> None:
    """It stands in place of the list."""
    wire.answer = embedder([1.0], [2.0])
    got = client.embedding("jina_ai/jina-embeddings-v4", [given])
    assert sent(wire) == {"model": "jina-embeddings-v4", "input": {"pdf": "JVBERi0="}}
    assert [item.embedding for item in got.data] == [[1.0], [2.0]]
    with pytest.raises(errors.BadRequestError, match="one PDF a call"):
        client.embedding("jina_ai/jina-embeddings-v4", [given, "b"])


@pytest.mark.parametrize("given", [[1, 2], [[1, 2]], ["a", ["b", "c"]], [{"type": "refusal", "refusal": "a"}], [[]]])
def test_what_jina_does_not_embed(client: Client, wire: Wire, given: Any) -> None:
    """Token ids and the like are refused before anything is sent."""
    with pytest.raises(errors.BadRequestError, match=r"\$\.input\[\d\]"):
        client.embedding("jina_ai/jina-embeddings-v4", given)
    assert not wire.seen


QUERY, PASSAGE, CLASSES, CLUSTERS = "search_query", "search_document", "classification", "clustering"


@pytest.mark.parametrize(
    ("model", "kind", "field"),
    [
        ("jina-embeddings-v5-text-small", QUERY, {"task": "retrieval.query"}),
        ("jina-embeddings-v5-text-small", CLUSTERS, {"task": "clustering"}),
        ("jina-embeddings-v3", CLUSTERS, {"task": "separation"}),
        ("jina-embeddings-v3", CLASSES, {"task": "classification"}),
        ("jina-embeddings-v4", PASSAGE, {"task": "retrieval.passage"}),
        ("jina-embeddings-v4", CLASSES, {"task": "text-matching"}),
        ("jina-code-embeddings-1.5b", QUERY, {"task": "nl2code.query"}),
        ("jina-clip-v2", QUERY, {"task": "retrieval.query"}),
        ("jina-clip-v2", PASSAGE, {}),
        ("jina-colbert-v2", QUERY, {"input_type": "query"}),
        ("jina-embeddings-v4", "code.query", {"task": "code.query"}),
        ("jina-embeddings-v2-base-en", QUERY, None),
        ("jina-code-embeddings-1.5b", CLASSES, None),
    ],
)
def test_input_types(client: Client, wire: Wire, model: str, kind: str, field: dict[str, str] | None) -> None:
    """Each model has its own words; one that has none for it says so."""
    wire.answer = embedder([1.0])
    if field is None:
        with pytest.raises(errors.UnsupportedParamsError, match="input_type"):
            client.embedding(f"jina_ai/{model}", "a", input_type=kind)
        got = client.embedding(f"jina_ai/{model}", "a", input_type=kind, drop_params=True)
        assert told(got) == [("input_type", "dropped")]
    else:
        got = client.embedding(f"jina_ai/{model}", "a", input_type=kind)
        assert told(got) == ([("input_type", "emulated")] if "text-matching" in field.values() else [])
    assert sent(wire) == {"model": model, "input": ["a"], **(field or {})}


def test_a_task_of_the_users_counts(client: Client, wire: Wire) -> None:
    """What is given under Jina's own name wins."""
    wire.answer = embedder([1.0])
    client.embedding("jina_ai/jina-embeddings-v3", "a", input_type=QUERY, task="text-matching", user="u")
    assert sent(wire) == {"model": "jina-embeddings-v3", "task": "text-matching", "input": ["a"]}


@pytest.mark.parametrize(
    ("encoding", "vector"), [("base64", "AACAPw=="), ("ubinary", [255, 0]), ("binary", [-128, 127])]
)
def test_encodings(client: Client, wire: Wire, encoding: str, vector: Any) -> None:
    """Whole numbers stay whole, text stays text."""
    wire.answer = embedder(vector)
    got = client.embedding("jina_ai/jina-embeddings-v3", "a", encoding_format=encoding)
    assert sent(wire)["embedding_type"] == encoding
    assert got.data[0].embedding == vector
    assert isinstance(vector, str) or all(isinstance(number, int) for number in got.data[0].embedding)
    assert told(got) == [("encoding_format", "renamed")]


def test_many_vectors_of_one_input(client: Client, wire: Wire) -> None:
    """They are a field of their own, and so is a sparse one."""
    data = [
        {"object": "embeddings", "index": 0, "embeddings": [[1.0], [2.0]], "tokenized_input": ["[CLS]", "a"]},
        {"object": "embedding", "index": 1, "embedding": {"ship": 0.5}},
    ]
    wire.answer = lambda _: httpx.Response(200, json={"model": "m", "data": data})
    got = client.embedding("jina_ai/jina-embeddings-v4", ["a", "b"], return_multivector=True)
    assert got.data[0].embeddings == [[1.0], [2.0]]
    assert got.data[0].tokenized_input == ["[CLS]", "a"]
    assert got.data[0].embedding == []
    assert got.data[1].sparse == {"ship": 0.5}
    assert got.usage is None


@pytest.mark.parametrize("vectors", [[[1.0]], [[1.0]] * 3])
def test_vectors_are_counted(client: Client, wire: Wire, vectors: list[Any]) -> None:
    """One too few or too many would stand with the wrong text."""
    wire.answer = embedder(*vectors)
    with pytest.raises(errors.InvalidResponseError, match="2 inputs"):
        client.embedding("jina_ai/jina-embeddings-v3", ["a", "b"])


def ranker(wire: Wire, **beside: Any) -> None:
    """Answer with a ranking."""
    wire.answer = lambda _: httpx.Response(200, json={**RANKED, **beside})


def test_ranking_of_texts(client: Client, wire: Wire) -> None:
    """Documents come back as they were given, not over the wire."""
    ranker(wire)
    documents = ["a", {"text": "b", "id": 7}]
    got = client.rerank(
        "jina_ai/jina-reranker-v3",
        query="b",
        documents=documents,
        top_n=2,
        return_documents=True,
        max_tokens_per_doc=512,
        return_embeddings=False,
    )
    assert str(wire.last.url) == "https://api.jina.ai/v1/rerank"
    assert sent(wire) == {
        "query": "b",
        "documents": ["a", "b"],
        "return_documents": False,
        "max_doc_length": 512,
        "model": "jina-reranker-v3",
        "top_n": 2,
        "return_embeddings": False,
    }
    assert [(r.index, r.relevance_score, r.document) for r in got.results] == [
        (1, 0.9, {"text": "b", "id": 7}),
        (0, 0.1, {"text": "a"}),
    ]
    assert got.usage.total_tokens == 9
    assert told(got) == [("max_tokens_per_doc", "renamed")]
    assert client.rerank("jina_ai/jina-reranker-v3", query="b", documents=documents).results[0].document is None


def test_ranking_of_pictures(client: Client, wire: Wire) -> None:
    """They stand beside texts; a query may be a picture."""
    ranker(wire, results=[{"index": 2, "relevance_score": 0.9, "embedding": [0.5]}])
    documents = [PNG, {"image": URL}, {"type": "image_url", "image_url": URL}, "d", {"title": "t", "text": "e"}]
    got = client.rerank("jina_ai/jina-reranker-m0", query=PNG, documents=documents, return_documents=True)
    image = {"image": URL}
    assert sent(wire)["query"] == {"image": "iVBORw0KGgo="}
    assert sent(wire)["documents"] == [{"image": "iVBORw0KGgo="}, image, image, "d", "e"]
    assert got.results[0].document == documents[2]
    assert got.results[0].embedding == [0.5]


def test_fields_and_cuts(client: Client, wire: Wire) -> None:
    """Fields are sent as text; older models do not cut documents, and none cuts chunks."""
    ranker(wire)
    asked: dict[str, Any] = {"query": "b", "documents": [{"x": "a", "y": "b"}] * 2, "rank_fields": ["y"]}
    got = client.rerank("jina_ai/jina-reranker-m0", **asked)
    assert sent(wire)["documents"] == ["b", "b"]
    assert told(got) == [("rank_fields", "emulated")]
    for name in ("max_tokens_per_doc", "max_chunks_per_doc"):
        with pytest.raises(errors.UnsupportedParamsError, match=name):
            client.rerank("jina_ai/jina-reranker-m0", **asked, **{name: 5})


def test_a_ranking_of_documents_not_sent(client: Client, wire: Wire) -> None:
    """It is no answer to what was asked."""
    ranker(wire)
    with pytest.raises(errors.InvalidResponseError, match="ranks document 1, and 1 were sent"):
        client.rerank("jina_ai/jina-reranker-v3", query="b", documents=["a"])


def test_models(client: Client, wire: Wire) -> None:
    """Names are those that calls take."""
    wire.answer = lambda _: httpx.Response(200, json={"object": "list", "data": [{"id": "jina-ai/jina-clip-v2"}]})
    assert [model.id for model in client.list_models(provider="jina_ai").data] == ["jina-clip-v2"]
    assert model_info("jina_ai/jina-clip-v2").mode == "embedding"


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (400, "INPUT_TOKEN_LIMIT_EXCEEDED", errors.ContextWindowExceededError, False),
        (400, "INPUT_MODEL_NOT_FOUND", errors.NotFoundError, False),
        (400, "INPUT_INVALID", errors.BadRequestError, False),
        (401, "AUTH_INVALID_API_KEY", errors.AuthenticationError, False),
        (402, "", errors.RateLimitError, False),
        (403, "AUTHZ_INSUFFICIENT_BALANCE", errors.RateLimitError, False),
        (403, "AUTHZ_RESOURCE_LIMIT_EXCEEDED", errors.RateLimitError, False),
        (403, "AUTHZ_FORBIDDEN", errors.PermissionDeniedError, False),
        (429, "RATE_TOKEN_LIMIT_EXCEEDED", errors.RateLimitError, True),
        (503, "", errors.ServiceUnavailableError, True),
    ],
)
def test_errors(client: Client, wire: Wire, status: int, code: str, kind: type, retryable: bool) -> None:
    """The class says what can be done about it."""
    wire.answer = lambda _: httpx.Response(status, json={"detail": "No.", "code": code, "request_id": "r"})
    with pytest.raises(errors.APIError) as caught:
        client.embedding("jina_ai/jina-embeddings-v3", "a")
    assert type(caught.value) is kind
    assert (caught.value.retryable, caught.value.status_code, caught.value.message) == (retryable, status, "No.")


def test_what_is_invalid_is_told(client: Client, wire: Wire) -> None:
    """A request of the wrong shape is refused with a list of what is wrong."""
    wrong = {"detail": "Validation error", "errors": [{"field": "input", "message": "required"}]}
    wire.answer = lambda _: httpx.Response(422, json=wrong)
    with pytest.raises(errors.UnprocessableEntityError, match="Validation error"):
        client.embedding("jina_ai/jina-embeddings-v3", "a")
