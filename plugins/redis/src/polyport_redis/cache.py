"""The cache's store: entries as strings with a time to live, vectors in vector sets. https://redis.io/docs/latest/commands"""

from __future__ import annotations

import logging
import re
import struct
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from polyport.caching import Kept, VectorStore
from polyport.flow import Call, Flow
from polyport_redis.connections import Connections

log = logging.getLogger("polyport.cache")
#: An entry begins with when it was made, in seconds since 1970 by the clock of who made it.
MADE = struct.Struct("<d")
#: How many keys are looked at, or deleted, in one command.
AT_ONCE = 500
_WILD = re.compile(rb"[*?\[\]^\\-]")


class RedisCache(VectorStore):
    """Keeps entries in Redis; how many is for Redis to say (`maxmemory`). Settings: see the README."""

    def __init__(
        self,
        *,
        url: str | None = None,
        host: str = "127.0.0.1",
        port: int = 6379,
        db: int = 0,
        ssl: bool = False,
        username: str | None = None,
        password: str | None = None,
        timeout: float = 2.0,
        prefix: str = "polyport",
        max_vectors: int = 10_000,
    ) -> None:
        self.connections = Connections(
            url=url, host=host, port=port, db=db, ssl=ssl, username=username, password=password, timeout=timeout
        )
        self.max_vectors = max_vectors
        self._entries = f"{prefix}:cache:".encode()
        self._vectors = f"{prefix}:vectors:".encode()
        self._lacks_vectors = False

    # --- entries ---

    def get(self, key: str) -> Flow[Kept | None]:
        """Return what is kept under a key."""
        return _kept((yield from self._ask("GET", self._entry(key))))

    def get_many(self, keys: Sequence[str]) -> Flow[list[Kept | None]]:
        """Return what is kept under each key, in one round trip."""
        return [_kept(value) for value in (yield from self._ask("MGET", *map(self._entry, keys)))]

    def set(self, key: str, value: bytes, ttl: float | None) -> Flow[None]:
        """Keep a value; Redis itself forgets it in time."""
        yield from self._ask(*self._setting(key, value, ttl))

    def set_many(self, values: Mapping[str, bytes], ttl: float | None) -> Flow[None]:
        """Keep several values, in one round trip."""
        yield from self._ask_all([self._setting(key, value, ttl) for key, value in values.items()])

    def delete(self, key: str) -> Flow[None]:
        """Forget a key."""
        yield from self._ask("UNLINK", self._entry(key))

    def clear(self, prefix: str = "") -> Flow[None]:
        """Forget every key that begins with `prefix`. Redis goes on serving others meanwhile."""
        for root in (self._entries, self._vectors):
            pattern = _WILD.sub(rb"\\\g<0>", root + prefix.encode()) + b"*"
            cursor: Any = 0
            while True:
                cursor, found = yield from self._ask("SCAN", cursor, "MATCH", pattern, "COUNT", AT_ONCE)
                if found:
                    yield from self._ask("UNLINK", *found)
                if int(cursor) == 0:
                    break

    # --- vectors ---

    def nearest(self, partition: str, vector: Sequence[float]) -> Flow[tuple[str, float] | None]:
        """Return (key, cosine similarity) of the nearest vector; None also where this Redis knows no vectors.

        https://redis.io/docs/latest/commands/vsim/: its score is 1 for the same direction, 0 for the opposite one.
        """
        name = self._vectors + partition.encode()
        found = yield from self._with_vectors(
            ["VSIM", name, "FP32", _floats(vector), "WITHSCORES", "COUNT", 1, "EPSILON", 2]
        )
        pairs = [*found.items()] if isinstance(found, dict) else [*zip(found[::2], found[1::2], strict=True)]
        return (pairs[0][0].decode(), 2 * float(pairs[0][1]) - 1) if pairs else None

    def remember(self, partition: str, key: str, vector: Sequence[float], ttl: float | None) -> Flow[None]:
        """Keep a vector. A partition lives as long as its youngest entry; where it is full, some vector goes."""
        name = self._vectors + partition.encode()
        yield from self._with_vectors(["VADD", name, "FP32", _floats(vector), key, "NOQUANT"])
        if self._lacks_vectors:
            return
        yield from self._ask(*(["PERSIST", name] if ttl is None else ["PEXPIRE", name, _milliseconds(ttl)]))
        over = (yield from self._ask("VCARD", name)) - self.max_vectors
        if over > 0:
            gone = yield from self._ask("VRANDMEMBER", name, over)
            yield from self._ask_all([["VREM", name, one] for one in gone])

    def forget(self, partition: str, key: str) -> Flow[None]:
        """Forget a vector."""
        yield from self._with_vectors(["VREM", self._vectors + partition.encode(), key])

    def _with_vectors(self, command: list[Any]) -> Flow[Any]:
        """Give a command of vector sets to a Redis that knows them. One that does not is said once."""
        if self._lacks_vectors:
            return []
        try:
            return (yield from self._ask(*command))
        except ResponseError as error:
            if "unknown command" not in str(error):
                raise
            self._lacks_vectors = True
            log.warning("This Redis has no vector sets (Redis 8 has): answers are found literally, not by likeness.")
            return []

    # --- commands ---

    def close(self) -> None:
        """Close the connections of blocking code."""
        self.connections.close()

    async def aclose(self) -> None:
        """Close those, and the running event loop's."""
        await self.connections.aclose()

    def _entry(self, key: str) -> bytes:
        return self._entries + key.encode()

    def _setting(self, key: str, value: bytes, ttl: float | None) -> list[Any]:
        command: list[Any] = ["SET", self._entry(key), MADE.pack(time.time()) + value]
        return command if ttl is None else [*command, "PX", _milliseconds(ttl)]

    def _ask(self, *command: Any) -> Flow[Any]:
        connections = self.connections

        async def ask() -> Any:
            return await (await connections.aclient()).execute_command(*command)

        return (yield Call(lambda: connections.client().execute_command(*command), ask))

    def _ask_all(self, commands: Sequence[Sequence[Any]]) -> Flow[Any]:
        connections = self.connections

        def ask() -> Any:
            with connections.client().pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return pipeline.execute()

        async def aask() -> Any:
            async with (await connections.aclient()).pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

        return (yield Call(ask, aask))


def _kept(value: bytes | None) -> Kept | None:
    if value is None or len(value) < MADE.size:
        return None
    return Kept(value[MADE.size :], max(0.0, time.time() - MADE.unpack_from(value)[0]))


def _milliseconds(ttl: float) -> int:
    return max(1, int(ttl * 1000))


def _floats(vector: Sequence[float]) -> bytes:
    return array("f", vector).tobytes()
