"""Anthropic's errors: which of core's classes each is. https://platform.claude.com/docs/en/api/errors"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.border import narrow
from polyport.errors import (
    APIError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    class_for_status,
)

#: An error's type -> the status it goes with, for errors that come inside a stream or a batch.
STATUS: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

#: What a 400 says (lower case) -> the class it is in truth.
PHRASES: tuple[tuple[str, type[APIError]], ...] = (
    ("prompt is too long", ContextWindowExceededError),
    ("exceed context limit", ContextWindowExceededError),
    ("exceeds the context window", ContextWindowExceededError),
    ("exceeds the model's context", ContextWindowExceededError),
    ("content filtering policy", ContentPolicyViolationError),
    ("violates our usage policy", ContentPolicyViolationError),
    ("blocked under anthropic's usage policy", ContentPolicyViolationError),
)

FILE_HINT = (
    " Anthropic gives back only files that its tools made, never uploaded ones: for a batch, upload the lines with "
    "create_file(purpose='batch'), which keeps them on this machine until create_batch sends them."
)


def refine(error: APIError) -> APIError | None:
    """Return the narrower error that Anthropic's message tells of; None where core's is right."""
    if not isinstance(error, BadRequestError):
        return None
    said = error.message.lower()
    if "not downloadable" in said:
        return narrow(error, BadRequestError, message=error.message + FILE_HINT)
    kind = next((kind for phrase, kind in PHRASES if phrase in said), None)
    return narrow(error, kind) if kind else None


def event_error(data: bytes) -> APIError:
    """Return the error that an `error` event describes: overloaded_error is a ServiceUnavailableError, and so on."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        body = data.decode("utf-8", "replace")
    return from_body(body)


def from_body(body: Any) -> APIError:
    """Return the error for `{"type": "error", "error": {"type": ..., "message": ...}}` that came without a status."""
    inner = body.get("error", body) if isinstance(body, dict) else {}
    kind, message = ("", str(body)) if not isinstance(inner, dict) else (inner.get("type", ""), inner.get("message"))
    status = STATUS.get(kind, 500)
    error = class_for_status(status)(
        f"{kind or 'error'}: {message}" if message else str(body),
        status_code=status,
        request_id=body.get("request_id") if isinstance(body, dict) else None,
        body=body,
    )
    return refine(error) or error
