"""Azure's errors. https://learn.microsoft.com/en-us/azure/ai-foundry/openai/concepts/content-filter"""

from __future__ import annotations

from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.errors import APIError, BadRequestError, ContentPolicyViolationError

#: What the filters say, of a chat's prompt and of an image's; details stand in the body, under one of INNER.
FILTERED = frozenset({"content_filter", "contentFilter", "ResponsibleAIPolicyViolation"})
INNER = ("innererror", "inner_error")


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what Azure's or OpenAI's code says it is; None where its class is right already."""
    if type(error) is BadRequestError and not FILTERED.isdisjoint(_codes(body)):
        return narrow(error, ContentPolicyViolationError, retryable=False)
    return openai.refine(error, body)


def _codes(body: Any) -> set[str]:
    said = body.get("error") if isinstance(body, dict) else None
    if not isinstance(said, dict):
        return set()
    codes = [said.get("code"), *(inner.get("code") for name in INNER if isinstance(inner := said.get(name), dict))]
    return {code for code in codes if isinstance(code, str)}
