"""What one event loop has: its connections, those that are idle, and one timer that watches all of their limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from polyport_reqwest.routes import Route
from polyport_reqwest.talk import FOR_EVER, MOST_IDLE

if TYPE_CHECKING:
    from polyport_reqwest.lines import Line

monotonic = time.monotonic


class Home:
    """The connections of one event loop. Idle ones wait by where they lead; the one used last is taken first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keep_alive: float, *, closed: bool) -> None:
        self.loop, self.keep_alive = loop, keep_alive
        self.lines: set[Line] = set()
        self.closed = closed
        self._idle: dict[str, list[Line]] = {}
        self._due = FOR_EVER
        self._timer: asyncio.TimerHandle | None = None
        self._watch = self._until_the_loop_ends()

    async def keep(self) -> None:
        """Begin: from now on, the connections close with the loop."""
        await anext(self._watch)

    # --- idle connections ---

    def take(self, route: Route) -> Line | None:
        """Return an idle connection that is still open, if there is one."""
        idle = self._idle.get(route.key)
        while idle:
            line = idle.pop()
            if monotonic() - line.since < self.keep_alive and not line.transport.is_closing():
                return line
            line.drop()
        return None

    def give(self, line: Line) -> None:
        """Take a connection back; if there are too many, the oldest makes room."""
        if self.closed:
            return line.drop()
        idle = self._idle.get(line.key)
        if idle is None:
            idle = self._idle[line.key] = []
        idle.append(line)
        due = line.since + self.keep_alive
        if due < self._due:
            self._arm(due)
        return idle.pop(0).drop() if len(idle) > MOST_IDLE else None

    def lost(self, line: Line) -> None:
        """Forget a connection that is closed."""
        self.lines.discard(line)
        if line.talk is None and line in (idle := self._idle.get(line.key, [])):
            idle.remove(line)
        if self.closed and not self.lines:
            self._rest()

    # --- the timer ---

    def watch(self, due: float) -> None:
        """Look at the connections by then."""
        if due < self._due:
            self._arm(due)

    def _arm(self, due: float) -> None:
        self._rest()
        self._due = due
        self._timer = self.loop.call_later(max(due - monotonic(), 0.0), self._look)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, FOR_EVER

    def _look(self) -> None:
        """End what has waited for too long, and set the timer for what will have next: a limit moves with its body."""
        self._timer, self._due, now = None, FOR_EVER, monotonic()
        due = FOR_EVER
        for line in list(self.lines):
            end = line.due()
            if end <= now:
                line.expire()
            elif end < due:
                due = end
        self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        if due < self._due:
            self._arm(max(due, now + 0.001))

    # --- the end ---

    def close(self) -> None:
        """Close the idle connections, and keep none from now on; those in use go on."""
        self.closed = True
        idle, self._idle = self._idle, {}
        for lines in idle.values():
            for line in lines:
                line.drop()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """asyncio shuts generators down before it closes a loop; one that waits for that can clean up."""
        try:
            yield
        finally:
            self.close()
            for line in list(self.lines):
                line.drop()
            await asyncio.sleep(0)  # the loop closes the sockets
            self._rest()
