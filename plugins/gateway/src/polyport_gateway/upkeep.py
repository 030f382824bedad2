"""What is done now and then, beside the requests. A job that fails is tried again, and nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from polyport.errors import ServiceUnavailableError

log = logging.getLogger("polyport.gateway.upkeep")
#: Seconds after which a job that failed is tried again, at least: each time is a traceback in the log.
AGAIN = 1.0

Job = Callable[[], Awaitable[object]]


class Upkeep:
    """Runs jobs, each every so many seconds, while it is open. One that finds the database away tries again.

    A job that fails is told of in the log, and goes on: nobody else waits for it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, *jobs: tuple[float, Job]) -> None:
        """Begin."""
        for every, job in jobs:
            self._run(every, job)

    def _run(self, every: float, job: Job, wait: float = 0.0) -> None:
        task = asyncio.create_task(_repeat(every, job, wait), name="polyport-upkeep")
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            if done in self._tasks and not done.cancelled():
                self._tasks.discard(done)
                log.error("upkeep failed, and is tried again", exc_info=done.exception())
                self._run(every, job, max(every, AGAIN))

        task.add_done_callback(over)

    async def aclose(self) -> None:
        """End."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(every: float, job: Job, wait: float) -> None:
    await asyncio.sleep(wait)
    while True:
        try:
            await job()
        except ServiceUnavailableError as error:
            log.debug("put off: %s", error)
        await asyncio.sleep(every)
