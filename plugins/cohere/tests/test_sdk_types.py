"""Every body that goes to Cohere is one that the official SDK allows, with nothing in it that the SDK does not know.

The SDK's models take any further field and any string where they have a Literal; here they may not.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import Any

import pytest
from matrix import products

from polyport.building import build
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest
from polyport.types.record import Options
from polyport.types.rerank import RerankRequest
from polyport_cohere import body, embed, rerank

cohere = pytest.importorskip("cohere")
V2Client = pytest.importorskip("cohere.v2.client").V2Client

DROP = Options(drop_params=True)


@functools.cache
def hints(kind: Any) -> dict[str, Any]:
    """Return the types of a model's fields, or of a method's parameters."""
    return typing.get_type_hints(kind, include_extras=False)


def wrong(kind: Any, value: Any, path: str) -> list[str]:
    """Return what the SDK's types have against a value, each with its place."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return []
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not Any]  # Any stands for what is to come
        return min((wrong(member, value, path) for member in members), key=len)
    if origin is typing.Literal:
        return [] if value in typing.get_args(kind) else [f"{path}: {value!r} is none of {typing.get_args(kind)}"]
    if inspect.isclass(kind) and hasattr(kind, "model_fields"):
        return _model(kind, value, path)
    if origin in (list, typing.Sequence) or getattr(origin, "__name__", "") == "Sequence":
        if not isinstance(value, list):
            return [f"{path}: expected a list, got {value!r}"]
        (inner,) = typing.get_args(kind)
        return [error for index, item in enumerate(value) for error in wrong(inner, item, f"{path}[{index}]")]
    if origin is dict:
        return [] if isinstance(value, dict) else [f"{path}: expected a dict, got {value!r}"]
    if kind is float:
        return [] if isinstance(value, int | float) else [f"{path}: expected a number, got {value!r}"]
    return [] if isinstance(value, kind) else [f"{path}: expected {kind.__name__}, got {value!r}"]


def _model(kind: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected {kind.__name__}, got {value!r}"]
    fields = kind.model_fields
    errors = [f"{path}.{name}: missing" for name, field in fields.items() if field.is_required() and name not in value]
    for name, inner in value.items():
        if name not in fields:
            errors.append(f"{path}.{name}: unknown in {kind.__name__}")
        else:
            errors += wrong(hints(kind)[name], inner, f"{path}.{name}")
    return errors


def against(method: str, sent: dict[str, Any]) -> list[str]:
    """Return what the SDK's method of this name has against a body."""
    known = {name: kind for name, kind in hints(getattr(V2Client, method)).items() if name not in ("return", "self")}
    required = {
        name
        for name, parameter in inspect.signature(getattr(V2Client, method)).parameters.items()
        if parameter.default is inspect.Parameter.empty and name != "self"
    }
    errors = [f"$.{name}: missing" for name in required - sent.keys()]
    for name, value in sent.items():
        if name == "stream":
            continue  # the SDK has a method for each way
        errors += wrong(known[name], value, f"$.{name}") if name in known else [f"$.{name}: unknown to {method}"]
    return errors


@pytest.mark.parametrize("model", ["command-a-03-2025", "command-a-reasoning-08-2025"])
def test_chat_bodies(model):
    """Every history with every set of tools and parameters."""
    number = 0
    for name, fields in products():
        request = build(ChatRequest, dict(fields), DROP)
        request.model = model
        method = "chat_stream" if fields.get("stream") else "chat"
        assert against(method, body.to_body(request)) == [], name
        number += 1
    assert number > 4000


OWN: dict[str, Any] = {
    "documents": ["Text", {"id": "d", "data": {"title": "A", "snippet": "B"}}],
    "citation_options": {"mode": "FAST"},
    "safety_mode": "STRICT",
    "priority": 1,
    "strict_tools": True,
    "k": 3,
    "thinking": {"type": "enabled", "budget_tokens": 100},
}


def test_parameters_of_cohere_itself():
    """Cohere's own parameters go where the SDK has them."""
    request = build(ChatRequest, {"messages": [{"role": "user", "content": "x"}], **OWN}, DROP)
    request.model = "command-a-03-2025"
    assert against("chat", body.to_body(request)) == []


def test_the_oracle_sees_mistakes():
    """A wrong value, an unknown field and a missing one are all told."""
    sent = {"messages": [{"role": "tool", "content": 3, "colour": "red"}], "model": "m", "tool_choice": "auto"}
    told = " ".join(against("chat", sent))
    assert "tool_choice" in told
    assert "$.messages[0]" in told


PICTURE = "data:image/png;base64,aGk="


MIXED = [[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": PICTURE}]]


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("embed-v4.0", {"input": "a"}),
        ("embed-v4.0", {"input": ["a", "b"], "dimensions": 256, "encoding_format": "base64"}),
        ("embed-v4.0", {"input": [PICTURE, "a"], "truncate": "START", "max_tokens": 9, "priority": 2}),
        ("embed-v5.0-fast", {"input": MIXED, "input_type": "search_query", "encoding_format": "ubinary"}),
        ("embed-english-v3.0", {"input": ["a", PICTURE, "b"], "input_type": "clustering"}),
    ],
)
def test_embed_bodies(model, fields):
    """Texts, pictures and both together, with what is wished of the vectors."""
    request = build(EmbedRequest, dict(fields), DROP)
    request.model = model
    inputs = [next_of(embed._input(value, "$.input")) for value in request.texts]
    for batch in embed.batches(inputs, model):
        assert against("embed", {**embed.to_wishes(request), **embed._of(batch, request)}) == []


def next_of(flow: Any) -> Any:
    """Return the result of a flow that does not ask for anything."""
    with pytest.raises(StopIteration) as stop:
        next(flow)
    return stop.value.value


def test_rerank_bodies():
    """Texts and documents with fields, with every parameter."""
    fields = {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "max_tokens_per_doc": 9}
    request = build(RerankRequest, {**fields, "relevant_spans": {"mode": "enabled"}, "rank_fields": ["text"]}, DROP)
    request.model = "rerank-v5.0-pro"
    assert against("rerank", rerank.to_body(request)) == []
