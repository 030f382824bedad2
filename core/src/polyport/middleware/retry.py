"""The attempt engine: one place that decides whether to try again, when, and until where a stream can.

Only what can succeed on retry is retried (`error.retryable`: connections, timeouts, 408, 409, 429, 5xx).
`Retry-After` is obeyed; without it the waits are exponential with jitter. A stream commits at its first content
chunk: an error before it is retried, an error after it is raised to the reader.
"""

from __future__ import annotations

from random import Random
from typing import Any

from polyport.border import Call, Next
from polyport.errors import APIError
from polyport.flow import Flow, Sleep, Streaming

DEFAULT_RETRIES = 2
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
#: A provider that asks for a longer wait than this is better reported (or fallen back from) than waited for.
LONGEST_RETRY_AFTER = 120.0


class Rules:
    """What decides whether a failed attempt is followed by another, and after what pause. A router has its own."""

    def retries(self, call: Call, error: APIError) -> int:
        """Return how many attempts may follow the first, for an error like this one."""
        if not error.retryable:
            return 0
        return DEFAULT_RETRIES if call.options.num_retries is None else call.options.num_retries

    def pause(self, call: Call, error: APIError, attempt: int) -> float:
        """Return the seconds to wait after the attempt-th failure, from 0."""
        return wait(attempt, error.retry_after, call.random)


RULES = Rules()


def retry(call: Call, proceed: Next, rules: Rules = RULES) -> Flow[Any]:
    """Run the call until it succeeds, cannot succeed, or its retries are used up."""
    attempt, meta = 0, call.meta
    while True:
        meta.attempts += 1
        meta.request_id = None
        try:
            result = yield from proceed(call)
            if isinstance(result, Streaming):
                yield from commit(result)
            return result
        except APIError as error:
            if attempt >= rules.retries(call, error):
                raise
            pause = rules.pause(call, error, attempt)
            if pause > LONGEST_RETRY_AFTER:
                raise
        attempt += 1
        if pause:
            yield Sleep(pause)


def commit(stream: Streaming[Any]) -> Flow[None]:
    """Read a stream up to its first content chunk, so that errors before it surface here."""
    try:
        yield from stream.prime(is_content)
    except BaseException as error:
        yield from stream.end(error)
        raise


def is_content(chunk: Any) -> bool:
    """Whether a chunk is something the reader waited for; chunks that cannot tell are."""
    tell = getattr(chunk, "is_content", None)
    return True if tell is None else bool(tell())


def wait(attempt: int, retry_after: float | None, random: Random) -> float:
    """Return the seconds to wait after the attempt-th failure (from 0): what was asked for, or 0.5, 1, 2 ... 8.

    The jitter takes up to half off, so that clients that failed together do not come back together.
    """
    if retry_after is not None:
        return retry_after
    return min(FIRST_WAIT * 2.0**attempt, LONGEST_WAIT) * (1 - random.random() / 2)
