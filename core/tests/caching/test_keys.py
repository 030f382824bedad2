"""What makes two calls the same: canonical text, whatever the order; different under any change."""

from __future__ import annotations

from typing import Any

import pytest
from core.tests.caching.conftest import Everything
from core.tests.conftest import ASK, KEY
from hypothesis import given, settings, strategies as st

import polyport
from polyport.caching import keys
from polyport.operations import BY_FUNCTION

CLIENT = polyport.Client(providers={"fake": Everything}, api_key=KEY, transport="httpx")

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(min_size=1, max_size=6), values, max_size=5)


def key(function: str = "completion", model: str = "fake/m", client: polyport.Client = CLIENT, **fields: Any) -> str:
    """The digest of a call."""
    if function == "completion":
        fields.setdefault("messages", ASK)
    call = client.prepare(BY_FUNCTION[function], {"model": model, **fields})
    return keys.digest(keys.canonical(call))


def turned(value: Any) -> Any:
    """The same value with every dict in the other order."""
    if isinstance(value, dict):
        return {name: turned(inner) for name, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


@settings(max_examples=100, deadline=None)
@given(objects, objects)
def test_the_order_of_names_does_not_matter(tool, odd):
    """In no dict, however deep, nor of the arguments."""
    one = key(tools=[{"type": "function", "function": tool}], zodd=odd, temperature=0.5)
    assert one == key(temperature=0.5, zodd=turned(odd), tools=[{"function": turned(tool), "type": "function"}])


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_other_values_are_other_keys(one, other):
    """Two values have one key only where their JSON is one."""
    import msgspec

    same = msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
    assert (key(zodd=one) == key(zodd=other)) is same


CHANGES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "hello "}]},
    {"messages": [*ASK, *ASK]},
    {"temperature": 0.0},
    {"temperature": 1.0},
    {"n": 2},
    {"seed": 1},
    {"user": "u"},
    {"tools": []},
    {"response_format": {"type": "json_object"}},
    {"metadata": {"a": "b"}},
    {"odd": 1},
    {"odd": "1"},
    {"stop_token": "x"},
    {"api_base": "http://other.invalid"},
    {"api_version": "2"},
    {"extra_body": {"a": 1}},
    {"extra_headers": {"x-beta": "1"}},
    {"extra_query": {"a": "1"}},
    {"drop_params": True},
    {"strict": True},
    {"model": "fake/m2"},
    {"function": "text_completion", "prompt": "hello"},
]
SAME: list[dict[str, Any]] = [
    {},
    {"temperature": None},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"api_key": "sk-another"},
    {"timeout": 3},
    {"num_retries": 7},
    {"cache": {"ttl": 3}},
    {"fallbacks": ["fake/x"]},
    {"extra_headers": {"Authorization": "Bearer x", "X-Api-Key": "x", "traceparent": "00-1-2-3", "X-Request-ID": "7"}},
    {"extra_query": {"key": "x"}},
    {"aws_secret_access_key": "x", "azure_ad_token": "x", "vertex_credentials": "x", "client_secret": "x"},
]


def test_every_change_is_another_key():
    """All apart from the plain call and from each other."""
    found = [key(**change) for change in [{}, *CHANGES]]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("change", SAME, ids=str)
def test_what_does_not_change_the_answer_does_not_change_the_key(change):
    """How to call, who calls, and by which credentials."""
    assert key(**change) == key()


def test_no_credential_is_in_the_canonical_text():
    """Neither the client's key nor one in a header, a query or a setting."""
    fields = {
        "api_key": KEY,
        "extra_headers": {"authorization": KEY, "api-key": KEY, "x-goog-api-key": KEY, "cookie": KEY},
        "extra_query": {"key": KEY},
        "aws_session_token": KEY,
        "password": KEY,
    }
    call = CLIENT.prepare(BY_FUNCTION["completion"], {"model": "fake/m", "messages": ASK, **fields})
    assert KEY.encode() not in keys.canonical(call)


def test_the_canonical_text_is_what_the_documentation_says():
    """Literally."""
    call = CLIENT.prepare(BY_FUNCTION["completion"], {"model": "fake/m", "messages": ASK, "seed": 1, "odd": 2})
    assert keys.canonical(call) == (
        b'{"extra":{"odd":2},"format":1,"model":"fake/m","operation":"completion","options":{},'
        b'"parameters":{"messages":[{"content":"hello","role":"user"}],"seed":1}}'
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=6), st.text(max_size=6))
def test_the_keys_of_a_namespace_begin_with_its_prefix_and_no_other_ones_do(one, other):
    """Whatever the namespaces are called."""
    mine, theirs = keys.prefix(one) + "digest", keys.prefix(other) + "digest"
    assert (theirs.startswith(keys.prefix(one))) is (one == other)
    assert (mine == theirs) is (one == other)


def test_a_value_that_has_no_canonical_form_has_no_key():
    """The layer hands such a call on as if there were no cache."""
    call = CLIENT.prepare(BY_FUNCTION["embedding"], {"model": "fake/v", "input": "a", "odd": object()})
    with pytest.raises(TypeError, match=r"an? object has no canonical form"):
        keys.canonical(call)
