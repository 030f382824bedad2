"""Many rows at once, their values given to the driver as they are: a row costs it a few microseconds.

SQLite gets `CHUNK` rows a statement, and what is left over row by row, in two calls of the driver: it lets go of the
interpreter once a statement, and a busy event loop gives it back late. PostgreSQL gets a COPY, which costs half of what
an INSERT does, where all rows are new; or else an INSERT of one list a column.
https://sqlite.org/lang_insert.html https://www.postgresql.org/docs/current/populate.html
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import JSON, Table

from polyport_gateway.store.connection import Connection
from polyport_gateway.store.tables import Sought

#: Rows of a statement of SQLite. With it, 50 columns stay below its 32,766 parameters; a prepared one takes some 80
#: bytes a parameter. https://sqlite.org/limits.html#max_variable_number
CHUNK = 128

#: Rows that are worth a COPY, which takes a few messages more.
COPIED = 32

Row = tuple[Any, ...]


async def insert_new(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Insert the rows that are not there yet, and return how many those were.

    JSON comes as text; flags come as 0 and 1 where the database is SQLite, whose driver takes long for booleans.
    """
    many = connection.dialect.name == "postgresql" and len(rows) >= COPIED
    if many and await _copy(connection, table, columns, rows):
        return len(rows)
    return await _run(connection, table, columns, rows, "ON CONFLICT DO NOTHING")


async def add_up(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row], sums: tuple[str, ...]
) -> None:
    """Insert rows, and add to the columns `sums` of those that are there. No two rows have the same key.

    Rows are taken in the order of their values, keys first, so that processes lock them in the same order.
    """
    await _run(connection, table, columns, sorted(rows), _adding(table, sums))


async def _copy(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> bool:
    """Copy rows into a table; if one of them is there, copy none, and return False."""
    from asyncpg import UniqueViolationError  # type: ignore[import-untyped]  # it has neither types nor stubs of its own

    try:
        async with connection.begin_nested():
            await connection.driver.copy_records_to_table(table.name, records=rows, columns=columns)
    except UniqueViolationError:
        return False
    return True


async def _run(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row], conflict: str
) -> int:
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        lists = tuple(map(list, zip(*rows, strict=True)))
        return (await connection.exec_driver_sql(_unnested(table, columns, conflict), lists)).rowcount
    count, whole = 0, len(rows) - len(rows) % CHUNK
    chunks = [tuple(chain.from_iterable(rows[start : start + CHUNK])) for start in range(0, whole, CHUNK)]
    for size, values in ((CHUNK, chunks), (1, list(rows[whole:]))):
        if values:
            count += (await connection.exec_driver_sql(_listed(table, columns, conflict, size), values)).rowcount
    return count


@cache
def _adding(table: Table, sums: tuple[str, ...]) -> str:
    keys = ", ".join(column.name for column in table.primary_key)
    name = table.name
    return f"ON CONFLICT ({keys}) DO UPDATE SET {', '.join(f'{one} = {name}.{one} + excluded.{one}' for one in sums)}"


@cache
def _listed(table: Table, columns: tuple[str, ...], conflict: str, rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"{_into(table, columns)} VALUES {', '.join([row] * rows)} {conflict}"


@cache
def _unnested(table: Table, columns: tuple[str, ...], conflict: str) -> str:
    types = {name: _type(table, name) for name in columns}
    lists = ", ".join(f"${place}::{bound}[]" for place, (bound, _) in enumerate(types.values(), 1))
    values = ", ".join(f'x."{name}"{cast}' for name, (_, cast) in types.items())
    names = ", ".join(f'"{name}"' for name in columns)
    return f"{_into(table, columns)} SELECT {values} FROM unnest({lists}) AS x({names}) {conflict}"  # noqa: S608  names of ours


def _type(table: Table, column: str) -> tuple[str, str]:
    """Return the type of PostgreSQL that a column's values are bound as, and what then makes them the column's."""
    from sqlalchemy.dialects import postgresql  # SQLite's processes do without

    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]  # a class without annotations
    kind = table.columns[column].type.dialect_impl(dialect)
    name = kind.compile(dialect)
    return ("text", f"::{name}") if isinstance(kind, JSON | Sought) else (name, "")


def _into(table: Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table.name} ({names})"
