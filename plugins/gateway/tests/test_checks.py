"""How deployments are, told and asked; and when a gateway is not ready."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from .conftest import AUTHORIZED, CHAT, KEY
from .waiting import until


def config(upstream: Any, **general: Any) -> dict[str, Any]:
    """Two deployments of a chat, one of embeddings, one that paints."""
    params = {"api_base": upstream.url, "api_key": "sk-upstream-secret"}

    def one(id: str, group: str, model: str, **more: Any) -> dict[str, Any]:
        return {"model_name": group, "params": {"model": f"openai/{model}", **params, **more}, "model_info": {"id": id}}

    return {
        "model_list": [
            one("east", "gpt", "gpt-4o"), one("west", "gpt", "gpt-4o-mini", rpm=100),
            one("vectors", "embed", "text-embedding-3-small"), one("paint", "paint", "gpt-image-1"),
        ],
        "router_settings": {"num_retries": 0, "allowed_fails": 0, "cooldown_time": 60},
        "general_settings": {"master_key": KEY, **general},
    }  # fmt: skip


def told(gateway: Any, **given: str) -> dict[str, Any]:
    """What is told of each deployment."""
    answer = httpx.get(f"{gateway.url}/health/models", params=given, headers=AUTHORIZED, timeout=60)
    assert answer.status_code == 200, answer.text
    return {one["id"]: one for one in answer.json()["deployments"]}


def test_the_state_of_each_deployment_is_told(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """What was answered, what failed and why, who rests until when; and readiness while all rest."""
    gateway = start(config(upstream))
    one = told(gateway)["east"]
    assert (one["provider"], one["model"], one["mode"], one["state"], one["check"]) == (
        "openai", "gpt-4o", "chat", "ok", None,
    )  # fmt: skip
    for _ in range(4):
        reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=AUTHORIZED, timeout=60)
        assert reply.status_code == 200
    now = told(gateway, model="gpt")
    assert sum(one["recent"]["successes"] for one in now.values()) == 4
    assert sum(one["last_minute"]["requests"] for one in now.values()) == 4
    assert any(one["latency"] for one in now.values())
    assert now["west"]["limits"]["rpm"] == 100
    well.failing = (503, {}, {"error": {"message": "down"}})
    for _ in range(2):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=AUTHORIZED, timeout=60)
    now = told(gateway, model="gpt")
    assert {one["state"] for one in now.values()} == {"resting"}
    assert all(one["cooling_until"] > time.time() for one in now.values())
    assert {one["recent"]["last_error"] for one in now.values()} == {"ServiceUnavailableError"}
    assert httpx.get(f"{gateway.url}/health/readiness", timeout=60).status_code == 200  # embeddings go on
    assert httpx.get(f"{gateway.url}/health/models", timeout=60).status_code == 401
    nowhere = httpx.get(f"{gateway.url}/health/models", params={"id": "no"}, headers=AUTHORIZED, timeout=60)
    assert nowhere.status_code == 404


def test_with_nothing_usable_it_is_not_ready(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """While all deployments rest after failures, no more work should come."""
    given = config(upstream)
    given["model_list"] = given["model_list"][:2]
    gateway = start(given)
    well.failing = (503, {}, {"error": {"message": "down"}})
    for _ in range(2):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=AUTHORIZED, timeout=60)
    answer = until(
        lambda: (a := httpx.get(f"{gateway.url}/health/readiness", timeout=60)).status_code == 503 and a, "it says so"
    )  # fmt: skip
    assert answer.json()["reasons"] == ["every deployment rests after failures"]
    assert httpx.get(f"{gateway.url}/health/liveliness", timeout=60).status_code == 200


def test_deployments_are_asked_when_one_wants_to_know(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """A token of a chat, one embedding, and no picture; what is wrong is told without the key, and nothing rests."""
    gateway = start(config(upstream))
    answer = httpx.post(f"{gateway.url}/health/models/check", headers=AUTHORIZED, timeout=60)
    found = {one["id"]: one["check"] for one in answer.json()["deployments"]}
    assert {name: one["ok"] for name, one in found.items()} == {
        "east": True,
        "west": True,
        "vectors": True,
        "paint": None,
    }
    assert "image_generation costs too much" in found["paint"]["error"]
    assert sorted(path for path, _, _ in well.asked) == ["/chat/completions", "/chat/completions", "/embeddings"]
    assert b'"max_tokens":1' in next(body for path, _, body in well.asked if path == "/chat/completions").replace(
        b" ", b""
    )
    well.failing = (401, {}, {"error": {"message": "Incorrect API key provided: sk-upstream-secret"}})
    answer = httpx.post(f"{gateway.url}/health/models/check", json={"id": "east"}, headers=AUTHORIZED, timeout=60)
    check = answer.json()["deployments"][0]["check"]
    assert (check["ok"], check["error"].startswith("AuthenticationError")) == (False, True)
    assert "sk-upstream" not in answer.text
    assert told(gateway)["east"]["state"] == "ok"
    logs = until(
        lambda: [
            one
            for one in httpx.get(f"{gateway.url}/spend/logs", headers=AUTHORIZED, timeout=60).json()["results"]
            if one["operation"] == "health_check"
        ],
        "what it cost is in the ledger",
    )
    assert {one["model"] for one in logs} <= {"gpt", "embed"}


def test_in_rounds_only_those_are_asked_that_answered_nobody(
    start: Callable[..., Any], upstream: Any, well: Any
) -> None:
    """The rounds are of one process of several, and are told by all."""
    gateway = start(config(upstream, background_health_checks=True, health_check_interval=3600), "--workers", "2")
    until(lambda: all(one["check"] for one in told(gateway).values()), "all were asked")
    assert len(well.asked) == 3
    seen = [told(gateway)["east"]["check"]["at"] for _ in range(10)]
    assert len(set(seen)) == 1


def test_without_its_database_it_is_not_ready_where_nobody_is_let_in(
    start: Callable[..., Any], upstream: Any, tmp_path: Path
) -> None:
    """`on_store_failure: deny` and no database: no work should come here."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        ending = threading.Event()

        def refuse() -> None:
            while not ending.is_set():
                try:
                    nobody.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        url = f"postgresql://nobody@127.0.0.1:{port}/none"
        gateway = start(config(upstream, database_url=url, on_store_failure="deny"))
        answer = httpx.get(f"{gateway.url}/health/readiness", timeout=60)
        assert (answer.status_code, "database" in answer.json()["reasons"][0]) == (503, True)
        assert "nobody" not in answer.text
        lenient = start(config(upstream, database_url=url))
        assert httpx.get(f"{lenient.url}/health/readiness", timeout=60).status_code == 200
        for one in (gateway, lenient):
            one.stop()
        ending.set()
        nobody.shutdown(socket.SHUT_RDWR)
        thread.join(60)
