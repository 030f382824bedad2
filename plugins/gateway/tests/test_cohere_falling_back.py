"""Cohere's own parameters where Cohere does not answer: another vendor gets what it has, and the reply tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .services import listening
from .test_official_clients import ANSWERS, KEY, Handler, Vendors

cohere = pytest.importorskip("cohere")
pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
pytest.importorskip("polyport_cohere")
pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_anthropic")

HELLO = [{"role": "user", "content": "Hello?"}]
DOCUMENT = {"id": "d1", "data": {"snippet": "They live at the South Pole."}}
BEHIND = {"gpt": "gpt-4o", "claude": "claude-sonnet-4-5"}


class Refusing(Handler):
    """Vendors, of whom Cohere is overloaded."""

    answers = ANSWERS

    def serve(self) -> None:
        """Answer 503 at Cohere's addresses."""
        if self.path not in ("/v2/chat", "/v1/chat", "/v2/embed"):
            super().serve()
            return
        self.server.asked.append((self.command, self.path, json.loads(self.body())))
        self.send(b'{"message": "overloaded"}', 503, **{"content-type": "application/json"})


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The vendors."""
    with listening(Vendors(Refusing)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway whose Cohere models fall back to those of others."""
    models = {
        "gpt": ("openai/gpt-4o", "/v1", {"user": "deployed", "brand_new": 1}),
        "claude": ("anthropic/claude-sonnet-4-5", "", {}),
        "vectors": ("openai/text-embedding-3-small", "/v1", {}),
        **{f"command-{name}": ("cohere/command-a-03-2025", "", {}) for name in BEHIND},
        "embed": ("cohere/embed-v4.0", "", {}),
    }  # fmt: skip
    listed = [
        {"model_name": name, "params": {"model": model, "api_key": "sk-u", "api_base": vendors.address + more, **own}}
        for name, (model, more, own) in models.items()
    ]
    detours = [*({f"command-{name}": [name]} for name in BEHIND), {"embed": ["vectors"]}]
    return start({
        "model_list": listed, "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0, "cooldown_time": 0, "fallbacks": detours, "disable_cooldowns": True},
    })  # fmt: skip


def ask(gateway: Any, path: str, body: Any) -> httpx.Response:
    """Send a request as it is written."""
    return httpx.post(gateway.url + path, json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=120)


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("stream", [False, True])
def test_documents_are_told_before_the_question_by_who_answers_in_coheres_place(
    gateway: Any, vendors: Vendors, name: str, stream: bool
) -> None:
    """Cohere was asked with its own; the reply's headers say what the other vendor got instead."""
    asked = {"model": f"command-{name}", "messages": HELLO, "documents": [DOCUMENT], "p": 0.5, "stream": stream}
    answer = ask(gateway, "/v2/chat", asked)
    assert (answer.status_code, answer.headers["x-polyport-model"]) == (200, BEHIND[name])
    assert "hello" in answer.text
    assert "documents emulated" in answer.headers["x-polyport-adaptations"]
    (*_, first), (*_, last) = vendors.asked[-2:]
    assert (first["documents"], first["messages"]) == ([DOCUMENT], HELLO)
    assert "documents" not in last
    assert "South Pole" in json.dumps(last["messages"])


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize(
    "own", [{"safety_mode": "STRICT"}, {"citation_options": {"mode": "FAST"}}, {"priority": 2}, {"new": {"a": 1}}]
)
def test_what_the_other_vendor_lacks_is_refused_or_left_out_and_told(
    gateway: Any, vendors: Vendors, name: str, own: dict[str, Any]
) -> None:
    """As any parameter that a fallback does not have: `drop_params` says which."""
    asked = {"model": f"command-{name}", "messages": HELLO, "max_tokens": 9, **own}
    (parameter,) = own
    refused = ask(gateway, "/v2/chat", asked)
    assert (refused.status_code, vendors.asked[-1][1]) == (400, "/v2/chat")
    assert parameter in refused.json()["message"]
    dropped = ask(gateway, "/v2/chat", {**asked, "drop_params": True})
    assert dropped.status_code == 200
    assert f"{parameter} dropped" in dropped.headers["x-polyport-adaptations"]
    assert (parameter in vendors.last, vendors.last["max_tokens"]) == (False, 9)


def test_what_asks_for_nothing_and_what_the_deployment_adds_are_as_ever(gateway: Any, vendors: Vendors) -> None:
    """No word of what happens anyway; a deployment's own parameters are the operator's, whatever they are called."""
    asked = {"model": "command-gpt", "messages": HELLO, "citation_options": {"mode": "OFF"}, "priority": 0}
    answer = ask(gateway, "/v2/chat", {**asked, "thinking": {"type": "disabled"}})
    assert (answer.status_code, "x-polyport-adaptations" in answer.headers) == (200, False)
    assert (vendors.last["user"], vendors.last["brand_new"]) == ("deployed", 1)
    assert vendors.last["reasoning_effort"] == "none"
    assert not {"citation_options", "priority", "thinking"} & vendors.last.keys()


def test_the_first_version_falls_back_as_the_second_does(gateway: Any, vendors: Vendors) -> None:
    """By the official SDK: documents before the question, and what only the first version had is named."""
    with httpx.Client(timeout=120) as http:
        client = cohere.Client(api_key=KEY, base_url=gateway.url, httpx_client=http)
        told = client.chat(model="command-gpt", message="Hello?", documents=[{"title": "Ice"}])
        assert told.text == "Well, hello"
    assert "Ice" in json.dumps(vendors.last["messages"])
    asked = {"model": "command-gpt", "message": "Hello?", "safety_mode": "STRICT", "drop_params": True}
    dropped = ask(gateway, "/v1/chat", asked)
    assert "safety_mode dropped" in dropped.headers["x-polyport-adaptations"]


def test_vectors_of_who_answers_in_coheres_place(gateway: Any, vendors: Vendors) -> None:
    """In the types that were asked for; what they are for, and where to cut, is told to be left out."""
    asked = {"model": "embed", "texts": ["a"], "input_type": "search_query", "embedding_types": ["float", "int8"]}
    made = ask(gateway, "/v2/embed", asked)
    assert made.json()["embeddings"] == {"float": [[0.5, -1.0]], "int8": [[64, -127]]}
    told = made.headers["x-polyport-adaptations"]
    assert ("embedding_types emulated" in told, "input_type dropped" in told) == (True, True)
    assert vendors.last == {"model": "text-embedding-3-small", "input": ["a"]}
    refused = ask(gateway, "/v2/embed", {**asked, "truncate": "END"})
    assert (refused.status_code, "truncate" in refused.json()["message"]) == (400, True)
    dropped = ask(gateway, "/v2/embed", {**asked, "truncate": "END", "drop_params": True})
    assert "truncate dropped" in dropped.headers["x-polyport-adaptations"]
    mixed = {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    refused = ask(gateway, "/v2/embed", {"model": "embed", "inputs": [mixed], "input_type": "search_query"})
    assert (refused.status_code, "$.inputs[0]" in refused.json()["message"]) == (400, True)
