"""The disk store with its vectors compared inside SQLite, by sqlite-vec: no process holds them in memory.

    Cache(type="semantic", store="sqlite-vec", path="cache.db")     # pip install "polyport[vec]"

Vectors are rows of the disk store's plain table, found by their partition in its index, and only those are compared:
a namespace is a hard partition by the WHERE clause. sqlite-vec's own tables (vec0) are not used: each partition of
one takes room for a thousand vectors in advance.
https://alexgarcia.xyz/sqlite-vec/api-reference.html#vec_distance_cosine

Some Pythons' sqlite3 loads no extensions (pyenv's, Apple's); there, pysqlite3 is taken where it is installed. It is a
SQLite of its own, and one process must not open one file with two of them: hence the file's own default name.
https://www.sqlite.org/howtocorrupt.html#multiple_copies_of_sqlite_linked_into_the_same_application
"""

from __future__ import annotations

import importlib
import os
import sqlite3
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from polyport.caching.disk import FORM, Disk, default_path
from polyport.errors import PluginError

#: Vectors of another length are another model's, and cannot be compared. One of length 0 is near nothing: its
#: distance is NULL, which min() passes over. `key` is that of the row with the least distance:
#: https://www.sqlite.org/lang_select.html#bareagg
NEAREST = """
SELECT key, 1.0 - min(vec_distance_cosine(vector, :vector)) FROM vectors
WHERE partition = :partition AND length(vector) = :length AND rowid > coalesce(
    (SELECT rowid FROM vectors WHERE partition = :partition ORDER BY rowid DESC LIMIT 1 OFFSET :limit), -1
)
"""
#: So many bytes of the file are read in place, shared by all processes, and not copied page by page: half the time of
#: a look-up.
MAPPED = 1024 * 1024 * 1024


class SqliteVec(Disk):
    """A Disk whose look-ups read a partition where it is. Of one, the latest `max_vectors` are compared.

    Raises PluginError where sqlite-vec is not installed, or this Python's sqlite3 cannot load it.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        max_bytes: int = 1024 * 1024 * 1024,
        max_entries: int = 1_000_000,
        max_vectors: int = 100_000,
    ) -> None:
        given = default_path().parent if path is None else Path(path)
        super().__init__(
            path=given if given.suffix else given / f"semantic-{FORM}.db",
            max_bytes=max_bytes,
            max_entries=max_entries,
            max_vectors=max_vectors,
        )
        self._connect: Callable[..., sqlite3.Connection] = driver().connect
        probe = self._connect(":memory:")
        try:
            load(probe)
        finally:
            probe.close()

    def _open(self) -> sqlite3.Connection:
        file = super()._open()
        try:
            load(file)
            file.execute(f"PRAGMA mmap_size = {MAPPED}")
        except BaseException:
            file.close()
            raise
        return file

    def _nearest(self, file: sqlite3.Connection, partition: str, vector: Sequence[float]) -> tuple[str, float] | None:
        block = array("f", vector).tobytes()
        asked = {"vector": block, "partition": partition, "length": len(block), "limit": self.max_vectors}
        key, similarity = file.execute(NEAREST, asked).fetchone()
        return None if similarity is None else (key, similarity)


def driver() -> ModuleType:
    """Return a module like sqlite3 that can load extensions. Raises PluginError that says what to do."""
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    try:
        return importlib.import_module("pysqlite3")
    except ModuleNotFoundError as error:
        raise PluginError(
            "This Python's sqlite3 was built without extensions, and cannot load sqlite-vec. "
            "Try: pip install pysqlite3; or a Python built with --enable-loadable-sqlite-extensions, as Debian's and "
            "uv's are; or Cache(type='semantic', store='disk'), which compares vectors in memory."
        ) from error


def load(file: sqlite3.Connection) -> None:
    """Load sqlite-vec into a connection. Raises PluginError that says what to install."""
    try:
        sqlite_vec = importlib.import_module("sqlite_vec")
    except ModuleNotFoundError as error:
        raise PluginError('The sqlite-vec cache needs sqlite-vec. Try: pip install "polyport[vec]"') from error
    file.enable_load_extension(True)
    try:
        sqlite_vec.load(file)
    except driver().Error as error:
        raise PluginError(
            f"sqlite-vec cannot be loaded into this SQLite: {error}. "
            "Cache(type='semantic', store='disk') compares vectors in memory."
        ) from error
    finally:
        file.enable_load_extension(False)
