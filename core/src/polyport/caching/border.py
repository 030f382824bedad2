"""The border to a store: whatever goes wrong there is counted, said once, and never the call's business."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TypeVar

from polyport.caching.store import Kept, Store
from polyport.flow import NOW, Flow

T = TypeVar("T")
D = TypeVar("D")
log = logging.getLogger("polyport.cache")
#: What fails is left alone for so many seconds, twice as long each time it fails again, and at most so long.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
#: How much of an error's first line is logged.
SHOWN = 300


class Counts:
    """What a cache did. `saved` is in USD: what the answers that it gave had cost when they were asked for."""

    NAMES = ("hits", "misses", "stored", "not_stored", "errors", "skipped", "unreadable", "waited", "similar")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(self.NAMES, 0)
        self._saved = 0.0

    def add(self, name: str, number: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._counts[name] += number

    def hit(self, cost: float | None) -> None:
        """Count an answer from the cache, and what it had cost."""
        with self._lock:
            self._counts["hits"] += 1
            self._saved += cost or 0.0

    def read(self) -> dict[str, float]:
        """Return every count, and `saved`."""
        with self._lock:
            return {**self._counts, "saved": self._saved}


class Border:
    """Runs flows that may fail. After a failure they are left alone for a while, so that they cost calls no time."""

    def __init__(self, name: str, counts: Counts) -> None:
        self.name = name
        self.counts = counts
        self._away = False
        self._pause = FIRST_PAUSE
        self._until = 0.0

    def run(self, flow: Flow[T], instead: D) -> Flow[T | D]:
        """Return what a flow returns; `instead` where it fails, or such flows are being left alone."""
        if self._away and (yield NOW) < self._until:
            flow.close()
            self.counts.add("skipped")
            return instead
        try:
            result = yield from flow
        except Exception as error:  # noqa: BLE001  the border to a stranger's code: it may raise anything
            self._failed(error, (yield NOW))
            return instead
        if self._away:
            self._away = False
            log.warning("The %s is back.", self.name)
        return result

    def _failed(self, error: Exception, now: float) -> None:
        self.counts.add("errors")
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if self._away else FIRST_PAUSE
        self._until = now + self._pause
        if not self._away:
            self._away = True
            log.warning(
                "The %s fails (%s: %s). Calls are answered without it until it is back.",
                self.name,
                type(error).__name__,
                str(error).partition("\n")[0][:SHOWN],
            )


class Shelf:
    """A cache's store, behind its border: what is not there, too old, or cannot be reached is not found."""

    def __init__(self, name: str, store: Store, counts: Counts) -> None:
        self.store = store
        self.counts = counts
        self.name = f"{name} cache"
        self._border = Border(self.name, counts)
        self._said_unreadable = False

    def run(self, flow: Flow[T], instead: D) -> Flow[T | D]:
        """Run another flow of the store."""
        return self._border.run(flow, instead)

    def get(self, key: str, max_age: float | None) -> Flow[bytes | None]:
        """Return a value that is at most `max_age` seconds old."""
        return _young(max_age, (yield from self._border.run(self.store.get(key), None)))

    def get_many(self, keys: Sequence[str], max_age: float | None) -> Flow[list[bytes | None]]:
        """Return the values of several keys, in order."""
        nothing: list[Kept | None] = [None] * len(keys)
        return [_young(max_age, kept) for kept in (yield from self._border.run(self.store.get_many(keys), nothing))]

    def put(self, values: Mapping[str, bytes], ttl: float | None) -> Flow[bool]:
        """Keep values, and return whether that was done."""
        done: bool = yield from self._border.run(self._put(values, ttl), False)
        if done:
            self.counts.add("stored", len(values))
        return done

    def _put(self, values: Mapping[str, bytes], ttl: float | None) -> Flow[bool]:
        if len(values) == 1:
            ((key, value),) = values.items()
            yield from self.store.set(key, value, ttl)
        else:
            yield from self.store.set_many(values, ttl)
        return True

    def unreadable(self, why: object) -> None:
        """Count an entry that cannot be read: torn, or written by another version."""
        self.counts.add("unreadable")
        if not self._said_unreadable:
            self._said_unreadable = True
            log.warning("The %s holds what cannot be read (%s). Such entries are asked for anew.", self.name, why)


def _young(max_age: float | None, kept: Kept | None) -> bytes | None:
    return None if kept is None or (max_age is not None and kept.age > max_age) else kept.value
