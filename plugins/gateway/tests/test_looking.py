"""Batches hold what they may cost, and are paid though nobody looks: two gateways, each a process, on one database.

The providers are those of `test_message_batches`: one speaks OpenAI's dialect, one Anthropic's.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import select, text, update

pytest.importorskip("redis", reason="pip install polyport-gateway[redis]")

from polyport_gateway.store import Store
from polyport_gateway.store.tables import batches, owned

from .conftest import KEY, Gateway
from .services import PostgreSQL, listening, postgres, redis
from .test_message_batches import DAY, Handler, Vendors, ask
from .waiting import until

ADMIN = {"authorization": f"Bearer {KEY}"}
#: What a line costs that was answered: 1000 tokens read and 100 written by gpt-4o, at batch prices.
COST = (1000 * 2.5 + 100 * 10) / 1e6 / 2
#: What a line may cost that has next to no prompt and may be answered with 100 000 tokens.
HELD = 100_000 * 10 / 1e6 / 2
#: What a batch holds that nobody can price, and costs.
UNPRICED = 3
T = TypeVar("T")


class Slow(Vendors):
    """The vendors; one that starts a batch does not tell before it may, and all can be out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = Slowly
        self.may_tell = threading.Event()
        self.may_tell.set()
        self.out_of_order = False


class Slowly(Handler):
    """Answers as the vendors do, when it may."""

    server: Slow

    def serve(self) -> None:
        if self.server.out_of_order:
            self.body()
            self.send(b"{}", 500)
            return
        super().serve()

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        if self.command == "POST" and self.path.endswith("/batches"):
            self.server.may_tell.wait(60)
        try:
            super().send(body, status, **headers)
        except OSError:  # who asked was killed
            self.close_connection = True


class Both:
    """Two gateways on one database and one Redis."""

    def __init__(self, config: dict[str, Any], start: Callable[..., Gateway], database: PostgreSQL) -> None:
        self._config, self._start, self.database = config, start, database
        self.gateways = [start(config), start(config)]

    def kill(self) -> None:
        """Kill the first one, and start another in its place."""
        self.gateways[0].process.kill()
        self.gateways[0].process.wait()
        self.gateways[0] = self._start(self._config)

    @property
    def urls(self) -> list[str]:
        """Where they are."""
        return [one.url for one in self.gateways]

    def sql(self, step: Callable[[Any], Awaitable[T]]) -> T:
        """Run something in the database."""

        async def run() -> T:
            store = Store(self.database.url)
            async with store.transaction() as connection:
                found = await step(connection)
            await store.aclose()
            return found

        return asyncio.run(run())

    def rows(self) -> list[Any]:
        """Return what is known of batches."""

        async def read(connection: Any) -> list[Any]:
            return list((await connection.execute(select(batches))).mappings().all())

        return self.sql(read)

    def set(self, **values: Any) -> None:
        """Change what is known of batches that hold something."""

        async def write(connection: Any) -> None:
            await connection.execute(update(batches).where(batches.c.state.in_(("starting", "open"))).values(**values))

        self.sql(write)


@pytest.fixture(scope="module")
def slow() -> Iterator[Slow]:
    """The providers."""
    with listening(Slow()) as server:
        yield server


@pytest.fixture(scope="module")
def both(slow: Slow, start: Callable[..., Gateway], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The gateways."""
    models = [("gpt", "openai/gpt-4o", "sk-one", f"{slow.address}/v1"),
              ("claude", "anthropic/claude-sonnet-4-5", "sk-ant", slow.address),
              ("unpriced", "openai/nobody-knows", "sk-one", f"{slow.address}/v1")]  # fmt: skip
    listed = [
        {"model_name": name, "litellm_params": {"model": model, "api_key": key, "api_base": base}}
        for name, model, key, base in models
    ]
    with postgres() as database, redis(tmp_path_factory.mktemp("redis")) as memory:
        general = {"master_key": KEY, "database_url": database.url, "redis_url": memory.url, "batch_check_interval": 1,
                   "unpriced_batch_hold": UNPRICED}  # fmt: skip
        settings = {"num_retries": 0, "timeout": 60}
        yield Both({"model_list": listed, "general_settings": general, "router_settings": settings}, start, database)


@pytest.fixture
def well(both: Both, slow: Slow) -> Iterator[Slow]:
    """The providers in order before and after; nothing is kept, and nothing is held."""
    slow.batches.clear()
    slow.asked.clear()
    yield slow
    slow.may_tell.set()
    slow.out_of_order = False
    both.sql(lambda connection: connection.execute(text("DELETE FROM batches")))
    both.sql(lambda connection: connection.execute(text("UPDATE revision SET number = number + 1 WHERE id = 2")))


class Caller:
    """Somebody with a key."""

    def __init__(self, both: Both, **body: Any) -> None:
        self._both = both
        made = self.post(0, "/key/generate", body, ADMIN)
        assert made.status_code == 200, made.text
        self.id, self.headers = made.json()["key_id"], {"authorization": f"Bearer {made.json()['key']}"}

    def post(self, at: int, path: str, body: Any, headers: Any = None) -> httpx.Response:
        """Ask the first gateway, or the second."""
        url = f"{self._both.urls[at]}{path}"
        return httpx.post(url, json=body, headers=headers or self.headers, timeout=90, trust_env=False)

    def upload(self, at: int = 0, lines: int = 1, limit: int = 100_000, model: str = "gpt-4o") -> str:
        """Upload requests, and return the file's id."""
        asked = [
            {"custom_id": f"a{number}", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": model, "max_tokens": limit, "messages": [{"role": "user", "content": "Hello?"}]}}
            for number in range(lines)
        ]  # fmt: skip
        content = "".join(json.dumps(one) + "\n" for one in asked).encode()
        reply = httpx.post(
            f"{self._both.urls[at]}/v1/files?provider=openai", files={"file": ("f.jsonl", content)},
            data={"purpose": "batch"}, headers=self.headers, timeout=90, trust_env=False,
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
        found: str = reply.json()["id"]
        return found

    def start(self, at: int = 0, **more: Any) -> httpx.Response:
        """Start a batch of requests that are uploaded."""
        body = {"input_file_id": self.upload(at, **more), "endpoint": "/v1/chat/completions"}
        return self.post(at, "/v1/batches?provider=openai", body)

    def entries(self) -> list[dict[str, Any]]:
        """Return the batches of this key in the ledger."""
        asked = {"operation": "batch", "key": self.id}
        url = f"{self._both.urls[1]}/spend/logs"
        reply = httpx.get(url, params=asked, headers=ADMIN, timeout=90, trust_env=False)
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["results"]
        return found

    def spent(self) -> float:
        """Return what the key has spent."""
        url = f"{self._both.urls[1]}/key/info"
        reply = httpx.get(url, params={"key_id": self.id}, headers=ADMIN, timeout=90, trust_env=False)
        return float(reply.json()["spend"])


def metric(both: Both, name: str) -> float:
    """Return a number that the second gateway tells Prometheus."""
    told = httpx.get(f"{both.urls[1]}/metrics", headers=ADMIN, timeout=90, trust_env=False).text
    return float(re.findall(rf"^polyport_gateway_{name} (\S+)$", told, re.MULTILINE)[0])


def test_a_batch_that_nobody_looks_at_is_paid_once(both: Both, well: Slow) -> None:
    """On its key, user, team and model, and both gateways look; until then it is told as open."""
    for kind, name in (("team", "t"), ("user", "ann")):
        body = {f"{kind}_id": name}
        httpx.post(f"{both.urls[0]}/{kind}/new", json=body, headers=ADMIN, timeout=90, trust_env=False)
    caller = Caller(both, user_id="ann", team_id="t", max_budget=10)
    started = caller.start(lines=2)
    assert started.status_code == 200, started.text
    until(lambda: metric(both, "open_batches") == 1, "the batch is told as open")
    assert metric(both, "open_batches_usd") == pytest.approx(2 * HELD, rel=0.01)
    assert caller.entries() == []
    well.run()
    (entry,) = until(caller.entries, "the batch is paid")
    assert entry["spend"] == pytest.approx(2 * COST)
    assert (entry["user_id"], entry["team_id"], entry["model"], entry["provider"]) == ("ann", "t", "gpt", "openai")
    until(lambda: metric(both, "open_batches") == 0, "no batch is open")
    looked = httpx.get(
        f"{both.urls[1]}/v1/batches/{started.json()['id']}?provider=openai", headers=caller.headers, timeout=60
    )
    assert looked.json()["status"] == "completed"
    content = f"{both.urls[0]}/v1/files/{looked.json()['output_file_id']}/content?provider=openai"
    assert httpx.get(content, headers=caller.headers, timeout=60).status_code == 200
    assert caller.spent() == pytest.approx(2 * COST)
    assert len(caller.entries()) == 1


def test_a_file_asks_only_for_models_of_its_caller(both: Both, well: Slow) -> None:
    """By their names here, though lines have the provider's; of a file that nobody has seen, nobody can tell."""
    assert Caller(both, models=["gpt"]).start().status_code == 200
    others, unseen = Caller(both, models=["claude"]), Caller(both, models=["gpt"])
    file = unseen.upload()
    forgotten = update(owned).where(owned.c.id == file).values(asks="")

    async def forget(connection: Any) -> bool:
        return bool((await connection.execute(forgotten)).rowcount)

    until(lambda: both.sql(forget), "the file is in the database")
    for caller, name in ((others, others.upload()), (unseen, file)):
        body = {"input_file_id": name, "endpoint": "/v1/chat/completions"}
        refused = caller.post(1, "/v1/batches?provider=openai", body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed"), refused.text
    assert len(well.batches) == 1


def test_a_batch_beyond_the_budget_is_refused_before_it_starts(both: Both, well: Slow) -> None:
    """In each surface's own words; no provider is asked for it, and nothing stays held."""
    caller = Caller(both, max_budget=HELD * 1.5)
    refused = caller.start(lines=2)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_exceeded"), refused.text
    asked = ask("claude", "a", "b")
    requests = [{**one, "params": {**one["params"], "max_tokens": 200_000}} for one in asked]
    refused = caller.post(0, "/v1/messages/batches", {"requests": requests})
    assert refused.status_code == 400
    assert refused.json()["type"] == "error"
    assert "budget" in refused.json()["error"]["message"].lower()
    told = [line for line, *_ in well.asked if line.startswith("POST")]
    assert told == ["POST /files"]
    assert [one["state"] for one in both.rows()] == ["void", "void"]
    assert caller.start(lines=1).status_code == 200


def test_what_nobody_can_price_holds_and_costs_what_the_operator_says(both: Both, well: Slow) -> None:
    """Told in the reply, as what is foreseen is; paid as an estimate, since no price is told afterwards either."""
    caller = Caller(both, max_budget=UNPRICED * 1.5)
    started = caller.start(model="nobody-knows")
    assert (started.status_code, started.headers["x-polyport-held"]) == (200, str(UNPRICED)), started.text
    refused = caller.start(1, model="nobody-knows")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_exceeded"), refused.text
    well.run()
    (entry,) = until(caller.entries, "the batch is paid")
    assert (entry["spend"], entry["estimated"], entry["model"]) == (UNPRICED, True, "unpriced")
    priced = Caller(both, max_budget=10).start()
    assert float(priced.headers["x-polyport-held"]) == pytest.approx(HELD, rel=0.01)


def test_what_one_batch_holds_another_gateway_gives_to_nobody(both: Both, well: Slow) -> None:
    """A second batch is refused by the other, and calls, until the first is paid by what it cost."""
    caller = Caller(both, max_budget=HELD * 1.5)
    assert caller.start(0).status_code == 200
    assert caller.start(1).status_code == 400
    chat = {"model": "gpt", "max_tokens": 100_000, "messages": [{"role": "user", "content": "Hello?"}]}
    refused = caller.post(1, "/v1/chat/completions", chat)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_exceeded")
    well.run()
    until(caller.entries, "the batch is paid")
    until(lambda: caller.start(1).status_code == 200, "there is room for another")


def test_message_batches_are_paid_as_well(both: Both, well: Slow) -> None:
    """Over a provider of each dialect."""
    for model in ("gpt", "claude"):
        caller = Caller(both, max_budget=10)
        made = caller.post(0, "/v1/messages/batches", {"requests": ask(model, "a", "bad")})
        assert made.status_code == 200, made.text
        well.run()
        (entry,) = until(caller.entries, f"the batch of {model} is paid")
        assert entry["model"] == model
        assert entry["spend"] > 0
        well.batches.clear()


def test_a_batch_that_is_deleted_is_paid_before(both: Both, well: Slow) -> None:
    """Though nobody has looked at it: afterwards nobody could."""
    caller = Caller(both, max_budget=10)
    made = caller.post(0, "/v1/messages/batches", {"requests": ask("claude", "a", "b")})
    both.set(due=1e12)
    well.run()
    url = f"{both.urls[0]}/v1/messages/batches/{made.json()['id']}"
    gone = httpx.delete(url, headers=caller.headers, timeout=90, trust_env=False)
    assert (gone.status_code, well.batches) == (200, {}), gone.text
    (entry,) = until(caller.entries, "it is paid")
    assert entry["spend"] > 0
    until(lambda: [one["state"] for one in both.rows()] == ["over"], "it holds nothing")


def test_a_batch_that_answered_nothing_costs_nothing(both: Both, well: Slow) -> None:
    """It gives back what it held."""
    caller = Caller(both, max_budget=HELD * 1.5)
    assert caller.start().status_code == 200
    for batch in well.batches.values():
        batch |= {"status": "failed", "failed_at": DAY + 5}
    (entry,) = until(caller.entries, "the batch is over")
    assert entry["spend"] == 0
    until(lambda: caller.start().status_code == 200, "there is room for another")


def test_a_provider_out_of_order_is_asked_again_and_given_up_in_the_end(both: Both, well: Slow) -> None:
    """First an error, then an answer, paid; where none comes until a day after the batch's time, nothing is held."""
    caller = Caller(both, max_budget=HELD * 1.5)
    assert caller.start().status_code == 200
    well.out_of_order = True
    until(lambda: any(one["tries"] for one in both.rows()), "a look has failed")
    well.run()
    well.out_of_order = False
    both.set(due=0.0)
    until(caller.entries, "the batch is paid")
    other = Caller(both, max_budget=HELD * 1.5)
    assert other.start().status_code == 200
    well.out_of_order = True
    both.set(due=0.0, expires=1.0)
    until(lambda: any(one["state"] == "lost" for one in both.rows()), "the batch is given up")
    well.out_of_order = False
    until(lambda: other.start().status_code == 200, "there is room for another")
    assert any("is given up" in line for one in both.gateways for line in one.said)
    assert other.entries() == []


def test_a_batch_outlives_the_gateway_that_started_it(both: Both, well: Slow) -> None:
    """kill -9 after the start: the other one holds its budget, and pays it, once."""
    caller = Caller(both, max_budget=HELD * 1.5)
    assert caller.start(0).status_code == 200
    both.kill()
    assert [caller.start(at).status_code for at in (0, 1)] == [400, 400]
    well.run()
    until(caller.entries, "the batch is paid")
    both.kill()
    assert [one["spend"] for one in caller.entries()] == [pytest.approx(COST)]
    assert caller.spent() == pytest.approx(COST)
    until(lambda: caller.start(0).status_code == 200, "there is room for another")


def test_a_batch_whose_start_nobody_was_told_of_is_found(both: Both, well: Slow) -> None:
    """kill -9 between the provider's start and its answer: it is looked for there by its file, and paid."""
    caller = Caller(both, max_budget=HELD * 1.5)
    well.may_tell.clear()
    asking = threading.Thread(target=_start, args=(caller,))
    asking.start()
    until(lambda: well.batches, "the provider has started it")
    both.kill()
    well.may_tell.set()
    asking.join(60)
    for batch in well.batches.values():
        batch["created_at"] = int(both.rows()[0]["at"])
    assert caller.start(1).status_code == 400
    both.set(due=0.0, lease=0.0)
    until(lambda: any(one["state"] == "open" for one in both.rows()), "it is found")
    well.run()
    (entry,) = until(caller.entries, "it is paid")
    assert entry["spend"] == pytest.approx(COST)


def _start(caller: Caller) -> None:
    with pytest.raises(httpx.HTTPError):
        caller.start(0)


def test_a_batch_that_never_started_gives_its_budget_back(both: Both, well: Slow) -> None:
    """kill -9 before the provider started it: it is not found there."""
    caller = Caller(both, max_budget=HELD * 1.5)
    well.may_tell.clear()
    asking = threading.Thread(target=_start, args=(caller,))
    asking.start()
    until(lambda: well.batches, "the provider was asked")
    well.batches.clear()
    both.kill()
    well.may_tell.set()
    asking.join(60)
    both.set(due=0.0, lease=0.0)
    until(lambda: caller.start(1).status_code == 200, "there is room for another")
