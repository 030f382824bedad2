"""Addresses of the operator's own that lead elsewhere: with their headers, keys, costs, and no further than is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from polyport_gateway import config
from polyport_gateway.config import ConfigError

from .conftest import AUTHORIZED, CHAT, KEY, Gateway, Upstream, config_for
from .services import Answering, Local, listening
from .waiting import until

pytest.importorskip("polyport_openai")

SECRET = "target-secret-1234"


class Target(Local):
    """A server that tells what it was asked, in a reply that echoes its key."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []


class Handler(Answering):
    """Answers every method alike."""

    server: Target

    def serve(self) -> None:
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        told = {"x-own": "1", "set-cookie": "a=b"}
        if "told" in self.path:
            told |= {"x-litellm-response-cost": "0.25", "x-litellm-total-tokens": "1874"}
        if "moved" in self.path:
            return self.send(b"", 302, location="http://127.0.0.1:9/")
        self.send(
            json.dumps({"echo": headers.get("authorization")}).encode(), 418 if "bad" in self.path else 200, **told
        )
        return None


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """Where the addresses lead."""
    with listening(Target()) as server:
        yield server


@pytest.fixture(scope="module")
def begun(target: Target, upstream: Upstream, start: Callable[..., Gateway]) -> Gateway:
    """A gateway with several such addresses."""
    url = target.address
    endpoints = [
        {"path": "/v1/rerank", "target": f"{url}/v1/rerank?own=1", "auth": True, "methods": ["POST"],
         "headers": {"Authorization": "bearer os.environ/TARGET_KEY", "accept": "application/json"},
         "default_query_params": {"version": 2, "debug": False}, "cost_per_request": 0.02},
        {"path": "/bria", "target": f"{url}/base", "auth": True, "include_subpath": True, "forward_headers": True,
         "headers": {"api_token": "os.environ/TARGET_KEY"}},
        {"path": "/open", "target": f"{url}/open", "auth": False, "forward_headers": True},
        {"path": "/langfuse", "target": url, "auth": True, "include_subpath": True,
         "headers": {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "os.environ/TARGET_KEY"}},
    ]  # fmt: skip
    general = {"master_key": KEY, "pass_through_endpoints": endpoints}
    return start(config_for(upstream, general_settings=general, environment_variables={"TARGET_KEY": SECRET}))


@pytest.fixture
def client(begun: Gateway, target: Target) -> Iterator[httpx.Client]:
    """The master's way to it."""
    target.asked.clear()
    with httpx.Client(base_url=begun.url, headers=AUTHORIZED, timeout=60) as made:
        yield made


def test_an_address_leads_to_its_target(client: httpx.Client, target: Target) -> None:
    """With the operator's headers and query, in place of the gateway's own route; replies without the key."""
    body = b'{"model": "rerank-v3", "query": "x"}'
    headers = {"content-type": "application/json", "x-mine": "1", "x-forwarded-for": "1.2.3.4"}
    reply = client.post("/v1/rerank", params={"debug": "yes"}, content=body, headers=headers)
    assert reply.status_code == 200
    method, path, sent, received = target.asked[0]
    assert (method, path, received) == ("POST", "/v1/rerank?own=1&version=2&debug=yes", body)
    assert sent["authorization"] == f"bearer {SECRET}"
    assert sent["content-type"] == "application/json"
    assert "x-mine" not in sent
    assert KEY not in str(sent)
    assert reply.json() == {"echo": "***"}
    assert reply.headers["x-own"] == "1"
    assert "set-cookie" not in reply.headers
    refused = client.get("/v1/rerank")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert client.post("/v1/rerank/more").status_code == 404


def test_what_is_below_an_address_leads_below_its_target(client: httpx.Client, target: Target) -> None:
    """With the caller's own headers where they are wanted, and none that is a credential."""
    sent = {
        "x-mine": "1",
        "x-api-key": "k",
        "cookie": "a=b",
        "x-polyport-tags": "t",
        "connection": "x-hop",
        "x-hop": "1",
    }
    assert client.put("/bria/v1/text to/image", content=b"raw", headers=sent).status_code == 200
    method, path, headers, body = target.asked[0]
    assert (method, path, body) == ("PUT", "/base/v1/text%20to/image", b"raw")
    assert (headers["api_token"], headers["x-mine"]) == (SECRET, "1")
    assert not {"x-api-key", "authorization", "cookie", "x-polyport-tags", "x-hop"} & headers.keys()
    assert client.get("/bria").status_code == 200
    assert target.asked[1][1] == "/base"
    for strange in ("/bria/a/../../x", "/bria/%2e%2e/x", "/bria//x"):
        assert client.get(strange).status_code in (400, 404), strange
    assert client.get("/briar").status_code == 404
    moved = client.get("/bria/moved")
    assert (moved.status_code, moved.json()["error"]["code"]) == (502, "redirected")
    assert client.get("/langfuse/api").status_code == 200
    assert target.asked[-1][2]["authorization"].startswith("Basic cGs6")


def test_a_key_is_wanted_unless_it_is_said_not_to_be(client: httpx.Client, target: Target) -> None:
    """And where none is, the caller's own credentials go along, as they are the target's."""
    for headers in ({"authorization": ""}, {"authorization": "Bearer sk-strange"}):
        refused = client.post("/v1/rerank", headers=headers)
        assert (refused.status_code, target.asked) == (401, [])
    free = client.get("/open", headers={"authorization": "Bearer theirs"})
    assert free.status_code == 200
    assert target.asked[0][2]["authorization"] == "Bearer theirs"


def test_what_passes_is_in_the_ledger_and_held_by_budgets(client: httpx.Client, target: Target) -> None:
    """At the cost that the operator says, or the target; what failed costs nothing."""
    made = client.post("/key/generate", json={"max_budget": 0.05, "rpm_limit": 10}).json()
    mine = {"authorization": f"Bearer {made['key']}"}
    told = [client.post("/v1/rerank", headers=mine, json={"user": "jane"}) for _ in range(3)]
    assert [reply.status_code for reply in told] == [200, 200, 400]
    assert told[2].json()["error"]["code"] == "budget_exceeded"
    assert told[0].headers["x-ratelimit-remaining-requests"] == "9"
    other = client.post("/key/generate", json={}).json()
    theirs = {"authorization": f"Bearer {other['key']}"}
    assert client.post("/bria/told", headers=theirs).status_code == 200
    assert client.post("/bria/bad", headers=theirs).status_code == 418

    def rows(key: str, many: int) -> list[dict[str, Any]]:
        found = client.get("/spend/logs", params={"key": key}).json()["results"]
        return list(found) if len(found) >= many else []

    mine_rows = until(lambda: rows(made["key_id"], 2), "what was answered is kept")
    answered = [row for row in mine_rows if row["status"] == 200]
    assert [(row["spend"], row["provider"]) for row in answered] == [(0.02, "127.0.0.1")] * 2
    costs = until(lambda: rows(other["key_id"], 2), "what the target told is kept")
    assert {(row["status"], row["spend"], row["prompt"]) for row in costs} == {(200, 0.25, 1874), (418, 0.0, 0)}


def test_nothing_goes_around_a_guardrail(target: Target, upstream: Upstream, start: Callable[..., Gateway]) -> None:
    """Unless the endpoint says so; what calls have to say holds here, too."""
    pytest.importorskip("polyport_guardrails")
    target.asked.clear()
    rail = {"guardrail_name": "g", "litellm_params": {"guardrail": "deny-list", "mode": "pre_call", "words": ["x"]}}
    endpoints = [{"path": "/shut", "target": target.address, "guardrails": ["g"], "auth": True},
                 {"path": "/ajar", "target": target.address, "unguarded": True, "auth": True}]  # fmt: skip
    general = {"master_key": KEY, "pass_through_endpoints": endpoints, "required_params": ["user"]}
    gateway = start(config_for(upstream, general_settings=general, guardrails=[rail]))
    with httpx.Client(base_url=gateway.url, headers=AUTHORIZED, timeout=60) as client:
        assert client.post("/shut", json={"user": "u"}).status_code == 403
        assert client.post("/ajar", json=CHAT).status_code == 400
        assert client.post("/ajar", content=b"raw").status_code == 403
        assert target.asked == []
        assert client.post("/ajar", json={**CHAT, "user": "u"}).status_code == 200
        assert client.get("/ajar").status_code == 200


MODELS = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]
GOOD = {"path": "/a", "target": "https://example.com", "auth": True}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([{**GOOD, "targt": 1}], "unknown field `targt`; there are path, target"),
        ([{"path": "/a"}], "missing required field `target`"),
        ([GOOD, GOOD], "[1].path is '/a' a second time"),
        ([{**GOOD, "path": "/key/generate"}], "that is the gateway's own"),
        ([{**GOOD, "path": "/"}], "name one, without"),
        ([{**GOOD, "path": "/a/{id}"}], "name one, without"),
        ([{**GOOD, "target": "ftp://x"}], "target begins with https://"),
        ([{**GOOD, "target": "https://u:p@x"}], "has no name and password"),
        ([{**GOOD, "methods": ["FETCH"]}], "methods has 'FETCH'"),
        ([{**GOOD, "headers": {"a": "Bearer os.environ/NOT_SET_ANYWHERE"}}], "asks for NOT_SET_ANYWHERE"),
        ([{**GOOD, "headers": {"a b": "c"}}], "is no header that can be sent"),
        ([{**GOOD, "headers": {"a": "c\r\nd: e"}}], "is no header that can be sent"),
        ([{**GOOD, "cost_per_request": -1}], "cost_per_request"),
        ({"path": "/a"}, "must be a list"),
        (["/a"], "[0] must be {path"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_named(given: Any, says: str) -> None:
    """Its place, and what there is."""
    with pytest.raises(ConfigError) as error:
        config.read({"model_list": MODELS, "general_settings": {"pass_through_endpoints": given}})
    assert says in error.value.message
    assert "$.general_settings.pass_through_endpoints" in error.value.message


def test_what_litellms_files_have_is_taken() -> None:
    """What wants a key here, and did not there, is told; no header is shown."""
    one = {"path": "/a", "target": "https://x", "headers": {"authorization": "bearer sk-secret"}, "id": "1"}
    found = config.read({"model_list": MODELS, "general_settings": {"pass_through_endpoints": [one]}})
    assert any("pass_through_endpoints[0] wants a key, as `auth` says nothing" in note for note in found.notes)
    assert "sk-secret" not in repr(found.general.forwards.find("/a"))
