"""A connection to the database, for asyncio: SQLAlchemy's own work, in a greenlet that waits where its driver does.

SQLAlchemy's `ext.asyncio` does the same, and imports the ORM for it: 8 MB of a worker's memory that nothing here needs.
https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html https://docs.sqlalchemy.org/en/20/core/
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from msgspec.structs import asdict
from sqlalchemy import (
    ColumnElement,
    Connection as Blocking,
    CursorResult,
    Dialect,
    Engine,
    Select,
    Transaction,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.sql.base import Executable
from sqlalchemy.util import greenlet_spawn

from polyport_gateway.rows import Row
from polyport_gateway.store.tables import TABLES

R = TypeVar("R", bound=Row)
T = TypeVar("T")


@asynccontextmanager
async def connected(engine: Engine) -> AsyncIterator[Connection]:
    """Yield a connection, which goes back to its pool although whoever has it is cancelled."""
    found = Connection(await greenlet_spawn(engine.connect))
    try:
        yield found
    finally:
        await asyncio.shield(asyncio.ensure_future(greenlet_spawn(found.blocking.close)))


class Connection:
    """Statements and their results; and rows of `rows` found, added, saved and removed."""

    def __init__(self, blocking: Blocking) -> None:
        self.blocking = blocking

    @property
    def dialect(self) -> Dialect:
        """Which database that is."""
        return self.blocking.dialect

    @property
    def driver(self) -> Any:
        """The driver's own connection."""
        return self.blocking.connection.driver_connection

    async def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        """Return the result, all of which is there."""
        found: CursorResult[Any] = await greenlet_spawn(self.blocking.execute, statement, values)
        return found

    async def exec_driver_sql(self, statement: str, values: Any = None) -> CursorResult[Any]:
        """Return the result of a statement that goes to the driver as it is."""
        found: CursorResult[Any] = await greenlet_spawn(self.blocking.exec_driver_sql, statement, values)
        return found

    async def run_sync(self, function: Callable[[Blocking], T]) -> T:
        """Return what a function makes of the connection that waits."""
        found: T = await greenlet_spawn(function, self.blocking)
        return found

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Keep what is done within whole, or not at all."""
        return _within(self.blocking.begin)

    def begin_nested(self) -> AbstractAsyncContextManager[None]:
        """Take back what is done within, where it fails, and nothing else."""
        return _within(self.blocking.begin_nested)

    # --- rows ---

    async def get(self, kind: type[R], *key: object) -> R | None:
        """Return the row that has a primary key."""
        names = [column.key for column in TABLES[kind].primary_key]
        return await self.one(kind, **dict(zip(names, key, strict=True)))

    async def one(self, kind: type[R], **values: object) -> R | None:
        """Return the one row that has these values, if there is one."""
        table = TABLES[kind]
        found = await self.execute(select(table).where(*(table.c[name] == value for name, value in values.items())))
        row = found.one_or_none()
        return None if row is None else _row(kind, row)

    async def all(self, kind: type[R], *where: ColumnElement[bool]) -> list[R]:
        """Return the rows for which something holds, in the order of their primary keys."""
        return await self.of(kind, select(TABLES[kind]).where(*where).order_by(*TABLES[kind].primary_key))

    async def of(self, kind: type[R], query: Select[Any]) -> list[R]:
        """Return the rows that a query of whole rows finds."""
        return [_row(kind, row) for row in await self.execute(query)]

    async def columns(self, kind: type[Row], *names: str) -> Sequence[Sequence[Any]]:
        """Return some columns of all rows."""
        return (await self.execute(select(*(TABLES[kind].c[name] for name in names)))).all()

    async def add(self, row: Row) -> None:
        """Insert a row."""
        await self.execute(insert(TABLES[type(row)]).values(**asdict(row)))

    async def save(self, row: Row) -> None:
        """Write all that is in a row."""
        await self.execute(update(TABLES[type(row)]).where(*_is(row)).values(**asdict(row)))

    async def remove(self, row: Row) -> None:
        """Delete a row."""
        await self.execute(delete(TABLES[type(row)]).where(*_is(row)))


def _row(kind: type[R], values: Sequence[Any]) -> R:
    return kind(**dict(zip(TABLES[kind].c.keys(), values, strict=True)))  # a column's key may be another than its name


def _is(row: Row) -> list[ColumnElement[bool]]:
    return [column == getattr(row, column.key) for column in TABLES[type(row)].primary_key]


@asynccontextmanager
async def _within(begin: Callable[[], Transaction]) -> AsyncIterator[None]:
    transaction: Transaction = await greenlet_spawn(begin)
    try:
        yield
    except BaseException:
        await greenlet_spawn(transaction.__exit__, *sys.exc_info())
        raise
    await greenlet_spawn(transaction.__exit__, None, None, None)
