"""AWS' errors: which of core's classes each is.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from polyport.border import narrow
from polyport.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
    class_for_status,
)
from polyport.flow import HttpReply
from polyport_bedrock.eventstream import Frame

TYPE_HEADER = "x-amzn-errortype"
#: What AWS calls an error (lower case, without its ending) -> what it is. It says more than the status.
KINDS: dict[str, tuple[type[APIError], int]] = {
    "validation": (BadRequestError, 400),
    "serialization": (BadRequestError, 400),
    "accessdenied": (PermissionDeniedError, 403),
    "expiredtoken": (AuthenticationError, 403),
    "incompletesignature": (AuthenticationError, 403),
    "invalidclienttokenid": (AuthenticationError, 403),
    "invalidsignature": (AuthenticationError, 403),
    "missingauthenticationtoken": (AuthenticationError, 403),
    "unrecognizedclient": (AuthenticationError, 403),
    "resourcenotfound": (NotFoundError, 404),
    "conflict": (ConflictError, 400),
    "modeltimeout": (Timeout, 408),
    "modelerror": (InternalServerError, 424),
    "modelstreamerror": (InternalServerError, 424),
    "throttling": (RateLimitError, 429),
    "toomanyrequests": (RateLimitError, 429),
    "servicequotaexceeded": (RateLimitError, 400),
    "modelnotready": (ServiceUnavailableError, 429),
    "internalserver": (InternalServerError, 500),
    "internalfailure": (InternalServerError, 500),
    "serviceunavailable": (ServiceUnavailableError, 503),
}
#: Statuses that a kind may make another class of; those of 429 and above 499 are left to core.
CLIENT = range(400, 500)
#: What a 400 says (lower case) -> the class it is in truth.
PHRASES: tuple[tuple[str, type[APIError]], ...] = (
    ("input is too long", ContextWindowExceededError),
    ("prompt is too long", ContextWindowExceededError),
    ("too many input tokens", ContextWindowExceededError),
    ("exceed context limit", ContextWindowExceededError),
    ("exceeds the context window", ContextWindowExceededError),
    ("context length", ContextWindowExceededError),
    ("maximum allowed input length", ContextWindowExceededError),
    ("exceeds the maximum number of tokens", ContextWindowExceededError),
    ("expected maxlength", ContextWindowExceededError),
    ("blocked by our content filters", ContentPolicyViolationError),
    ("content filtering policy", ContentPolicyViolationError),
    ("responsible ai policy", ContentPolicyViolationError),
    ("violates our usage policy", ContentPolicyViolationError),
    ("guardrail intervened", ContentPolicyViolationError),
)
#: Where an on-demand id was used for a model that is called by profile only.
ON_DEMAND = "on-demand throughput isn"
ON_DEMAND_HINT = " Put the geography in front of the model's id (us., eu., apac., global.), or pass a profile's ARN."


def refine(error: APIError, reply: HttpReply, body: Any) -> APIError | None:
    """Return the narrower error that AWS' type and message tell of; None where core's is right."""
    message = _message(body, reply)
    if message:
        error.message = message
        error.args = (message,)
    kind = _kind(reply.headers.get(TYPE_HEADER) or _typed(body))
    if kind is not None and reply.status in CLIENT and reply.status != 429 and not isinstance(error, kind[0]):
        error = narrow(error, kind[0], retryable=kind[0].retryable)
    return _by_phrase(error) or (error if kind is not None else None)


def _by_phrase(error: APIError) -> APIError | None:
    if not isinstance(error, BadRequestError):
        return None
    said = error.message.lower()
    if ON_DEMAND in said:
        return narrow(error, BadRequestError, message=error.message + ON_DEMAND_HINT)
    kind = next((kind for phrase, kind in PHRASES if phrase in said), None)
    return narrow(error, kind) if kind else None


def _typed(body: Any) -> str:
    found = (body.get("__type") or body.get("code")) if isinstance(body, dict) else None
    if isinstance(found, str):
        return found
    code = re.search(r"<Code>([^<]*)</Code>", body) if isinstance(body, str) else None
    return code[1] if code else ""


def _kind(name: str) -> tuple[type[APIError], int] | None:
    """Look a kind up: `ValidationException:http://...`, `com.amazon#ValidationException`, `validationException`."""
    bare = re.sub(r"(exception|error)$", "", name.partition(":")[0].rpartition("#")[2].lower())
    return KINDS.get(bare) or KINDS.get(f"{bare}error")


def _message(body: Any, reply: HttpReply) -> str | None:
    """Return the message where core does not look for it: under a capital letter, or in S3's XML."""
    if isinstance(body, dict) and isinstance(body.get("Message"), str) and not isinstance(body.get("message"), str):
        return str(body["Message"]) or None
    found = re.search(r"<Message>([^<]*)</Message>", body) if isinstance(body, str) else None
    if found is None:
        return None
    elsewhere = reply.headers.get("x-amz-bucket-region")
    return f"{found[1]} The bucket is in {elsewhere}: pass s3_region_name=..." if elsewhere else found[1]


def of_frame(frame: Frame) -> APIError:
    """Return the error that a frame of an exception tells."""
    name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
    try:
        body: Any = msgspec.json.decode(frame.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = frame.payload.decode("utf-8", "replace")
    said = (body.get("message") or body.get("Message")) if isinstance(body, dict) else body
    return of_kind(name, str(frame.headers.get(":error-message") or said or "no message"), body)


def of_kind(name: str, message: str, body: Any) -> APIError:
    """Return the error of a kind that came without an HTTP status of its own."""
    kind, status = _kind(name) or (InternalServerError, 500)
    error = kind(f"{name}: {message}" if name else message, status_code=status, body=body)
    return _by_phrase(error) or error


def of_status(status: int, message: str, body: Any) -> APIError:
    """Return the error of a status that stands in a batch's line."""
    error = class_for_status(status)(message, status_code=status, body=body)
    return _by_phrase(error) or error


def unreadable(data: bytes, error: Exception) -> InvalidResponseError:
    """Return the error for an event that is not JSON, or not of the promised shape."""
    begin = data[:120].decode("utf-8", "replace")
    what = f"{type(error).__name__}: {error}"
    return InvalidResponseError(f"A streamed event cannot be read ({what}). It begins {begin!r}", body=data)
