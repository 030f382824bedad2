"""What performs the effects of flows: blocking, asynchronous, or simulated with a virtual clock."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyport.drivers.aio import AsyncDriver
    from polyport.drivers.sync import SyncDriver


class Drivers:
    """The drivers of one client: one blocking, and one for each event loop that calls it, made on first use."""

    def __init__(self, http: Any, name: str | None, **options: Any) -> None:
        self._http = http
        self._name = name
        self._options = options
        self._lock = threading.Lock()
        self._sync: SyncDriver | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._aio: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDriver] = weakref.WeakKeyDictionary()

    def sync(self) -> SyncDriver:
        """Return the blocking driver. Its connections are closed with the client, or when the process ends."""
        if self._sync is None:
            with self._lock:
                if self._sync is None:
                    self._sync = self._open()
        return self._sync

    def _open(self) -> SyncDriver:
        from polyport import transport
        from polyport.drivers.sync import SyncDriver

        if self._http is None:
            opened = transport.factory(self._name).open(transport.TransportOptions(**self._options))
        else:
            opened = transport.given(self._http)
        driver = SyncDriver(opened)
        self._finalizer = weakref.finalize(self, driver.close)
        return driver

    def running(self) -> AsyncDriver | None:
        """Return the running loop's driver, None before its first use."""
        return self._aio.get(asyncio.get_running_loop())

    async def aio(self) -> AsyncDriver:
        """Return the running loop's driver. Its connections are closed with the client, or when the loop shuts down."""
        loop = asyncio.get_running_loop()
        found = self._aio.get(loop)
        if found is None:
            from polyport import transport
            from polyport.drivers.aio import AsyncDriver

            if self._http is None:
                opened = transport.factory(self._name).open_async(transport.TransportOptions(**self._options))
            else:
                opened = transport.agiven(self._http)
            found = self._aio[loop] = AsyncDriver(opened)
            await found.keeper.keep(self)
        return found

    def close(self) -> None:
        """Close the blocking side, and the connections of loops that are no longer running."""
        if self._finalizer is not None:
            self._finalizer()
        self._sync = self._finalizer = None

    async def aclose(self) -> None:
        """Close both sides; of the asynchronous one, what belongs to the running loop."""
        self.close()
        found = self._aio.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()
