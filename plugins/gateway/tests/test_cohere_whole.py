"""The whole of the official `cohere` SDK: each of its methods leads to what is served, or to why it is not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from polyport_gateway import cohere_resources
from polyport_gateway.cohere_kept import BESIDE
from polyport_gateway.cohere_unserved import unserved
from polyport_gateway.resources import Row
from polyport_gateway.surfaces import Route, Routes

cohere = pytest.importorskip("cohere")
pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")

#: Required parameters -> something of their kind; all others are texts.
ARGUMENTS: dict[str, Any] = {
    "messages": [{"role": "user", "content": "x"}], "texts": ["x"], "documents": ["x"], "tokens": [1],
    "inputs": ["x"], "examples": [], "file": ("a.wav", b"x"), "data": ("a.csv", b"x"), "dataset": "x",
    "content": {"type": "document_url", "document_url": {"url": "x"}},
}  # fmt: skip
#: What is no call: helpers that need no server.
HELPERS = frozenset({"wait", "utils", "fetch_tokenizer", "with_raw_response"})
PARTS = ("batches", "embed_jobs", "datasets", "connectors", "models", "finetuning", "audio.transcriptions", "v2")
MOVED = "Since python sdk cohere==5.0.0"


class Noted:
    """Answers everything, and remembers the last that was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path))
        if b'"stream":true' in request.read().replace(b" ", b""):
            return httpx.Response(200, text="data: [DONE]\n\n", headers={"content-type": "text/event-stream"})
        vectors = {} if request.url.path == "/v2/embed" else []
        found = {"id": "x", "embeddings": vectors, "texts": [], "response_type": "embeddings_floats"}
        return httpx.Response(200, json=found)


def methods(kind: str, noted: Noted) -> Iterator[tuple[str, Any, list[str]]]:
    """Yield the public methods of an SDK's client and of its parts: name, method, what it requires."""
    http = httpx.Client(transport=httpx.MockTransport(noted))
    client = getattr(cohere, kind)(api_key="x", base_url="http://x", httpx_client=http)
    for part in ("", *PARTS):
        holder = client
        for name in filter(None, part.split(".")):
            holder = getattr(holder, name)
        for name in dir(type(holder)):
            if name.startswith("_") or name in HELPERS:
                continue
            if callable(method := getattr(holder, name)):
                yield f"{part}.{name}".strip("."), method, required(getattr(type(holder), name))
    http.close()


def required(function: Any) -> list[str]:
    """Return the parameters that a method cannot do without; texts are such, whatever it says."""
    given = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    return [
        one.name
        for one in given
        if (one.default is one.empty or one.name == "texts") and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    ]


def called(method: Any, wanted: list[str]) -> bool:
    """Call a method with something for all that it requires; False for one that has gone from the SDK."""
    try:
        found = method(**{name: ARGUMENTS.get(name, "x") for name in wanted})
        if inspect.isgenerator(found):
            list(found)
    except ValueError as error:
        if str(error).startswith(MOVED):
            return False
        raise
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK calls pydantic by names that have gone
@pytest.mark.parametrize("kind", ["Client", "ClientV2"])
def test_each_method_is_served_or_told_why_not(kind: str) -> None:
    """By the address that it asks; and of what is not served nothing is listed that no method asks for."""
    routes, noted = Routes(), Noted()
    told: dict[str, Route] = {}
    kept: dict[str, Row] = {}
    for name, method, wanted in methods(kind, noted):
        noted.asked.clear()
        if called(method, wanted):
            assert noted.asked, name
            found = None if noted.asked[-1] in BESIDE else cohere_resources.find(*noted.asked[-1])
            if found is None:
                told[name] = routes.find(*noted.asked[-1])[0]
            else:
                kept[name] = found[0]
    served = {name for name, route in told.items() if not route.why}
    assert {"chat", "chat_stream", "embed", "rerank", "models.list", "models.get", "tokenize", "detokenize",
            "audio.transcriptions.create", "v2.chat", "v2.chat_stream", "v2.embed", "v2.rerank"} <= served  # fmt: skip
    rows = {row.name.removeprefix("cohere."): row for row in cohere_resources.ROWS}
    kept.pop("parse", None)  # ClientV2 has it twice
    assert kept == rows
    listed = {(route.method, route.path) for route in told.values() if route.why}
    assert listed == {(method, path) for method, path, _ in unserved()}


def test_the_check_of_a_key_is_served() -> None:
    """Both clients hide it; the class below them has it."""
    assert Routes().find("POST", "/v1/check-api-key")[0].own == "key"
