"""What the whole gateway lets nobody ask: from elsewhere, on other routes, without saying for whom, or too much."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from polyport.errors import BadRequestError
from polyport_gateway import config
from polyport_gateway.fence import VERSION, Fence, _patterns
from polyport_gateway.surfaces import addresses

from .conftest import AUTHORIZED, CHAT, KEY, USAGE, WORDS, Gateway, Upstream, config_for
from .waiting import until

BATCH = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def fenced(start: Callable[..., Gateway], upstream: Upstream, **general: Any) -> httpx.Client:
    """A gateway with such settings, and its master's way to it."""
    begun = start(config_for(upstream, general_settings={"master_key": KEY, **general}))
    return httpx.Client(base_url=begun.url, headers=AUTHORIZED, timeout=60)


def code_of(reply: httpx.Response) -> tuple[int, str]:
    """An error's status and word."""
    return reply.status_code, reply.json()["error"]["code"]


# --- from where ---


def test_who_is_elsewhere_is_refused(start: Callable[..., Gateway], well: Upstream) -> None:
    """Whatever is asked, with whatever key; probes are answered, for load balancers come from anywhere."""
    with fenced(start, well, allowed_ips=["10.0.0.0/8", "192.168.1.1"], trusted_proxies=["127.0.0.1"]) as client:
        for path in ("/v1/models", "/key/list", "/config", "/nothing"):
            assert code_of(client.get(path)) == (403, "address_not_allowed"), path
        assert code_of(client.post("/v1/chat/completions", json=CHAT)) == (403, "address_not_allowed")
        told = client.post("/v1/messages", json=CHAT, headers={"anthropic-version": "2023-06-01"}).json()
        assert told["type"] == "error"
        assert client.get("/health").status_code == 200
        for near in ("10.1.2.3", "192.168.1.1", "::ffff:10.1.2.3"):
            assert client.get("/v1/models", headers={"x-forwarded-for": near}).status_code == 200, near
        assert client.get("/v1/models", headers={"x-forwarded-for": "192.168.1.2"}).status_code == 403
    assert well.asked == []


# --- which routes ---


def test_routes_that_are_not_named_are_not_there(start: Callable[..., Gateway], well: Upstream) -> None:
    """With /v1 or without; WebSockets are refused the same way."""
    routes = ["/v1/chat/completions", "/files/{file_id}", "LiteLLMRoutes.public_routes", "/spend/*"]
    with fenced(start, well, allowed_routes=routes) as client:
        for path in ("/chat/completions", "/v1/chat/completions"):
            assert client.post(path, json=CHAT).status_code == 200, path
        assert client.get("/v1/files/file-1").status_code != 403
        assert client.get("/spend/report").status_code == 200
        assert client.get("/ui/", follow_redirects=True).status_code == 200
        for path in ("/v1/models", "/key/list", "/v1/files/a/content", "/chat", "/chat/completions/x", "/metrics"):
            assert code_of(client.get(path)) == (403, "route_not_allowed"), path
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
                   "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        assert client.get("/v1/realtime?model=gpt", headers=upgrade).status_code == 403


def test_some_routes_are_for_admins(start: Callable[..., Gateway], well: Upstream) -> None:
    """However good another key is for all else; without a key there it is a 401."""
    with fenced(start, well, admin_only_routes=["/key/*", "/v1/embeddings"]) as client:
        made = client.post("/key/generate", json={})
        assert made.status_code == 200
        theirs = {"authorization": f"Bearer {made.json()['key']}"}
        assert client.post("/v1/chat/completions", json=CHAT, headers=theirs).status_code == 200
        asked = {"model": "embed", "input": "a"}
        assert code_of(client.post("/embeddings", json=asked, headers=theirs)) == (403, "route_not_allowed")
        assert code_of(client.get("/key/list/", headers=theirs)) == (403, "route_not_allowed")
        assert client.post("/v1/embeddings", json=asked).status_code == 200
        assert client.get("/key/list", headers={"authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    ("general", "says"),
    [
        ({"allowed_ips": ["10.0.0.0/99"]}, "allowed_ips has '10.0.0.0/99'"),
        ({"allowed_routes": ["LiteLLMRoutes.no"]}, "the groups known are LiteLLMRoutes.public_routes"),
        ({"admin_only_routes": ["/key/*"], "master_key": None}, "admin_only_routes needs a master_key"),
        ({"max_response_size_mb": 0}, "max_response_size_mb"),
    ],
)
def test_what_cannot_hold_is_refused_when_it_is_read(general: dict[str, Any], says: str) -> None:
    """With its place: a fence that is not there must not look like one."""
    one = {"model_list": [{"model_name": "a", "params": {"model": "openai/x"}}]}
    with pytest.raises(BadRequestError) as raised:
        config.read({**one, "general_settings": {"master_key": KEY, **general}})
    assert says in raised.value.message


def test_the_group_of_calls_has_every_route_of_every_surface() -> None:
    """So that a file which opens that group closes none of them."""
    calls = _patterns("allowed_routes", ["LiteLLMRoutes.llm_api_routes"])
    assert calls is not None
    assert [path for path, route in addresses() if not calls.fullmatch(VERSION.sub("", route.path))] == []
    assert not calls.fullmatch("/key/generate")


def test_nothing_stands_in_the_way_of_a_gateway_that_wants_none() -> None:
    """Not even a look at each request."""
    assert not Fence((), (), ())


# --- what a call has to say ---


def test_calls_have_to_say_what_the_gateway_wants_to_know(start: Callable[..., Gateway], well: Upstream) -> None:
    """On every surface, in its own words; before anything is asked of a provider."""
    with fenced(start, well, required_params=["user", "metadata.project"]) as client:
        for missing in ({}, {"user": ""}, {"user": "u"}, {"metadata": {"project": "p"}}, {"metadata": "project"}):
            reply = client.post("/v1/chat/completions", json={**CHAT, **missing})
            assert reply.status_code == 400, missing
            assert "This gateway wants $." in reply.json()["error"]["message"]
        messages = {**CHAT, "max_tokens": 9, "metadata": {"user_id": "u"}}
        assert "$.metadata.project" in client.post("/v1/messages", json=messages).json()["error"]["message"]
        assert well.asked == []
        whole = {**CHAT, "user": "u", "metadata": {"project": "p"}}
        assert client.post("/v1/chat/completions", json=whole).status_code == 200
        assert client.get("/v1/models").status_code == 200


def test_what_passes_by_the_surfaces_has_to_say_it_too(start: Callable[..., Gateway], well: Upstream) -> None:
    """A provider's own paths in JSON, and nothing else there; batches of either kind; sessions in their address."""
    through = {"providers": ["openai"], "paths": {"openai": ["/files*", "/embeddings*"]}}
    with fenced(start, well, required_params=["user", "metadata.project"], passthrough=through) as client:
        said = {"user": "u", "metadata": {"project": "p"}}
        chat, raw = {**CHAT, "model": "gpt-4o"}, "/passthrough/openai/v1"
        assert "$.user" in client.post(f"{raw}/chat/completions", json=chat).json()["error"]["message"]
        unread = client.post(f"{raw}/files", files={"file": b"{}"})
        assert code_of(unread) == (403, "required_params")
        assert "$.user" in client.post("/v1/batches", json=BATCH).json()["error"]["message"]
        asks = {"requests": [{"custom_id": str(n), "params": {**CHAT, "max_tokens": 9, **one}}
                             for n, one in enumerate((said, {}))]}  # fmt: skip
        headers = {"anthropic-version": "2023-06-01"}
        told = client.post("/v1/messages/batches", json=asks, headers=headers).json()["error"]["message"]
        assert "$.requests[1].params.user" in told
        smuggled = client.post("/v1/chat/completions", json={**CHAT, "requests": [{"params": said}]})
        assert "$.user" in smuggled.json()["error"]["message"]
        assert well.asked == []
        assert client.post(f"{raw}/chat/completions", json={**chat, **said}).status_code == 200
        assert client.get(f"{raw}/files").status_code == 200
        assert client.post("/v1/batches", json={**BATCH, **said}).status_code == 200
        assert well.last == {**BATCH, "metadata": said["metadata"]}

        def written() -> bool:
            logs = client.get("/spend/logs", params={"customer": "u"}).json()["results"]
            return len(logs) == 2

        until(written, "both are the customer's")


# --- how much is answered ---


def test_an_answer_that_is_too_large_is_not_sent(start: Callable[..., Gateway], well: Upstream) -> None:
    """But accounted: the provider was asked. A stream ends where it becomes too much, with an error that says so."""
    with fenced(start, well, max_response_size_mb=0.0002) as client:  # 209 bytes
        assert code_of(client.post("/v1/chat/completions", json=CHAT)) == (502, "response_too_large")
        assert client.post("/v1/embeddings", json={"model": "embed", "input": "a"}).status_code == 200
        streamed = client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        events = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line.startswith("data: ")]
        assert json.loads(events[-1])["error"]["code"] == "response_too_large"
        assert len(streamed.content) < 209 + 300
        assert WORDS[-1] not in streamed.text

        def written() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.get("/spend/logs", params={"status": "502"}).json()["results"]
            return found if len(found) == 2 else []

        streamed_row, whole = until(written, "both requests were written down")
        assert whole["prompt"] == USAGE["prompt_tokens"]
        assert min(whole["spend"], streamed_row["spend"]) > 0
