"""Waiting for what a provider does in its own time."""

from __future__ import annotations

from collections.abc import Callable

from polyport.errors import Timeout
from polyport.flow import DEFAULT_TIMEOUT, NOW, Flow, HttpReply, HttpRequest, Sleep, TimeoutSpec
from polyport.types.record import Request

#: Seconds between questions: the first ones are short, as the fastest models take less than one.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.5, 1.4, 5.0


def poll(request: Request, question: Callable[[], HttpRequest], done: Callable[[HttpReply], bool]) -> Flow[HttpReply]:
    """Ask until a reply says that it is done, and return that one.

    Raises Timeout after the call's `timeout`, 600 seconds if it has none.
    """
    start: float = yield NOW
    given = request.options.timeout
    limit = (DEFAULT_TIMEOUT if given is None else TimeoutSpec.of(given)).total
    pause = FIRST_PAUSE
    while True:
        reply: HttpReply = yield question()
        if done(reply):
            return reply
        now: float = yield NOW
        if limit is not None and now - start + pause > limit:
            raise Timeout(f"The job was not done within {limit:g} s; pass a longer timeout=...", retryable=False)
        yield Sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
