"""What a cache keeps its entries in: the one small interface that memory, disk, Redis and S3 have in common.

An installed one is an entry point of the group `polyport.caches`: a name, and a function (or class) that is called
with the settings given to `Cache(type=<name>, ...)` and returns a Store.

Keys read `namespace:digest`, values are bytes, times are seconds. Methods are flows, so that a store serves blocking
and asynchronous code alike: one that does I/O yields `Call(blocking, awaitable)`, memory only asks the clock. They may
raise whatever they like: the layer counts it, logs it once, and answers the call without the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from polyport.flow import Flow


class Kept(msgspec.Struct, frozen=True):
    """A value that was found, and how many seconds ago it was put there."""

    value: bytes
    age: float


class Store:
    """The base of every store. Safe to use from several threads and event loops at once."""

    def get(self, key: str) -> Flow[Kept | None]:
        """Return what is kept under a key; None where there is nothing, or its time is over."""
        raise NotImplementedError(f"{type(self).__name__} must implement get()")

    def set(self, key: str, value: bytes, ttl: float | None) -> Flow[None]:
        """Keep a value for `ttl` seconds; None is until there is no room. What cannot be kept is let go of."""
        raise NotImplementedError(f"{type(self).__name__} must implement set()")

    def delete(self, key: str) -> Flow[None]:
        """Forget a key; one that is not there is fine."""
        raise NotImplementedError(f"{type(self).__name__} must implement delete()")

    def clear(self, prefix: str = "") -> Flow[None]:
        """Forget every key that begins with `prefix`."""
        raise NotImplementedError(f"{type(self).__name__} must implement clear()")

    def get_many(self, keys: Sequence[str]) -> Flow[list[Kept | None]]:
        """Return what is kept under each key, in order. Stores with a way to ask once override this."""
        found = []
        for key in keys:
            found.append((yield from self.get(key)))  # noqa: PERF401  a comprehension cannot yield
        return found

    def set_many(self, values: Mapping[str, bytes], ttl: float | None) -> Flow[None]:
        """Keep several values. Stores with a way to do it at once override this."""
        for key, value in values.items():
            yield from self.set(key, value, ttl)

    def close(self) -> None:
        """Let go of files and connections that blocking code opened; closing twice is fine."""

    async def aclose(self) -> None:
        """`close`, and what was opened for the running event loop."""
        self.close()


class VectorStore(Store):
    """A store that also finds the entry whose vector is nearest: what a semantic cache needs.

    Vectors are of length 1, so that similarity is their dot product. A `partition` begins with its namespace, as keys
    do (`namespace:digest`); vectors of different partitions never meet. `clear` forgets vectors as it does entries.
    """

    def nearest(self, partition: str, vector: Sequence[float]) -> Flow[tuple[str, float] | None]:
        """Return (key, similarity) of the nearest vector, None where the partition is empty."""
        raise NotImplementedError(f"{type(self).__name__} must implement nearest()")

    def remember(self, partition: str, key: str, vector: Sequence[float], ttl: float | None) -> Flow[None]:
        """Keep the vector that leads to a key, in place of one that did before."""
        raise NotImplementedError(f"{type(self).__name__} must implement remember()")

    def forget(self, partition: str, key: str) -> Flow[None]:
        """Forget a vector whose entry is gone; one that is not there is fine."""
        raise NotImplementedError(f"{type(self).__name__} must implement forget()")
