"""Connections to one Redis: a blocking client, and one for each event loop, made on first use.

https://redis.readthedocs.io
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

#: A pooled connection that the server has closed meanwhile is opened anew, once. No server that is away is waited for.
RETRIES = 1


class Connections:
    """Opens clients by settings. `timeout` is in seconds; `url` stands for host, port, db and ssl."""

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
    ) -> None:
        self._url = url
        self._options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        if username is not None:
            self._options["username"] = username
        if password is not None:
            self._options["password"] = password
        if url is None:
            self._options.update(host=host, port=port, db=db, ssl=ssl)
        self._lock = threading.Lock()
        self._blocking: redis.Redis | None = None
        self._loops: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[redis.asyncio.Redis, AsyncGenerator[None, None]]
        ] = WeakKeyDictionary()

    def client(self) -> Any:
        """Return the blocking client, a `redis.Redis`; threads share it. (Half of its methods have no types.)"""
        with self._lock:
            if self._blocking is None:
                options = {**self._options, "retry": Retry(NoBackoff(), RETRIES)}
                self._blocking = redis.Redis.from_url(self._url, **options) if self._url else redis.Redis(**options)
            return self._blocking

    async def aclient(self) -> Any:
        """Return the running loop's client, a `redis.asyncio.Redis`. It is closed when the loop shuts down."""
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            options = {**self._options, "retry": AsyncRetry(NoBackoff(), RETRIES)}
            made = redis.asyncio.Redis.from_url(self._url, **options) if self._url else redis.asyncio.Redis(**options)
            found = self._loops[loop] = made, _until_shutdown(made)
            await anext(found[1])
        return found[0]

    def close(self) -> None:
        """Close the blocking side."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()

    async def aclose(self) -> None:
        """Close the blocking side, and the running loop's connections."""
        self.close()
        found = self._loops.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found[1].aclose()


async def _until_shutdown(client: redis.asyncio.Redis) -> AsyncGenerator[None, None]:
    """Close a client when its loop is shut down: asyncio.run ends generators before it closes the loop."""
    try:
        yield
    finally:
        await client.aclose()
