"""Lines in an object store, by way of the spool: a thread stores what is ready, again and again until it is.

The store is obstore's: https://developmentseed.org/obstore/latest/api/put/ (S3 and what speaks like it, Google Cloud
Storage, Azure Blob, a local folder).
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyport.errors import PluginError
from polyport_logs.spool import Batch, Writer, abandoned

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger("polyport.observers")
#: What a store does not take is tried again after so many seconds, then twice as many, at most so many.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: How often the thread looks for a batch that has waited long enough, in seconds, and for what others left.
TICK, LOOK_AROUND = 0.5, 60.0
#: How long a flush waits for the store, in seconds; what it did not take by then stays in the spool.
FLUSH = 10.0


class Objects:
    """The sink of an object store. The thread begins with it, to store what an earlier process left."""

    def __init__(
        self, url: str, *, spool: Path | None, lines: int, size: int, seconds: float, options: dict[str, Any]
    ) -> None:
        self._store = open_store(url, options)
        self._root = spool or default_spool(url)
        self._limits = lines, size, seconds
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._served = threading.Condition(self._lock)
        self._asked = self._answered = 0  # flushes: how many were asked for, and how many of those were tried
        self._closing = False
        self._pause = 0.0
        self._writer = Writer(self._root, *self._limits)
        self._thread = threading.Thread(target=self._run, name="polyport-logs", daemon=True)
        self._thread.start()

    # --- the observers' side ---

    def write(self, line: bytes) -> None:
        """Take a line: it is on the disk when this returns."""
        if os.getpid() != self._process:  # forked: the thread and the folder are the parent's
            self._writer.leave()
            self._begin()
        with self._lock:
            ready = self._writer.write(line)
        if ready:
            self._wake.set()

    def flush(self) -> None:
        """Have everything stored at once; what the store does not take, or not in FLUSH seconds, stays in the spool."""
        if os.getpid() != self._process or self._closing:
            return
        with self._served:
            self._writer.seal()
            self._asked += 1
            number = self._asked
            self._wake.set()
            self._served.wait_for(lambda: self._answered >= number, FLUSH)

    def close(self) -> None:
        """Flush, and end the thread; no line follows."""
        if os.getpid() != self._process or self._closing:
            return
        self.flush()
        self._closing = True
        self._wake.set()
        self._thread.join(FLUSH)
        self._writer.close()

    # --- the thread's side ---

    def _run(self) -> None:
        looked = 0.0
        while not self._closing:
            asked = self._asked
            self._wake.clear()
            around = not looked or time.monotonic() - looked >= LOOK_AROUND
            looked = time.monotonic() if around else looked
            try:
                done = self._round(around)
            except OSError as error:
                self._failed(error)
                done = False
            with self._served:
                self._answered = asked
                self._served.notify_all()
            self._wait(done)

    def _round(self, around: bool) -> bool:
        """Store what is ready; return whether all of it is."""
        done = self._take_over() if around else True
        with self._lock:
            if self._writer.is_due():
                self._writer.seal()
            batches = self._writer.batches()
        return all(self._put(batch) for batch in batches) and done

    def _wait(self, done: bool) -> None:
        """Wait for work; after a failure, for the store to recover, unless somebody waits for a flush."""
        if done:
            self._pause = 0.0
            self._wake.wait(TICK)
            return
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
        until = time.monotonic() + self._pause
        while time.monotonic() < until and not (self._asked > self._answered or self._closing):
            time.sleep(min(TICK, max(0.0, until - time.monotonic())))

    def _take_over(self) -> bool:
        """Store what writers that are no more have left; return whether all of it is."""
        done = True
        for left in abandoned(self._root):
            try:
                done = all(self._put(batch) for batch in left.batches()) and done
            finally:
                left.finish()
        return done

    def _put(self, batch: Batch) -> bool:
        """Store a batch and forget it; return whether that worked."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            content = batch.read()
            if content:
                obstore.put(self._store, batch.name, content)
        except (BaseError, OSError) as error:
            self._failed(error)
            return False
        batch.forget()
        return True

    def _failed(self, error: Exception) -> None:
        if not self._pause:
            log.warning(
                "Logs cannot be stored (%s: %s). They are kept in %s, and stored when that works again.",
                type(error).__name__, error, self._root,
            )  # fmt: skip


def open_store(url: str, options: dict[str, Any]) -> ObjectStore:
    """Return the store. Raises PluginError where what opens stores is not installed."""
    try:
        from obstore.store import LocalStore, from_url
    except ImportError as error:
        raise PluginError('Logs in an object store need obstore: pip install "polyport-logs[objects]"') from error
    if url.startswith("file://"):
        return LocalStore(url.removeprefix("file://"), mkdir=True, **options)
    retries = {"max_retries": 2, "retry_timeout": timedelta(seconds=FLUSH)}
    return from_url(url, **{"retry_config": retries, **options})


def default_spool(url: str) -> Path:
    """Return the folder for what goes to one URL: POLYPORT_LOGS_SPOOL, else below the user's state folder."""
    given = os.environ.get("POLYPORT_LOGS_SPOOL")
    state = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or str(Path.home() / ".local" / "state")
    root = Path(given) if given else Path(state) / "polyport" / "logs"
    return root / hashlib.sha256(url.encode()).hexdigest()[:16]
