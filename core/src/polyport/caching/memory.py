"""Memory as a store: bounded by bytes and by entries, least recently used out first, times by the driver's clock."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from polyport.caching.store import Kept, VectorStore
from polyport.caching.vectors import Nearest
from polyport.flow import NOW, Call, Flow

#: What an entry takes beside its value: the key's text, the tuple, its place in the order.
OVERHEAD = 300
NEVER = float("inf")


class Memory(VectorStore):
    """Keeps entries in this process. Values are bytes, so nobody can change what another will be given."""

    def __init__(
        self, *, max_bytes: int = 64 * 1024 * 1024, max_entries: int = 10_000, max_vectors: int = 10_000
    ) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.bytes = 0
        self._entries: OrderedDict[str, tuple[bytes, float, float]] = OrderedDict()  # key -> value, made, expires
        self._vectors = Nearest(max_vectors)
        self._lock = threading.Lock()
        self._comparing = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Flow[Kept | None]:
        """Return what is kept under a key, which is now the most recently used."""
        now: float = yield NOW
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            value, made, expires = found
            if now >= expires:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
        return Kept(value, now - made)

    def set(self, key: str, value: bytes, ttl: float | None) -> Flow[None]:
        """Keep a value; what was least recently used makes room. One that is larger than all room is not kept."""
        now: float = yield NOW
        with self._lock:
            if key in self._entries:
                self._drop(key)
            size = len(value) + OVERHEAD
            if size > self.max_bytes or self.max_entries < 1:
                return
            self._entries[key] = (value, now, NEVER if ttl is None else now + ttl)
            self.bytes += size
            while self.bytes > self.max_bytes or len(self._entries) > self.max_entries:
                self._drop(next(iter(self._entries)))

    def delete(self, key: str) -> Flow[None]:
        """Forget a key."""
        yield from ()
        with self._lock:
            if key in self._entries:
                self._drop(key)

    def clear(self, prefix: str = "") -> Flow[None]:
        """Forget every key that begins with `prefix`, and every vector of such a partition."""
        yield from ()
        with self._lock:
            for key in [key for key in self._entries if key.startswith(prefix)]:
                self._drop(key)
        with self._comparing:
            self._vectors.clear(prefix)

    def nearest(self, partition: str, vector: Sequence[float]) -> Flow[tuple[str, float] | None]:
        """Return (key, similarity) of the nearest vector. Comparing takes time: on an event loop, a thread does it."""
        return (yield Call(lambda: self._nearest(partition, vector)))  # type: ignore[no-any-return]

    def remember(self, partition: str, key: str, vector: Sequence[float], ttl: float | None) -> Flow[None]:
        """Keep a vector; its entry's time is what counts, so its own is not kept."""
        yield from ()
        with self._comparing:
            self._vectors.add(partition, key, vector)

    def forget(self, partition: str, key: str) -> Flow[None]:
        """Forget a vector."""
        yield from ()
        with self._comparing:
            self._vectors.remove(partition, key)

    def _nearest(self, partition: str, vector: Sequence[float]) -> tuple[str, float] | None:
        with self._comparing:
            return self._vectors.find(partition, vector)

    def _drop(self, key: str) -> None:
        self.bytes -= len(self._entries.pop(key)[0]) + OVERHEAD
