"""The ledger: every answered request once, in the database, and what they came to by hour and by day.

`record` puts a line into the journal, before the reply's last byte; `drain` moves lines into the database. A line that
is drained twice, because of a kill between the commit and the file's removal, counts once: its request id and time are
the table's primary key, and roll-ups are counted by what was really inserted, in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from polyport.errors import ServiceUnavailableError
from polyport_gateway.journal import Journal, Segment
from polyport_gateway.rollups import DAY, ROLLUPS, SUMMED, roll_up
from polyport_gateway.store import Store, loading, partitions
from polyport_gateway.store.tables import DayRow, EntryRow, OwnedRow
from polyport_gateway.upkeep import Upkeep

log = logging.getLogger("polyport.gateway.ledger")
#: Lines of one transaction.
BATCH = 1000
#: Seconds between two tries while the database is away.
AWAY = 1.0


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Whose something is: the ids of all that it counts for, "" for none."""

    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    project_id: str = ""
    customer_id: str = ""


#: What a budget, or a report, can be about -> its column.
ABOUT = {name.removesuffix("_id"): name for name in (*Whose.__struct_fields__, "model", "provider")}


class Entry(Whose, frozen=True, omit_defaults=True, kw_only=True):
    """What is kept of a request: no prompt, no answer, no key. `at` is when it ended; `seconds` how long it took.

    `model` is what the caller asked for, `upstream` what answered; `usage` are disjoint buckets of tokens; `reserved`
    is in nano-dollars, as `nano` is. `upstream_id` is the provider's name of the request.
    """

    id: str
    at: float
    model: str = ""
    provider: str = ""
    upstream: str = ""
    deployment: str = ""
    operation: str = ""
    surface: str = ""
    stream: bool = False
    #: Written out always: a field that is left out is zero or empty to the database.
    status: int = msgspec.field(default_factory=lambda: 200)
    error: str = ""
    message: str = ""
    prompt: int = 0
    completion: int = 0
    usage: Mapping[str, int] = {}
    nano: int = 0
    reserved: int = 0
    estimated: bool = False
    cache_hit: bool = False
    seconds: float = 0.0
    first_byte: float | None = None
    attempts: int = 0
    failures: Sequence[Mapping[str, Any]] = ()
    adaptations: Sequence[Mapping[str, Any]] = ()
    guardrails: Sequence[Mapping[str, Any]] = ()
    upstream_id: str = ""
    tags: Sequence[str] = ()
    #: What was made for the caller, and is its own: rows of the table of those. It is in no column.
    made: Sequence[Mapping[str, Any]] = ()
    #: Whether it was spent without a reservation: accounts are told when it is in the ledger.
    charged: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def clean(text: str | None, length: int = 255) -> str:
    """Return a text that every database takes: callers choose some of these, and one must not stop the drain."""
    if text is None or (len(text) <= length and text.isascii() and "\x00" not in text):
        return text or ""
    return text.replace("\x00", "").encode(errors="replace").decode()[:length]


class Ledger:
    """Moves what the journal has into the store, every `interval` seconds while it runs."""

    def __init__(self, store: Store, journal: Journal, *, interval: float = 0.25) -> None:
        self.store, self.journal, self.interval = store, journal, interval
        self._draining = asyncio.Lock()
        self._waiting: list[Segment] = []
        self._months: set[tuple[int, int]] = set()
        self._away = False
        #: Is told of entries that are in the ledger now, and that no reservation was made for.
        self.charge: Callable[[Entry], Awaitable[None]] | None = None
        self._upkeep = Upkeep()

    def record(self, entry: Entry) -> None:
        """Put an entry into the journal: after this, no kill takes it back. Raises OSError of a disk that is full."""
        self.journal.append(_encode(entry))

    # --- the drain ---

    def start(self) -> None:
        """Drain from now on, until closed. It is started once."""
        self._upkeep.start((self.interval, self._run))

    async def aclose(self) -> None:
        """Stop, and drain what there is. What the database does not take now stays in the journal."""
        await self._upkeep.aclose()
        await self._try()
        for segment in self._waiting:
            segment.close()
        self._waiting.clear()
        self.journal.close()

    async def _run(self) -> None:
        await self._try()
        if self._away:
            await asyncio.sleep(max(0.0, AWAY - self.interval))

    async def _try(self) -> None:
        try:
            await self.drain()
        except ServiceUnavailableError as error:
            if not self._away:
                log.warning("%s The journal keeps what is settled until then.", error)
            self._away = True
        else:
            if self._away:
                log.warning("The database is back, and has what the journal kept.")
            self._away = False

    async def drain(self) -> int:
        """Move all lines into the ledger, and return how many were new. Raises ServiceUnavailableError."""
        async with self._draining:
            self._waiting += self.journal.take()
            count = 0
            while self._waiting:
                count += await self._drain_segment(self._waiting[0])
                self._waiting.pop(0)
            return count

    async def _drain_segment(self, segment: Segment) -> int:
        lines, entries, unreadable = await asyncio.to_thread(_read, segment)
        count = 0
        for start in range(0, len(entries), BATCH):
            batch = slice(start, start + BATCH)
            await self._make_room(entries[batch])
            async with self.store.transaction() as connection:
                fresh = await self._insert(connection, lines[batch], entries[batch])
            count += len(fresh)
            for entry in fresh:
                if entry.charged and self.charge is not None:
                    await self.charge(entry)
        if unreadable:
            log.error("%d lines of %s could not be read; the file is set aside", unreadable, segment.path)
            segment.set_aside()
        else:
            segment.drop()
        return count

    async def _make_room(self, entries: Sequence[Entry]) -> None:
        """See that the months have their partitions. They are made apart: making one keeps everybody waiting."""
        if self.store.dialect != "postgresql":
            return
        missing = {partitions.month_of(one.at) for one in entries} - self._months
        if missing:
            async with self.store.transaction() as connection:
                await partitions.make(connection, missing)
            self._months |= missing

    async def _insert(self, connection: AsyncConnection, lines: list[bytes], entries: list[Entry]) -> list[Entry]:
        rows = b"[%s]" % b",".join(lines)
        insert = loading.insert_new(EntryRow, self.store.dialect)
        found = await connection.execute(insert, {"rows": rows.decode()})
        new = set(found.scalars())
        fresh = {entry.id: entry for entry in entries if entry.id in new}
        for table in ROLLUPS:
            added = roll_up(fresh.values(), table)
            if added:
                statement = loading.add_up(table, self.store.dialect, SUMMED)
                await connection.execute(statement, {"rows": msgspec.json.encode(added).decode()})
        made = [row for entry in fresh.values() for row in entry.made]
        if made:
            insert = loading.insert_new(OwnedRow, self.store.dialect)
            await connection.execute(insert, {"rows": msgspec.json.encode(made).decode()})
        return list(fresh.values())

    # --- what was spent ---

    async def spent(self, about: Mapping[str, str], since: float | None) -> int:
        """Return the nano-dollars that were spent since an instant, or ever: {"team": id, "model": name}.

        What this process has in its journal counts, too.
        """
        await self.drain()
        return await spent(self.store, about, since)

    async def forget(self, before: float) -> int:
        """Drop single requests that ended before an instant; the days stay. Returns how many."""
        async with self.store.transaction() as connection:
            return (await connection.execute(delete(EntryRow).where(EntryRow.at < before))).rowcount


async def spent(store: Store, about: Mapping[str, str], since: float | None) -> int:
    """Return what the ledger says was spent since an instant, or ever, in nano-dollars.

    Whole days are read from the days, so that they may be older than what is kept of single requests.
    """
    first = 0 if since is None else -(-int(since) // DAY) * DAY
    days = [getattr(DayRow, ABOUT[name]) == value for name, value in about.items()]
    single = [getattr(EntryRow, ABOUT[name]) == value for name, value in about.items()]
    async with store.transaction() as connection:
        total = await _sum(connection, DayRow.nano, [*days, DayRow.at >= first])
        if since is not None and since < first:
            total += await _sum(connection, EntryRow.nano, [*single, EntryRow.at >= since, EntryRow.at < first])
    return total


async def _sum(connection: AsyncConnection, column: Any, where: list[ColumnElement[bool]]) -> int:
    found = await connection.execute(select(func.coalesce(func.sum(column), 0)).where(*where))
    return int(found.scalar_one())


def _read(segment: Segment) -> tuple[list[bytes], list[Entry], int]:
    lines, entries, unreadable = [], [], 0
    for line in segment.lines():
        try:
            entries.append(_decode(line))
            lines.append(line)
        except msgspec.MsgspecError:
            unreadable += 1
    return lines, entries, unreadable
