"""What OpenAI's error codes mean, on an error status and inside a stream.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.border import message_of, narrow
from polyport.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    UnsupportedParamsError,
    class_for_status,
)
from polyport.flow import HttpReply

#: `error.code`, or `error.type` where that is the telling one -> what it is.
BY_CODE: Mapping[str, type[APIError]] = {
    "context_length_exceeded": ContextWindowExceededError,
    "content_policy_violation": ContentPolicyViolationError,
    "image_content_policy_violation": ContentPolicyViolationError,
    "moderation_blocked": ContentPolicyViolationError,
    "content_filter": ContentPolicyViolationError,
    "invalid_prompt": ContentPolicyViolationError,  # reasoning models: "flagged as potentially violating"
    "bio_policy": ContentPolicyViolationError,
    "misalignment_policy_violation": ContentPolicyViolationError,
    "unsupported_parameter": UnsupportedParamsError,
    "unsupported_value": UnsupportedParamsError,
    "unknown_parameter": UnsupportedParamsError,
    "invalid_api_key": AuthenticationError,
    "model_not_found": NotFoundError,
    "insufficient_quota": RateLimitError,
    "billing_hard_limit_reached": RateLimitError,
    "billing_not_active": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "server_error": InternalServerError,
    "invalid_request_error": BadRequestError,
}
#: No waiting mends these.
EXHAUSTED = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

#: Payment required: what look-alikes answer where OpenAI says insufficient_quota.
UNPAID = 402

#: Look-alikes, and OpenAI itself for embeddings, say it in words only.
TOO_LONG = re.compile(
    r"maximum context length|context window|context length|prompt is too long|messages is too long|too many tokens"
    r"|context_length",
    re.IGNORECASE,
)
#: A request that is larger than the whole minute's allowance: waiting does not make it smaller.
TOO_LARGE = re.compile(r"^request too large", re.IGNORECASE)


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what OpenAI's code or words say it is; None where its class is right already."""
    codes = codes_of(body)
    kind = _by_code(codes, type(error))
    if kind is BadRequestError and TOO_LONG.search(error.message):
        kind = ContextWindowExceededError
    if error.status_code == UNPAID:
        kind = RateLimitError
    exhausted = error.status_code == UNPAID or not EXHAUSTED.isdisjoint(codes)
    hopeless = exhausted or (issubclass(kind, RateLimitError) and TOO_LARGE.match(error.message))
    if kind is type(error) and not hopeless:
        return None
    return narrow(error, kind, retryable=False if hopeless else kind.retryable)


def _by_code(codes: list[str], status: type[APIError]) -> type[APIError]:
    """Return what a code says, where that tells more than the status: a plain 400 may be anything but a 500."""
    kind = next((BY_CODE[code] for code in codes if code in BY_CODE), status)
    tells_more = issubclass(kind, status) or (status is BadRequestError and kind is not InternalServerError)
    return kind if tells_more else status


def codes_of(body: Any) -> list[str]:
    """Return the codes of an error body, the most telling first."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return []
    return [value for name in ("code", "type") if isinstance(value := inner.get(name), str)]


def stream_error(data: bytes) -> APIError:
    """Return the error that an error event inside a stream describes; without a status, its code says which."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = data.decode("utf-8", "replace")
    return error_of(body)


def error_of(body: Any) -> APIError:
    """Return the error for an error object that came without a status; some look-alikes put one into `code`."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    number = inner.get("code") if isinstance(inner, dict) else None
    if isinstance(number, int) and 400 <= number < 600:
        kind, status = class_for_status(number), number
    else:
        kind = _by_code(codes_of(body), APIError)
        kind = InternalServerError if kind is APIError else kind
        status = kind.status_code or 500
    error = kind(message_of(body, HttpReply(status=status)), status_code=status, body=body)
    return refine(error, body) or error
