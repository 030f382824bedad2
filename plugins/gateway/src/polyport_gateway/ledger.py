"""The ledger: every answered request once, in the database, and what they came to by hour and by day.

`record` puts a line into the journal, before the reply's last byte; `drain` moves lines into the database. A line that
is drained twice, because of a kill between the commit and the file's removal, counts once: its request id and time are
the table's primary key, and roll-ups are counted by what was really inserted, in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import ColumnElement, cast, delete, exists, func, literal, select

from polyport.errors import ServiceUnavailableError
from polyport_gateway import started
from polyport_gateway.journal import Journal, Segment
from polyport_gateway.lines import ABOUT, Entry
from polyport_gateway.rollups import DAY, ROLLUPS, SUMMED, Row, Sums
from polyport_gateway.store import Connection, Store, loading, partitions, tables
from polyport_gateway.store.tables import is_one_of
from polyport_gateway.upkeep import Upkeep

log = logging.getLogger("polyport.gateway.ledger")
#: Bytes of lines that one transaction moves at most; that are in memory at a time, with ten times as much of
#: objects made of them; that the event loop waits for.
MOST, BATCH, PIECE = 8 << 20, 128 << 10, 64 << 10
#: Seconds between two tries while the database is away.
AWAY = 1.0
#: Seconds between two drains while each moves as many lines as this: what one costs is shared by more of them.
BUSY, MANY = 1.0, 250
#: JSON of lists that are empty, as most are.
NONE = ("[]",) * 4

#: What an account can be about -> its column.
COLUMN_OF = {**ABOUT, "deployment": "deployment"}
#: The ledger's columns; where its flags begin, and its JSON.
COLUMNS = Entry.__struct_fields__[: Entry.__struct_fields__.index("made")]
FLAGS, TEXTS = COLUMNS.index("stream"), COLUMNS.index("usage")
OWNED: tuple[str, ...] = tuple(column.name for column in tables.owned.columns)

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Entry)


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
        moved = await self._try()
        if self._away:
            await asyncio.sleep(max(0.0, AWAY - self.interval))
        elif moved >= MANY:
            await asyncio.sleep(max(0.0, BUSY - self.interval))

    async def _try(self) -> int:
        moved = 0
        try:
            moved = await self.drain()
        except ServiceUnavailableError as error:
            if not self._away:
                log.warning("%s The journal keeps what is settled until then.", error)
            self._away = True
        else:
            if self._away:
                log.warning("The database is back, and has what the journal kept.")
            self._away = False
        return moved

    async def drain(self) -> int:
        """Move all lines into the ledger, and return how many were new. Raises ServiceUnavailableError.

        What could not be moved the last time goes first: the journal is cut into no more files until it has gone.
        """
        async with self._draining:
            count = await self._drain_waiting()
            self._waiting += self.journal.take()
            return count + await self._drain_waiting()

    async def _drain_waiting(self) -> int:
        count = 0
        while self._waiting:
            count += await self._drain_segment(self._waiting[0])
            self._waiting.pop(0)
        return count

    async def _drain_segment(self, segment: Segment) -> int:
        count = 0
        while (moved := await self._move(segment)).read:
            segment.drained += moved.read
            segment.unreadable += moved.unreadable
            count += moved.new
            for entry in moved.charged:
                if self.charge is not None:
                    await self.charge(entry)
        if segment.unreadable:
            log.error("%d lines of %s could not be read; the file is set aside", segment.unreadable, segment.path)
            segment.set_aside()
        else:
            segment.drop()
        return count

    async def _move(self, segment: Segment) -> _Moved:
        """Move lines into the ledger, in one transaction."""
        first = await _read(segment, segment.drained)
        await self._make_room(first.entries)
        try:
            return await self._insert(segment, first)
        except _Partly:
            return await self._insert(segment, first, one_by_one=True)

    async def _make_room(self, entries: Sequence[Entry]) -> None:
        """See that the months have their partitions. They are made apart: making one keeps everybody waiting."""
        missing = self._without_room(entries)
        if missing:
            async with self.store.transaction() as connection:
                await partitions.make(connection, missing)
            self._months |= missing

    def _without_room(self, entries: Sequence[Entry]) -> set[tuple[int, int]]:
        if self.store.dialect != "postgresql":
            return set()
        return {partitions.month_of(day * DAY) for day in {one.at // DAY for one in entries}} - self._months

    async def _insert(self, segment: Segment, batch: _Batch, *, one_by_one: bool = False) -> _Moved:
        """Insert batches from this one on, or only this one, and add to the roll-ups what is new. Raises _Partly."""
        moved, sums, most = _Moved(), Sums(), 1 if one_by_one else MOST
        async with self.store.transaction() as connection:
            while batch.read and moved.read < most and not self._without_room(batch.entries):
                fresh = await _insert(connection, batch.entries, one_by_one)
                sums.add(fresh)
                moved.add(batch, fresh)
                batch = await _read(segment, segment.drained + moved.read)
            for table, rows in sums.rows().items():
                if rows:
                    await loading.add_up(connection, table, ROLLUPS[table], rows, SUMMED)
            if moved.batches:
                await started.over(connection, moved.batches, time.time())
            if moved.made:
                rows = [tuple(one.get(name, "") for name in OWNED) for one in moved.made]
                await loading.insert_new(connection, tables.owned, OWNED, rows)
        return moved

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
            return (await connection.execute(delete(tables.ledger).where(tables.ledger.c.at < before))).rowcount


async def spent(store: Store, about: Mapping[str, str], since: float | None) -> int:
    """Return what the ledger says was spent since an instant, or ever, in nano-dollars.

    Whole days are read from the days, so that they may be older than what is kept of single requests.
    """
    first = 0 if since is None else -(-int(since) // DAY) * DAY
    tag = about.get("tag")
    by_day = tables.days if tag is None else tables.tag_days
    days, single = (
        [is_of(name, table.c[COLUMN_OF[name]], value) for name, value in about.items() if name != "tag"]
        for table in (by_day, tables.ledger)
    )
    async with store.transaction() as connection:
        if tag is not None:
            days.append(tables.tag_days.c.tag == tag)
            single.append(has_tag(store.dialect, tag))
        total = await _sum(connection, by_day.c.nano, [*days, by_day.c.at >= first])
        if since is not None and since < first:
            total += await _sum(
                connection, tables.ledger.c.nano, [*single, tables.ledger.c.at >= since, tables.ledger.c.at < first]
            )
    return total


def has_tag(dialect: str, tag: str) -> ColumnElement[bool]:
    """Return whether a request has a tag."""
    tags = tables.ledger.c.tags
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import JSONB  # SQLite's processes do without

        return cast(tags, JSONB).contains([tag])
    each = func.json_each(tags).table_valued("value")
    return exists(select(literal(1)).select_from(each).where(each.c.value == tag))


def is_of(name: str, column: ColumnElement[str], value: str) -> ColumnElement[bool]:
    """Return whether a column is about somebody, or about a model, which may be the beginning of several: openai/*."""
    if name == "model" and value.endswith("*"):
        return func.substr(column, 1, len(value) - 1) == value[:-1]
    return is_one_of(column, [value])


async def _sum(connection: Connection, column: Any, where: list[ColumnElement[bool]]) -> int:
    found = await connection.execute(select(func.coalesce(func.sum(column), 0)).where(*where))
    return int(found.scalar_one())


# --- from lines to rows ---


class _Batch(msgspec.Struct, gc=False):
    """Entries that go into one statement, or few: of so many bytes, and beside so many lines that were none."""

    entries: list[Entry] = []
    read: int = 0
    unreadable: int = 0


class _Moved(msgspec.Struct):
    """What one transaction moved: how many bytes of lines, how many new entries, and what is to be done about them."""

    read: int = 0
    unreadable: int = 0
    new: int = 0
    made: list[Mapping[str, Any]] = []
    charged: list[Entry] = []
    #: The entries of batches, those that were there already among them.
    batches: list[str] = []

    def add(self, batch: _Batch, fresh: Sequence[Entry]) -> None:
        """Count a batch, and those of its entries that are new."""
        self.read += batch.read
        self.unreadable += batch.unreadable
        self.new += len(fresh)
        self.batches += [one.id for one in batch.entries if one.charged]
        for one in fresh:
            if one.made or one.charged:
                self.made += one.made
                self.charged += [one] if one.charged else []


class _Partly(Exception):
    """Some rows of a statement were there already, from before a kill: which ones, it does not say."""


async def _read(segment: Segment, offset: int) -> _Batch:
    batch = _Batch()
    while batch.read < BATCH:
        lines = segment.read(offset + batch.read, PIECE)
        if not lines:
            break
        entries, unreadable = _decode(lines)
        batch.entries += entries
        batch.read += len(lines)
        batch.unreadable += unreadable
        await asyncio.sleep(0)
    return batch


def _decode(lines: bytes) -> tuple[list[Entry], int]:
    try:
        return _decoder.decode_lines(lines), 0
    except msgspec.MsgspecError:
        pass
    entries: list[Entry] = []
    unreadable = 0
    for line in lines.split(b"\n"):
        try:
            entries += _decoder.decode_lines(line)
        except msgspec.MsgspecError:
            unreadable += 1
    return entries, unreadable


async def _insert(connection: Connection, entries: list[Entry], one_by_one: bool) -> Sequence[Entry]:
    """Insert entries, and return those that are new. Raises _Partly where a statement cannot say which."""
    booleans = connection.dialect.name == "postgresql"
    rows = [_row(one, booleans) for one in entries]
    if one_by_one:
        new = [await loading.insert_new(connection, tables.ledger, COLUMNS, [row]) for row in rows]
        return [entry for entry, count in zip(entries, new, strict=True) if count]
    count = await loading.insert_new(connection, tables.ledger, COLUMNS, rows)
    if count not in (0, len(rows)):
        raise _Partly
    return entries if count else ()


def _row(entry: Entry, booleans: bool) -> Row:
    """Return the columns of an entry, with booleans or with 0 and 1, as a database takes them."""
    row = astuple(entry)
    flags = (1 if entry.stream else 0, 1 if entry.estimated else 0, 1 if entry.cache_hit else 0)
    lists: Row = NONE
    if entry.failures or entry.adaptations or entry.guardrails or entry.tags:
        lists = tuple(map(_text, (entry.failures, entry.adaptations, entry.guardrails, entry.tags)))
    return (*row[:FLAGS], *(row[FLAGS:TEXTS] if booleans else flags), _text(entry.usage), *lists)


def _text(value: Any) -> str:
    return _encode(value).decode()
