"""What the servers behind Hugging Face say went wrong: the router, the Hub, TGI, TEI, and the providers.

https://huggingface.co/docs/text-embeddings-inference/quick_tour,
https://huggingface.co/docs/text-generation-inference/reference/api_reference
"""

from __future__ import annotations

import re
from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.errors import APIError, ContentPolicyViolationError, ContextWindowExceededError, ServiceUnavailableError

#: TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096"; TEI: "`inputs` must have less than 512 tokens".
TOO_LONG = re.compile(
    r"`inputs` (tokens|must have less than)|must have less than \d+ tokens|`inputs` tokens \+ `max_new_tokens`",
    re.IGNORECASE,
)
#: The statuses that say so.
REFUSED = frozenset({400, 413, 422})


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what the words say it is; None where its class is right already."""
    if error.status_code in REFUSED:
        if TOO_LONG.search(error.message):
            return narrow(error, ContextWindowExceededError)
        if "content_policy_violation" in _kinds(body):
            return narrow(error, ContentPolicyViolationError)
    wait = body.get("estimated_time") if isinstance(body, dict) else None
    if isinstance(error, ServiceUnavailableError) and isinstance(wait, int | float) and error.retry_after is None:
        return narrow(error, type(error), retry_after=float(wait))  # the model is being loaded
    return openai.refine(error, body)


def _kinds(body: Any) -> list[str]:
    """Return the types in fal's list of what is wrong. https://docs.fal.ai/errors"""
    detail = body.get("detail") if isinstance(body, dict) else None
    return [str(item.get("type")) for item in detail if isinstance(item, dict)] if isinstance(detail, list) else []
