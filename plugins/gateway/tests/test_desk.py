"""Management over HTTP, and a whole gateway with accounts: from making a key to reading what it spent."""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pace import given_time

from polyport.errors import BadRequestError
from polyport_gateway import config
from polyport_gateway.assembly import app_of
from polyport_gateway.desk import Desk
from polyport_gateway.fields import KINDS
from polyport_gateway.keeper import Keeper
from polyport_gateway.store import AT_ONCE, Store

MASTER_KEY = "sk-master-1234"
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}]}


def run(
    folder: Path, test: Callable[[httpx.AsyncClient, Keeper], Awaitable[None]], url: str = "http://127.0.0.1:9/v1"
) -> None:
    """Run a test on a gateway in this process, as a client with the master key."""
    params = {"model": "openai/gpt-4o", "api_base": url, "api_key": "sk-upstream-secret"}
    general = {"master_key": MASTER_KEY, "database_url": f"sqlite:///{folder / 'gateway.db'}"}
    given = {"model_list": [{"model_name": "gpt", "litellm_params": params}], "general_settings": general}

    async def main() -> None:
        app = app_of(config.read(given), data=folder)
        transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            assert isinstance(app.gate, Keeper)
            await test(client, app.gate)
        await app.aclose()

    asyncio.run(main())


def test_from_a_key_to_what_it_spent(tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a key, call with it until its limit, read the report as JSON and CSV, block it."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        made = (await client.post("/key/generate", json={"key_alias": "mine", "rpm_limit": 2, "max_budget": 1})).json()
        mine = {"authorization": f"Bearer {made['key']}"}
        replies = [await client.post("/v1/chat/completions", json=HELLO, headers=mine) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert [reply.headers.get("x-ratelimit-remaining-requests") for reply in replies[:2]] == ["1", "0"]
        assert 0 < int(replies[2].headers["retry-after"]) <= 61
        assert replies[2].json()["error"]["code"] == "rate_limit_exceeded"
        await keeper.ledger.drain()
        cost = 2 * (7 * 2.5 + 3 * 10) / 1e6
        assert (await client.get("/key/info", params={"key_id": made["key_id"]})).json()["spend"] == pytest.approx(cost)
        report = await client.get("/spend/report", params={"group_by": "key,model"})
        assert report.json()["results"][0]["requests"] == 2
        logs = await client.get("/spend/logs", params={"key": made["key_id"], "format": "csv"})
        assert logs.headers["content-type"].startswith("text/csv")
        assert len(logs.text.splitlines()) == 3
        assert (await client.post("/key/block", json={"key_id": made["key_id"]})).json()["blocked"]
        blocked = await client.post("/v1/chat/completions", json=HELLO, headers=mine)
        assert (blocked.status_code, blocked.json()["error"]["code"]) == (403, "key_blocked")
        changes = (await client.get("/audit")).json()["changes"]
        assert [one["action"] for one in changes] == ["update", "generate"]
        assert made["key"] not in json.dumps(changes)

    run(tmp_path, test, well.url)


def test_a_database_that_stalls_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Who holds a connection is told so after a while, and so is who waits for one; well again, all is well."""

    async def test(folder: Path, timeout: float, client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await client.post("/key/generate", json={})).status_code == 200
        before = asyncio.all_tasks()
        store = Store(f"sqlite:///{folder / 'gateway.db'}", timeout=timeout)
        desk = httpx.ASGITransport(Desk(_on(keeper, store), within=6 * timeout))
        async with (
            aclosing(store),
            httpx.AsyncClient(transport=desk, base_url="http://desk", headers=client.headers) as stalled,
        ):
            opened = sqlite3.connect(folder / "gateway.db", timeout=60, check_same_thread=False)
            with closing(opened) as other:
                await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # the gateway itself may be writing
                writes = [asyncio.create_task(stalled.post("/key/generate", json={})) for _ in range(AT_ONCE)]
                pool: Any = store.engine.pool
                while pool.checkedout() < AT_ONCE and not any(one.done() for one in writes):
                    await asyncio.sleep(0.01)
                held = pool.checkedout()
                read = await stalled.get("/key/list")
                written = await asyncio.gather(*writes)
                other.rollback()
            assert held == AT_ONCE, "not all were there in time"
            assert read.status_code == 503
            assert read.json()["error"]["message"].startswith("All connections to the database have been busy")
            for reply in written:
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable")
                assert reply.headers["retry-after"] == "1"
            while (await stalled.get("/key/list")).status_code != 200:
                await asyncio.sleep(0.05)
            assert (await stalled.post("/key/generate", json={})).status_code == 200
        while asyncio.all_tasks() - before:  # connections that were given up are still being closed
            await asyncio.sleep(0.01)

    def attempt(timeout: float) -> None:
        folder = tmp_path / str(timeout)
        folder.mkdir()
        run(folder, partial(test, folder, timeout))

    given_time(attempt, 1, 3)


def _on(keeper: Keeper, store: Store) -> Keeper:
    """Return a keeper as the desk sees it, over a store of its own."""
    found = copy.copy(keeper)
    found.store = store
    return found


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status"),
    [
        ("POST", "/key/generate", "", {}, 401),
        ("POST", "/key/generate", "sk-unknown", {}, 401),
        ("POST", "/key/generate", MASTER_KEY, {"max_buget": 1}, 400),
        ("POST", "/key/generate", MASTER_KEY, {"team_id": "none"}, 404),
        ("GET", "/key/generate", MASTER_KEY, None, 405),
        ("GET", "/key/nothing", MASTER_KEY, None, 404),
        ("GET", "/team/info?team_id=x", MASTER_KEY, None, 404),
        ("GET", "/spend/logs?limit=many", MASTER_KEY, None, 400),
        ("GET", "/spend/report?group_by=password", MASTER_KEY, None, 400),
    ],
)
def test_errors_have_the_shape_that_sdks_know(
    tmp_path: Path, method: str, path: str, token: str, body: Any, status: int
) -> None:
    """A message, a code, no secret."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        headers = {"authorization": f"Bearer {token}"}
        reply = await client.request(method, path, headers=headers, json=body)
        assert reply.status_code == status
        assert reply.json()["error"]["message"]
        assert not token or token not in reply.text

    run(tmp_path, test)


NAMES = sorted({name for _, fields in KINDS.values() for name in fields} | {"key", "key_id", "limit", "after", "x"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_no_body_makes_the_desk_fail(tmp_path: Path) -> None:
    """Whatever is sent: an answer, or an error that says what is wrong; never 500, never SQL."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        paths = [
            "/key/generate",
            "/key/update",
            "/team/new",
            "/key/info",
            "/user/new",
            "/spend/logs",
            "/key/list",
            "/audit",
        ]

        @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.tuples(st.sampled_from(paths), st.dictionaries(st.sampled_from(NAMES), VALUES)), max_size=1))
        def collect(found: list[tuple[str, dict[str, Any]]]) -> None:
            asked.extend(found)

        asked: list[tuple[str, dict[str, Any]]] = []
        collect()
        assert len(asked) > 100
        for path, body in asked:
            reply = await client.post(path, json=body)
            assert reply.status_code in (200, 400, 404, 409), (path, body, reply.text)
            assert "SELECT" not in reply.text

    run(tmp_path, test)


@pytest.mark.parametrize(
    "wrong",
    [{"on_store_failure": "maybe"}, {"redis_url": "http://user:secret@host"}, {"database_url": "mysql://secret"}],
)
def test_settings_that_cannot_be_used_are_said_at_the_start(tmp_path: Path, wrong: dict[str, str]) -> None:
    """Without the secrets in them."""
    general = {"master_key": MASTER_KEY, "database_url": f"sqlite:///{tmp_path / 'gateway.db'}", **wrong}
    models = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-x"}}]
    with pytest.raises(BadRequestError) as error:
        app_of(config.read({"model_list": models, "general_settings": general}), data=tmp_path)
    assert "secret" not in str(error.value)
