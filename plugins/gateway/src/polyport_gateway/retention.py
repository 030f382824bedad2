"""How long things are kept: old requests, hours, prompts, notices and owners are dropped.

Rows go in small batches, so that nobody waits for them; on PostgreSQL the ledger's months are dropped whole, when all
of a month is old, and of the month that is partly old the old rows go. Replicas may all do it: each takes what is
still there.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import ColumnElement, Table, delete, select

from polyport_gateway.rollups import DAY
from polyport_gateway.store import Store, partitions, tables
from polyport_gateway.terms import Terms

#: Rows of one DELETE, and the seconds between two of them.
BATCH, PAUSE = 500, 0.02
#: Seconds between two looks for what is old.
EVERY = 900.0
#: How long notices that were delivered are remembered, in days: as long as a period may last, and then some.
NOTICES = 800.0
#: How long the owners of responses are remembered: providers keep those for 30 days.
RESPONSES = 60.0
#: How long batches that are over are remembered: a started one is sought among them.
BATCHES = 90.0


async def drop_old(store: Store, terms: Terms, now: float | None = None) -> int:
    """Drop what has been kept for as long as the terms say, and return how many rows and partitions that were."""
    now = time.time() if now is None else now
    count = 0
    if terms.ledger_retention_days is not None:
        count += await _drop_requests(store, now - terms.ledger_retention_days * DAY)
    if terms.hours_retention_days is not None:
        for table in (tables.hours, tables.tag_hours):
            count += await _drop(store, table, now - terms.hours_retention_days * DAY)
    count += await _drop(store, tables.prompts, now - terms.prompt_retention_days * DAY)
    count += await _drop(store, tables.owned, now - RESPONSES * DAY, tables.owned.c.kind == "response")
    count += await _drop(
        store, tables.batches, now - BATCHES * DAY, tables.batches.c.state.not_in(("starting", "open"))
    )
    return count + await _drop(store, tables.notices, now - NOTICES * DAY)


async def _drop_requests(store: Store, before: float) -> int:
    months = 0
    if store.dialect == "postgresql":
        async with store.transaction() as connection:
            months = len(await partitions.drop(connection, before))
    return months + await _drop(store, tables.ledger, before)


async def _drop(store: Store, table: Table, before: float, *where: ColumnElement[bool]) -> int:
    old = select(table.c.id).where(table.c.at < int(before), *where).order_by(table.c.at).limit(BATCH)
    count = 0
    while True:
        async with store.transaction() as connection:
            gone = delete(table).where(table.c.at < int(before), table.c.id.in_(old))  # `at` says in which partitions
            dropped = (await connection.execute(gone)).rowcount
        count += dropped
        if dropped < BATCH:
            return count
        await asyncio.sleep(PAUSE)
