"""Batch jobs behind OpenAI's batches. https://docs.mistral.ai/studio-api/batch-processing

`create_file(purpose="batch")` turns OpenAI's lines into Mistral's, each with its own model; results are turned back
when they are downloaded. Lines for endpoints that only Mistral has (`/v1/ocr`, `/v1/fim/completions` ...) go as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.client import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchListRequest, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest
from polyport.types.moderation import Moderation
from polyport.types.record import Request
from polyport.wire.ndjson import Lines
from polyport_mistral.answers import MistralCompletion
from polyport_mistral.files import following
from polyport_mistral.vectors import flagged

Body = dict[str, Any]
#: How a line's request becomes the body that an endpoint takes.
Make = Callable[[Any], Body]
#: OpenAI's endpoints whose bodies are translated -> what their request is; "/v1/moderations" is one and the same.
REQUESTS: Mapping[str, type[Request]] = {"/v1/chat/completions": ChatRequest, "/v1/embeddings": EmbedRequest}
#: Endpoints whose bodies are Mistral's already.
OWN = frozenset(
    {
        "/v1/moderations", "/v1/chat/moderations", "/v1/fim/completions", "/v1/ocr", "/v1/classifications",
        "/v1/chat/classifications", "/v1/conversations", "/v1/audio/transcriptions",
    }
)  # fmt: skip
STREAMED = ("stream", "stream_options")
WINDOW = re.compile(r"(\d+)(h|d)")


class _Line(msgspec.Struct):
    custom_id: str
    body: Body
    url: str = "/v1/chat/completions"


def to_lines(request: FileRequest, provider: str, make: Mapping[str, Make]) -> bytes:
    """Return Mistral's lines for OpenAI's. Raises BadRequestError naming the line."""
    lines = [line for line in request.upload.read().splitlines() if line.strip()]
    if not lines:
        raise BadRequestError(f"The file {request.upload.filename!r} has no lines.")
    made = [_to_line(line, number, request, provider, make) for number, line in enumerate(lines, 1)]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in made)


def _to_line(text: bytes, number: int, request: FileRequest, provider: str, make: Mapping[str, Make]) -> Body:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"Line {number}: {error}") from error
    model = str(line.body.get("model") or request.model).removeprefix(f"{provider}/")
    if line.url not in REQUESTS:
        _check_endpoint(line.url, f"Line {number}: ")
        return {"custom_id": line.custom_id, "body": {**line.body, **({"model": model} if model else {})}}
    fields = {name: value for name, value in line.body.items() if name not in (*STREAMED, "model")}
    try:
        inner = build(REQUESTS[line.url], fields, request.options)
        inner.model, inner.adaptations = model, request.adaptations
        return {"custom_id": line.custom_id, "body": make[line.url](inner)}
    except APIError as error:
        error.message = f"Line {number} ({line.custom_id}): {error.message}"
        raise


def _check_endpoint(endpoint: str, where: str) -> None:
    known = [*REQUESTS, *sorted(OWN)]
    if endpoint not in known:
        raise BadRequestError(f"{where}Mistral's batches answer {', '.join(known)}, not {endpoint!r}.")


def to_job_body(request: BatchRequest) -> Body:
    """Return the body that starts a job over an uploaded file. `model` given here is the job's."""
    if request.output_expires_after is not None:
        request.unsupported("output_expires_after", "results are kept like any file")
    _check_endpoint(request.endpoint, "")
    body: Body = {"input_files": [request.input_file_id], "endpoint": request.endpoint}
    if request.model:
        body["model"] = request.model
    if request.metadata is not None:
        body["metadata"] = request.metadata
    return {**body, "timeout_hours": _hours(request), **request.extra}


def _hours(request: BatchRequest) -> int:
    found = WINDOW.fullmatch(request.completion_window)
    if found is None:
        raise BadRequestError(
            f"A window is hours or days (24h, 7d) at $.completion_window, not {request.completion_window!r}"
        )
    return int(found[1]) * (24 if found[2] == "d" else 1)


# --- jobs -------------------------------------------------------------------------------------------------


class _Error(msgspec.Struct):
    message: str
    count: int = 1


class _Job(msgspec.Struct):
    id: str
    status: str
    endpoint: str | None = None
    input_files: list[str] = []
    errors: list[_Error] = []
    metadata: Body | None = None
    model: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    outputs: list[Body] | None = None
    created_at: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    total_requests: int = 0
    succeeded_requests: int = 0
    failed_requests: int = 0


class _Jobs(msgspec.Struct):
    data: list[_Job] = []
    total: int | None = None


#: Mistral's status -> OpenAI's, and the field that says since when.
STATUS: Mapping[str, str] = {
    "QUEUED": "validating", "RUNNING": "in_progress", "SUCCESS": "completed", "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired", "CANCELLATION_REQUESTED": "cancelling", "CANCELLED": "cancelled",
}  # fmt: skip
SINCE: Mapping[str, str] = {
    "completed": "completed_at", "failed": "failed_at", "expired": "expired_at", "cancelled": "cancelled_at",
}  # fmt: skip


def to_batch(reply: HttpReply) -> Batch:
    """Return the batch that a reply describes; results that came with it are in `.extra["outputs"]`."""
    job = decode(reply, _Job)
    made = _translate(job)
    made.keep(reply.content, extra={"outputs": job.outputs} if job.outputs is not None else {})
    return made


def _translate(job: _Job) -> Batch:
    status = STATUS.get(job.status, "in_progress")
    errors = [{"message": error.message, "count": error.count} for error in job.errors]
    made = Batch(
        id=job.id,
        status=status,
        endpoint=job.endpoint,
        input_file_id=job.input_files[0] if job.input_files else None,
        output_file_id=job.output_file,
        error_file_id=job.error_file,
        created_at=job.created_at,
        in_progress_at=job.started_at,
        request_counts={
            "total": job.total_requests,
            "completed": job.succeeded_requests,
            "failed": job.failed_requests,
        },
        errors={"object": "list", "data": errors} if errors else None,
        metadata=job.metadata,
        model=job.model,
    )
    if status in SINCE:
        setattr(made, SINCE[status], job.completed_at)
    return made


def to_batches(reply: HttpReply, request: BatchListRequest) -> BatchList:
    """Return the batches that a reply lists; `last_id` is what `after` wants for the next page."""
    page = decode(reply, _Jobs)
    after = following(request, len(page.data), page.total)
    made = BatchList(data=[_translate(job) for job in page.data], last_id=after, has_more=after is not None)
    made.keep(reply.content, extra={})
    return made


# --- results ----------------------------------------------------------------------------------------------


class _Response(msgspec.Struct):
    status_code: int = 200
    body: Body | None = None


class _Result(msgspec.Struct):
    id: str | None = None
    custom_id: str | None = None
    response: _Response | None = None
    error: Any = None


class ResultLines:
    """Turns a job's results, as they come, into lines of OpenAI's output file."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the lines it completed."""
        return [_to_result(line) for line in self._lines.feed(data)]

    def close(self) -> list[bytes]:
        """Return the last line."""
        return [_to_result(line) for line in self._lines.close()]


def _to_result(text: bytes) -> bytes:
    found = decode(HttpReply(status=200, content=text), _Result)
    line: Body = {"id": found.id or f"batch_req_{found.custom_id}", "custom_id": found.custom_id}
    if found.response is None:
        return _line(line, None, _error(found.error))
    body = found.response.body or {}
    return _line(line, {"status_code": found.response.status_code, "request_id": None, "body": _answer(body)}, None)


def _line(line: Body, response: Body | None, error: Body | None) -> bytes:
    return msgspec.json.encode({**line, "response": response, "error": error}) + b"\n"


def _error(error: Any) -> Body:
    known = error if isinstance(error, dict) else {"message": str(error)}
    return {"code": "batch_error", **known}


def _answer(body: Body) -> Body:
    """Return an answer in OpenAI's words: chats and verdicts differ, vectors and errors do not."""
    try:
        if "choices" in body:
            answer = msgspec.convert(body, MistralCompletion)
            answer.keep(msgspec.json.encode(body))
            return answer.to_dict()
        if "results" in body and "model" in body:
            return flagged(msgspec.convert(body, Moderation)).to_dict()
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"A result is not of the promised shape: {error}", body=body) from error
    return body
