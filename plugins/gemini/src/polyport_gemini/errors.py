"""Google's errors: which of core's classes each is. https://ai.google.dev/gemini-api/docs/troubleshooting"""

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
    InvalidResponseError,
    class_for_status,
)

#: https://cloud.google.com/apis/design/errors#handling_errors, for errors that come inside a stream or a batch.
STATUS: dict[str, int] = {
    "CANCELLED": 499, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429, "UNKNOWN": 500, "INTERNAL": 500, "DATA_LOSS": 500, "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
#: gRPC's numbers for the same, which batches and long jobs have.
CODES = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500,
    14: 503, 15: 500, 16: 401,
}  # fmt: skip
#: What a 400 says (lower case) -> the class it is in truth.
PHRASES: tuple[tuple[str, type[APIError]], ...] = (
    ("exceeds the maximum number of tokens", ContextWindowExceededError),
    ("exceeds the maximum context", ContextWindowExceededError),
    ("exceeds the context window", ContextWindowExceededError),
    ("request payload size exceeds", ContextWindowExceededError),
    ("responsible ai", ContentPolicyViolationError),
    ("content policy", ContentPolicyViolationError),
    ("usage guidelines", ContentPolicyViolationError),
    ("blocked by safety", ContentPolicyViolationError),
)
KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the narrower error that Google's message and details tell of; None where core's is right."""
    details = _details(body)
    if error.retry_after is None and (delay := _delay(details)) is not None:
        error.retry_after = delay
    if not isinstance(error, BadRequestError):
        return None
    said = error.message.lower()
    if any(detail.get("reason") in KEY_REASONS for detail in details) or "api key not valid" in said:
        return narrow(error, AuthenticationError, status_code=401)
    kind = next((kind for phrase, kind in PHRASES if phrase in said), None)
    return narrow(error, kind) if kind else None


def _details(body: Any) -> list[dict[str, Any]]:
    whole = body[0] if isinstance(body, list) and body else body
    inner = whole.get("error") if isinstance(whole, dict) else None
    details = inner.get("details") if isinstance(inner, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _delay(details: list[dict[str, Any]]) -> float | None:
    """Return the seconds to wait that a RetryInfo asks for, e.g. "34.07s"."""
    for detail in details:
        try:
            return max(0.0, float(str(detail.get("retryDelay", "")).removesuffix("s")))
        except ValueError:
            continue
    return None


def from_body(body: Any) -> APIError:
    """Return the error for `{"error": {"code", "message", "status"}}` that came without an HTTP status of its own."""
    inner = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(inner, dict):
        inner = {}
    message, code = inner.get("message"), inner.get("code")
    code = CODES.get(code, code) if isinstance(code, int) else None
    status = STATUS.get(str(inner.get("status"))) or (code if code is not None and code >= 300 else 500)
    text = message if isinstance(message, str) and message else str(body)
    error = class_for_status(status)(text, status_code=status, body=body)
    return refine(error, body) or error


def blocked(reason: str, message: str | None, body: Any) -> ContentPolicyViolationError:
    """Return the error for a prompt that Google's filters refused: there is no answer then, and no error status."""
    why = f": {message}" if message else ""
    return ContentPolicyViolationError(
        f"The prompt was blocked ({reason}){why}. Thresholds are safety_settings=[...].", status_code=400, body=body
    )


def misshapen(error: msgspec.ValidationError, body: Any) -> InvalidResponseError:
    """Return the error for a reply whose parts are malformed."""
    return InvalidResponseError(f"The reply is JSON but not of the promised shape: {error}", body=body)
