"""The semantic cache: the last user text is compared, everything else is a hard partition."""

from __future__ import annotations

from typing import Any

import pytest
from core.tests.caching.conftest import answer, vector_of
from hypothesis import given, settings, strategies as st

from polyport.caching import Cache
from polyport.caching.vectors import Nearest, unit
from polyport.errors import BadRequestError
from polyport.testing import Reply, Wire


def user(text: str, *before: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages that end with a user's text."""
    return [*before, {"role": "user", "content": text}]


def semantic(**more: Any) -> Cache:
    """A semantic cache whose vectors say how often a text has which vowel."""
    return Cache(type="semantic", embedding_model="fake/v", similarity_threshold=0.99, **more)


def chats(wire: Wire) -> int:
    """How many chats were asked for."""
    return sum(sent.path.endswith("/chat/completions") for sent in wire.requests)


def test_other_words_that_mean_the_same_have_one_answer(mode, cached):
    """And those that do not have another."""
    cache = semantic()
    client, wire = cached(cache)
    first = mode.chat(client, messages=user("aaa e"))
    near = mode.chat(client, messages=user("a e a, a"))
    assert (near.meta.cache_hit, near.meta.cost) == (True, 0.0)
    assert near.text == first.text
    assert not mode.chat(client, messages=user("ooo")).meta.cache_hit
    assert chats(wire) == 2
    assert cache.stats["similar"] == 1


def test_what_was_asked_literally_needs_no_vector(cached):
    """The exact key is looked for first; and the vectors are cached, too."""
    client, wire = cached(semantic())
    for _ in range(3):
        client.completion("fake/m", user("aaa e"))
    assert len(wire.requests) == 2


SYSTEM = {"role": "system", "content": "be brief"}
PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.mark.parametrize(
    "change",
    [
        {"messages": user("a e a, a", SYSTEM)},
        {"messages": user("a e a, a 5")},
        {"messages": user("a e a, a", *user("o"), {"role": "assistant", "content": "x"})},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a e a, a"}, PART]}]},
        {"temperature": 0.1},
        {"model": "fake/m2"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"cache": {"namespace": "other"}},
        {"odd": 1},
    ],
    ids=str,
)
def test_all_but_the_last_text_is_a_hard_partition(cached, change):
    """However near the text: another prompt, another parameter, another namespace is another question."""
    client, _ = cached(semantic())
    plain = {"model": "fake/m", "messages": user("aaa e")}
    client.completion(**plain)
    assert not client.completion(**{**plain, "messages": user("a e a, a"), **change}).meta.cache_hit
    again = {**plain, "messages": user("e a a a"), **change}
    if "messages" not in change:
        assert client.completion(**again).meta.cache_hit


def test_a_vector_whose_entry_is_gone_leads_nowhere(cached):
    """It is forgotten, and the model is asked."""
    cache = semantic()
    client, _ = cached(cache)
    client.completion("fake/m", user("aaa e"))
    cache.store._entries.clear()
    assert not client.completion("fake/m", user("a e a, a")).meta.cache_hit
    assert client.completion("fake/m", user("aa e a")).meta.cache_hit


def test_streams_are_found_by_likeness_too(cached):
    """And replayed."""
    client, wire = cached(semantic())
    for text in ("aaa e", "a e a, a"):
        assert len(list(client.completion("fake/m", user(text), stream=True))) == 4
    assert chats(wire) == 1


def test_an_embedding_model_that_fails_breaks_no_call(mode, cached, caplog):
    """The cache goes on as an exact one."""

    def failing(sent):
        return Reply.of({"error": "no"}, status=400) if "input" in sent.json else answer(sent)

    cache = semantic()
    client, _ = cached(cache, failing)
    assert mode.chat(client, messages=user("aaa")).text
    assert mode.chat(client, messages=user("aaa")).meta.cache_hit
    assert cache.stats["errors"] == 1
    assert [record.name for record in caplog.records] == ["polyport.cache"]


def test_a_semantic_cache_needs_a_client_to_ask():
    """Its layer alone has nobody to ask for vectors."""
    with pytest.raises(BadRequestError, match="layer_for"):
        _ = semantic().layer


@pytest.mark.parametrize(
    ("function", "params", "near"),
    [
        ("responses", {"input": "aaa e"}, {"input": "a e a a"}),
        ("text_completion", {"prompt": "aaa e"}, {"prompt": "a e a a"}),
        ("messages", {"messages": user("aaa e"), "system": "s"}, {"messages": user("a e a a"), "system": "s"}),
    ],
)
def test_other_operations_that_end_with_a_text_are_compared_too(cached, function, params, near):
    """By the same rule."""

    def said(sent):
        if "input" in sent.json and "embed" in sent.path:
            return answer(sent)
        if function == "responses":
            return {"id": "r", "object": "response", "status": "completed", "output": []}
        if function == "text_completion":
            return {"id": "t", "choices": [{"index": 0, "text": "hi"}]}
        return answer(sent)

    client, _ = cached(semantic(), said)
    getattr(client, function)(model="fake/m", **params)
    assert getattr(client, function)(model="fake/m", **near).meta.cache_hit


vectors = st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda vector: any(abs(v) > 0.01 for v in vector))
moves = st.lists(st.tuples(st.booleans(), st.sampled_from("pq"), st.sampled_from("abcdefgh"), vectors), max_size=40)


@settings(max_examples=100, deadline=None)
@given(moves, vectors, st.integers(1, 6))
def test_the_nearest_is_the_nearest_of_its_partition(taken, asked, limit):
    """Whatever was added and removed, within the bound."""
    nearest = Nearest(limit)
    there: dict[tuple[str, str], list[float]] = {}
    for add, partition, key, vector in taken:
        if add:
            nearest.add(partition, key, unit(vector))
            there[partition, key] = unit(vector)
        else:
            nearest.remove(partition, key)
            there.pop((partition, key), None)
        assert len(nearest) <= limit
        there = {where: vector for where, vector in there.items() if where in nearest._order}
        assert len(there) == len(nearest)
    for partition in "pq":
        found = nearest.find(partition, unit(asked))
        products = [
            sum(a * b for a, b in zip(v, unit(asked), strict=True)) for (p, _), v in there.items() if p == partition
        ]
        assert (found is None) is (not products)
        if found is not None:
            assert found[1] == pytest.approx(max(products), abs=1e-5)


def test_vectors_of_the_module_are_of_length_one():
    """So that similarity is a dot product; nothing stays nothing."""
    assert sum(value * value for value in unit(vector_of("aeo"))) == pytest.approx(1)
    assert unit([0.0, 0.0]) == [0.0, 0.0]
