"""Cohere's errors: which of core's classes each is. https://docs.cohere.com/reference/errors"""

from __future__ import annotations

import re
from typing import Any

from polyport.border import message_of, narrow
from polyport.errors import (
    APIError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
    UnprocessableEntityError,
)
from polyport.flow import HttpReply

#: Statuses that mean something of Cohere's own: a deny-listed token in the request or the reply, and a request that was
#: cancelled on the way, which may be sent again. https://docs.cohere.com/reference/chat
BY_STATUS: dict[int, type[APIError]] = {
    402: RateLimitError,
    498: ContentPolicyViolationError,
    499: ServiceUnavailableError,
}
#: `error_type`, or the reason why an answer ended -> what it is. Not every reply has one.
BY_TYPE: dict[str, type[APIError]] = {
    "INVALID_TOOL_GENERATION": UnprocessableEntityError,
    "ERROR_TOXIC": ContentPolicyViolationError,
    "ERROR_LIMIT": ContextWindowExceededError,
    "TIMEOUT": Timeout,
}
#: "size limit exceeded by 11326 tokens", "total number of tokens in the prompt cannot exceed 4081". What is said of
#: `max_tokens` is not about the context.
TOO_LONG = re.compile(r"^too many tokens: (?!max tokens must)", re.IGNORECASE)
#: No waiting mends these: a payment that is missing, the calls of a whole month used up.
EXHAUSTED = re.compile(r"/ month|per-month", re.IGNORECASE)
UNPAID = 402


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the narrower error that status, type or words tell of; None where core's is right."""
    kind = BY_STATUS.get(error.status_code or 0) or _by_type(body, type(error))
    if isinstance(error, BadRequestError) and TOO_LONG.search(error.message):
        kind = ContextWindowExceededError
    hopeless = error.status_code == UNPAID or (
        isinstance(error, RateLimitError) and EXHAUSTED.search(error.message) is not None
    )
    if kind is type(error) and not hopeless:
        return None
    return narrow(error, kind, retryable=False if hopeless else kind.retryable)


def _by_type(body: Any, status: type[APIError]) -> type[APIError]:
    """Return what an `error_type` says, where it tells more than the status."""
    found = body.get("error_type") if isinstance(body, dict) else None
    kind = BY_TYPE.get(found, status) if isinstance(found, str) else status
    return kind if status is BadRequestError or issubclass(kind, status) else status


def ended(reason: str, told: str | None, error_type: str | None, body: Any) -> APIError:
    """Return the error for an answer that ended with one: `finish_reason` ERROR or TIMEOUT, and what is told of it."""
    kind = BY_TYPE.get(error_type or reason, InternalServerError)
    message = told or f"Cohere ended its answer with {reason}; asking again may help."
    return kind(f"{error_type}: {message}" if error_type else message, status_code=kind.status_code, body=body)


def event_error(body: Any) -> APIError:
    """Return the error for an event that is no event of a chat, but says what went wrong."""
    error = InternalServerError(message_of(body, HttpReply(status=500)), status_code=500, body=body)
    return refine(error, body) or error
