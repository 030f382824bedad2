"""The gate with accounts: who is let in, what is reserved, and what is written down before a reply ends."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from sqlalchemy import select

from polyport.errors import BadRequestError
from polyport.prices import Rates
from polyport_gateway import management as manage, spending, standing
from polyport_gateway.admitted import Admitted
from polyport_gateway.foreseen import Asks, Foreseen
from polyport_gateway.gate import Asked, GateError, Outcome, Start
from polyport_gateway.identity import MASTER
from polyport_gateway.journal import Journal
from polyport_gateway.keeper import Keeper
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry
from polyport_gateway.store import Store, tables

#: A long run does 200.
KILLS = int(os.environ.get("POLYPORT_KILLS", "20"))
LASTING = float(os.environ.get("POLYPORT_KILLS_LASTING", "0.5"))
MASTER_KEY = "sk-master-1234"
#: USD per million tokens: a prompt of 4 characters with 1000 tokens of answer is 2.001 thousandths of a dollar.
PRICES = [Rates({"input": 1.0, "output": 2.0})]


def run(folder: Path, test: Callable[[Keeper], Awaitable[None]], **options: Any) -> None:
    """Run a test on a keeper."""

    async def main() -> None:
        store = Store(f"sqlite:///{folder / 'gateway.db'}")
        keeper = Keeper(store, folder / "journal", master_key=MASTER_KEY, prices=lambda model: PRICES, **options)
        await keeper.start()
        try:
            await test(keeper)
        finally:
            await keeper.aclose()

    asyncio.run(main())


def chat(token: str | None, number: int = 0, **fields: Any) -> Asked:
    """Return a chat request."""
    fields = {"messages": [{"role": "user", "content": "Hi"}], "model": "gpt", **fields}
    return Asked(
        request_id=f"request-{number}", method="POST", path="/chat/completions", surface="openai",
        operation="completion", token=token, client="10.0.0.1", model=fields["model"], user=fields.get("user"),
        fields=fields,
    )  # fmt: skip


def outcome(asked: Asked, **known: Any) -> Outcome:
    """Return how it ended: well, with ten tokens for thirteen micro-dollars."""
    usage: Mapping[str, int] = {"input": 7, "output": 2, "reasoning": 1}
    return Outcome(
        **{"request_id": asked.request_id, "status": 200, "latency": 0.5, "usage": usage, "nano": 13_000,
           "provider": "openai", "model": "gpt-4o", "attempts": 1, **known}
    )  # fmt: skip


async def entries(keeper: Keeper) -> dict[str, Any]:
    """Return the ledger, by request id."""
    await keeper.ledger.drain()
    async with keeper.store.transaction() as connection:
        rows = (await connection.execute(select(tables.ledger))).mappings()
        return {row["id"]: dict(row) for row in rows}


async def refused(keeper: Keeper, asked: Asked) -> GateError:
    """Return how a request is refused."""
    with pytest.raises(GateError) as error:
        await keeper.admit(asked)
    assert asked.token is None or asked.token not in error.value.message
    return error.value


def test_what_a_request_came_to_is_in_the_ledger_with_whose_it_was(tmp_path: Path) -> None:
    """Names, tokens and money; no prompt and no key. Settling twice counts once."""

    async def test(keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "team", {"team_id": "t"})
        made = await manage.generate_key(
            keeper.store, MASTER, {"team_id": "t", "aliases": {"best": "gpt"}, "tags": ["a"]}
        )
        asked = chat(made["key"], user="jane\x00", model="best")
        admitted = await keeper.admit(asked)
        assert (admitted.caller.id, admitted.models, admitted.aliases) == (made["key_id"], None, {"best": "gpt"})
        await admitted.settle(outcome(asked))
        await admitted.settle(outcome(asked, nano=99))
        row = (await entries(keeper))["request-0"]
        assert {name: row[name] for name in ("key_id", "team_id", "customer_id", "model", "upstream", "provider")} == {
            "key_id": made["key_id"], "team_id": "t", "customer_id": "jane", "model": "gpt", "upstream": "gpt-4o",
            "provider": "openai",
        }  # fmt: skip
        assert (row["prompt"], row["completion"], row["nano"], row["tags"]) == (7, 3, 13_000, ["a"])
        report = await spending.report(keeper.store, MASTER, {"group_by": ["team", "model"]})
        assert report["results"] == [
            {"team": "t", "model": "gpt", "requests": 1, "failures": 0, "prompt": 7, "completion": 3, "spend": 1.3e-05}
        ]
        logs = await spending.logs(keeper.store, MASTER, {"team": "t", "limit": "5"})
        assert [one["id"] for one in logs["results"]] == ["request-0"]

    run(tmp_path, test)


def test_a_call_says_which_of_its_users_teams_spends(tmp_path: Path) -> None:
    """By x-polyport-team, for a key that is bound to none: its limits hold, and it is in the ledger. No other team."""

    async def test(keeper: Keeper) -> None:
        store = keeper.store
        await manage.create(store, MASTER, "user", {"user_id": "anna"})
        await manage.create(store, MASTER, "team", {"team_id": "a", "members": {"anna": "member"}, "tags": ["of-a"]})
        await manage.create(store, MASTER, "team", {"team_id": "b", "members": {"anna": "member"}, "rpm_limit": 1})
        await manage.create(store, MASTER, "team", {"team_id": "c", "members": {"bert": "member"}})
        free = (await manage.generate_key(store, MASTER, {"user_id": "anna"}))["key"]
        bound = (await manage.generate_key(store, MASTER, {"user_id": "anna", "team_id": "a"}))["key"]

        def naming(team: str, token: str, number: int = 0) -> Asked:
            return msgspec.structs.replace(chat(token, number), headers={"x-polyport-team": team})

        for number, (token, team, spends) in enumerate([(free, "a", "a"), (free, "b", "b"), (bound, "a", "a")]):
            asked = naming(team, token, number)
            assert keeper.admit_now(asked) is None
            admitted = await keeper.admit(asked)
            assert admitted.caller.team == spends
            await admitted.settle(outcome(asked))
        without = chat(free, 3)
        await (await keeper.admit(without)).settle(outcome(without))
        found = await entries(keeper)
        assert [found[f"request-{number}"]["team_id"] for number in range(4)] == ["a", "b", "a", ""]
        assert [found[f"request-{number}"]["tags"] for number in range(2)] == [["of-a"], []]
        assert (await refused(keeper, naming("b", free))).code == "rate_limit_exceeded"
        for token, team in ((free, "c"), (free, "no such"), (bound, "b"), (MASTER_KEY, "a")):
            error = await refused(keeper, naming(team, token))
            assert (error.status_code, error.code) == (403, "team_not_allowed"), team
        await manage.update(store, MASTER, "team", {"team_id": "a", "members": {"bert": "member"}})
        assert (await refused(keeper, naming("a", free))).code == "team_not_allowed"

    run(tmp_path, test)


def test_limits_may_be_of_all_models_that_begin_alike(tmp_path: Path) -> None:
    """They hold for those together, beside the limits of one, and money that was spent before counts."""

    async def test(keeper: Keeper) -> None:
        store = keeper.store
        of_models = {"openai/*": {"rpm_limit": 3, "max_budget": 0.5}, "openai/mini": {"rpm_limit": 1}}
        made = await manage.generate_key(store, MASTER, {"model_limits": of_models})
        number = iter(range(100))

        async def ask(model: str, nano: int = 0) -> str:
            asked = chat(made["key"], next(number), model=model)
            try:
                admitted = keeper.admit_now(asked) or await keeper.admit(asked)
            except GateError as error:
                return error.message
            await admitted.settle(outcome(asked, nano=nano))
            return ""

        assert [await ask("openai/mini"), await ask("openai/large", 3 * 10**8)] == ["", ""]
        assert "openai/mini" in await ask("openai/mini")
        assert await ask("openai/other") == ""
        assert "3 requests a minute" in await ask("openai/large")
        assert [await ask("azure/large", 10**9) for _ in range(3)] == [""] * 3
        await keeper.ledger.drain()
        assert await keeper.ledger.spent({"key": made["key_id"], "model": "openai/*"}, None) == 3 * 10**8
        assert await keeper.ledger.spent({"model": "*"}, None) == 33 * 10**8
        shown = (await standing.usage(store, MASTER, {}))["results"]
        assert [(one["model"], one["spend"]) for one in shown] == [("openai/*", 0.3)]
        batch = Entry(id="b", at=keeper.clock(), key_id=made["key_id"], model="openai/large", nano=2 * 10**8)
        await keeper._charge(batch)
        only_money = {"key_id": made["key_id"], "model_limits": {"openai/*": {"max_budget": 0.5}}}
        await manage.update(store, MASTER, "key", only_money)
        assert "budget" in await ask("openai/large")
        with pytest.raises(BadRequestError, match="end with"):
            await manage.update(store, MASTER, "key", {"key_id": made["key_id"], "model_rpm_limit": {"*/mini": 1}})

    run(tmp_path, test)


def test_limits_are_told_and_kept(tmp_path: Path) -> None:
    """x-ratelimit headers while there is room; then 429 with when to come back. The master key has none."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"rpm_limit": 2, "tpm_limit": 5000})
        for number, left in ((0, b"1"), (1, b"0")):
            asked = chat(made["key"], number)
            admitted = await keeper.admit(asked)
            assert dict(admitted.headers)[b"x-ratelimit-remaining-requests"] == left
            await admitted.settle(outcome(asked))
        error = await refused(keeper, chat(made["key"], 2))
        assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
        assert error.retry_after is not None
        assert 55 < error.retry_after <= 62
        admitted = await keeper.admit(chat(MASTER_KEY, 3))
        assert list(admitted.headers) == []

    run(tmp_path, test)


def test_a_request_of_a_known_key_waits_for_nothing(tmp_path: Path) -> None:
    """Once its key and what was spent are known: let in, told of limits, settled and refused as any other."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(
            keeper.store, MASTER, {"rpm_limit": 3, "max_budget": 1, "model_limits": {"rare": {"rpm_limit": 1}}}
        )
        first = chat(made["key"], 0)
        assert keeper.admit_now(first) is None
        await (await keeper.admit(first)).settle(outcome(first))
        for number, left, fields in ((1, b"1", {}), (2, b"0", {"model": "rare"})):
            asked = chat(made["key"], number, **fields)
            admitted = keeper.admit_now(asked)
            assert admitted is not None
            assert (dict(admitted.headers)[b"x-ratelimit-remaining-requests"], admitted.caller.id) == (
                left, made["key_id"],
            )  # fmt: skip
            assert admitted.settle_now(outcome(asked))
            assert admitted.settle_now(outcome(asked, nano=99))
        with pytest.raises(GateError) as error:
            keeper.admit_now(chat(made["key"], 3))
        assert (error.value.status_code, error.value.code) == (429, "rate_limit_exceeded")
        assert {one: row["nano"] for one, row in (await entries(keeper)).items()} == {
            f"request-{number}": 13_000 for number in range(3)
        }
        assert keeper.admit_now(chat(MASTER_KEY, 4)) is not None
        assert keeper.admit_now(chat("sk-nobodys", 5)) is None

    run(tmp_path, test)


def test_what_has_changed_is_waited_for(tmp_path: Path) -> None:
    """A customer that nobody has asked for yet; a key after a change of any key; and then that change holds."""

    async def test(keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "customer", {"customer_id": "jane", "rpm_limit": 1})
        made = await manage.generate_key(keeper.store, MASTER, {})
        await keeper.admit(chat(made["key"], 0))
        assert keeper.admit_now(chat(made["key"], 1, user="jane")) is None
        await keeper.admit(chat(made["key"], 2, user="jane"))
        with pytest.raises(GateError):
            keeper.admit_now(chat(made["key"], 3, user="jane"))
        await manage.update(keeper.store, MASTER, "key", {"key": made["key"], "blocked": True})
        assert keeper.admit_now(chat(made["key"], 4)) is None
        assert (await refused(keeper, chat(made["key"], 5))).code == "key_blocked"
        with pytest.raises(GateError):
            keeper.admit_now(chat(made["key"], 6))

    run(tmp_path, test)


def test_a_key_that_is_the_masters_after_a_reload_is_the_masters(tmp_path: Path) -> None:
    """What is known of keys is no longer so, once another master key holds."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {})
        assert (await keeper.admit(chat(made["key"], 0))).caller.id == made["key_id"]
        keeper.follow(made["key"], "allow")
        admitted = keeper.admit_now(chat(made["key"], 1))
        assert admitted is not None
        assert admitted.caller.id == MASTER.id

    run(tmp_path, test)


@pytest.mark.usefixtures("amid_an_hour")
def test_a_budget_refuses_what_it_does_not_hold(tmp_path: Path) -> None:
    """By the estimate before, by the cost after; 400, which no SDK sends again. A restart changes nothing."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"max_budget": 0.005, "budget_duration": "1d"})
        tokens.append(made["key"])
        first, second = chat(made["key"], 0), chat(made["key"], 1)
        one, two = await keeper.admit(first), await keeper.admit(second)
        error = await refused(keeper, chat(made["key"], 2))
        assert (error.status_code, error.code) == (400, "budget_exceeded")
        assert "$0.005" in error.message
        await one.settle(outcome(first, nano=4_900_000))
        await two.settle(outcome(second, nano=100_000))
        assert (await refused(keeper, chat(made["key"], 3))).code == "budget_exceeded"

    async def again(keeper: Keeper) -> None:
        assert (await refused(keeper, chat(tokens[0], 4, max_tokens=1))).code == "budget_exceeded"

    tokens: list[str] = []
    run(tmp_path, test)
    run(tmp_path, again)


def test_a_customer_and_a_model_have_budgets_of_their_own(tmp_path: Path) -> None:
    """The limits of all whom a request concerns hold together."""

    async def test(keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "customer", {"customer_id": "jane", "rpm_limit": 1})
        made = await manage.generate_key(keeper.store, MASTER, {"model_limits": {"dear": {"max_budget": 0}}})
        await keeper.admit(chat(made["key"], 0, user="jane"))
        assert (await refused(keeper, chat(made["key"], 1, user="jane"))).code == "rate_limit_exceeded"
        await keeper.admit(chat(made["key"], 2, user="john"))
        assert (await refused(keeper, chat(made["key"], 3, model="dear"))).code == "budget_exceeded"
        await manage.update(keeper.store, MASTER, "customer", {"customer_id": "jane", "blocked": True})
        assert (await refused(keeper, chat(made["key"], 4, user="jane"))).code == "customer_blocked"

    run(tmp_path, test)


def test_a_caller_that_leaves_does_not_get_away(tmp_path: Path) -> None:
    """What nobody told the cost of counts with its estimate, where it was sent; a failure counts with nothing."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"max_budget": 1})
        for number, known in enumerate(({"status": 499}, {"status": 502}, {"status": 499, "attempts": 0})):
            asked = chat(made["key"], number)
            await (await keeper.admit(asked)).settle(outcome(asked, nano=None, usage={}, **known))
        found = await entries(keeper)
        assert found["request-0"]["nano"] > 2_000_000
        assert found["request-0"]["estimated"]
        assert [found[f"request-{number}"]["nano"] for number in (1, 2)] == [0, 0]

    run(tmp_path, test)


def test_a_key_is_bound_to_its_routes_addresses_and_role(tmp_path: Path) -> None:
    """403 elsewhere; a viewer reads lists and calls no models."""

    async def test(keeper: Keeper) -> None:
        async def key(**body: Any) -> str:
            found: str = (await manage.generate_key(keeper.store, MASTER, body))["key"]
            return found

        assert (await refused(keeper, chat(await key(allowed_routes=["/embeddings"])))).code == "route_not_allowed"
        assert (await refused(keeper, chat(await key(allowed_ips=["11.0.0.0/8"])))).code == "address_not_allowed"
        viewer = await key(role="viewer")
        assert (await refused(keeper, chat(viewer))).code == "viewer"
        listing = Asked(request_id="r", method="GET", path="/models", surface="openai", token=viewer)
        admitted = await keeper.admit(listing)
        await admitted.settle(Outcome(request_id="r", status=200, latency=0.0))
        assert await entries(keeper) == {}

    run(tmp_path, test)


def test_a_soft_budget_is_told_of_and_refuses_nothing(tmp_path: Path) -> None:
    """Once."""
    told: list[str] = []

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"soft_budget": 0.00002})
        for number in range(4):
            asked = chat(made["key"], number)
            await (await keeper.admit(asked)).settle(outcome(asked))
        assert told == [f"key:{made['key_id']}"]

    run(tmp_path, test, on_soft_budget=lambda limit: told.append(limit.account))


@pytest.mark.parametrize("on_store_failure", ["allow", "deny"])
def test_budgets_that_cannot_be_looked_up_follow_the_operators_word(tmp_path: Path, on_store_failure: str) -> None:
    """allow: the call goes on and is written down; deny: 503."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"max_budget": 1})
        await keeper.identity.identify(made["key"])
        async with keeper.store.transaction() as connection:
            for table in ("ledger", "days", "keys"):
                await connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_away")
        asked = chat(made["key"])
        if on_store_failure == "deny":
            assert (await refused(keeper, asked)).status_code == 503
        else:
            await (await keeper.admit(asked)).settle(outcome(asked))
        async with keeper.store.transaction() as connection:
            for table in ("ledger", "days", "keys"):
                await connection.exec_driver_sql(f"ALTER TABLE {table}_away RENAME TO {table}")
        assert len(await entries(keeper)) == (on_store_failure == "allow")

    run(tmp_path, test, on_store_failure=on_store_failure)


def test_what_cannot_be_written_down_is_not_acknowledged(tmp_path: Path) -> None:
    """The reply fails, and what was reserved is given back."""

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"max_parallel_requests": 1})
        asked = chat(made["key"])
        admitted: Admitted = await keeper.admit(asked)
        os.close(keeper.ledger.journal._current._file)
        with pytest.raises(GateError) as error:
            await admitted.settle(outcome(asked))
        assert error.value.code == "journal_unavailable"
        keeper.ledger.journal._current = keeper.ledger.journal._open()
        await keeper.admit(chat(made["key"], 1))

    run(tmp_path, test)


# --- a gateway in a process of its own ---


def test_what_a_batch_holds_is_told(tmp_path: Path) -> None:
    """In USD; that nobody knows, where it is nothing for lack of a price or of the file; nothing of one let go."""
    seen: Foreseen = {"m": Asks(requests=2, prompt=2_000, answer=200)}
    rates = Rates({"input": 2.5, "output": 10})
    cases: list[tuple[Foreseen | None, Rates | None, bytes]] = [
        (seen, rates, b"0.007"), (seen, None, b"unknown"), ({}, rates, b"unknown"), (None, rates, b"unknown"),
    ]  # fmt: skip

    async def test(keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"max_budget": 5})
        for number, (asks, price, told) in enumerate(cases):
            admitted = await keeper.admit(chat(made["key"], number))
            assert b"x-polyport-held" not in dict(admitted.headers)
            start = Start(
                provider="p", deployment="d", model_of=str, rates_of={"m": price}.get, file="nowhere", asks=asks
            )
            await admitted.hold(start)
            assert dict(admitted.headers)[b"x-polyport-held"] == told
            await admitted.let_go()
            assert b"x-polyport-held" not in dict(admitted.headers)

    run(tmp_path, test)


#: Begins a gateway, as a process of its own, for each line that it reads: what takes long, the imports, is done once.
GATEWAYS = """
import os, sys
from pathlib import Path
from polyport_gateway import config, server
from polyport_gateway.app import App
from polyport_gateway.estimate import prices_of
from polyport_gateway.keeper import Keeper
from polyport_gateway.store import Store

folder = Path(sys.argv[1])

def make(given):
    keeper = Keeper(
        Store(f"sqlite:///{folder / 'gateway.db'}"), folder / "journal", master_key=given.general.master_key,
        prices=prices_of(lambda: app.running.router),
    )
    app = App(given, gate=keeper)
    return app

def serve():
    sock = server.listen("127.0.0.1", 0)
    print(os.getpid(), sock.getsockname()[1], flush=True)
    server.serve(server.Settings(read=lambda: config.load(folder / "config.yaml"), log_level="error"), sock, make)

for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        serve()
        os._exit(0)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}]}


def lived(nursery: subprocess.Popen[str], delay: float) -> tuple[set[str], int]:
    """Run a gateway under load, kill it, and return the ids of replies that came whole, and how many did not.

    Every other caller streams.
    """
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write("live\n")
    nursery.stdin.flush()
    pid, port = map(int, nursery.stdout.readline().split())
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    whole: set[str] = set()
    cut: list[str] = []
    first = threading.Event()

    def client(streaming: bool) -> None:
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        with httpx.Client(headers=headers, timeout=90, trust_env=False) as http:
            while True:
                try:
                    reply = http.post(url, json={**HELLO, "stream": streaming})
                except httpx.TransportError as error:
                    cut.append(type(error).__name__)
                    return
                assert reply.status_code == 200, reply.text
                assert not streaming or reply.text.endswith("data: [DONE]\n\n")
                whole.add(reply.headers["x-polyport-request-id"])
                first.set()

    threads = [threading.Thread(target=client, args=(bool(number % 2),)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert first.wait(90)
        time.sleep(delay)
    finally:
        os.kill(pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert nursery.stdout.readline() == "dead\n"
    return whole, len(cut)


def test_kill_9_of_a_gateway_under_load_loses_no_reply(tmp_path: Path, well: Any) -> None:
    """Ledger = replies that came whole, each once, and at most one for each that was cut off; none that nobody asked.

    POLYPORT_KILLS says how many kills, POLYPORT_KILLS_LASTING for how long a gateway lives at most, in seconds.
    """
    params = {"model": "openai/gpt-4o", "api_base": well.url, "api_key": "sk-upstream-secret"}
    config = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "general_settings": {"master_key": MASTER_KEY},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    luck = random.Random(1)
    command = [sys.executable, "-c", GATEWAYS, str(tmp_path)]
    environment = {**os.environ, "POLYPORT_TRANSPORT": "httpx"}
    with subprocess.Popen(
        command, text=True, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as nursery:
        lives = [lived(nursery, luck.random() * LASTING) for _ in range(KILLS)]
    delivered = set().union(*(whole for whole, _ in lives))

    async def ledger() -> list[Any]:
        store = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        await store.migrate()
        kept = Ledger(store, Journal(tmp_path / "journal"))
        await kept.drain()
        async with store.transaction() as connection:
            rows = list((await connection.execute(select(tables.ledger.c.id, tables.ledger.c.nano))).all())
        await kept.aclose()
        await store.aclose()
        return rows

    rows = asyncio.run(ledger())
    ids = [row[0] for row in rows]
    assert len(ids) == len(set(ids))
    assert delivered <= set(ids)
    assert len(set(ids) - delivered) <= sum(cut for _, cut in lives)
    assert {nano for one, nano in rows if one in delivered} == {round((7 * 2.5 + 3 * 10) * 1000)}
    cut = sum(cut for _, cut in lives)
    assert len(ids) <= len(well.asked) <= len(delivered) + cut  # the upstream counted: nothing was asked twice
    print(f"{KILLS} kills: {len(well.asked)} asked, {len(delivered)} delivered, {cut} cut, {len(ids)} in the ledger")
