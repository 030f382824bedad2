"""What a flow of the gateway has done on the event loop: the accounts are asked there, and not by flows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from polyport.flow import Call


def awaiting(step: Callable[[], Awaitable[Any]]) -> Call:
    """Return the effect that waits for a step, and is what it returns."""
    return Call(_never, step)


def _never() -> None:
    raise RuntimeError("the gateway's flows are asynchronous")
