"""ModelsLab's errors, most of which come with status 200: `{"status": "error", "message": ...}`.

https://docs.modelslab.com/error-codes. What kind an error is, only its words say.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.border import narrow
from polyport.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)

#: Words of a message (lower case) -> the status it would have, and its class; the first that is in it counts.
WORDS: tuple[tuple[str, int, type[APIError]], ...] = (
    ("invalid api key", 401, AuthenticationError),
    ("api key is required", 401, AuthenticationError),
    ("rate limit", 429, RateLimitError),
    ("too many requests", 429, RateLimitError),
    ("queued requests", 429, RateLimitError),
    ("insufficient", 402, PermissionDeniedError),
    ("out of credit", 402, PermissionDeniedError),
    ("subscription", 403, PermissionDeniedError),
    ("upgrade your plan", 403, PermissionDeniedError),
    ("nsfw", 400, ContentPolicyViolationError),
    ("content policy", 400, ContentPolicyViolationError),
    ("safety filter", 400, ContentPolicyViolationError),
    ("unsafe", 400, ContentPolicyViolationError),
    ("flagged", 400, ContentPolicyViolationError),
    ("inappropriate", 400, ContentPolicyViolationError),
    ("banned word", 400, ContentPolicyViolationError),
    ("max len", 400, ContextWindowExceededError),
    ("is too long", 400, ContextWindowExceededError),
    ("may not be greater than", 400, ContextWindowExceededError),
    ("not found", 404, NotFoundError),
    ("internal server error", 500, InternalServerError),
    ("unavailable", 503, ServiceUnavailableError),
    ("try again", 503, ServiceUnavailableError),
)
#: What an error with a status of its own may still turn out to be.
NARROWER = (ContentPolicyViolationError, ContextWindowExceededError)


def refine(error: APIError) -> APIError | None:
    """Return the error that the words of a refused request mean; None where its status says enough."""
    body = error.body if isinstance(error.body, dict) else {}
    said = said_in(body)
    if said:
        error.message, error.args = said, (said,)
    if error.retry_after is None:
        error.retry_after = seconds_in(body)
    if error.status_code == 402:
        return narrow(error, PermissionDeniedError)
    kind = kind_of(error.message)[1]
    return narrow(error, kind) if isinstance(error, BadRequestError) and issubclass(kind, NARROWER) else None


def from_body(body: dict[str, Any]) -> APIError:
    """Return the error that a body with the status "error" or "failed" means."""
    said = said_in(body) or "ModelsLab failed, and does not say why"
    status, kind = kind_of(said)
    return kind(said, status_code=status, body=body, retry_after=seconds_in(body))


def kind_of(said: str) -> tuple[int, type[APIError]]:
    """Return the status and class that a message means; what nothing fits is a wrong request."""
    lower = said.lower()
    return next(((status, kind) for words, status, kind in WORDS if words in lower), (400, BadRequestError))


def said_in(body: dict[str, Any]) -> str:
    """Return the message of an error, under either spelling; of a form's fields all they say."""
    said = body.get("message") or body.get("messege") or body.get("error_log") or ""
    if isinstance(said, str):
        return said
    return msgspec.json.encode(said).decode()


def seconds_in(body: dict[str, Any]) -> float | None:
    """Return the seconds to wait that a body tells."""
    value = body.get("retry_after")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
