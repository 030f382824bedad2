"""The store: rows go in and come out as they are, changes are whole, and a connection always goes back."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from polyport.errors import ServiceUnavailableError
from polyport_gateway.rows import AuditRow, IdentityRow, KeyRow, Row, TeamRow, UserRow
from polyport_gateway.store import AT_ONCE, Store
from polyport_gateway.store.sqlite import connection
from polyport_gateway.store.tables import TABLES


def run(folder: Path, test: Callable[[Store], Awaitable[None]]) -> None:
    """Give a test a database of its own."""

    async def main() -> None:
        store = Store(f"sqlite:///{folder / 'gateway.db'}")
        await store.migrate()
        await test(store)
        await store.aclose()

    asyncio.run(main())


def key(**given: object) -> KeyRow:
    """Return a key's row."""
    return KeyRow(**{"id": "k", "created_at": 1.0, "updated_at": 2.0, "digest": "d", "hint": "h", **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(TABLES), ids=lambda kind: kind.__name__)
def test_a_row_has_what_its_table_has(kind: type[Row]) -> None:
    """Field by column, but for what the database counts by itself; what a row may leave out, it gives a value."""
    counted = {"id"} if kind is AuditRow else set()
    assert set(kind.__struct_fields__) == set(TABLES[kind].c.keys()) - counted
    for field in msgspec.structs.fields(kind):
        assert (type(None) in getattr(field.type, "__args__", ())) == TABLES[kind].c[field.name].nullable


def test_rows_are_added_found_saved_and_removed(tmp_path: Path) -> None:
    """Lists and objects, numbers beyond 32 bits, nothing at all: each comes back as it was."""

    async def test(store: Store) -> None:
        first = key(details={"a": [1, None]}, models=["m"], tpm=2**31 - 1, max_budget=10**18, blocked=True)
        async with store.change() as connection:
            await connection.add(first)
            await connection.add(key(id="j", digest="e"))
        async with store.reading() as connection:
            assert await connection.get(KeyRow, "k") == first
            assert await connection.one(KeyRow, digest="e", id="j") == key(id="j", digest="e")
            assert await connection.get(KeyRow, "nobody") is None
            assert [one.id for one in await connection.all(KeyRow)] == ["j", "k"]
            assert [one.id for one in await connection.all(KeyRow, TABLES[KeyRow].c.digest == "d")] == ["k"]
            assert list(map(tuple, await connection.columns(KeyRow, "digest", "details"))) in (
                [("d", {"a": [1, None]}), ("e", {})],
                [("e", {}), ("d", {"a": [1, None]})],
            )
        first.details, first.max_budget = {}, None
        async with store.change() as connection:
            await connection.save(first)
            found = await connection.get(KeyRow, "j")
            assert found is not None
            await connection.remove(found)
        async with store.reading() as connection:
            assert await connection.all(KeyRow) == [first]

    run(tmp_path, test)


def test_a_key_of_several_columns_finds_its_row(tmp_path: Path) -> None:
    """Somebody is known by provider and subject together; saving changes that row alone."""

    async def test(store: Store) -> None:
        rows = [
            IdentityRow(provider=one, subject="s", user_id="u", user_made=1.0, teams=[]) for one in ("one", "other")
        ]
        async with store.change() as connection:
            for row in rows:
                await connection.add(row)
            rows[0].teams = ["t"]
            await connection.save(rows[0])
        async with store.reading() as connection:
            assert await connection.get(IdentityRow, "one", "s") == rows[0]
            assert await connection.get(IdentityRow, "other", "s") == rows[1]

    run(tmp_path, test)


def test_a_change_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error takes all of it back; within a change, an inner part can be taken back by itself."""

    async def test(store: Store) -> None:
        before = await store.revision()
        with pytest.raises(ZeroDivisionError):
            async with store.change() as connection:
                await connection.add(TeamRow(id="lost", created_at=1.0, updated_at=1.0))
                raise ZeroDivisionError
        assert await store.revision() == before
        async with store.change() as connection:
            await connection.add(TeamRow(id="kept", created_at=1.0, updated_at=1.0))
            with pytest.raises(ZeroDivisionError):
                async with connection.begin_nested():
                    await connection.add(TeamRow(id="within", created_at=1.0, updated_at=1.0))
                    raise ZeroDivisionError
        assert await store.revision() == before + 1
        async with store.reading() as connection:
            assert [one.id for one in await connection.all(TeamRow)] == ["kept"]

    run(tmp_path, test)


def test_what_the_database_refuses_is_an_error_without_its_words(tmp_path: Path) -> None:
    """A second row of the same key: no SQL, and nothing of the row, is in the error."""

    async def test(store: Store) -> None:
        row = UserRow(id="u", created_at=1.0, updated_at=1.0, email="secret@example.com")
        async with store.change() as connection:
            await connection.add(row)
        with pytest.raises(ServiceUnavailableError) as refused:
            async with store.change() as connection:
                await connection.add(row)
        assert "INSERT" not in str(refused.value)
        assert "secret" not in str(refused.value)

    run(tmp_path, test)


def test_a_connection_ends_although_it_is_stopped_twice() -> None:
    """As when a loop closes while SQLAlchemy lets go of it, and SQLite stalls."""
    begun, go = threading.Event(), threading.Event()

    def stall() -> None:
        begun.set()
        go.wait(60)

    async def main() -> None:
        made = await connection(":memory:")
        await made.create_function("stall", 0, stall)
        busy = asyncio.create_task(made._execute(lambda: made._conn.execute("SELECT stall()").close()))
        await asyncio.to_thread(begun.wait, 60)
        closing = asyncio.create_task(made.close())
        await asyncio.sleep(0)
        made.stop()
        closing.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.wait_for(busy, 60)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(closing, 60)

    asyncio.run(main())


def test_an_idle_connection_of_a_store_that_was_dropped_ends(tmp_path: Path) -> None:
    """Its thread with it, and nobody is warned in the middle of something else."""

    async def use() -> threading.Thread:
        store = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        await store.migrate()
        async with store.reading() as connection:
            thread: threading.Thread = connection.driver._thread
        return thread

    thread = asyncio.run(use())
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_connection_goes_back_although_its_user_is_cancelled(tmp_path: Path) -> None:
    """Whatever the user was doing; else the pool would be empty after a few."""

    async def test(store: Store) -> None:
        async def use(work: bool) -> None:
            async with store.transaction() as connection:
                entered.set()
                while work:
                    await connection.exec_driver_sql("SELECT 1")
                await asyncio.Event().wait()

        for number in range(4 * AT_ONCE):
            entered = asyncio.Event()
            task = asyncio.create_task(use(number % 2 == 0))
            await entered.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(store.revision() for _ in range(2 * AT_ONCE))) == [0] * (2 * AT_ONCE)

    run(tmp_path, test)
