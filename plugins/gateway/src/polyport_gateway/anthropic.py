"""Anthropic's interface. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyport.flow import OWN, Passed
from polyport.operations import Operation
from polyport_gateway import replies
from polyport_gateway.surface import Events, Problem, Surface

#: https://docs.anthropic.com/en/api/errors
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip
#: The gateway's models have no date of their own; the SDKs want one.
EPOCH = "1970-01-01T00:00:00Z"


class AnthropicEvents(Events):
    """Every event under its name; the last is held back until the stream has ended and was settled."""

    def __init__(self) -> None:
        self._end = b""

    def chunk(self, chunk: Any) -> bytes:
        """Return the event."""
        return self._but_last(chunk, replies.event(chunk, chunk["type"]))

    def passed(self, passed: Passed) -> bytes:
        """Return the events as they came."""
        return passed.data if passed.chunk is None else self._but_last(passed.chunk, passed.data)

    def _but_last(self, chunk: Any, data: bytes) -> bytes:
        if chunk["type"] != "message_stop":
            return data
        self._end = data
        return b""

    def end(self) -> bytes:
        """Return the last event."""
        return self._end


class Anthropic(Surface):
    """What the official `anthropic` SDKs talk to."""

    name = "anthropic"
    relays = OWN

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters; betas come in a header here, and the SDK's beta resources say so in the address."""
        fields.pop("beta", None)
        betas = headers.get("anthropic-beta")
        if betas and "betas" not in fields:
            fields["betas"] = [beta.strip() for beta in betas.split(",") if beta.strip()]
        return fields

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written: message_stop is its end."""
        return AnthropicEvents()

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Return the body of an error."""
        kind = TYPES.get(problem.status) or ("api_error" if problem.status >= 500 else "invalid_request_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": problem.message},
            "request_id": problem.request_id,
        }

    def problem_event(self, problem: Problem) -> bytes:
        """Return an error in the middle of a stream."""
        return replies.event(self.problem(problem), "error")

    def models(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the list of models. https://docs.anthropic.com/en/api/models-list"""
        first, last = (names[0], names[-1]) if names else (None, None)
        return {"data": [self.model(name) for name in names], "has_more": False, "first_id": first, "last_id": last}

    def model(self, name: str) -> dict[str, Any]:
        """Return what is told of one model."""
        return {"type": "model", "id": name, "display_name": name, "created_at": EPOCH}
