"""What ElevenLabs' error codes mean. https://elevenlabs.io/docs/eleven-api/resources/errors

An error is `{"detail": {"code": ..., "message": ..., "type": ...}}`; older ones have the code in `status` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import narrow
from polyport.errors import (
    APIError,
    AuthenticationError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

#: Payment required: no waiting mends it.
UNPAID = 402

BY_CODE: Mapping[str, type[APIError]] = {
    "invalid_api_key": AuthenticationError,
    "quota_exceeded": RateLimitError,  # comes with status 401
    "payment_required": RateLimitError,
    "voice_not_found": NotFoundError,
    "max_character_limit_exceeded": ContextWindowExceededError,
    "content_against_policy": ContentPolicyViolationError,  # comes with status 403
    "only_for_creator+": PermissionDeniedError,
    "detected_unusual_activity": PermissionDeniedError,  # a free account behind a proxy; comes with status 401
}
EXHAUSTED = frozenset({"quota_exceeded", "payment_required"})


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what ElevenLabs' code says it is; None where its class is right already."""
    codes = codes_of(body)
    status = error.status_code or 500
    exhausted = status == UNPAID or not EXHAUSTED.isdisjoint(codes)
    kind = RateLimitError if exhausted else next((BY_CODE[code] for code in codes if code in BY_CODE), type(error))
    if status >= 500 or (not exhausted and (status == 429 or kind is type(error))):
        return None
    return narrow(error, kind, retryable=False if exhausted else kind.retryable)


def codes_of(body: Any) -> list[str]:
    """Return the codes of an error body, the present one before the old one."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, dict):
        return []
    return [value for name in ("code", "status") if isinstance(value := detail.get(name), str)]
