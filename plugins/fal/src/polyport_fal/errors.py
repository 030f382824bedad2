"""fal's errors: typed ones of models, and those of the queue.

https://fal.ai/docs/documentation/model-apis/errors and .../request-errors
"""

from __future__ import annotations

from typing import Any

from polyport.border import narrow
from polyport.errors import (
    APIError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    UnprocessableEntityError,
)
from polyport.flow import HttpReply

#: The type of a model's error -> the class it is. What has no row is what its status says.
TYPES: dict[str, type[APIError]] = {
    "content_policy_violation": ContentPolicyViolationError,
    "string_too_long": ContextWindowExceededError,
    "sequence_too_long": ContextWindowExceededError,
}
#: Fields whose text is the model's input: only there is "too long" about the model.
INPUTS = frozenset({"prompt", "text", "gen_text"})


def refine(error: APIError, reply: HttpReply) -> APIError | None:
    """Return the error with fal's own words, as the class that its type tells; None where core's is right."""
    details = details_of(error.body)
    if details:
        error.message = "; ".join(told(detail) for detail in details)
        error.args = (error.message,)
    if reply.headers.get("x-fal-retryable", "").lower() == "false":
        error.retryable = error.status_code == 429
    kind = next((kind for detail in details if (kind := kind_of(detail)) is not None), None)
    if kind is None or not isinstance(error, BadRequestError | UnprocessableEntityError):
        return None
    return narrow(error, kind)


def details_of(body: Any) -> list[dict[str, Any]]:
    """Return the error objects of a body, none where it has none."""
    found = body.get("detail") if isinstance(body, dict) else None
    return (
        [one for one in found if isinstance(one, dict) and isinstance(one.get("msg"), str)]
        if isinstance(found, list)
        else []
    )


def told(detail: dict[str, Any]) -> str:
    """Return an error object as text: what, and the place in the request."""
    place = detail.get("loc")
    where = ".".join(str(part) for part in place) if isinstance(place, list) else ""
    return f"{detail['msg']} (at {where})" if where else str(detail["msg"])


def kind_of(detail: dict[str, Any]) -> type[APIError] | None:
    """Return the class of an error object, None where its status says enough."""
    kind = TYPES.get(str(detail.get("type")))
    place = detail.get("loc")
    last = place[-1] if isinstance(place, list) and place else None
    return None if kind is ContextWindowExceededError and last not in INPUTS else kind


def why(body: Any) -> dict[str, Any]:
    """Return why a job failed, in OpenAI's shape."""
    details = details_of(body)
    if details:
        return {"code": str(details[0].get("type")), "message": "; ".join(told(detail) for detail in details)}
    plain = body if isinstance(body, dict) else {}
    message = plain.get("detail") or plain.get("error") or "the job failed, and fal does not say why"
    return {"code": str(plain.get("error_type") or "failed"), "message": str(message)}
