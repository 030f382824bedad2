"""aiosqlite's connections, which may be stopped twice; for a thread each of them, which no process waits for."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import Any

import aiosqlite


class Stoppable(aiosqlite.Connection):
    """A connection whose thread is told once that it shall end.

    aiosqlite 0.22 tells it each time, and waits for an answer that a thread which has ended gives nobody: an event loop
    that closes while SQLAlchemy lets go of a connection, and SQLite stalls, would never come to its end (2026-12-01).
    https://github.com/omnilib/aiosqlite/blob/main/aiosqlite/core.py
    """

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread, unless it has been told so."""
        return super().stop() if self._running else None

    def __del__(self) -> None:
        """End the thread of an idle connection whose pool was dropped: SQLAlchemy warns of those that are in use.

        aiosqlite warns of idle ones, too, from within the collector, and so in the middle of somebody else's work.
        """
        if self._connection is not None:
            self.stop()


def connection(database: str, **options: Any) -> Stoppable:
    """Return a connection that is made when it is awaited, as `aiosqlite.connect` does."""
    made = Stoppable(partial(sqlite3.connect, database, **options), 64)
    made._thread.daemon = True  # as SQLAlchemy has it
    return made
