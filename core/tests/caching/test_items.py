"""Embeddings in the cache: each input has its own entry, and only the missing ones are asked for."""

from __future__ import annotations

import pytest
from core.tests.caching.conftest import answer, vector_of

from polyport.caching import Cache


def test_only_the_inputs_that_are_missing_are_asked_for(mode, cached):
    """The vectors stand in the order of the inputs, and `usage` counts what was asked for now."""
    cache = Cache()
    client, wire = cached(cache)
    mode.call(client, "embedding", model="fake/v", input=["a", "ee", "o"])
    result = mode.call(client, "embedding", model="fake/v", input=["o", "eo", "a", "aa", "eo"])
    assert [sent.json["input"] for sent in wire.requests] == [["a", "ee", "o"], ["eo", "aa"]]
    assert [one.embedding for one in result.data] == [vector_of(text) for text in ("o", "eo", "a", "aa", "eo")]
    assert [one.index for one in result.data] == [0, 1, 2, 3, 4]
    assert result.usage.prompt_tokens == 2
    assert not result.meta.cache_hit
    again = mode.call(client, "embedding", model="fake/v", input=["aa", "a"])
    assert (again.meta.cache_hit, again.meta.cost, again.meta.attempts) == (True, 0.0, 0)
    assert [one.embedding for one in again.data] == [vector_of("aa"), vector_of("a")]
    assert (again.model, again.usage.total_tokens) == ("vectors-1", 0)
    assert len(wire.requests) == 2
    assert cache.stats["hits"] == 4


def test_a_text_and_a_list_of_it_share_an_entry(cached):
    """It is the same vector."""
    client, wire = cached(Cache())
    client.embedding(model="fake/v", input="a")
    assert client.embedding(model="fake/v", input=["a"]).meta.cache_hit
    assert wire.requests[0].json["input"] == "a"
    assert len(wire.requests) == 1


@pytest.mark.parametrize("change", [{"dimensions": 2}, {"encoding_format": "base64"}, {"user": "u"}, {"odd": 1}])
def test_other_parameters_are_other_vectors(cached, change):
    """Every parameter is part of each input's key."""
    client, wire = cached(Cache())
    client.embedding(model="fake/v", input=["a"])
    client.embedding(model="fake/v", input=["a"], **change)
    client.embedding(model="fake/w", input=["a"])
    assert len(wire.requests) == 3


def test_an_answer_with_another_number_of_vectors_is_handed_on_and_not_kept(cached):
    """What belongs to which input cannot be known; where some were there, all are asked for."""
    cache = Cache()
    client, wire = cached(cache, lambda sent: answer(sent) if len(sent.json["input"]) != 2 else {"data": []})
    client.embedding(model="fake/v", input=["a"])
    result = client.embedding(model="fake/v", input=["a", "e", "o"])
    assert {one.index: one.embedding for one in result.data} == dict(enumerate(map(vector_of, ("a", "e", "o"))))
    assert [sent.json["input"] for sent in wire.requests] == [["a"], ["e", "o"], ["a", "e", "o"]]
    assert client.embedding(model="fake/v", input=["x", "y"]).data == []
    assert len(cache.store) == 1


def test_controls_hold_for_inputs_too(cached):
    """Not looked for, not kept, apart."""
    cache = Cache()
    client, wire = cached(cache)
    client.embedding(model="fake/v", input=["a"], cache={"no-store": True})
    assert len(cache.store) == 0
    client.embedding(model="fake/v", input=["a"])
    client.embedding(model="fake/v", input=["a"], cache={"no-cache": True})
    client.embedding(model="fake/v", input=["a"], cache={"namespace": "n"})
    assert len(wire.requests) == 4
