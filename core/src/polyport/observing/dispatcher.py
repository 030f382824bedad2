"""The thread that calls observers: one for the process, begun with the first event, off every call's path.

A call puts its record into a bounded queue and goes on. When the queue is full the record is dropped, counted and,
the first time, logged. Events reach observers one at a time in the order their calls ended; what asynchronous
observers await runs side by side, a batch at a time. At the process's end what is queued is still told, within a
bounded time.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from polyport.observing import border
from polyport.observing.callbacks import Handler, Watcher
from polyport.observing.event import Event
from polyport.observing.records import Record

#: How many records may wait.
CAPACITY = 10_000
#: How many are told before what asynchronous observers began is awaited.
BATCH = 64
#: The thread naps so long, in seconds, between looks at the queue while calls keep coming: a caller that must wake it
#: pays for that.
NAP = 0.01
#: A thread that has had nothing to do for so many seconds ends; the next event begins another, on the same event loop:
#: asynchronous observers keep connections there.
IDLE = 10.0
#: How long the end of a process waits for what is queued, in seconds.
LAST_FLUSH = 5.0

START, END, FLUSH, CLOSE = "start", "end", "flush", "close"


class Dispatcher:
    """A queue and its thread. `dropped` and `told` count records."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._runners: list[asyncio.Runner] = []
        self._begin_anew()
        _all.add(self)
        weakref.finalize(self, _close_all, self._runners).atexit = False

    def _begin_anew(self) -> None:
        """Forget everything, as a forked process must: the thread and the records are its parent's."""
        self.dropped = 0
        self.told = 0
        self._queue: deque[Any] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._asleep = False
        self._thread: threading.Thread | None = None
        #: Those that hold something back, by observer: they are flushed also when nobody else knows them any more.
        self._holding: dict[int, Watcher] = {}

    # --- the caller's side ---

    def put(self, phase: str, record: Record, watchers: Sequence[Watcher]) -> None:
        """Queue a record for its observers. Never blocks and never raises."""
        queue = self._queue
        if len(queue) >= self.capacity:
            self._drop()
            return
        queue.append((phase, record, watchers))
        if self._asleep:
            self._asleep = False
            self._wake.set()
        elif self._thread is None:
            self._start()

    def _drop(self) -> None:
        with self._lock:
            self.dropped += 1
            first = self.dropped == 1
        if first:
            border.log.warning(
                "Observers are slower than calls: %d events are waiting, and further ones are dropped. They are "
                "counted, and this is not said again.", self.capacity,
            )  # fmt: skip

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="polyport-observers", daemon=True)
                self._thread.start()

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Wait until everything queued so far was told and observers have sent what they held back.

        Returns whether that was done within `timeout` seconds. Called by an observer, it returns at once.
        """
        return self._ask(FLUSH, None, timeout)

    def close(self, watchers: Sequence[Watcher], timeout: float | None = 30.0) -> bool:
        """Flush, then let these observers close; returns whether that was done in time."""
        return self._ask(CLOSE, watchers, timeout)

    def _ask(self, what: str, watchers: Sequence[Watcher] | None, timeout: float | None) -> bool:
        if threading.current_thread() is self._thread:
            return False
        if not (self._thread or self._queue or self._holding or watchers):
            return True
        done = threading.Event()
        self._queue.append((what, done, watchers))
        self._asleep = False
        self._wake.set()
        if self._thread is None:
            self._start()
        return done.wait(timeout)

    # --- the thread's side ---

    def _run(self) -> None:
        if not self._runners:
            self._runners.append(asyncio.Runner())
        try:
            self._work(self._runners[0])
        finally:  # also when an observer ends the thread: the next record begins another
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _work(self, runner: asyncio.Runner) -> None:
        while True:
            if self._queue:
                self._batch(runner)
                if not self._queue:
                    self._wake.wait(NAP)
                    self._wake.clear()
            elif not self._sleep():
                return

    def _sleep(self) -> bool:
        """Wait for a record; False where none came for long, and the thread is to end."""
        self._asleep = True
        if self._queue:  # one that came before we said that we sleep
            self._asleep = False
            return True
        self._wake.wait(IDLE)
        self._wake.clear()
        if self._asleep and not self._queue:
            with self._lock:
                self._asleep = False
                self._thread = None
            return bool(self._queue) and self._take_up()
        self._asleep = False
        return True

    def _take_up(self) -> bool:
        """Go on after all, unless another thread was begun meanwhile."""
        with self._lock:
            if self._thread is not None:
                return False
            self._thread = threading.current_thread()
            return True

    def _batch(self, runner: asyncio.Runner) -> None:
        waiting: list[Any] = []
        for _ in range(min(BATCH, len(self._queue))):
            phase, record, watchers = self._queue.popleft()
            if phase in (START, END):
                waiting += self._tell(phase, record, watchers)
            else:
                self._finish(waiting, runner)
                self._settle(phase, watchers, runner)
                record.set()
        self._finish(waiting, runner)

    def _finish(self, waiting: list[Any], runner: asyncio.Runner) -> None:
        if waiting:
            runner.run(_gather([*waiting]))
            waiting.clear()

    def _tell(self, phase: str, record: Record, watchers: Sequence[Watcher]) -> list[Any]:
        """Make the event once for those who see content and once for those who do not, and call them."""
        made: dict[bool, Event | None] = {}
        rest = []
        for place, watcher in enumerate(watchers):
            handler = _handler(watcher, phase, record)
            if handler is None:
                continue
            if watcher.flush is not None:
                self._holding[id(watcher.given)] = watcher
            if watcher.content not in made:
                made[watcher.content] = border.made(record, content=watcher.content)
            event = made[watcher.content]
            if event is None:
                continue
            if watcher.capture is not None:
                event = replace(event, captured=record.captured[place])
            left = border.tell(watcher, f"on_{phase}" if phase == START else "its callback", handler, event, record)
            if left is not None:
                rest.append(left)
        self.told += 1
        return rest

    def _settle(self, what: str, watchers: Sequence[Watcher] | None, runner: asyncio.Runner) -> None:
        rest = [border.tell(one, "flush", one.flush) for one in self._holding.values() if one.flush is not None]
        self._finish([left for left in rest if left is not None], runner)
        if what == CLOSE:
            for one in watchers or ():
                self._holding.pop(id(one.given), None)
                left = None if one.close is None else border.tell(one, "close", one.close)
                self._finish([] if left is None else [left], runner)


async def _gather(waiting: list[Any]) -> None:
    await asyncio.gather(*waiting)


def _handler(watcher: Watcher, phase: str, record: Record) -> Handler | None:
    if phase == START:
        return watcher.start
    return watcher.success if record.error is None else watcher.failure


# --- the process's own ---

_all: weakref.WeakSet[Dispatcher] = weakref.WeakSet()
_shared: list[Dispatcher] = []
_sharing = threading.Lock()


def shared() -> Dispatcher:
    """Return the process's dispatcher: observers are called by one thread, whichever client a call went through."""
    with _sharing:
        if not _shared:
            _shared.append(Dispatcher())
        return _shared[0]


def flush_callbacks(timeout: float | None = 30.0) -> bool:
    """Wait until observers have been told of every call that is over, and have sent what they held back.

    Returns whether that was done within `timeout` seconds.
    """
    until = None if timeout is None else time.monotonic() + timeout
    in_time = True
    for dispatcher in [*_all]:
        left = None if until is None else max(0.0, until - time.monotonic())
        in_time = dispatcher.flush(left) and in_time
    return in_time


def _begin_anew() -> None:
    for dispatcher in [*_all]:
        _parents.extend(dispatcher._runners)
        dispatcher._runners.clear()
        dispatcher._begin_anew()


def _close_all(runners: list[asyncio.Runner]) -> None:
    while runners:
        runners.pop().close()


def _leave() -> None:
    """Tell what is queued, at the end of the process; event loops are closed where their thread has nothing to do."""
    if flush_callbacks(LAST_FLUSH):
        for dispatcher in [*_all]:
            _close_all(dispatcher._runners)


#: Event loops of the process that this one was forked from: closing them would close what is the parent's.
_parents: list[asyncio.Runner] = []
atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
