"""`fallbacks=[...]` of one call: other models to try, in order, when the first fails.

Only what another model may do better is tried again: a request that is wrong as it stands is wrong everywhere,
unless it is too long or refused by one provider's policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.border import Call, Next
from polyport.errors import (
    APIError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    UnprocessableEntityError,
)
from polyport.flow import Flow


def fallbacks(call: Call, proceed: Next, reroute: Callable[[Call, str], Call]) -> Flow[Any]:
    """Try the call's model, then each of `fallbacks`. Raises the last error, each chained to the one before."""
    rest = list(call.options.fallbacks or [])
    before: APIError | None = None
    while True:
        try:
            return (yield from proceed(call))
        except APIError as error:
            if before is not None:
                _chain(error, before)
            if not rest or not may_help(error):
                raise
            before = error
        call = reroute(call, rest.pop(0))


def _chain(error: BaseException, before: APIError) -> None:
    """Put `before` at the end of what caused `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    error.__cause__ = before


def may_help(error: APIError) -> bool:
    """Whether another model may succeed where this one failed."""
    if isinstance(error, ContextWindowExceededError | ContentPolicyViolationError):
        return True
    return not isinstance(error, BadRequestError | UnprocessableEntityError)
