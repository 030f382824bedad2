"""The journal and the ledger: what was acknowledged is kept, once, whatever is killed."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection, create_engine, func, inspect, select, text

from polyport.errors import BadRequestError, ServiceUnavailableError
from polyport_gateway import store as store_package
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry, clean
from polyport_gateway.rollups import ROLLUPS, Sums, bucket, percentile
from polyport_gateway.store import Store, tables
from polyport_gateway.store.tables import BUCKETS, METADATA, is_one_of

#: A real run does 50; the suite stays quick.
KILLS = int(os.environ.get("POLYPORT_KILLS", "5"))

#: Settles as fast as it can, and tells each id when it is in the journal, as a reply's last byte would.
WORKER = """
import asyncio, os, sys, time
from pathlib import Path
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry
from polyport_gateway.store import Store

async def main():
    ledger = Ledger(Store(sys.argv[1]), Journal(Path(sys.argv[2])), interval=0.01)
    ledger.start()
    count = 0
    while True:
        id = f"{os.getpid()}-{count}"
        ledger.record(Entry(id=id, at=time.time(), key_id="k", nano=7, model="m"))
        os.write(1, f"{id}\\n".encode())
        count += 1
        await asyncio.sleep(0)

asyncio.run(main())
"""


def url(folder: Path) -> str:
    """Return the URL of a database in a folder."""
    return f"sqlite:///{folder / 'gateway.db'}"


async def counted(store: Store) -> tuple[set[str], int, int]:
    """The ids in the ledger, how many rows, and what the days say."""
    async with store.transaction() as connection:
        ids = list((await connection.execute(select(tables.ledger.c.id))).scalars())
        days = (await connection.execute(select(func.sum(tables.days.c.requests), func.sum(tables.days.c.nano)))).one()
    assert days[1] == 7 * days[0]
    return set(ids), len(ids), days[0]


def test_the_newest_migration_is_the_one_that_starts_look_for() -> None:
    """Tables at that migration are not looked at by Alembic."""
    config = Config()
    config.set_main_option("script_location", str(Path(store_package.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [store_package.HEAD]


def test_new_tables_are_what_all_migrations_come_to(tmp_path: Path) -> None:
    """They are made at once, as they are now; Alembic finds nothing to do then, and nothing of its own is different."""
    asyncio.run(closed(migrated(tmp_path)))
    step_by_step = create_engine(f"sqlite:///{tmp_path / 'steps.db'}")
    with step_by_step.begin() as connection:
        store_package.upgrade(connection)
    at_once = create_engine(url(tmp_path))
    with step_by_step.connect() as slow, at_once.connect() as quick:
        assert described(slow) == described(quick)
        assert compare_metadata(MigrationContext.configure(slow), METADATA) == []
    step_by_step.dispose()
    at_once.dispose()


def described(connection: Connection) -> dict[str, Any]:
    """All tables: columns, keys, indexes, whatever their order, and the rows that are there from the beginning."""
    found: dict[str, Any] = {}
    seen = inspect(connection)
    for name in seen.get_table_names():
        columns = sorted(
            (one["name"], str(one["type"]), one["nullable"], one["default"]) for one in seen.get_columns(name)
        )
        indexes = sorted(
            (one["name"], one["column_names"], one["unique"], str(one.get("dialect_options", {}).get("sqlite_where")))
            for one in seen.get_indexes(name)
        )
        unique = [one["column_names"] for one in seen.get_unique_constraints(name)]
        rows = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))]
        found[name] = (columns, indexes, unique, seen.get_pk_constraint(name)["constrained_columns"], rows)
    return found


#: Makes the tables when it is told to.
STARTER = """
import asyncio, sys
from polyport_gateway.store import Store

async def main():
    store = Store(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    await store.migrate()
    print(await store.revision())
    await store.aclose()

asyncio.run(main())
"""


def test_workers_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    """On a new SQLite file, none of them finds tables that are half made."""
    command = [sys.executable, "-c", STARTER, f"sqlite:///{tmp_path}/gateway.db"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    starters: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for one in starters:
        assert one.stdout.readline() == "ready\n"
    for one in starters:
        one.stdin.write("\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60) for one in starters]
    assert [(one.returncode, out.strip().isdigit()) for one, (out, _) in zip(starters, told, strict=True)] == [
        (0, True)
    ] * 4, told


async def migrated(folder: Path) -> Store:
    """Return a store with its tables."""
    store = Store(url(folder))
    await store.migrate()
    return store


def killed(folder: Path, delay: float) -> list[str]:
    """Run a worker, kill it after a while, and return what it acknowledged."""
    command = [sys.executable, "-c", WORKER, url(folder), str(folder / "journal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [os.read(process.stdout.fileno(), 1 << 16)]
        until = time.monotonic() + delay
        os.set_blocking(process.stdout.fileno(), False)
        while time.monotonic() < until:
            try:
                said.append(os.read(process.stdout.fileno(), 1 << 16))
            except BlockingIOError:
                time.sleep(0.001)
        process.kill()
        process.wait()
        os.set_blocking(process.stdout.fileno(), True)
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            said.append(chunk)
    whole, _, _ = b"".join(said).rpartition(b"\n")
    return whole.decode().split("\n")


def test_kill_at_any_instant_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """After kills under load, the ledger is what was acknowledged, each once; the days say the same."""
    asyncio.run(closed(migrated(tmp_path)))
    luck = random.Random(0)
    acknowledged = [one for _ in range(KILLS) for one in killed(tmp_path, luck.random() * 0.3)]

    async def check() -> tuple[set[str], int, int]:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        await ledger.drain()
        found = await counted(store)
        await ledger.aclose()
        await store.aclose()
        return found

    ids, rows, requests = asyncio.run(check())
    assert rows == len(ids) == requests
    assert set(acknowledged) <= ids
    # a worker that was killed between the journal's write and its word: at most one each
    assert len(ids - set(acknowledged)) <= KILLS
    assert not list((tmp_path / "journal").iterdir())
    assert len(acknowledged) > 20 * KILLS


async def closed(making) -> None:
    """Close what was made."""
    await (await making).aclose()


def test_a_segment_that_was_committed_but_not_removed_counts_once(tmp_path: Path) -> None:
    """A kill between commit and removal leaves the file; draining it again changes nothing."""

    async def run() -> None:
        store = await migrated(tmp_path)
        journal = Journal(tmp_path / "journal")
        ledger = Ledger(store, journal)
        ledger.record(Entry(id="a", at=1e9, nano=7))
        ledger.record(Entry(id="b", at=1e9, nano=7))
        content = next((tmp_path / "journal").iterdir()).read_bytes()
        assert await ledger.drain() == 2
        (tmp_path / "journal" / "0-again.journal").write_bytes(content)
        assert await ledger.drain() == 0
        assert await counted(store) == ({"a", "b"}, 2, 2)
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_lines_that_are_new_beside_some_that_are_not_are_told_apart(tmp_path: Path) -> None:
    """In a file that was drained up to some line, and with a line that is there twice."""

    async def run() -> None:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        for number in range(300):
            ledger.record(Entry(id=f"a{number}", at=1e9 + number, nano=7, tags=("x",)))
        assert await ledger.drain() == 300
        for number in range(200, 500):
            ledger.record(Entry(id=f"a{number}", at=1e9 + number, nano=7, tags=("x",)))
        ledger.record(Entry(id="a499", at=1e9 + 499, nano=7))
        assert await ledger.drain() == 200
        assert await counted(store) == ({f"a{number}" for number in range(500)}, 500, 500)
        async with store.transaction() as connection:
            assert (await connection.execute(select(func.sum(tables.tag_days.c.requests)))).scalar_one() == 500
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_every_field_of_an_entry_gets_into_its_column(tmp_path: Path) -> None:
    """Flags are flags, lists are lists, and what is left out is empty."""
    names = [name for name in Entry.__struct_fields__ if name not in ("made", "charged")]
    whole: dict[str, Any] = {name: f"a {name}" for name in names}
    whole |= {"at": 1e9, "seconds": 0.5, "first_byte": 0.25, "stream": True, "estimated": True, "cache_hit": True}
    whole |= {name: place for place, name in enumerate(("status", "prompt", "completion", "nano", "reserved"), 1)}
    whole |= {"attempts": 2, "usage": {"input": 1}, "failures": [{"error": "é"}], "adaptations": [{"why": "so"}]}
    whole |= {"guardrails": [{"name": "pii"}], "tags": ["x", "y"]}

    async def run() -> None:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        ledger.record(Entry(**whole))
        ledger.record(Entry(id="bare", at=2e9))
        assert await ledger.drain() == 2
        async with store.transaction() as connection:
            query = select(tables.ledger).order_by(tables.ledger.c.at)
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        assert rows[0] == whole
        empty = {"at": 2e9, "id": "bare", "status": 200, "usage": {}, "first_byte": None}
        assert {name: value for name, value in rows[1].items() if value not in ("", 0, [])} == empty
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_a_fault_while_draining_is_logged_and_the_drain_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes after it gets into the ledger without a restart."""

    async def fail(entry: Entry) -> None:
        raise ValueError("a fault")

    async def run() -> None:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"), interval=0.01)
        ledger.charge = fail
        ledger.start()
        ledger.record(Entry(id="a", at=1e9, nano=7, charged=True))
        while "a fault" not in caplog.text:
            await asyncio.sleep(0.01)
        ledger.record(Entry(id="b", at=1e9, nano=7))
        while await counted(store) != ({"a", "b"}, 2, 2):
            await asyncio.sleep(0.05)
        await ledger.aclose()
        await store.aclose()

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(run(), 60))


def test_a_torn_last_line_was_never_acknowledged(tmp_path: Path) -> None:
    """It is left out; the lines before it count."""

    async def run() -> None:
        store = await migrated(tmp_path)
        (tmp_path / "journal").mkdir()
        (tmp_path / "journal" / "0-torn.journal").write_bytes(b'{"id":"a","at":1e9,"nano":7}\n{"id":"b","at":1')
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        assert await ledger.drain() == 1
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_lines_that_cannot_be_read_are_set_aside_and_hold_nobody_up(tmp_path: Path) -> None:
    """The file stays for a person to look at; its other lines are in the ledger."""

    async def run() -> None:
        store = await migrated(tmp_path)
        (tmp_path / "journal").mkdir()
        (tmp_path / "journal" / "0-bad.journal").write_bytes(b'no JSON\n{"id":"b","at":1e9,"nano":7}\n')
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        assert await ledger.drain() == 1
        await ledger.aclose()
        await store.aclose()
        assert [path.name for path in (tmp_path / "journal").iterdir()] == ["0-bad.unreadable"]

    asyncio.run(run())


def test_a_segment_in_use_is_not_taken_by_another(tmp_path: Path) -> None:
    """Two processes share a folder: each drains its own lines, until the other is gone."""
    one, two = Journal(tmp_path), Journal(tmp_path)
    one.append(b"{}")
    assert two.take() == []
    one.close()
    assert [segment.read(0, 1) for segment in two.take()] == [b"{}\n"]
    two.close()


def test_without_the_database_the_journal_keeps(tmp_path: Path) -> None:
    """Nothing is lost while the database cannot be asked; no SQL and no address is in the error."""

    async def run() -> None:
        nowhere = Store("postgresql://someone:secret@127.0.0.1:1/nothing", timeout=1)
        ledger = Ledger(nowhere, Journal(tmp_path / "journal"))
        ledger.record(Entry(id="a", at=1e9, nano=7))
        with pytest.raises(ServiceUnavailableError) as refused:
            await ledger.drain()
        assert "secret" not in str(refused.value)
        assert "INSERT" not in str(refused.value)
        await ledger.aclose()
        await nowhere.aclose()
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        assert await ledger.drain() == 1
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_without_the_database_the_journal_is_one_file_more(tmp_path: Path) -> None:
    """However often the drain is tried: each file is open, and a process may have some thousand."""

    async def run() -> None:
        nowhere = Store("postgresql://someone:secret@127.0.0.1:1/nothing", timeout=1)
        ledger = Ledger(nowhere, Journal(tmp_path / "journal"))
        for number in range(5):
            ledger.record(Entry(id=str(number), at=1e9, nano=7))
            with pytest.raises(ServiceUnavailableError):
                await ledger.drain()
        assert len(list((tmp_path / "journal").iterdir())) == 2
        await ledger.aclose()
        await nowhere.aclose()

    asyncio.run(run())


def test_a_line_beyond_what_a_database_counts_to_is_set_aside(tmp_path: Path) -> None:
    """A provider may say anything of what it used: the others get into the ledger."""

    async def run() -> None:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        ledger.record(Entry(id="a", at=1e9, prompt=10**30, nano=7))
        ledger.record(Entry(id="b", at=1e9, nano=7))
        assert await ledger.drain() == 1
        assert await counted(store) == ({"b"}, 1, 1)
        await ledger.aclose()
        await store.aclose()
        assert [path.suffix for path in (tmp_path / "journal").iterdir()] == [".unreadable"]

    asyncio.run(run())


@pytest.mark.parametrize("owner", ["key", "user", "team", "project", "customer"])
def test_what_somebody_spent_is_found_by_an_index(tmp_path: Path, owner: str) -> None:
    """Indexes of owners have only what is somebody's; SQLite sees that this is what is asked for."""

    async def run() -> None:
        store = await migrated(tmp_path)
        column = tables.ledger.c[f"{owner}_id"]
        for asked in (is_one_of(column, ["a"]), is_one_of(column, ["a", "b"])):
            wanted = select(tables.ledger.c.id).where(asked, tables.ledger.c.at >= 0)
            query = wanted.compile(compile_kwargs={"literal_binds": True})
            async with store.transaction() as connection:
                plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")).all()
            assert f"USING INDEX ix_ledger_{owner}_at" in str(plan)
        await store.aclose()

    asyncio.run(run())


def test_what_was_spent_since_is_read_from_days_and_from_requests(tmp_path: Path) -> None:
    """Whole days by their sums, the part of a day by its requests; dropping old requests keeps the days."""

    async def run() -> None:
        store = await migrated(tmp_path)
        ledger = Ledger(store, Journal(tmp_path / "journal"))
        noon = 20_000 * 86_400 + 43_200.0
        for number, at in enumerate((noon - 60, noon, noon + 86_400)):
            ledger.record(Entry(id=str(number), at=at, team_id="t", model="m", nano=10**number))
        assert await ledger.spent({"team": "t"}, noon) == 110
        assert await ledger.spent({"team": "t", "model": "m"}, None) == 111
        assert await ledger.spent({"team": "t", "model": "other"}, None) == 0
        assert await ledger.forget(noon + 1) == 2
        assert await ledger.spent({"team": "t"}, None) == 111
        await ledger.aclose()
        await store.aclose()

    asyncio.run(run())


def test_requests_are_added_up_by_hour_by_day_and_by_tag() -> None:
    """Each time, each kind and each tag of its own; a request with two tags is in both."""
    made = [
        Entry(id="1", at=7200.0, key_id="a", prompt=2, nano=5, seconds=0.02, tags=("x", "y")),
        Entry(id="2", at=7300.5, key_id="a", prompt=3, nano=6, seconds=0.02, tags=("x",)),
        Entry(id="3", at=10_800.0, key_id="a", status=500, seconds=900.0),
    ]
    sums = Sums()
    sums.add(made[:1])
    sums.add(made[1:])
    found = {
        table: [dict(zip(ROLLUPS[table], row, strict=True)) for row in rows] for table, rows in sums.rows().items()
    }
    hours, tags = found[tables.hours], found[tables.tag_days]
    assert [(row["at"], row["requests"], row["failures"], row["prompt"], row["nano"]) for row in hours] == [
        (7200, 2, 0, 5, 11), (10_800, 1, 1, 0, 0)
    ]  # fmt: skip
    assert (hours[0][BUCKETS[bucket(0.02)]], hours[1]["h29"]) == (2, 1)
    assert [(row["at"], row["requests"]) for row in found[tables.days]] == [(0, 2), (0, 1)]  # by status, too
    assert sorted((row["tag"], row["requests"]) for row in tags) == [("x", 2), ("y", 1)]
    assert len({row["id"] for row in [*hours, *tags]}) == 4


@settings(deadline=None)
@given(st.lists(st.floats(0.0005, 500), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_right_to_within_its_bucket(seconds: list[float], share: float) -> None:
    """A factor of 1.6 up or down."""
    counts = [0] * len(BUCKETS)
    for one in seconds:
        counts[bucket(one)] += 1
    exact = sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]
    found = percentile(counts, share)
    assert found is not None
    assert exact / 1.6 <= found <= max(exact, 0.001) * 1.6
    assert percentile([0] * len(BUCKETS), share) is None


def test_texts_of_callers_are_made_fit_for_any_database() -> None:
    """No NUL, no lone surrogate, not longer than its column."""
    assert clean("a\x00b\ud800" + "c" * 300) == "ab?" + "c" * 252
    assert clean(None) == ""


@pytest.mark.parametrize("wrong", ["mysql://root:secret@host/db", "no url", "oracle://secret"])
def test_a_database_that_is_not_known_is_named_without_its_secrets(wrong: str) -> None:
    """The error says what to write."""
    with pytest.raises(BadRequestError, match="sqlite://") as refused:
        Store(wrong)
    assert "secret" not in str(refused.value)
