"""What batches hold: the sums that the database adds up for one of them, and those of all."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

pytest.importorskip("sqlalchemy")
from sqlalchemy import delete, insert

from polyport_gateway.lines import Whose
from polyport_gateway.started import LOST, OPEN, OVER, STARTING, Started, accounts, held_beside, held_by_all, sums_of
from polyport_gateway.store import Store
from polyport_gateway.store.tables import batches

NAMES = ("", "a", "b")
MODELS = ("", "m", "mn", "m*", "other", "'")
owners = st.builds(Whose, *(st.sampled_from(NAMES) for _ in Whose.__struct_fields__))


def row(number: int, who: Whose, model: str, state: str, nano: int) -> Started:
    """Return a batch."""
    return Started(id=f"b{number}", model=model, state=state, nano=nano, ended=9.0, **msgspec.structs.asdict(who))


rows = st.lists(
    st.tuples(owners, st.sampled_from(MODELS), st.sampled_from((STARTING, OPEN, OVER, LOST)), st.integers(0, 2**53)),
    min_size=1,
    max_size=8,
).map(lambda found: [row(number, *one) for number, one in enumerate(found)])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with its tables."""
    url = f"sqlite:///{tmp_path_factory.mktemp('started') / 'gateway.db'}"

    async def make() -> None:
        store = Store(url)
        try:
            await store.migrate()
        finally:
            await store.aclose()

    asyncio.run(make())
    return url


@settings(deadline=None)
@given(some=rows)
def test_sums_beside_a_batch_are_those_of_all(database: str, some: list[Started]) -> None:
    """Whatever there is: of each account that a batch counts for, and as adding them up here says."""

    async def main() -> None:
        store = Store(database)
        try:
            async with store.transaction() as connection:
                await connection.execute(delete(batches))
                await connection.execute(insert(batches), [msgspec.structs.asdict(one) for one in some])
                every = await held_by_all(connection, 10.0)
                assert every == summed(some)
                for one in some:
                    beside = await held_beside(connection, one)
                    assert beside == {name: every[name] for name in accounts(one, one.model)}
        finally:
            await store.aclose()

    asyncio.run(main())


def summed(some: list[Started]) -> dict[str, int]:
    """Add up what each batch holds of each account."""
    held: dict[str, int] = {}
    for one in some:
        for name in accounts(one, one.model):
            held[name] = held.get(name, 0) + (one.nano if one.state in (STARTING, OPEN) else 0)
    return held


def test_only_what_is_open_is_read(database: str) -> None:
    """By an index: batches of long ago cost nothing."""

    async def main() -> Any:
        store = Store(database)
        try:
            async with store.transaction() as connection:
                query = sums_of([(), (("key", "k"),), (("team", "t"), ("user", "u"))])
                asked = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")
                return [tuple(one) for one in plan.all()]
        finally:
            await store.aclose()

    assert "ix_batches_state_due" in str(asyncio.run(main()))
