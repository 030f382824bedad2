"""The ledger's partitions on PostgreSQL: one a month, made when its first line comes, dropped when all of it is old.

Dropping a table costs nothing, where deleting a month of rows would keep the database busy for long. SQLite has one
table. https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import text

from polyport_gateway.store.connection import Connection

#: PostgreSQL lock that replicas take in turn to make a partition; any number that nobody else uses.
LOCK = 7_091_276_501
NAME = re.compile(r"ledger_(\d{4})_(\d{2})")


def month_of(at: float) -> tuple[int, int]:
    """Return the month of an instant, in UTC."""
    day = datetime.fromtimestamp(at, UTC)
    return day.year, day.month


def begins(month: tuple[int, int]) -> float:
    """Return when a month begins."""
    return datetime(*month, 1, tzinfo=UTC).timestamp()


def after(month: tuple[int, int]) -> tuple[int, int]:
    """Return the month that follows."""
    year, number = month
    return (year, number + 1) if number < 12 else (year + 1, 1)


async def make(connection: Connection, months: Iterable[tuple[int, int]]) -> None:
    """Make the partitions of months that have none."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    for month in sorted(months):
        name, start, end = f"ledger_{month[0]:04}_{month[1]:02}", begins(month), begins(after(month))
        await connection.execute(
            text(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF ledger FOR VALUES FROM ({start:.0f}) TO ({end:.0f})")
        )


async def drop(connection: Connection, before: float) -> list[str]:
    """Drop the partitions of months that were over before an instant, and return their names."""
    found = await connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger'::regclass")
    )
    old = []
    for name in found.scalars():
        match = NAME.fullmatch(name)
        if match is not None and begins(after((int(match[1]), int(match[2])))) <= before:
            await connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
            old.append(name)
    return old
