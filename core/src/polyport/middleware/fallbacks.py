"""Falling back: other models to try, in order, when one fails. `fallbacks=[...]` of a call, and a router's.

Only what another model may do better is tried again: a request that is wrong as it stands is wrong everywhere,
unless it is too long or refused by one provider's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

#: Where to go after an error: the same call elsewhere, or None where nothing is left or nothing would help.
Following = Callable[[Call, APIError], Call | None]


def fallbacks(call: Call, proceed: Next, following: Following) -> Flow[Any]:
    """Try the call, then where `following` says. Raises the last error, each chained to the one before."""
    before: APIError | None = None
    while True:
        try:
            return (yield from proceed(call))
        except APIError as error:
            if before is not None:
                _chain(error, before)
            further = following(call, error)
            if further is None:
                raise
            before = error
        call = further


def one_by_one(models: Sequence[str], reroute: Callable[[Call, str], Call]) -> Following:
    """Return the way through a call's own list of models."""
    rest = list(models)
    return lambda call, error: reroute(call, rest.pop(0)) if rest and may_help(error) else None


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
