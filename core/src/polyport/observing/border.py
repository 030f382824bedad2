"""The border to observers: whatever goes wrong in one is counted, said once, and never the call's business."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from polyport.observing.callbacks import Watcher
from polyport.observing.event import Event
from polyport.observing.records import Record, event_of

log = logging.getLogger("polyport.observers")
#: An asynchronous observer that takes longer, in seconds, is cancelled: the others wait for it.
LONGEST = 30.0


def captured(watcher: Watcher) -> Any:
    """Return what an observer captures on the caller's thread; None where it fails."""
    try:
        return watcher.capture() if watcher.capture is not None else None
    except Exception as error:  # noqa: BLE001  the border to a stranger's code: it may raise anything
        failed(watcher, "capture", error)
        return None


def made(record: Record, *, content: bool) -> Event | None:
    """Return the event of a record; None where an answer is of a shape that cannot be read."""
    try:
        return event_of(record, content=content)
    except Exception as error:
        log.error("An event was lost: the answer to %r cannot be read.", record.call, exc_info=error)
        return None


def tell(
    watcher: Watcher, what: str, function: Callable[..., Any], *arguments: Any
) -> Coroutine[Any, Any, None] | None:
    """Call an observer; what is left to await of it is returned."""
    try:
        result = function(*arguments)
    except BaseException as error:  # noqa: BLE001  the border to a stranger's code: it may even call sys.exit()
        failed(watcher, what, error)
        return None
    return _rest(watcher, what, result) if inspect.isawaitable(result) else None


async def _rest(watcher: Watcher, what: str, result: Any) -> None:
    try:
        async with asyncio.timeout(LONGEST):
            await result
    except BaseException as error:  # noqa: BLE001  the border to a stranger's code
        failed(watcher, what, error)


def failed(watcher: Watcher, what: str, error: BaseException) -> None:
    """Count a failure, and say the first one of an observer."""
    watcher.failed += 1
    if watcher.failed == 1:
        log.error(
            "The observer %s raised in %s: %s: %s. Calls go on, it is told of further ones; this is not said again.",
            watcher.name, what, type(error).__name__, error, exc_info=error,
        )  # fmt: skip
