"""What was asked and answered, kept beside the ledger where the operator says so (`store_prompts`), and not otherwise.

An observer of core's makes it: keys are taken out, and what guardrails mask for the logs, or withhold, is masked or
missing here as well. It waits in memory and is written every second: a kill may take the last of it, never of the
ledger.
"""

from __future__ import annotations

import time
from collections import deque
from contextvars import ContextVar

import msgspec

from polyport.observing.event import Event, Observer
from polyport_gateway.lines import clean
from polyport_gateway.store import Store, tables

#: The request that is being answered, where its prompt is to be kept.
CURRENT: ContextVar[str] = ContextVar("polyport_gateway_request", default="")
#: How many wait to be written at most, and how many characters are kept of each.
WAITING, LONGEST = 1000, 200_000


class Prompts(Observer):
    """Takes note of prompts and answers until they are written."""

    content = True

    def __init__(self) -> None:
        self._waiting: deque[dict[str, object]] = deque(maxlen=WAITING)

    def capture(self) -> str:
        """Return the request that a call belongs to."""
        return CURRENT.get()

    def on_success(self, event: Event) -> None:
        """Keep what was asked and answered."""
        if event.captured:
            asked, answer = _text(event.request), _text(event.response)
            self._waiting.append({"id": event.captured, "at": time.time(), "asked": asked, "answer": answer})

    def on_failure(self, event: Event) -> None:
        """Keep what was asked."""
        self.on_success(event)

    async def write(self, store: Store) -> int:
        """Write what waits. Raises ServiceUnavailableError, and then it waits on."""
        found = [self._waiting.popleft() for _ in range(min(len(self._waiting), 100))]
        if not found:
            return 0
        try:
            async with store.transaction() as connection:
                insert = store.insert(tables.prompts).on_conflict_do_nothing(index_elements=["id"])
                await connection.execute(insert, found)
        except BaseException:
            self._waiting.extendleft(reversed(found))
            raise
        return len(found)


def _text(value: object) -> str:
    return clean(msgspec.json.encode(value, enc_hook=str).decode(), LONGEST) if value is not None else ""
