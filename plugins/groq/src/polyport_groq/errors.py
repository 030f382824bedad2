"""Groq's errors. https://console.groq.com/docs/errors"""

from __future__ import annotations

from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.errors import APIError, ServiceUnavailableError

#: "Flex tier capacity exceeded": nothing is wrong with the request, and it may be sent again.
FLEX_IS_FULL = 498


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what its status or code says it is; None where its class is right already."""
    if error.status_code == FLEX_IS_FULL:
        return narrow(error, ServiceUnavailableError, retryable=True)
    return openai.refine(error, body)
