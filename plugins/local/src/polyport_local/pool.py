"""What is loaded once per process and shared: each entry lives from the first user to the last."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar


class Closable(Protocol):
    """Something that takes memory until it is closed."""

    def close(self) -> None:
        """Give it back."""


C = TypeVar("C", bound=Closable)


class Pool:
    """Entries by key, counted. The last `release` closes an entry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, tuple[Any, int]] = {}

    def acquire(self, key: Hashable, make: Callable[[], C]) -> C:
        """Return the entry, made if there is none. `make` should be quick: the loading itself is for the first use."""
        with self._lock:
            entry, users = self._entries.get(key) or (make(), 0)
            self._entries[key] = entry, users + 1
            found: C = entry
            return found

    def release(self, key: Hashable) -> None:
        """Let go of an entry."""
        with self._lock:
            entry, users = self._entries.pop(key)
            if users > 1:
                self._entries[key] = entry, users - 1
                return
        entry.close()

    def clear(self) -> None:
        """Close every entry, whoever uses it."""
        while self._entries:
            self._entries.popitem()[1][0].close()


POOL = Pool()
# Engines have threads of their own, which must be gone before the interpreter is.
atexit.register(POOL.clear)
