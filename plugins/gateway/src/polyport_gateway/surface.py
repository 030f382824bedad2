"""What a surface is: how one vendor's HTTP interface reads requests, writes answers and tells errors.

The base speaks plainly: parameters and results are core's own, which are OpenAI's shapes. Another surface changes what
is different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.errors import APIConnectionError, APIError, GuardrailError, PolyportError, Timeout
from polyport.flow import Flow, Passed
from polyport.operations import Operation
from polyport.types.audio import Binary
from polyport_gateway import replies
from polyport_gateway.gate import Admission, GateError

if TYPE_CHECKING:
    from polyport.border import Call
    from polyport_gateway.running import Running

OCTETS = "application/octet-stream"
#: Status -> OpenAI's `error.type`. https://platform.openai.com/docs/guides/error-codes
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
#: Statuses that a gateway has its own words for: no connection to, or no answer from, who is behind it.
STATUSES: dict[type[PolyportError], int] = {APIConnectionError: 502, Timeout: 504}


class Problem(msgspec.Struct, kw_only=True, frozen=True):
    """An error as it goes to a caller. `retry_after` is in seconds."""

    status: int
    message: str
    code: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = {}
    request_id: str = ""

    @property
    def type(self) -> str:
        """OpenAI's word for it."""
        return TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")


def problem_of(error: BaseException, request_id: str) -> Problem:
    """Return what a caller is told of an error: of one that nobody foresaw, nothing but that there was one."""
    if not isinstance(error, PolyportError):
        return Problem(
            status=500, code="internal_error", request_id=request_id,
            message=f"The gateway failed. Its log says why, under {request_id}.",
        )  # fmt: skip
    own = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    return Problem(
        status=own or error.status_code or 500,
        message=str(error) if isinstance(error, APIError) else error.message,
        code=_code(error),
        retry_after=getattr(error, "retry_after", None),
        headers=error.headers if isinstance(error, GateError) else {},
        request_id=request_id,
    )


def _code(error: PolyportError) -> str | None:
    """Return the word for programs: a gate's, the provider's own, or what the class is."""
    if isinstance(error, GateError):
        return error.code
    if isinstance(error, GuardrailError):
        return "content_filter"
    body = getattr(error, "body", None)
    told = body.get("error") if isinstance(body, dict) else None
    code = told.get("code") if isinstance(told, dict) else None
    return code if isinstance(code, str) else CODES.get(type(error).__name__)


CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
    "UnsupportedParamsError": "unsupported_parameter",
    "NotFoundError": "model_not_found",
    "RateLimitError": "rate_limit_exceeded",
    "BudgetExceededError": "budget_exceeded",
}


class Answer(msgspec.Struct, frozen=True):
    """A body and its media type."""

    body: bytes
    content_type: str = replies.JSON


class Events:
    """How one stream is written: each chunk as it comes, then what stands at the end."""

    content_type = replies.EVENTS

    def passed(self, passed: Passed) -> bytes:
        """Return events on their way through, as they go out."""
        return passed.data

    def chunk(self, chunk: Any) -> bytes:
        """Return a chunk as it goes out; nothing for one that this caller did not ask for."""
        return replies.event(chunk)

    def end(self) -> bytes:
        """Return what stands at the end of a stream that was complete."""
        return b""


class Octets(Events):
    """A stream of bytes: speech, a video, a file."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type

    def chunk(self, chunk: Any) -> bytes:
        """Return the bytes."""
        return bytes(chunk)


class Surface:
    """One vendor's interface."""

    name = ""
    #: The wire of which events may go out as they came: core's operations' own, or one by its name; "" for none.
    relays = ""
    #: Whether its calls are more than one of core's: then `plan` makes them.
    plans = False
    #: Whether tokens are counted here, about, where no provider of a model counts them.
    counts_about = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters of core's call that a request is."""
        return fields

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return a call whose `meta` tells what happens, and the flow of all that is to be done."""
        raise NotImplementedError(f"{type(self).__name__} must implement plan()")

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the body of a result."""
        if isinstance(result, Binary):
            return Answer(result.content, result.content_type or OCTETS)
        return Answer(replies.encode(result))

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written; `headers` are the provider's."""
        if operation.chunk is bytes:
            return Octets(headers.get("content-type", OCTETS))
        return Events()

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Return the body of an error."""
        return {
            "error": {"message": problem.message, "type": problem.type, "param": None, "code": problem.code},
        }

    def problem_event(self, problem: Problem) -> bytes:
        """Return an error in the middle of a stream."""
        return replies.event(self.problem(problem))

    def models(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the list of models."""
        return {"object": "list", "data": [self.model(name) for name in names]}

    def model(self, name: str) -> dict[str, Any]:
        """Return what is told of one model."""
        return {"id": name, "object": "model", "created": 0, "owned_by": "polyport"}
