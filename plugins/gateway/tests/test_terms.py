"""What holds for all: global limits, defaults, guardrails and bounds of a key, soft budgets' webhook, what is kept."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from polyport.errors import BadRequestError
from polyport_gateway import config, management as manage, spending
from polyport_gateway.assembly import app_of
from polyport_gateway.config import ConfigError
from polyport_gateway.identity import MASTER
from polyport_gateway.journal import Journal
from polyport_gateway.keeper import Keeper
from polyport_gateway.ledger import Ledger
from polyport_gateway.limits import Limit
from polyport_gateway.lines import Entry
from polyport_gateway.notices import Notices
from polyport_gateway.retention import BATCH, drop_old
from polyport_gateway.store import Store, tables
from polyport_gateway.terms import Terms

from .services import Answering, Local, listening

pytestmark = pytest.mark.usefixtures("amid_an_hour")

MASTER_KEY = "sk-master-1234"
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello? My card is 4111"}]}
DAY = 86_400.0


def run(
    folder: Path,
    test: Callable[[httpx.AsyncClient, Keeper], Awaitable[None]],
    url: str,
    general: Any = None,
    **more: Any,
) -> None:
    """Run a test on a gateway in this process, as a client with the master key."""
    params = {"model": "openai/gpt-4o", "api_base": url, "api_key": "sk-upstream-secret"}
    given = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "general_settings": {"master_key": MASTER_KEY, **(general or {})},
        **more,
    }

    async def main() -> None:
        app = app_of(config.read(given), data=folder)
        assert isinstance(app.gate, Keeper)
        await app.gate.start()
        transport = httpx.ASGITransport(app=app)
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            await test(client, app.gate)
        await app.aclose()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")


async def chat(client: httpx.AsyncClient, key: str = MASTER_KEY, **fields: Any) -> httpx.Response:
    """Ask something."""
    return await client.post("/chat/completions", json={**HELLO, **fields}, headers={"authorization": f"Bearer {key}"})


async def key(keeper: Keeper, **body: Any) -> str:
    """Return a new key."""
    made: str = (await manage.generate_key(keeper.store, MASTER, body))["key"]
    return made


def test_the_whole_gateway_has_limits(tmp_path: Path, well: Any) -> None:
    """They hold for all keys together, the master key among them, and for single models."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        one, other = await key(keeper), await key(keeper)
        assert [(await chat(client, who)).status_code for who in (one, other, MASTER_KEY, one)] == [200, 200, 200, 429]
        refused = await chat(client, other)
        assert refused.json()["error"]["message"].startswith("The gateway may make 3 requests a minute")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["x-ratelimit-reset-requests"].endswith("s")

    run(tmp_path, test, well.url, {"global_limits": {"rpm_limit": 3, "model_tpm_limit": {"gpt": 100_000}}})


def test_new_ones_get_the_defaults_where_they_do_not_say_otherwise(tmp_path: Path, well: Any) -> None:
    """Keys, users, teams; and customers also where nobody set them up. Names of LiteLLM's are known."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        made = (await client.post("/key/generate", json={"rpm_limit": 9})).json()
        assert (made["max_budget"], made["rpm_limit"], made["budget_duration"]) == (5, 9, "1d")
        assert made["budget_reset_at"] % DAY == 0
        assert 0 < made["budget_reset_at"] - time.time() <= DAY
        assert (await client.post("/team/new", json={"team_id": "t"})).json()["tpm_limit"] == 1000
        mine = await key(keeper)
        assert [(await chat(client, mine, user="jane")).status_code for _ in range(2)] == [200, 429]
        assert (await chat(client, mine, user="john")).status_code == 200

    run(
        tmp_path, test, well.url,
        {"default_key_generate_params": {"max_budget": 5, "rpm_limit": 1, "budget_duration": "1d"},
         "default_team_params": {"tpm_limit": 1000}, "default_customer_params": {"rpm_limit": 1}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"global_limits": {"rmp_limit": 3}}, "did you mean 'rpm_limit'"),
        ({"default_key_params": {"max_budget": "much"}}, "default_key_params"),
        ({"ledger_retention_days": -1}, "ledger_retention_days is a number of days"),
        ({"maximum_spend_logs_retention_period": "a month"}, "such as 30d"),
        ({"budget_webhook": "ftp://x"}, "budget_webhook"),
        ({"shared_within": "planet"}, "shared_within"),
        ({"store_promts": True}, "did you mean 'store_prompts'"),
    ],
)
def test_terms_that_cannot_hold_are_told_with_their_place(wrong: dict[str, Any], told: str) -> None:
    """At the start, not at the first call."""
    with pytest.raises(ConfigError, match=r"general_settings") as error:
        config.read({"model_list": [{"model_name": "a", "params": {"model": "openai/a"}}], "general_settings": wrong})
    assert told in str(error.value)


def test_a_teams_members_have_budgets_of_their_own_in_it(tmp_path: Path, well: Any) -> None:
    """One member's spending does not touch another's, nor the same user's elsewhere."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        team = {"team_id": "t", "team_member_budget": 0.00006, "team_member_budget_duration": "1d"}
        made = (await client.post("/team/new", json=team)).json()
        assert (made["team_member_budget"], made["team_member_budget_duration"]) == (0.00006, "1d")
        changed = await client.post("/team/update", json={"team_id": "t", "team_member_rpm_limit": 50})
        assert (changed.json()["team_member_budget"], changed.json()["team_member_rpm_limit"]) == (0.00006, 50)
        for user in ("ann", "bob"):
            await client.post("/user/new", json={"user_id": user})
        ann, bob = [await key(keeper, team_id="t", user_id=user) for user in ("ann", "bob")]
        alone, again = await key(keeper, user_id="ann"), await key(keeper, team_id="t", user_id="ann")
        small = {"max_tokens": 1}
        assert (await chat(client, ann, **small)).status_code == 200
        refused = await chat(client, again, **small)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_exceeded")
        assert "team t on the user ann" in refused.json()["error"]["message"]
        assert (await chat(client, bob, **small)).status_code == 200
        assert (await chat(client, alone, **small)).status_code == 200

    run(tmp_path, test, well.url)


def test_litellms_names_are_taken_or_refused_with_a_reason(tmp_path: Path, well: Any) -> None:
    """What has a meaning here has it; what has none is said, but for what says nothing."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        body = {
            "key_alias": "mine", "max_budget": 1, "soft_budget": 0.5, "budget_duration": "30d", "rpm_limit": 5,
            "tpm_limit": 1000, "max_parallel_requests": 2, "models": ["gpt"], "aliases": {}, "metadata": {},
            "model_max_budget": {"gpt": {"budget_limit": 0.1, "time_period": "1d"}, "big": 2},
            "model_rpm_limit": {"gpt": 2}, "model_tpm_limit": {"gpt": 500}, "guardrails": [],
            "allowed_cache_controls": ["no-cache"], "permissions": {}, "config": {}, "spend": None, "duration": "7d",
        }  # fmt: skip
        made = (await client.post("/key/generate", json=body)).json()
        assert made["model_limits"]["gpt"] == {
            "max_budget": 0.1, "budget_duration": "1d", "rpm_limit": 2, "tpm_limit": 500
        }  # fmt: skip
        assert made["model_limits"]["big"] == {"max_budget": 2}
        assert made["allowed_cache_controls"] == ["no-cache"]
        change = {"key_id": made["key_id"], "model_rpm_limit": {"gpt": 3}, "allowed_cache_controls": None}
        changed = (await client.post("/key/update", json=change)).json()
        assert (changed["model_limits"]["gpt"]["rpm_limit"], changed["model_limits"]["gpt"]["tpm_limit"]) == (3, 500)
        assert changed["allowed_cache_controls"] is None
        for name, value in (("permissions", {"a": True}), ("organization_id", "o"), ("key", "sk-mine")):
            refused = await client.post("/key/generate", json={name: value})
            assert refused.status_code == 400
            assert "sk-mine" not in refused.text
            assert f"has no '{name}': " in refused.json()["error"]["message"]

    run(tmp_path, test, well.url)


def test_what_a_key_holds_of_its_calls_holds(tmp_path: Path, well: Any) -> None:
    """Its guardrail is on whatever a call says, its cache controls are all it has, its bounds are not exceeded."""
    pytest.importorskip("polyport_guardrails")
    rails = [{
        "guardrail_name": "no-cards",
        "params": {"guardrail": "regex", "mode": "pre_call", "default_on": False, "patterns": {"CARD": "4111"}},
    }]  # fmt: skip

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        free, bound = await key(keeper), await key(keeper, guardrails=["no-cards"])
        reply = await chat(client, free)
        assert reply.status_code == 200, reply.text
        seen = len(well.asked)
        for asked in ({}, {"guardrails": []}, {"guardrails": {"no-cards": False}}):
            reply = await chat(client, bound, **asked)
            assert reply.status_code == 400 or "4111" not in json.dumps(well.last)
        assert "4111" not in "".join(body.decode() for _, _, body in well.asked[seen:])
        narrow = await key(keeper, allowed_cache_controls=["no-cache"], num_retries=0, timeout=7)
        refused = await chat(client, narrow, cache={"ttl": 9})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cache_control_not_allowed")
        assert (await chat(client, narrow, cache={"no-cache": True}, num_retries=5, timeout=900)).status_code == 200
        well.failing = (500, {}, {"error": {"message": "broken"}})
        before = len(well.asked)
        assert (await chat(client, narrow, num_retries=3)).status_code == 500
        assert len(well.asked) == before + 1

    run(tmp_path, test, well.url, guardrails=rails)


def test_a_key_may_be_kept_from_the_cache(tmp_path: Path, well: Any) -> None:
    """`disable_cache`: it is always answered anew, and fills it for nobody."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        uncached, cached = await key(keeper, disable_cache=True), await key(keeper)
        for who, calls in ((uncached, 1), (cached, 2), (cached, 2), (uncached, 3)):
            assert (await chat(client, who)).status_code == 200
            assert len(well.asked) == calls

    run(tmp_path, test, well.url, settings={"cache": True})


# --- soft budgets ---


class Hook(Local):
    """A webhook that fails a few times first."""

    def __init__(self, failures: int) -> None:
        super().__init__(Taker)
        self.failures = failures
        self.taken: list[dict[str, Any]] = []
        self.tried = 0
        self.url = f"{self.address}/hook"


class Taker(Answering):
    """Checks the signature, as whoever takes notices should."""

    server: Hook

    def serve(self) -> None:
        body = self.body()
        stamp = self.headers["x-polyport-timestamp"]
        signed = hmac.new(b"hook-secret-1234", stamp.encode() + b"." + body, sha256).hexdigest()
        right = hmac.compare_digest(self.headers["x-polyport-signature"], f"sha256={signed}")
        self.server.tried += 1
        well = right and self.server.tried > self.server.failures
        if well:
            self.server.taken.append(json.loads(body))
        self.send(b"", 200 if well else 503)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook."""
    with listening(Hook(failures=1)) as server:
        yield server


async def until(condition: Callable[[], Any], within: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_a_soft_budget_that_is_crossed_is_told_to_the_webhook_once(tmp_path: Path, well: Any, hook: Hook) -> None:
    """Signed, tried again, and not with the request: it is answered before."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        mine = await key(keeper, key_alias="mine", soft_budget=0.00009, max_budget=1, budget_duration="1d")
        for _ in range(4):
            assert (await chat(client, mine)).status_code == 200
        await until(lambda: hook.taken)
        (told,) = hook.taken
        assert (told["event"], told["soft_budget"], told["budget_duration"]) == ("soft_budget_crossed", 0.00009, "1d")
        assert told["account"].startswith("key:")
        assert told["period_end"] - told["period_start"] == DAY
        assert mine not in json.dumps(told)

    general = {"budget_webhook": hook.url, "budget_webhook_secret": "hook-secret-1234"}
    run(tmp_path, test, well.url, general)
    run(tmp_path, test_again, well.url, general)  # the budget is known to be crossed at the start, and was told
    assert len(hook.taken) == 1


async def test_again(client: httpx.AsyncClient, keeper: Keeper) -> None:
    """The same key after a restart."""
    rows = (await manage.list_all(keeper.store, MASTER, "key", {}))["keys"]
    text = (await manage.rotate_key(keeper.store, MASTER, {"key_id": rows[0]["key_id"]}))["key"]
    assert (await chat(client, text)).status_code == 200
    await keeper._tell()


test_again.__test__ = False  # type: ignore[attr-defined]  # it is a part of another


def test_replicas_that_see_one_crossing_tell_it_once(tmp_path: Path, hook: Hook) -> None:
    """Whoever notes it first; whoever takes it sends it, and no other meanwhile."""
    hook.failures = 0
    limit = Limit(about=(("team", "t"),), soft=5, budget=9, duration="1mo")

    async def main() -> None:
        stores = [Store(f"sqlite:///{tmp_path / 'gateway.db'}") for _ in range(3)]
        await stores[0].migrate()
        replicas = [Notices(store) for store in stores]
        now = time.time()
        for one in replicas:
            one.note(limit, now)
        told = await asyncio.gather(*(one.send(hook.url, "hook-secret-1234") for one in replicas))
        assert sum(told) == len(hook.taken) == 1
        replicas[0].note(limit, now + 40 * DAY)
        assert await replicas[1].send(hook.url, "hook-secret-1234", now + 41 * DAY) == 0
        assert await replicas[0].send(hook.url, "hook-secret-1234", now + 41 * DAY) == 1
        for one, store in zip(replicas, stores, strict=True):
            await one.aclose()
            await store.aclose()

    asyncio.run(main())


def test_a_webhook_that_stays_away_is_given_up(tmp_path: Path) -> None:
    """After three days, and in between it is asked ever more seldom."""

    async def main() -> None:
        store = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        await store.migrate()
        notices = Notices(store)
        notices.note(Limit(about=(("team", "t"),), soft=5), time.time())
        assert await notices.send("http://127.0.0.1:9/hook", "s" * 16) == 0

        async def row() -> Any:
            async with store.reading() as connection:
                return (await connection.execute(select(tables.notices))).one()

        assert ((await row()).state, (await row()).tries) == ("waiting", 1)
        assert (await row()).due > time.time()
        async with store.transaction() as connection:
            await connection.execute(update(tables.notices).values(at=time.time() - 4 * DAY, due=0.0))
        await notices.send("http://127.0.0.1:9/hook", "s" * 16)
        assert (await row()).state == "failed"
        assert await notices.send("http://127.0.0.1:9/hook", "s" * 16) == 0
        await notices.aclose()
        await store.aclose()

    asyncio.run(main())


# --- what is kept ---


def test_what_is_old_is_dropped_and_the_days_stay(tmp_path: Path) -> None:
    """Requests, roll-ups by hour and prompts, each after its own time; what was spent is still known."""

    async def test() -> None:
        store = Store(f"sqlite:///{tmp_path}/gateway.db")  # no keeper's, which would drop by the clock
        await store.migrate()
        ledger, now = Ledger(store, Journal(tmp_path / "journal")), 1_764_590_400.0
        for number in range(BATCH + 10):
            ledger.record(Entry(id=f"old-{number}", at=now - 40 * DAY, model="m", nano=1))
        ledger.record(Entry(id="new", at=now - 5 * DAY, model="m", nano=1))
        await ledger.drain()
        async with store.transaction() as connection:
            for name, at in (("old", now - 31 * DAY), ("new", now)):
                await connection.execute(
                    store.insert(tables.prompts), {"id": name, "at": at, "asked": "", "answer": ""}
                )
        assert await drop_old(store, Terms(), now) == 1
        assert await drop_old(store, Terms(ledger_retention_days=30, hours_retention_days=10), now) == BATCH + 11
        async with store.transaction() as connection:
            assert list((await connection.execute(select(tables.ledger.c.id))).scalars()) == ["new"]
            assert len(list((await connection.execute(select(tables.hours.c.id))).scalars())) == 1
            assert list((await connection.execute(select(tables.prompts.c.id))).scalars()) == ["new"]
        assert await ledger.spent({"model": "m"}, None) == BATCH + 11
        await ledger.aclose()
        await store.aclose()

    asyncio.run(test())


@pytest.mark.parametrize("kept", [False, True])
def test_prompts_are_kept_only_where_the_operator_says_so(tmp_path: Path, well: Any, kept: bool) -> None:
    """In the story for admins alone, without keys; by default nowhere on disk."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        mine = await key(keeper)
        for stream in (False, True):
            reply = await chat(client, mine, stream=stream)
            name = reply.headers["x-polyport-request-id"]
            await keeper.ledger.drain()
            content = None
            for _ in range(1200 if kept else 5):
                content = (await client.get("/spend/story", params={"request_id": name})).json()["content"]
                if content is not None:
                    break
                await asyncio.sleep(0.05)
            if not kept:
                assert content is None
                continue
            assert content is not None
            assert content["asked"]["messages"] == HELLO["messages"]
            assert content["answer"]["choices"][0]["message"]["content"] == "Well, hello"
            own = {"authorization": f"Bearer {mine}"}
            story = (await client.get("/spend/story", params={"request_id": name}, headers=own)).json()
            assert story["content"] is None
            assert "4111" not in json.dumps(story)

    run(tmp_path, test, well.url, {"store_prompts": kept})
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (b"4111" in found) is kept
    assert b"sk-upstream-secret" not in found


def test_a_report_still_needs_known_names(tmp_path: Path, well: Any) -> None:
    """A misspelt filter is told, not ignored."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        with pytest.raises(BadRequestError, match="colour"):
            await spending.series(keeper.store, MASTER, {"colour": "red"})

    run(tmp_path, test, well.url)
