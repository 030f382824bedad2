"""What is done now and then, beside the requests: prompts are written, old rows dropped, webhooks told.

Rows go in small batches, so that nobody waits for them; on PostgreSQL the ledger's months are dropped whole, when all
of a month is old, and of the month that is partly old the old rows go. Replicas may all do it: each takes what is
still there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from polyport.errors import ServiceUnavailableError
from polyport_gateway.rollups import DAY
from polyport_gateway.store import Store, partitions
from polyport_gateway.store.tables import BatchRow, EntryRow, HourRow, NoticeRow, OwnedRow, PromptRow, TagHourRow
from polyport_gateway.terms import Terms

log = logging.getLogger("polyport.gateway.upkeep")
#: Rows of one DELETE, and the seconds between two of them.
BATCH, PAUSE = 500, 0.02
#: Seconds after which a job that failed is tried again, at least: each time is a traceback in the log.
AGAIN = 1.0
#: Seconds between two looks for what is old.
EVERY = 900.0
#: How long notices that were delivered are remembered, in days: as long as a period may last, and then some.
NOTICES = 800.0
#: How long the owners of responses are remembered: providers keep those for 30 days.
RESPONSES = 60.0
#: How long batches that are over are remembered: a started one is sought among them.
BATCHES = 90.0

Job = Callable[[], Awaitable[object]]


class Upkeep:
    """Runs jobs, each every so many seconds, while it is open. One that finds the database away tries again.

    A job that fails is told of in the log, and goes on: nobody else waits for it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, *jobs: tuple[float, Job]) -> None:
        """Begin."""
        for every, job in jobs:
            self._run(every, job)

    def _run(self, every: float, job: Job, wait: float = 0.0) -> None:
        task = asyncio.create_task(_repeat(every, job, wait), name="polyport-upkeep")
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            if done in self._tasks and not done.cancelled():
                self._tasks.discard(done)
                log.error("upkeep failed, and is tried again", exc_info=done.exception())
                self._run(every, job, max(every, AGAIN))

        task.add_done_callback(over)

    async def aclose(self) -> None:
        """End."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(every: float, job: Job, wait: float) -> None:
    await asyncio.sleep(wait)
    while True:
        try:
            await job()
        except ServiceUnavailableError as error:
            log.debug("put off: %s", error)
        await asyncio.sleep(every)


async def drop_old(store: Store, terms: Terms, now: float | None = None) -> int:
    """Drop what has been kept for as long as the terms say, and return how many rows and partitions that were."""
    now = time.time() if now is None else now
    count = 0
    if terms.ledger_retention_days is not None:
        count += await _drop_requests(store, now - terms.ledger_retention_days * DAY)
    if terms.hours_retention_days is not None:
        for table in (HourRow, TagHourRow):
            count += await _drop(store, table, now - terms.hours_retention_days * DAY)
    count += await _drop(store, PromptRow, now - terms.prompt_retention_days * DAY)
    count += await _drop(store, OwnedRow, now - RESPONSES * DAY, OwnedRow.kind == "response")
    count += await _drop(store, BatchRow, now - BATCHES * DAY, BatchRow.state.not_in(("starting", "open")))
    return count + await _drop(store, NoticeRow, now - NOTICES * DAY)


async def _drop_requests(store: Store, before: float) -> int:
    months = 0
    if store.dialect == "postgresql":
        async with store.transaction() as connection:
            months = len(await partitions.drop(connection, before))
    return months + await _drop(store, EntryRow, before)


async def _drop(store: Store, table: type[Any], before: float, *where: ColumnElement[bool]) -> int:
    old = select(table.id).where(table.at < int(before), *where).order_by(table.at).limit(BATCH)
    count = 0
    while True:
        async with store.transaction() as connection:
            gone = delete(table).where(table.at < int(before), table.id.in_(old))  # `at` says in which partitions
            dropped = (await connection.execute(gone)).rowcount
        count += dropped
        if dropped < BATCH:
            return count
        await asyncio.sleep(PAUSE)
