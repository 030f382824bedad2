"""Message batches behind OpenAI's batches. https://platform.claude.com/docs/en/build-with-claude/batch-processing

Each line of the input file becomes a request to the Messages API, and each result a line of OpenAI's output.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import HttpReply
from polyport.lines import CHAT, Line, ResultLines, output_line, read_lines, refuse_settings, response
from polyport.provider import decode
from polyport.types.batch import Batch, BatchDeleted, BatchList, BatchRequest
from polyport.types.chat import ChatRequest
from polyport.types.messages import MessagesRequest
from polyport.wire.dates import seconds
from polyport_anthropic.chat import Body, to_messages
from polyport_anthropic.errors import from_body
from polyport_anthropic.native import to_native
from polyport_anthropic.reply import ClaudeMessage, from_message, verified

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
#: A batch's id and one of these name the files that its results can be read as.
OUTPUT, ERRORS = "_output", "_errors"
#: A third one has all of them, with answers as the messages that they are.
NATIVE = "_messages"
#: Who answers, as refusals say it.
WHO = "Anthropic's batches"


def to_batch_body(content: bytes, request: BatchRequest, provider: str) -> Body:
    """Return the body of a batch for a file of OpenAI's lines. Raises BadRequestError naming the line."""
    refuse_settings(request, WHO)
    lines = read_lines(content, request.input_file_id, ENDPOINTS, WHO)
    extra = {name: value for name, value in request.extra.items() if name != "betas"}
    return {"requests": [_entry(line, request, provider) for line in lines], **extra}


def _entry(line: Line, request: BatchRequest, provider: str) -> Body:
    if not CUSTOM_ID.fullmatch(line.custom_id):
        raise BadRequestError(
            f"Line {line.number}: Anthropic takes a custom_id of 1 to 64 letters, digits, _ and -, "
            f"not {line.custom_id!r}."
        )
    with line.named():
        params = ENDPOINTS[line.url](line, line.model(request, provider), request)
    return {"custom_id": line.custom_id, "params": params}


def _chat(line: Line, model: str, request: BatchRequest) -> Body:
    return to_messages(line.build(ChatRequest, model, request))


def _messages(line: Line, model: str, request: BatchRequest) -> Body:
    return to_native(line.build(MessagesRequest, model, request))


ENDPOINTS: dict[str, Callable[[Line, str, BatchRequest], Body]] = {
    CHAT: _chat,
    "/v1/messages": _messages,
}


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def failed(self) -> int:
        """Requests that ended without an answer."""
        return self.errored + self.canceled + self.expired


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    created_at: datetime
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    archived_at: datetime | None = None
    results_url: str | None = None


class _Batches(msgspec.Struct):
    data: list[_Batch] = []
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None


#: Anthropic's processing_status -> OpenAI's status; how an ended one ended is told by `_ending`.
STATUS = {"in_progress": "in_progress", "canceling": "cancelling"}


def to_batch(reply: HttpReply, request: BatchRequest | None = None) -> Batch:
    """Return the batch that a reply describes; `request` is what made it."""
    found: _Batch = decode(reply, _Batch)
    made = _translate(found)
    if request is not None:
        made.endpoint, made.input_file_id = request.endpoint, request.input_file_id
    made.keep(reply.content, extra=made.extra)
    return made


def _translate(found: _Batch) -> Batch:
    counts, ended = found.request_counts, seconds(found.ended_at)
    status = STATUS.get(found.processing_status) or _ending(found)
    total = counts.processing + counts.succeeded + counts.failed
    made = Batch(
        id=found.id,
        status=status,
        completion_window="24h",
        created_at=seconds(found.created_at),
        in_progress_at=seconds(found.created_at),
        expires_at=seconds(found.expires_at),
        cancelling_at=seconds(found.cancel_initiated_at),
        completed_at=ended if status == "completed" else None,
        cancelled_at=ended if status == "cancelled" else None,
        expired_at=ended if status == "expired" else None,
        request_counts={"total": total, "completed": counts.succeeded, "failed": counts.failed},
        output_file_id=found.id + OUTPUT if ended and counts.succeeded else None,
        error_file_id=found.id + ERRORS if ended and counts.failed else None,
    )
    made.carry({
        "message_counts": msgspec.to_builtins(counts), **({"messages_file_id": found.id + NATIVE} if ended else {})
    })  # fmt: skip
    return made


def _ending(found: _Batch) -> str:
    if found.request_counts.canceled:
        return "cancelled"
    return "expired" if found.request_counts.expired else "completed"


def to_batches(reply: HttpReply) -> BatchList:
    """Return the batches that a reply lists."""
    page: _Batches = decode(reply, _Batches)
    made = BatchList(
        data=[_translate(found) for found in page.data],
        first_id=page.first_id,
        last_id=page.last_id,
        has_more=page.has_more,
    )
    made.keep(reply.content, extra={})
    return made


class _Deleted(msgspec.Struct):
    id: str


def to_deleted(reply: HttpReply) -> BatchDeleted:
    """Return what a deletion answers."""
    return BatchDeleted(id=decode(reply, _Deleted).id, deleted=True)


# --- results ----------------------------------------------------------------------------------------------


def results_of(file_id: str) -> tuple[str, str] | None:
    """Return (batch id, OUTPUT, ERRORS or NATIVE) for the id of a batch's output; None for any other file."""
    kind = next((kind for kind in (OUTPUT, ERRORS, NATIVE) if file_id.endswith(kind)), None)
    return (file_id.removesuffix(kind), kind) if kind and file_id.startswith("msgbatch_") else None


class Results(ResultLines):
    """Results in Anthropic's words, of which `kind` says which ones are wanted."""

    def __init__(self, kind: str, created: int) -> None:
        super().__init__()
        self._kind = kind
        self._created = created

    def line(self, text: bytes) -> bytes | None:
        """Return one result as a line; None where it belongs into the other file."""
        found = decode(HttpReply(status=200, content=text), _Result)
        if self._kind == NATIVE and found.result.type == "succeeded":
            message = decode(HttpReply(status=200, content=text), _Untouched).result.message
            return output_line(found.custom_id, response(message, request_id=message.get("id")))
        if self._kind != NATIVE and (found.result.type == "succeeded") != (self._kind == OUTPUT):
            return None
        answer, error = OUTCOMES.get(found.result.type, _errored)(found.result, self._created)
        return output_line(found.custom_id, answer, error)


class _Outcome(msgspec.Struct):
    type: str
    message: ClaudeMessage | None = None
    error: Any = None


class _Result(msgspec.Struct):
    custom_id: str
    result: _Outcome


class _Message(msgspec.Struct):
    message: dict[str, Any] = {}


class _Untouched(msgspec.Struct):
    result: _Message


Outcome = tuple[dict[str, Any] | None, dict[str, Any] | None]


def _succeeded(outcome: _Outcome, created: int) -> Outcome:
    if outcome.message is None:
        raise InvalidResponseError("A result that succeeded has no message at $.result.message")
    message = verified(outcome.message)
    completion = from_message(message, created)
    return response(completion.to_dict(), request_id=message.id), None


def _errored(outcome: _Outcome, _created: int) -> Outcome:
    error = from_body(outcome.error)
    inner = outcome.error.get("error", outcome.error) if isinstance(outcome.error, dict) else outcome.error
    return response({"error": inner}, error.status_code, error.request_id), None


def _canceled(_outcome: _Outcome, _created: int) -> Outcome:
    return None, {"code": "batch_cancelled", "message": "The batch was cancelled before this request was sent."}


def _expired(_outcome: _Outcome, _created: int) -> Outcome:
    return None, {"code": "batch_expired", "message": "The batch expired before this request was sent."}


OUTCOMES: dict[str, Callable[[_Outcome, int], Outcome]] = {
    "succeeded": _succeeded,
    "errored": _errored,
    "canceled": _canceled,
    "expired": _expired,
}
