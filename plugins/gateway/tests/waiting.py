"""Waiting for a condition, never for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from polyport_gateway.gate import GateError


def until(holds: Callable[[], Any], what: str, within: float = 60.0) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} within {within} s")


async def until_refused(call: Callable[[], Awaitable[Any]], within: float = 1.0) -> GateError:
    """Call until it is refused, and return how: no call is let in that begins later than so many seconds from now."""
    start = time.monotonic()
    while True:
        begun = time.monotonic() - start
        try:
            await call()
        except GateError as error:
            return error
        assert begun < within
        await asyncio.sleep(0.02)
