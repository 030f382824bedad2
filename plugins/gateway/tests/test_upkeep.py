"""Jobs that run now and then: one that fails goes on, and all end with the gateway."""

from __future__ import annotations

import asyncio
import logging

import pytest

from polyport.errors import ServiceUnavailableError
from polyport_gateway.upkeep import Upkeep


def test_a_job_that_fails_is_told_of_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away is waited for; a fault of ours is in the log, and ends neither it nor the others."""
    done: list[str] = []

    async def failing() -> None:
        done.append("failing")
        if len(done) == 1:
            raise ServiceUnavailableError("away")
        raise ValueError("a fault")

    async def other() -> None:
        done.append("other")

    async def run() -> None:
        upkeep = Upkeep()
        upkeep.start((0.001, failing), (0.001, other))
        while done.count("failing") < 4 or done.count("other") < 4:
            await asyncio.sleep(0.001)
        await upkeep.aclose()
        count = len(done)
        await asyncio.sleep(0.02)
        assert len(done) == count

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(run(), 30))
    assert "upkeep failed" in caplog.text
    assert "a fault" in caplog.text
