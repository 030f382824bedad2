"""Clients over a wire that a test holds, and the service models that botocore ships, made strict.

botocore's own check is lenient: here unknown members, patterns, enumerations, lengths and bounds count, unions hold one
member, and blobs are base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from polyport import Client
from polyport.testing import Reply, Wire

KEY = "bedrock-api-key-YmVkcm9jaw"
USER = [{"role": "user", "content": "Hello"}]
HI: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}


def client(wire: Wire, **options: Any) -> Client:
    """Return a client over a wire, with a key and an environment that holds nothing."""
    return Client(http=wire, **{"api_key": KEY, "num_retries": 0, "secrets": lambda _: None, **options})


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Ask over a wire: `ask(model, messages, **params)` gives (the body sent, what was adapted, the result)."""

    def ask(model: str = "amazon.nova-lite-v1:0", messages: Any = USER, **params: Any) -> Any:
        wire = Wire(Reply.of(params.pop("reply", HI)))
        with client(wire) as asked:
            result = asked.completion(f"bedrock/{model}", messages, **params)
        return wire.requests[-1].json, [(a.parameter, a.action) for a in result.meta.adaptations], result

    return ask


@pytest.fixture
def sent(ask: Any) -> Callable[..., Any]:
    """The body that a chat call sends: `sent(model, messages, **params)`."""
    return lambda *args, **params: ask(*args, **params)[0]


@pytest.fixture
def connect() -> Callable[..., Client]:
    """Make a client over a wire: `connect(wire, **options)`."""
    return client


@pytest.fixture(scope="session")
def check_body() -> Callable[[str, str, Any], None]:
    """Hold a body against an operation: `check_body("bedrock-runtime", "Converse", body)`."""
    return hold


# --- service models ---

#: Structures that hold one of their members, though the model does not mark them as unions.
UNIONS = {"ContentBlock", "SystemContentBlock", "Tool", "ToolResultContentBlock"}


@cache
def operation(service: str, name: str) -> Any:
    """Return an operation of a service."""
    session = pytest.importorskip("botocore.session").Session()
    return session.get_service_model(service).operation_model(name)


def hold(service: str, name: str, body: Any) -> None:
    """Hold a request's body against an operation's input; what goes into path, query and headers is left out."""
    shape = operation(service, name).input_shape
    members = {key: value for key, value in shape.members.items() if "location" not in value.serialization}
    required = [key for key in shape.required_members if key in members]
    _structure(members, required, body, "$")


def _check(shape: Any, value: Any, path: str) -> None:
    CHECKS[shape.type_name](shape, value, path)


def _structure(members: Any, required: Any, value: Any, path: str) -> None:
    assert isinstance(value, dict), f"{path} is no structure: {value!r}"
    strange = value.keys() - members.keys()
    assert not strange, f"{path} has {strange}"
    missing = set(required) - value.keys()
    assert not missing, f"{path} lacks {missing}"
    for name, inner in value.items():
        _check(members[name], inner, f"{path}.{name}")


def _of_shape(shape: Any, value: Any, path: str) -> None:
    if getattr(shape, "is_document_type", False):
        return
    _structure(shape.members, shape.required_members, value, path)
    if getattr(shape, "is_tagged_union", False) or shape.name in UNIONS:
        assert len(value) == 1, f"{path} is a union and has {sorted(value)}"


def _text(shape: Any, value: Any, path: str) -> None:
    assert isinstance(value, str), f"{path} is no text: {value!r}"
    assert not shape.enum or value in shape.enum, f"{path} is {value!r}, none of {shape.enum}"
    _size(shape, len(value), path)
    pattern = shape.metadata.get("pattern")
    assert not pattern or re.fullmatch(pattern, value), f"{path} is {value!r}, not {pattern}"


def _number(shape: Any, value: Any, path: str) -> None:
    kinds = (int,) if shape.type_name in ("integer", "long") else (int, float)
    assert isinstance(value, kinds), f"{path} is no number: {value!r}"
    assert not isinstance(value, bool), f"{path} is no number: {value!r}"
    _size(shape, value, path)


def _size(shape: Any, size: float, path: str) -> None:
    assert size >= shape.metadata.get("min", size), f"{path}: {size} is too little"
    assert size <= shape.metadata.get("max", size), f"{path}: {size} is too much"


def _list(shape: Any, value: Any, path: str) -> None:
    assert isinstance(value, list), f"{path} is no list: {value!r}"
    _size(shape, len(value), path)
    for index, inner in enumerate(value):
        _check(shape.member, inner, f"{path}[{index}]")


def _map(shape: Any, value: Any, path: str) -> None:
    assert isinstance(value, dict), f"{path} is no map: {value!r}"
    _size(shape, len(value), path)
    for name, inner in value.items():
        _check(shape.key, name, f"{path} key")
        _check(shape.value, inner, f"{path}.{name}")


def _blob(shape: Any, value: Any, path: str) -> None:
    assert isinstance(value, str), f"{path} is no base64: {value!r}"
    _size(shape, len(base64.b64decode(value, validate=True)), path)


def _boolean(shape: Any, value: Any, path: str) -> None:
    assert isinstance(value, bool), f"{path} is no boolean: {value!r}"


CHECKS = {
    "structure": _of_shape, "string": _text, "character": _text, "integer": _number, "long": _number,
    "float": _number, "double": _number, "list": _list, "map": _map, "blob": _blob, "boolean": _boolean,
}  # fmt: skip
