"""Mistral's errors. https://docs.mistral.ai/resources/error-glossary

A body is `{"object": "error", "message", "type", "param", "code"}`, what FastAPI says of a body that it refuses
(`{"detail": [...]}`, also inside `message`), or `{"error": {"message", "status"}}` of a guardrail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import narrow
from polyport.dialects import openai
from polyport.errors import APIError, BadRequestError, ContentPolicyViolationError, NotFoundError, PermissionDeniedError

#: `type` -> what it is.
BY_TYPE: Mapping[str, type[APIError]] = {"invalid_model": NotFoundError, "unknown_model": NotFoundError}
#: What a 403 says (lower case) where a guardrail, or the moderation of speech, blocked the text:
#: https://docs.mistral.ai/capabilities/guardrailing and https://docs.mistral.ai/studio-api/audio/text_to_speech/speech
BLOCKED = ("guardrail", "moderation")


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what its type or words say it is; None where it is right already."""
    said = _complaints(body)
    if said:
        error = narrow(error, type(error), message=said, args=(said,))
    kind = BY_TYPE.get(_type(body))
    if kind is not None and isinstance(error, BadRequestError):
        return narrow(error, kind, retryable=False)
    if isinstance(error, PermissionDeniedError) and any(word in error.message.lower() for word in BLOCKED):
        return narrow(error, ContentPolicyViolationError, retryable=False)
    return openai.refine(error, body) or (error if said else None)


def _type(body: Any) -> str:
    found = body.get("type") if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""


def _complaints(body: Any) -> str | None:
    """Return what was wrong with each field of a body that was refused, each with its place; None for any other."""
    holder = body
    if isinstance(body, dict) and isinstance(body.get("message"), dict | list):
        holder = body["message"]
    details = holder.get("detail") if isinstance(holder, dict) else holder
    if not isinstance(details, list) or not details:
        return None
    return "; ".join(_complaint(detail) for detail in details)


def _complaint(detail: Any) -> str:
    if not isinstance(detail, dict) or "msg" not in detail:
        return str(detail)
    place = detail.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
    return f"{detail['msg']} at {where}" if where else str(detail["msg"])
