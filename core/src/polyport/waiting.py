"""Waiting for what a provider makes in its own time: with pauses, not for ever, and through passing trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from polyport.errors import APIError, Timeout
from polyport.flow import DEFAULT_TIMEOUT, NOW, Flow, Sleep, TimeoutSpec
from polyport.types.record import Request

R = TypeVar("R")

#: So many questions in a row may fail for a passing reason: the job goes on, and asking for it anew would pay twice.
MOST_FAILURES = 4


def growing(first: float, longest: float, growth: float = 1.4) -> Iterator[float]:
    """Give pauses in seconds without end: `first`, then ever longer ones up to `longest`."""
    pause = first
    while True:
        yield pause
        pause = max(pause, min(pause * growth, longest))


def wait_for(ask: Callable[[], Flow[R | None]], request: Request, what: str, pauses: Iterable[float]) -> Flow[R]:
    """Ask until there is an answer, and return it; before each question there is one of the `pauses`.

    An error that may pass lets the question be asked again, after `retry_after` where that is longer. Raises Timeout
    after the call's `timeout`, 600 seconds if it has none. No error that is raised here is retryable, as what is being
    made goes on.
    """
    start: float = yield NOW
    limit = patience(request)
    failures, at_least = 0, 0.0
    for pause in pauses:
        wait = max(pause, at_least)
        now: float = yield NOW
        if limit is not None and now - start + wait > limit:
            break
        yield Sleep(wait)
        try:
            answer = yield from ask()
            if answer is not None:
                return answer
            failures, at_least = 0, 0.0
        except APIError as error:
            failures += 1
            if not error.retryable or failures >= MOST_FAILURES:
                error.retryable = False  # the job goes on: begun anew, it would be paid for twice
                raise
            at_least = error.retry_after or 0.0
    within = f"within {limit:g} s; pass a longer timeout=..." if limit is not None else "after the last question"
    raise Timeout(f"{what} was not done {within}", retryable=False)


def patience(request: Request) -> float | None:
    """Return how many seconds a call may take as a whole; None is for ever."""
    given = request.options.timeout
    return (DEFAULT_TIMEOUT if given is None else TimeoutSpec.of(given)).total
