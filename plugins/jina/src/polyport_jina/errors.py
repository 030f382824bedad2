"""Jina's errors: `{"detail", "code"}` with codes of its own. https://api.jina.ai/openapi.json"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.dialects.openai_errors import codes_of
from polyport.errors import APIError, ContextWindowExceededError, NotFoundError, RateLimitError

BY_CODE: Mapping[str, type[APIError]] = {
    "INPUT_TOKEN_LIMIT_EXCEEDED": ContextWindowExceededError,
    "INPUT_MODEL_NOT_FOUND": NotFoundError,
    "AUTHZ_INSUFFICIENT_BALANCE": RateLimitError,
    "AUTHZ_RESOURCE_LIMIT_EXCEEDED": RateLimitError,
}
#: No waiting mends these.
EXHAUSTED = frozenset({"AUTHZ_INSUFFICIENT_BALANCE", "AUTHZ_RESOURCE_LIMIT_EXCEEDED"})


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the narrower error that a code tells of; None where core's is right."""
    for code in codes_of(body):
        if code in BY_CODE:
            kind = BY_CODE[code]
            return narrow(error, kind, retryable=False if code in EXHAUSTED else kind.retryable)
    return openai.refine(error, body)
