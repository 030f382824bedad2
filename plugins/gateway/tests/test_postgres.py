"""A real PostgreSQL: replicas start together, share keys and the ledger, and outlive its restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text

from polyport.errors import PolyportError
from polyport_gateway import management as manage, spending
from polyport_gateway.gate import Asked, GateError, Outcome
from polyport_gateway.identity import MASTER, Identity
from polyport_gateway.journal import Journal
from polyport_gateway.keeper import Keeper
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry
from polyport_gateway.retention import drop_old
from polyport_gateway.signon import people
from polyport_gateway.signon.people import Person
from polyport_gateway.signon.sessions import Session, Sessions
from polyport_gateway.signon.settings import Rules
from polyport_gateway.store import Store, tables, upgrade
from polyport_gateway.store.tables import METADATA
from polyport_gateway.terms import Terms

from .services import PostgreSQL, postgres
from .waiting import until_refused


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A running PostgreSQL."""
    with postgres() as made:
        yield made


async def counts(store: Store) -> tuple[int, int]:
    """How many requests the ledger has, and how many the days say."""
    async with store.transaction() as connection:
        rows = (await connection.execute(select(func.count()).select_from(tables.ledger))).scalar_one()
        days = (await connection.execute(select(func.coalesce(func.sum(tables.days.c.requests), 0)))).scalar_one()
    return rows, int(days)


def test_replicas_that_start_together_make_the_tables_once(server: PostgreSQL) -> None:
    """They take turns; starting again changes nothing."""

    async def run() -> None:
        replicas = [Store(server.url) for _ in range(4)]
        await asyncio.gather(*(one.migrate() for one in replicas))
        assert await replicas[0].revision() == 0
        await replicas[1].migrate()
        for one in replicas:
            await one.aclose()

    asyncio.run(run())


def test_new_tables_are_what_all_migrations_come_to(server: PostgreSQL) -> None:
    """Made at once or step by step: Alembic sees nothing that is different, and the ledger is a table of partitions."""

    async def run() -> None:
        at_once = Store(server.url)
        await at_once.migrate()
        indexes: list[set[str]] = []
        async with at_once.transaction() as connection:
            await connection.execute(text("CREATE SCHEMA steps"))
            await connection.execute(text("SET LOCAL search_path TO steps"))
            await connection.run_sync(upgrade)
            for schema in ("steps", "public"):
                await connection.execute(text(f"SET LOCAL search_path TO {schema}"))
                assert await connection.run_sync(differences) == []
            kinds = await connection.execute(text("SELECT relkind::text FROM pg_class WHERE relname = 'ledger'"))
            assert list(kinds.scalars()) == ["p", "p"]
            for schema in ("steps", "public"):
                found = text(f"SELECT replace(indexdef, '{schema}.', '') FROM pg_indexes WHERE schemaname = '{schema}'")
                indexes.append(set((await connection.execute(found)).scalars()))
            assert indexes[0] == indexes[1]
            assert any("WHERE" in one for one in indexes[0])
            await connection.execute(text("DROP SCHEMA steps CASCADE"))
        await at_once.aclose()

    asyncio.run(run())


def differences(connection: Connection) -> list[Any]:
    """Return what Alembic would do to have the tables as the code has them; the ledger's partitions are others'."""
    options = {"include_name": lambda name, kind, _: kind != "table" or name in METADATA.tables}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, METADATA))


def test_replicas_share_sessions_and_people(server: PostgreSQL) -> None:
    """Signed in at one, known to the other; ended at one, refused by the other; an attempt counts once for both."""

    async def run() -> None:
        stores = [Store(server.url), Store(server.url)]
        await stores[0].migrate()
        here, there = (Sessions(Identity(one), one, "the same secret") for one in stores)
        person = Person(provider="company", subject="s", user_id="anna", roles=["admin"], teams=["lab"])
        rules = Rules(id="company", create_teams=True)
        users = await asyncio.gather(*(people.admit(one, person, rules) for one in stores))
        assert [(user.id, user.role, user.created_at) for user in users] == [("anna", "admin", users[0].created_at)] * 2
        mark = people.mark_of(users[0])
        text, session = here.issue(Session(kind="user", subject="anna", name="Anna", mark=mark), 1)
        found = await there.principal(text)
        assert (found.role, found.team_id) == ("admin", "lab")
        await here.end(session)
        assert "sign in again" in (await until_refused(lambda: there.principal(text))).message
        assert sorted([await here.once("x", time.time() + 60), await there.once("x", time.time() + 60)]) == [
            False,
            True,
        ]
        for one in stores:
            await one.aclose()

    asyncio.run(run())


def test_replicas_share_keys_and_see_a_block_within_a_second(server: PostgreSQL) -> None:
    """What one changes, the other knows."""

    async def run() -> None:
        one, two = Store(server.url), Store(server.url)
        await one.migrate()
        here, there = Identity(one), Identity(two)
        body = {"max_budget": 1e6, "tpm_limit": 2**31 - 1, "metadata": {"a": ["ü"]}, "budget_duration": "1mo"}
        made = await manage.generate_key(one, MASTER, body)
        found = await there.identify(made["key"])
        assert found.metadata == {"a": ["ü"]}
        assert (await manage.info(two, MASTER, "key", {"key": made["key"]}))["max_budget"] == 1e6
        await manage.block_key(one, MASTER, {"key_id": made["key_id"]})
        assert "blocked" in (await until_refused(lambda: there.identify(made["key"]))).message
        with pytest.raises(GateError, match="blocked"):
            await here.identify(made["key"])
        assert len((await manage.audit_log(two, MASTER, {"id": made["key_id"]}))["changes"]) == 2
        await one.aclose()
        await two.aclose()

    asyncio.run(run())


def test_replicas_that_drain_together_count_each_request_once(server: PostgreSQL, tmp_path: Path) -> None:
    """Even where both have the same lines; nobody waits for the other for ever."""

    async def run() -> None:
        stores = [Store(server.url) for _ in range(3)]
        await stores[0].migrate()
        before = await counts(stores[0])
        ledgers = [Ledger(store, Journal(tmp_path / str(number))) for number, store in enumerate(stores)]
        for ledger in ledgers:
            for number in range(1500):
                key = f"k{(number * 7919) % 50}"
                ledger.record(Entry(id=f"pg-{number}", at=1e9 + number, key_id=key, model="m", nano=7))
        assert sum(await asyncio.gather(*(ledger.drain() for ledger in ledgers))) == 1500
        rows, days = await counts(stores[0])
        assert (rows - before[0], days - before[1]) == (1500, 1500)
        assert await ledgers[0].spent({"model": "m"}, 1e9) == 1500 * 7
        report = await spending.report(stores[0], MASTER, {"group_by": ["model"], "model": "m"})
        assert report["results"][0]["requests"] == 1500
        for ledger, store in zip(ledgers, stores, strict=True):
            await ledger.aclose()
            await store.aclose()

    asyncio.run(run())


def test_lines_that_were_drained_before_a_kill_count_once(server: PostgreSQL, tmp_path: Path) -> None:
    """All of a file, some of it, and a line that is in it twice; few rows, and many, which are copied."""

    async def run() -> None:
        store = Store(server.url)
        await store.migrate()
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        before = await counts(store)

        async def drained(*numbers: int) -> int:
            for number in numbers:
                whole = {"usage": {"input": 1}, "stream": True, "tags": ("é",), "first_byte": 0.5}
                ledger.record(Entry(id=f"twice-{number}", at=2e9 + number, **whole))
            return await ledger.drain()

        assert await drained(*range(300)) == 300
        assert await drained(*range(300)) == 0
        assert await drained(*range(200, 500), 499) == 200
        assert await drained(499, 500) == 1
        after = await counts(store)
        assert (after[0] - before[0], after[1] - before[1]) == (501, 501)
        async with store.transaction() as connection:
            query = select(tables.ledger).where(tables.ledger.c.id.in_(["twice-7", "twice-500"]))
            rows = (await connection.execute(query)).mappings().all()
        assert len(rows) == 2
        for row in rows:
            kept = (row["usage"], row["stream"], row["cache_hit"], row["tags"], row["failures"], row["first_byte"])
            assert kept == ({"input": 1}, True, False, ["é"], [], 0.5)
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_the_ledger_has_a_partition_a_month_and_drops_it_when_it_is_old(server: PostgreSQL, tmp_path: Path) -> None:
    """Replicas make one together; a month goes whole, when all of it is old, and the days stay."""

    async def run() -> None:
        stores = [Store(server.url) for _ in range(3)]
        await stores[0].migrate()
        january, march = (datetime(1999, month, 31, tzinfo=UTC).timestamp() for month in (1, 3))
        ledgers = [Ledger(store, Journal(tmp_path / str(number))) for number, store in enumerate(stores)]
        for number, ledger in enumerate(ledgers):
            for at in (january, march):
                ledger.record(Entry(id=f"part-{number}-{at}", at=at, model="part", tags=("x", "é"), nano=1))
        assert sum(await asyncio.gather(*(ledger.drain() for ledger in ledgers))) == 6
        logs = await spending.logs(stores[0], MASTER, {"model": "part", "tag": "é"})
        assert len(logs["results"]) == 6
        assert [one["requests"] for one in (await spending.report(stores[0], MASTER, {"tag": "x"}))["results"]] == [
            3,
            3,
        ]
        now = datetime(1999, 4, 15, tzinfo=UTC).timestamp()
        assert await drop_old(stores[1], Terms(ledger_retention_days=74), now) == 0  # the end of January is not yet old
        assert await drop_old(stores[1], Terms(ledger_retention_days=73), now) == 1
        logs = await spending.logs(stores[0], MASTER, {"model": "part"})
        assert {one["at"] for one in logs["results"]} == {march}
        assert await ledgers[0].spent({"model": "part"}, None) == 6
        for ledger, store in zip(ledgers, stores, strict=True):
            await ledger.aclose()
            await store.aclose()

    asyncio.run(run())


def test_retention_holds_to_the_day(server: PostgreSQL, tmp_path: Path) -> None:
    """Of a month that is partly old the old requests go, by two replicas at once; the others, and the days, stay."""

    async def run() -> None:
        stores = [Store(server.url) for _ in range(2)]
        await stores[0].migrate()
        ledger = Ledger(stores[0], Journal(tmp_path))
        first = datetime(1999, 5, 1, tzinfo=UTC).timestamp()
        terms, now = Terms(ledger_retention_days=10), first + 40 * 86_400
        await drop_old(stores[0], terms, first + 10 * 86_400)  # what others left behind
        for number in range(1240):
            ledger.record(Entry(id=f"day-{number}", at=first + number % 31 * 86_400 + number, model="day", nano=1))
        await ledger.drain()
        assert sum(await asyncio.gather(*(drop_old(store, terms, now) for store in stores))) == 1200
        async with stores[0].transaction() as connection:
            query = select(tables.ledger.c.at).where(tables.ledger.c.model == "day")
            kept = sorted((await connection.execute(query)).scalars())
        assert len(kept) == 40
        assert kept[0] >= first + 30 * 86_400
        assert await drop_old(stores[1], terms, now + 86_400) == 1  # the last day of May: the month goes whole
        assert await ledger.spent({"model": "day"}, None) == 1240
        await ledger.aclose()
        for store in stores:
            await store.aclose()

    asyncio.run(run())


def test_a_database_that_goes_down_and_comes_back_loses_nothing(server: PostgreSQL, tmp_path: Path) -> None:
    """Known keys go on meanwhile, unknown ones are refused without SQL; the drain catches up."""

    async def run() -> None:
        store = Store(server.url, timeout=10)
        keeper = Keeper(store, tmp_path / "journal", master_key="sk-master")
        await keeper.start()
        before = await counts(store)
        made = await manage.generate_key(store, MASTER, {"rpm_limit": 10_000})

        async def call(number: int, token: str) -> None:
            asked = Asked(
                request_id=f"down-{number}", method="POST", path="/chat/completions", surface="openai",
                operation="completion", token=token, model="m", fields={"model": "m"},
            )  # fmt: skip
            await (await keeper.admit(asked)).settle(Outcome(request_id=asked.request_id, status=200, latency=0.1))

        await call(0, made["key"])
        server.stop()
        try:
            for number in range(1, 60):
                await call(number, made["key"])
                await asyncio.sleep(0.02)
            with pytest.raises(GateError) as refused:
                await call(999, "sk-unknown")
            assert refused.value.status_code == 503
            with pytest.raises(PolyportError) as error:
                await manage.generate_key(store, MASTER, {})
            for one in (refused.value, error.value):
                assert not any(word in str(one) for word in ("SELECT", "UPDATE", "127.0.0.1", "keeper", "sk-"))
        finally:
            server.start()
        for number in range(60, 100):
            await call(number, made["key"])
        for _ in range(600):
            await asyncio.sleep(0.1)
            try:
                rows, days = await counts(store)
            except PolyportError:
                continue
            if rows - before[0] == 100:
                break
        assert (rows - before[0], days - before[1]) == (100, 100)
        await keeper.aclose()

    asyncio.run(run())
