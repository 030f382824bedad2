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
    said = body if isinstance(body, dict) else {}
    name, status = said.get("name"), error.status_code or 500
    changes = _messages(said.get("errors"), status)
    if status == UNPAID:
        return narrow(error, RateLimitError, retryable=False, **changes)
    kind = BY_NAME.get(name) if isinstance(name, str) and status < 500 and status != 429 else None
    return narrow(error, kind or type(error), **changes) if kind or changes else None


def _messages(errors: Any, status: int) -> dict[str, Any]:
    """Return the message where there are several, one a field: core tells the first."""
    if not isinstance(errors, list) or len(errors) < 2:
        return {}
    return {"message": f"HTTP {status}: {'; '.join(map(str, errors))}"}
