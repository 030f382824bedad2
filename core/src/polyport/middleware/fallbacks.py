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
    while True:
        try:
            return (yield from proceed(call))
        except APIError as error:
            if not rest or not may_help(error):
                raise
        call = reroute(call, rest.pop(0))


def may_help(error: APIError) -> bool:
    """Whether another model may succeed where this one failed."""
    if isinstance(error, ContextWindowExceededError | ContentPolicyViolationError):
        return True
    return not isinstance(error, BadRequestError | UnprocessableEntityError)
