"""Many rows in one statement: the database reads them from JSON itself, and Python binds one parameter.

That makes a drained line cost the gateway a few microseconds; bound one by one, thirty columns cost a hundred.
https://sqlite.org/json1.html#jeach https://www.postgresql.org/docs/current/functions-json.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, TextClause, text
from sqlalchemy.types import JSON

from polyport_gateway.store.tables import Base

#: What stands for a field that a row leaves out, by its column's type. JSON's are lists, but for objects by name.
ABSENT: tuple[tuple[type[Any], str, str], ...] = (
    (Boolean, "false", "boolean"),
    (Float, "0.0", "double precision"),
    (BigInteger, "0", "bigint"),
    (Integer, "0", "integer"),
    (JSON, "'[]'", "jsonb"),
)


@cache
def insert_new(table: type[Base], dialect: str) -> TextClause:
    """Return an INSERT of the rows in :rows that are not there yet, which returns the ids of those."""
    keys = ", ".join(column.name for column in table.__table__.primary_key)
    return text(f"{_insert(table, dialect)} ON CONFLICT ({keys}) DO NOTHING RETURNING id")


@cache
def add_up(table: type[Base], dialect: str, sums: tuple[str, ...]) -> TextClause:
    """Return an INSERT of the rows in :rows, which adds to the columns `sums` of those that are there.

    Rows are taken in the order of their keys, so that processes lock them in the same order.
    """
    keys = ", ".join(column.name for column in table.__table__.primary_key)
    name = table.__tablename__
    added = ", ".join(f"{one} = {name}.{one} + excluded.{one}" for one in sums)
    return text(f"{_insert(table, dialect)} ORDER BY id ON CONFLICT ({keys}) DO UPDATE SET {added}")


def _insert(table: type[Base], dialect: str) -> str:
    columns: list[Any] = [*table.__table__.columns]
    names = ", ".join(f'"{one.name}"' for one in columns)
    if dialect == "sqlite":
        values = ", ".join(_absent(one, f"json_extract(value, '$.{one.name}')")[0] for one in columns)
        source = "json_each(:rows)"
    else:
        values = ", ".join(_absent(one, f'x."{one.name}"')[0] for one in columns)
        types = ", ".join(f'"{one.name}" {_absent(one, "")[1]}' for one in columns)
        source = f"json_to_recordset(CAST(CAST(:rows AS TEXT) AS JSON)) AS x({types})"
    return f"INSERT INTO {table.__tablename__} ({names}) SELECT {values} FROM {source} WHERE true"  # noqa: S608  names of ours


def _absent(column: Column[Any], value: str) -> tuple[str, str]:
    """Return a column's value, or what stands for one that is left out; and its type in PostgreSQL."""
    absent, kind = next(((one, name) for of, one, name in ABSENT if isinstance(column.type, of)), ("''", "text"))
    if column.nullable:
        return value, kind
    if column.info.get("object"):
        absent = "'{}'"
    return f"coalesce({value}, {absent})", kind
