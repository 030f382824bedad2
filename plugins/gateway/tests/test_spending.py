"""What was spent, as it is read back: reports, series, the request log with its filters, stories, exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from polyport.errors import BadRequestError, NotFoundError
from polyport_gateway import config, management as manage, spending
from polyport_gateway.assembly import app_of
from polyport_gateway.identity import MASTER, Principal
from polyport_gateway.keeper import Keeper
from polyport_gateway.lines import Entry

MASTER_KEY = "sk-master-1234"
#: A Monday at noon, UTC.
NOON = 1_764_590_400.0


def run(folder: Path, test: Callable[[Keeper], Awaitable[None]]) -> None:
    """Run a test on a keeper whose ledger has six requests."""
    made = [
        {"id": "a1", "at": NOON, "key_id": "k1", "team_id": "t", "model": "gpt", "nano": 1_000, "tags": ("x", "y")},
        {"id": "a2", "at": NOON, "key_id": "k2", "team_id": "t", "model": "gpt", "nano": 2_000, "seconds": 0.3},
        {"id": "b1", "at": NOON + 60, "key_id": "k1", "model": "big", "status": 429, "error": "RateLimitError"},
        {"id": "b2", "at": NOON + 3700, "key_id": "k1", "model": "big", "status": 502, "user_id": "u", "tags": ("y",)},
        {"id": "%1", "at": NOON + 86_400, "key_id": "k1", "model": "gpt", "nano": 4_000, "operation": "embedding"},
        {"id": "c1", "at": NOON + 86_401, "key_id": "k1", "model": "=1+1", "deployment": "d", "stream": True},
    ]

    async def main() -> None:
        from polyport_gateway.store import Store

        keeper = Keeper(Store(f"sqlite:///{folder / 'gateway.db'}"), folder / "journal", master_key=MASTER_KEY)
        await keeper.start()
        for one in made:
            keeper.ledger.record(Entry(**one))
        await keeper.ledger.drain()
        try:
            await test(keeper)
        finally:
            await keeper.aclose()

    asyncio.run(main())


def test_a_report_adds_up_by_any_dimension(tmp_path: Path) -> None:
    """By tag, operation, status, deployment as by key; narrowed by any of them, from a first day to a last one."""

    async def test(keeper: Keeper) -> None:
        async def report(**body: Any) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await spending.report(keeper.store, MASTER, body))["results"]
            return found

        assert [(one["day"], one["requests"]) for one in await report()] == [("2025-12-01", 4), ("2025-12-02", 2)]
        by_tag = await report(group_by="tag")
        assert [(one["tag"], one["requests"], one["failures"]) for one in by_tag] == [("x", 1, 0), ("y", 2, 1)]
        assert {one["status"] for one in await report(group_by=["status"])} == {200, 429, 502}
        assert [one["requests"] for one in await report(group_by=["model"], status="failed")] == [2]
        assert [one["spend"] for one in await report(group_by="operation", start_date="2025-12-02")] == [0, 4e-6]
        assert (await report(group_by=["team"], end_date="2025-12-01", team="t"))[0]["spend"] == 3e-6
        for wrong in ({"group_by": "password"}, {"start_date": "yesterday"}, {"colour": "red"}, {"status": "x"}):
            with pytest.raises(BadRequestError):
                await report(**wrong)

    run(tmp_path, test)


def test_a_series_tells_requests_cost_and_latencies_over_time(tmp_path: Path) -> None:
    """By hour or by day, for all or for groups; latencies to within a bucket."""

    async def test(keeper: Keeper) -> None:
        async def series(**body: Any) -> list[dict[str, Any]]:
            span = {"start": NOON - 60, "end": "2025-12-03"}
            found: list[dict[str, Any]] = (await spending.series(keeper.store, MASTER, {**span, **body}))["results"]
            return found

        hours = await series()
        assert [(one["at"] - NOON, one["requests"], one["failures"]) for one in hours] == [
            (0, 3, 1), (3600, 1, 1), (86_400, 2, 0)
        ]  # fmt: skip
        assert hours[0]["cost"] == 3e-6
        assert hours[0]["p99"] == pytest.approx(0.3, rel=0.6)
        assert hours[0]["p50"] < 0.002
        days = await series(step="day", group_by="model,status", model=["gpt", "big"])
        assert [(one["at"] + 43_200 - NOON, one["model"], one["status"], one["requests"]) for one in days] == [
            (0, "big", 429, 1), (0, "big", 502, 1), (0, "gpt", 200, 2), (86_400, "gpt", 200, 1)
        ]  # fmt: skip
        assert [one["requests"] for one in await series(group_by="tag", tag="y")] == [1, 1]
        with pytest.raises(BadRequestError, match="hour, day or all"):
            await series(step="year")

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["c1", "%1", "b2", "b1", "a2", "a1"]),
        ({"start": NOON + 60, "end": "2025-12-02T12:00:00"}, ["b2", "b1"]),
        ({"model": "gpt,big", "key": "k1"}, ["%1", "b2", "b1", "a1"]),
        ({"status": "5xx"}, ["b2"]),
        ({"status": "429,5xx"}, ["b2", "b1"]),
        ({"status": "ok", "team": ["t"]}, ["a2", "a1"]),
        ({"tag": "y"}, ["b2", "a1"]),
        ({"request_id": "a"}, ["a2", "a1"]),
        ({"request_id": "%"}, ["%1"]),
        ({"stream": "true"}, ["c1"]),
        ({"deployment": "d", "user": ""}, ["c1"]),
        ({"error": "RateLimitError"}, ["b1"]),
    ],
)
def test_the_request_log_is_narrowed_by_what_a_page_asks(
    tmp_path: Path, asked: dict[str, Any], found: list[str]
) -> None:
    """The newest first; page by page it is the same as at once."""

    async def test(keeper: Keeper) -> None:
        whole = await spending.logs(keeper.store, MASTER, asked)
        assert ([one["id"] for one in whole["results"]], whole["next"]) == (found, None)
        paged: list[str] = []
        body: dict[str, Any] = {**asked, "limit": 1}
        while True:
            page = await spending.logs(keeper.store, MASTER, body)
            paged += [one["id"] for one in page["results"]]
            if page["next"] is None:
                break
            body["cursor"] = page["next"]
        assert paged == found
        exported = [one["id"] async for rows in spending.export(keeper.store, MASTER, asked) for one in rows]
        assert exported == found

    run(tmp_path, test)


def test_everybody_reads_what_is_theirs(tmp_path: Path) -> None:
    """A key its own requests, a member those of its user, who leads a team the team's."""

    async def test(keeper: Keeper) -> None:
        async def ids(by: Principal) -> set[str]:
            found = await spending.logs(keeper.store, by, {})
            total = (await spending.report(keeper.store, by, {"group_by": []}))["results"]
            assert (total[0]["requests"] if total else 0) == len(found["results"])
            return {one["id"] for one in found["results"]}

        assert await ids(Principal(id="k2", key_id="k2")) == {"a2"}
        assert await ids(Principal(id="m", role="member", user_id="u")) == {"b2"}
        assert await ids(Principal(id="l", role="team_admin", teams_led=frozenset({"t"}))) == {"a1", "a2"}
        assert len(await ids(Principal(id="v", role="viewer"))) == 6
        with pytest.raises(NotFoundError):
            await spending.story(keeper.store, Principal(id="k2", key_id="k2"), {"request_id": "a1"})

    run(tmp_path, test)


def test_a_request_tells_its_whole_story(tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for what, which deployments were tried, what went wrong there, what was adapted, what it cost."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    dead = {"model": "openai/gpt-4o", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-dead-secret", "order": 1}
    alive = {"model": "openai/gpt-4o", "api_base": well.url, "api_key": "sk-upstream-secret", "order": 2}
    given = {
        "model_list": [{"model_name": "gpt", "litellm_params": params} for params in (dead, alive)],
        "general_settings": {"master_key": MASTER_KEY},
        "settings": {"drop_params": True},
    }

    async def main() -> None:
        app = app_of(config.read(given), data=tmp_path)
        keeper = app.gate
        assert isinstance(keeper, Keeper)
        transport = httpx.ASGITransport(app=app)
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            await client.post("/user/new", json={"user_id": "ann", "user_email": "ann@example.com"})
            made = await client.post(
                "/key/generate", json={"key_alias": "ann's", "user_id": "ann", "tags": ["own"], "max_budget": 1}
            )
            mine = {"authorization": f"Bearer {made.json()['key']}", "x-polyport-tags": "blue, green"}
            asked = {
                "model": "gpt", "messages": [{"role": "user", "content": "A secret question"}], "stream": True,
                "user": "jane", "metadata": {"tags": ["red", "own"]},
            }  # fmt: skip
            reply = await client.post("/v1/chat/completions", json=asked, headers=mine)
            assert reply.text.endswith("[DONE]\n\n")
            quoting = {"model": mine["authorization"][7:], "messages": []}
            assert (await client.post("/v1/chat/completions", json=quoting, headers=mine)).status_code >= 400
            await keeper.ledger.drain()
            name = reply.headers["x-polyport-request-id"]
            told = (await client.get("/spend/story", params={"request_id": name})).json()
            request = told["request"]
            assert (told["key"]["alias"], told["user"]["email"], told["team"]) == ("ann's", "ann@example.com", None)
            assert (request["status"], request["surface"], request["stream"], request["attempts"]) == (
                200, "openai", True, 2
            )  # fmt: skip
            assert request["usage"] == {"input": 7, "output": 3}
            assert request["tags"] == ["own", "red", "blue", "green"]
            (failure,) = request["failures"]
            assert (failure["error"], failure["provider"]) == ("APIConnectionError", "openai")
            assert failure["deployment"] != request["deployment"]
            assert 0 < request["first_byte"] <= request["seconds"]
            assert 0 < request["spend"] < request["reserved"]
            logs = (await client.get("/spend/logs", params={"limit": "all"})).json()["results"]
            assert len(logs) == 2
            failed = next(one for one in logs if one["status"] >= 400)
            assert failed["error"]
            assert failed["message"]
            everything = json.dumps([told, logs])
            assert not any(one in everything for one in ("question", "secret", made.json()["key"]))
        await app.aclose()

    asyncio.run(main())


def test_an_export_is_sent_page_by_page(tmp_path: Path) -> None:
    """As CSV, as lines of JSON, as one JSON; each of many pages, each whole, and what goes wrong is told first."""

    async def main() -> None:
        app = app_of(config.read({
            "model_list": [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-x"}}],
            "general_settings": {"master_key": MASTER_KEY},
        }), data=tmp_path)  # fmt: skip
        keeper = app.gate
        assert isinstance(keeper, Keeper)
        await keeper.start()
        for number in range(2 * spending.CHUNK + 3):
            keeper.ledger.record(Entry(id=f"r{number}", at=NOON + number // 7, model="=cmd", usage={"input": 1}))
        await keeper.ledger.drain()
        sent: list[int] = []

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                if message["type"] == "http.response.body":
                    sent.append(len(message["body"]))
                await send(message)

            await app(scope, receive, note)

        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        transport = httpx.ASGITransport(app=watched)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            text = (await client.get("/spend/logs?format=csv")).text
            rows = list(csv.DictReader(io.StringIO(text)))
            assert len(rows) == len({row["id"] for row in rows}) == 2 * spending.CHUNK + 3
            assert {row["model"] for row in rows} == {"'=cmd"}
            assert len(sent) >= 3
            lines = (await client.get("/spend/logs?format=jsonl&model=%3Dcmd")).text.splitlines()
            assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in rows]
            whole = (await client.post("/spend/logs", json={"limit": "all"})).json()
            assert len(whole["results"]) == len(rows)
            assert (await client.get("/spend/logs?format=csv&limit=5")).text.count("\n") == 6
            assert (await client.get("/spend/logs?format=csv&model=none")).text == ""
            assert (await client.get("/spend/logs?limit=all&model=none")).json() == {"results": []}
            wrong = await client.get("/spend/logs?format=csv&colour=red")
            assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, None)
            assert (await client.get("/spend/logs?format=xml")).status_code == 400
        await app.aclose()

    asyncio.run(main())


def test_calls_name_no_tags_where_the_operator_says_so(tmp_path: Path, well: Any, monkeypatch: Any) -> None:
    """`request_tags: false`: the key's own stay."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def main() -> None:
        params = {"model": "openai/gpt-4o", "api_base": well.url, "api_key": "sk-upstream-secret"}
        app = app_of(config.read({
            "model_list": [{"model_name": "gpt", "litellm_params": params}],
            "general_settings": {"master_key": MASTER_KEY, "request_tags": False},
        }), data=tmp_path)  # fmt: skip
        keeper = app.gate
        assert isinstance(keeper, Keeper)
        await keeper.start()
        made = await manage.generate_key(keeper.store, MASTER, {"tags": ["own"]})
        headers = {"authorization": f"Bearer {made['key']}", "x-polyport-tags": "blue"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            body = {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        await keeper.ledger.drain()
        assert (await spending.logs(keeper.store, MASTER, {}))["results"][0]["tags"] == ["own"]
        await app.aclose()

    asyncio.run(main())
