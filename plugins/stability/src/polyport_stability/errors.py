"""What Stability's names of errors mean. https://platform.stability.ai/docs/api-reference

An error is `{"id": ..., "name": ..., "errors": [...]}`, of version 1 `{"id": ..., "name": ..., "message": ...}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import narrow
from polyport.errors import APIError, ContentPolicyViolationError, RateLimitError

#: Payment required: no waiting mends it.
UNPAID = 402

BY_NAME: Mapping[str, type[APIError]] = {
    "content_moderation": ContentPolicyViolationError,  # comes with status 403
    "invalid_prompts": ContentPolicyViolationError,  # version 1: "one or more of the prompts contains filtered words"
}


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what Stability's name says it is, with every message; None where it is right already."""
    name = body.get("name") if isinstance(body, dict) else None
    kind = BY_NAME.get(name) if isinstance(name, str) else None
    status = error.status_code or 500
    if status == UNPAID:
        return narrow(error, RateLimitError, retryable=False)
    if kind is None or status >= 500 or status == 429:
        return None
    return narrow(error, kind)
