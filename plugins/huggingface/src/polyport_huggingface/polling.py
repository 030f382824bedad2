"""Waiting for what a provider does in its own time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.types.record import Request
from polyport.waiting import growing, wait_for

#: Seconds between questions: the first ones are short, as the fastest models take less than one.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0


def poll(request: Request, question: Callable[[], HttpRequest], done: Callable[[HttpReply], bool]) -> Flow[HttpReply]:
    """Ask until a reply says that it is done, and return that one. Raises Timeout, see `polyport.waiting`."""

    def ask() -> Flow[HttpReply | None]:
        reply: HttpReply = yield question()
        return reply if done(reply) else None

    return (yield from wait_for(ask, request, "The job", chain([0.0], growing(FIRST_PAUSE, LONGEST_PAUSE))))
