"""DeepSeek's errors. https://api-docs.deepseek.com/quick_start/error_codes"""

from __future__ import annotations

from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.errors import APIError, BadRequestError, ContentPolicyViolationError, NotFoundError

#: What a 400 says (lower case) -> what it is. The code is `invalid_request_error` for all of them:
#: https://github.com/deepseek-ai/awesome-deepseek-integration/issues/13
PHRASES: tuple[tuple[str, type[APIError]], ...] = (
    ("content exists risk", ContentPolicyViolationError),
    ("model not exist", NotFoundError),
)


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what its code or words say it is; None where its class is right already."""
    if type(error) is BadRequestError:
        for words, kind in PHRASES:
            if words in error.message.lower():
                return narrow(error, kind, retryable=False)
    return openai.refine(error, body)
