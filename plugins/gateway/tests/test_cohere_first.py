"""Cohere's first chat at Cohere itself: the request goes there as it came, and the reply comes back as it came."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .services import listening
from .test_cohere_surface import chat
from .test_official_clients import ANSWERS, KEY, Handler, Vendors
from .waiting import until

cohere = pytest.importorskip("cohere")
pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
conformance = pytest.importorskip("polyport_cohere.conformance")
pytest.importorskip("polyport_openai")

WHOLE = json.dumps(conformance.FIRST_REPLY).encode()
TOOL = {"name": "now", "description": "Tell.", "parameter_definitions": {"zone": {"type": "str", "required": True}}}
ADMIN = {"authorization": f"Bearer {KEY}"}


def first(body: Any) -> Any:
    """Answer by the first version; a question for failure has a stream that fails."""
    if body["message"] == "Fail.":
        start = conformance.FIRST_STREAM.splitlines(keepends=True)[:3]
        return "application/stream+json", b"".join(start) + b'{"event_type": "stream-end", "finish_reason": "ERROR"}\n'
    return ("application/stream+json", conformance.FIRST_STREAM) if body.get("stream") else WHOLE


class Coheres(Handler):
    """Cohere with both versions, beside the other vendors."""

    answers = (("POST /chat", first), ("POST /v2/chat", chat), *ANSWERS)


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The vendors."""
    with listening(Vendors(Coheres)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway in front of them."""
    models = {
        "older": ("cohere/command-r-08-2024", "", {}),
        "warm": ("cohere/command-r-08-2024", "", {"temperature": 0.9, "top_p": 0.5}),
        "sound": ("cohere/command-r-08-2024", "", {"modalities": ["text"]}),
        "thinker": ("cohere/command-a-reasoning-08-2025", "", {}),
    }  # fmt: skip
    listed = [
        {"model_name": name, "params": {"model": model, "api_key": "sk-u", "api_base": vendors.address + more, **own}}
        for name, (model, more, own) in models.items()
    ]
    return start({
        "model_list": listed, "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0},
    })  # fmt: skip


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """What the SDKs send with: they close nothing by themselves."""
    with httpx.Client(timeout=120) as client:
        yield client


def ask(gateway: Any, body: Any) -> httpx.Response:
    """Send a request as it is written."""
    return httpx.post(f"{gateway.url}/v1/chat", json=body, headers=ADMIN, timeout=120)


ASKED: dict[str, Any] = {
    "message": "Hello?", "preamble": "Be brief.", "chat_history": [{"role": "USER", "message": "Hi", "own": 1}],
    "tools": [TOOL], "documents": [{"title": "A", "_excludes": ["x"]}], "prompt_truncation": "AUTO",
    "max_input_tokens": 99, "force_single_step": True, "safety_mode": "NONE", "citation_quality": "fast", "p": 0.7,
    "k": 3, "stop_sequences": ["x"], "brand_new": {"a": [1]}, "search_queries_only": True, "raw_prompting": True,
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_it_goes_there_and_back_as_it_came(gateway: Any, vendors: Vendors, stream: bool) -> None:
    """What the second version has no more included; with the provider's name of the model."""
    answer = ask(gateway, {**ASKED, "model": "older", "stream": stream, "drop_params": False})
    assert answer.content == (conformance.FIRST_STREAM if stream else WHOLE)
    assert answer.headers["content-type"] == ("application/stream+json" if stream else "application/json")
    assert "x-polyport-adaptations" not in answer.headers
    assert vendors.asked[-1][1:] == ("/chat", {**ASKED, "model": "command-r-08-2024", "stream": stream})


def test_the_official_sdk(gateway: Any, http: httpx.Client, vendors: Vendors) -> None:
    """It reads both, with fields that nothing here knows."""
    client = cohere.Client(api_key=KEY, base_url=gateway.url, httpx_client=http)
    told = client.chat(model="older", message="Hello?", tools=[TOOL])
    assert (told.text, told.tool_calls[0].parameters) == ("Hi, ünïcode", {"zone": "UTC"})
    assert told.meta.warnings == ["old"]
    events = [*client.chat_stream(model="older", message="Hello?")]
    assert [one.event_type for one in events][:2] == ["stream-start", "search-results"]
    assert events[-1].response == told
    assert vendors.last["message"] == "Hello?"


def test_what_a_deployment_adds_is_said_in_its_words(gateway: Any, vendors: Vendors) -> None:
    """Beside the caller's own, which win; what the first version cannot say is asked by the second."""
    ask(gateway, {"model": "warm", "message": "Hello?", "p": 0.1})
    sent = {"model": "command-r-08-2024", "message": "Hello?", "p": 0.1, "temperature": 0.9}
    assert vendors.asked[-1][1:] == ("/chat", sent)
    for model, more in (("sound", {}), ("older", {"thinking": {"type": "disabled"}}), ("thinker", {})):
        answer = ask(gateway, {"model": model, "message": "Hello?", **more})
        assert (vendors.asked[-1][1], answer.json()["text"]) == ("/v2/chat", "Hi, ünïcode")
    refused = ask(gateway, {"model": "thinker", "message": "Hello?", "raw_prompting": True})
    assert (refused.status_code, "raw_prompting" in refused.json()["message"]) == (400, True)


def test_who_asks_is_not_told(gateway: Any, vendors: Vendors) -> None:
    """Cohere has no place for it: it is for limits here, and that it goes no further is said."""
    answer = ask(gateway, {"model": "older", "message": "Hello?", "user": "u-1"})
    assert answer.headers["x-polyport-adaptations"] == "user dropped"
    assert "user" not in vendors.last
    refused = ask(gateway, {"model": "older", "message": "x", "conversation_id": "x"})
    assert (refused.status_code, "$.conversation_id" in refused.json()["message"]) == (400, True)


def test_a_stream_that_fails_says_so_at_its_end(gateway: Any) -> None:
    """What came before it came as it did."""
    answer = ask(gateway, {"model": "older", "message": "Fail.", "stream": True})
    *before, last = answer.content.splitlines(keepends=True)
    assert b"".join(before) == b"".join(conformance.FIRST_STREAM.splitlines(keepends=True)[:3])
    assert (json.loads(last)["event_type"], json.loads(last)["finish_reason"]) == ("stream-end", "ERROR")


def test_it_is_accounted_for(gateway: Any, http: httpx.Client) -> None:
    """Tokens as they were counted, cost by what Cohere says it charges, whole and streamed alike."""
    made = http.post(f"{gateway.url}/key/generate", json={"models": ["older"]}, headers=ADMIN).json()
    client = cohere.Client(api_key=made["key"], base_url=gateway.url, httpx_client=http)
    client.chat(model="older", message="Hello?")
    list(client.chat_stream(model="older", message="Hello?"))
    wanted = {"key": made["key_id"], "status": 200, "limit": "all"}

    def rows() -> list[Any]:
        found: list[Any] = http.get(f"{gateway.url}/spend/logs", params=wanted, headers=ADMIN).json()["results"]
        return found

    until(lambda: len(rows()) == 2, "both are in the ledger")
    tokens, billed = (conformance.FIRST_REPLY["meta"][name] for name in ("tokens", "billed_units"))
    for row in rows():
        assert (row["prompt"], row["completion"]) == (tokens["input_tokens"], tokens["output_tokens"])
        cost = (billed["input_tokens"] * 0.15 + billed["output_tokens"] * 0.6) / 1e6
        assert row["spend"] == pytest.approx(cost, abs=1e-9)


def test_what_a_guardrail_changed_is_what_is_asked(vendors: Vendors, start: Callable[..., Any]) -> None:
    """Never the request that came; of answers, it sees what is said."""
    pytest.importorskip("polyport_guardrails")
    params = {"model": "cohere/command-r-08-2024", "api_key": "sk-u", "api_base": vendors.address}
    words = {"words": ["secret", "ünïcode"], "action": "mask", "mode": ["pre_call", "post_call"]}
    rail = {"guardrail_name": "words", "params": {"guardrail": "deny-list", **words}}
    guarded = start({
        "model_list": [{"model_name": "older", "params": params}], "general_settings": {"master_key": KEY},
        "guardrails": [rail],
    })  # fmt: skip
    answer = ask(guarded, {"model": "older", "message": "Tell the secret."})
    assert "secret" not in json.dumps(vendors.last)
    assert "ünïcode" not in answer.json()["text"]
    streamed = ask(guarded, {"model": "older", "message": "Hello?", "stream": True})
    assert vendors.asked[-1][1] == "/chat"
    assert "ünïcode" not in "".join(json.loads(one).get("text", "") for one in streamed.text.splitlines())
