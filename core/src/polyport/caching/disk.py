"""A SQLite file as a store: bounded, shared by processes, least recently used out first.

Write-ahead logging lets several processes read while one writes; totals are kept by triggers, in the transaction that
changes them, so every process sees the same bound. A crash of the machine may lose the last entries, never the file.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from polyport.caching.store import Kept, VectorStore
from polyport.caching.vectors import Nearest
from polyport.flow import Call, Flow

T = TypeVar("T")
#: How long to wait for another process's write, in seconds.
BUSY = 5.0
#: A use is written down when the last one noted is so many seconds old: else every read would be a write.
NOTED_EVERY = 60.0
#: What is left when room is made, so that not every write has to make some.
LEAVE = 0.9
#: The number of this table's form. A file of another one is another file.
FORM = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, made REAL NOT NULL, expires REAL, used REAL NOT NULL,
    size INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
CREATE INDEX IF NOT EXISTS by_end ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL, losses INTEGER NOT NULL);
INSERT INTO totals SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT * FROM totals);
CREATE TRIGGER IF NOT EXISTS on_insert AFTER INSERT ON entries
    BEGIN UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END;
CREATE TRIGGER IF NOT EXISTS on_delete AFTER DELETE ON entries
    BEGIN UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END;
CREATE TABLE IF NOT EXISTS vectors (
    partition TEXT NOT NULL, key TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (partition, key)
);
CREATE TRIGGER IF NOT EXISTS with_entry AFTER DELETE ON entries
    BEGIN DELETE FROM vectors WHERE key = old.key; END;
CREATE INDEX IF NOT EXISTS by_key ON vectors (key);
CREATE INDEX IF NOT EXISTS by_partition ON vectors (partition);
CREATE TRIGGER IF NOT EXISTS vector_out AFTER DELETE ON vectors BEGIN UPDATE totals SET losses = losses + 1; END;
"""


def default_path() -> Path:
    """Return where the file is if nobody says otherwise: the user's folder for caches."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "polyport" / f"cache-{FORM}.db"


class Loaded:
    """A partition's vectors in memory: those up to the row `last`, when `losses` vectors of all had been deleted."""

    __slots__ = ("last", "losses", "vectors")

    def __init__(self, losses: int, limit: int) -> None:
        self.losses = losses
        self.last = 0
        self.vectors = Nearest(limit)


class Disk(VectorStore):
    """Keeps entries in a file, at `path` (a folder: in it). The file is opened on first use.

    `max_bytes` counts keys and values; the file itself is somewhat larger.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        max_bytes: int = 1024 * 1024 * 1024,
        max_entries: int = 1_000_000,
        max_vectors: int = 10_000,
    ) -> None:
        given = default_path() if path is None else Path(path)
        self.path = given if given.suffix else given / f"cache-{FORM}.db"
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.max_vectors = max_vectors
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._owner = 0
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    # --- the store ---

    def get(self, key: str) -> Flow[Kept | None]:
        """Return what is kept under a key."""
        return (yield Call(lambda: self._with(lambda file: _get(file, [key]))))[0]  # type: ignore[no-any-return]

    def get_many(self, keys: Sequence[str]) -> Flow[list[Kept | None]]:
        """Return what is kept under each key."""
        return (yield Call(lambda: self._with(lambda file: _get(file, keys))))  # type: ignore[no-any-return]

    def set(self, key: str, value: bytes, ttl: float | None) -> Flow[None]:
        """Keep a value."""
        yield from self.set_many({key: value}, ttl)

    def set_many(self, values: Mapping[str, bytes], ttl: float | None) -> Flow[None]:
        """Keep several values, in one transaction."""
        yield Call(lambda: self._with(lambda file: self._set(file, values, ttl)))

    def delete(self, key: str) -> Flow[None]:
        """Forget a key."""
        yield Call(lambda: self._with(lambda file: file.execute("DELETE FROM entries WHERE key = ?", (key,))))

    def clear(self, prefix: str = "") -> Flow[None]:
        """Forget every key that begins with `prefix`."""
        yield Call(lambda: self._with(lambda file: _clear(file, prefix)))

    # --- vectors ---

    def nearest(self, partition: str, vector: Sequence[float]) -> Flow[tuple[str, float] | None]:
        """Return (key, similarity) of the nearest vector. A partition is read once, then only what was added to it."""
        return (yield Call(lambda: self._with(lambda file: self._nearest(file, partition, vector))))  # type: ignore[no-any-return]

    def remember(self, partition: str, key: str, vector: Sequence[float], ttl: float | None) -> Flow[None]:
        """Keep a vector; it goes with its entry."""
        block = array("f", vector).tobytes()
        yield Call(
            lambda: self._with(
                lambda file: file.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (partition, key, block))
            )
        )

    def forget(self, partition: str, key: str) -> Flow[None]:
        """Forget a vector."""
        yield Call(
            lambda: self._with(
                lambda file: file.execute("DELETE FROM vectors WHERE partition = ? AND key = ?", (partition, key))
            )
        )

    def close(self) -> None:
        """Close the file; a later call opens it anew."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
            self._file = self._finalizer = None

    # --- the file ---

    #: What opens a connection; a subclass may take another build of SQLite.
    _connect: Callable[..., sqlite3.Connection] = staticmethod(sqlite3.connect)

    def _with(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Run `use` in a transaction. One at a time in a process; between processes SQLite sees to it."""
        with self._lock:
            if self._file is None or self._owner != os.getpid():  # SQLite's connections must not cross a fork
                self._file, self._owner = self._open(), os.getpid()
                self._finalizer = weakref.finalize(self, self._file.close)
            with self._file:
                return use(self._file)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._connect(self.path, timeout=BUSY, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            file.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        except BaseException:
            file.close()
            raise
        self.path.chmod(0o600)  # answers are for nobody else's eyes
        return file

    def _set(self, file: sqlite3.Connection, values: Mapping[str, bytes], ttl: float | None) -> None:
        now = time.time()
        expires = None if ttl is None else now + ttl
        rows = [(key, value, now, expires, now, len(key) + len(value)) for key, value in values.items()]
        # Not INSERT OR REPLACE: that deletes without telling the triggers.
        file.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in values])
        file.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", [row for row in rows if row[5] <= self.max_bytes]
        )
        self._make_room(file, now)

    def _make_room(self, file: sqlite3.Connection, now: float) -> None:
        """Let go of what has expired, then of what was least recently used, down to a little less than the bound."""
        if not self._is_full(file):
            return
        file.execute("DELETE FROM entries WHERE expires <= ?", (now,))
        if not self._is_full(file):
            return
        entries, size = file.execute("SELECT entries, bytes FROM totals").fetchone()
        gone = []
        for key, own in file.execute("SELECT key, size FROM entries ORDER BY used, rowid"):
            if entries <= self.max_entries * LEAVE and size <= self.max_bytes * LEAVE:
                break
            gone.append((key,))
            entries, size = entries - 1, size - own
        file.executemany("DELETE FROM entries WHERE key = ?", gone)

    def _is_full(self, file: sqlite3.Connection) -> bool:
        entries, size = file.execute("SELECT entries, bytes FROM totals").fetchone()
        return bool(entries > self.max_entries or size > self.max_bytes)

    def _nearest(self, file: sqlite3.Connection, partition: str, vector: Sequence[float]) -> tuple[str, float] | None:
        losses = file.execute("SELECT losses FROM totals").fetchone()[0]
        loaded = self._loaded.pop(partition, None)
        if loaded is None or loaded.losses != losses:
            loaded = Loaded(losses, self.max_vectors)
        rows = file.execute(
            "SELECT rowid, key, vector FROM vectors WHERE partition = ? AND rowid > ? ORDER BY rowid",
            (partition, loaded.last),
        )
        for loaded.last, key, block in rows:
            loaded.vectors.add(partition, key, array("f", block))
        self._loaded[partition] = loaded
        while len(self._loaded) > 1 and sum(len(one.vectors) for one in self._loaded.values()) > self.max_vectors:
            self._loaded.popitem(last=False)
        return loaded.vectors.find(partition, vector)


def _get(file: sqlite3.Connection, keys: Sequence[str]) -> list[Kept | None]:
    now = time.time()
    found: list[Kept | None] = []
    for key in keys:
        row = file.execute("SELECT value, made, expires, used FROM entries WHERE key = ?", (key,)).fetchone()
        if row is None or (row[2] is not None and row[2] <= now):
            found.append(None)
            continue
        if now - row[3] > NOTED_EVERY:
            file.execute("UPDATE entries SET used = ? WHERE key = ?", (now, key))
        found.append(Kept(row[0], max(0.0, now - row[1])))
    return found


def _clear(file: sqlite3.Connection, prefix: str) -> None:
    for table, column in (("entries", "key"), ("vectors", "partition")):
        # Not LIKE: a namespace may hold its wildcards.
        file.execute(f"DELETE FROM {table} WHERE substr({column}, 1, ?) = ?", (len(prefix), prefix))  # noqa: S608
