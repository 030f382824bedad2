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

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import HttpReply
from polyport.lines import CHAT, EMBEDDINGS, Line, ResultLines, check_endpoint, output_line, read_lines, response
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchListRequest, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest
from polyport.types.moderation import Moderation
from polyport.types.record import Request
from polyport_mistral.answers import MistralCompletion
from polyport_mistral.files import following
from polyport_mistral.vectors import flagged

Body = dict[str, Any]
#: How a line's request becomes the body that an endpoint takes.
Make = Callable[[Any], Body]
#: OpenAI's endpoints whose bodies are translated -> what their request is; "/v1/moderations" is one and the same.
REQUESTS: Mapping[str, type[Request]] = {CHAT: ChatRequest, EMBEDDINGS: EmbedRequest}
#: Endpoints whose bodies are Mistral's already.
OWN = frozenset(
    {
        "/v1/moderations", "/v1/chat/moderations", "/v1/fim/completions", "/v1/ocr", "/v1/classifications",
        "/v1/chat/classifications", "/v1/conversations", "/v1/audio/transcriptions",
    }
)  # fmt: skip
ENDPOINTS = (*REQUESTS, *sorted(OWN))
#: Who answers, as refusals say it.
WHO = "Mistral's batches"
WINDOW = re.compile(r"(\d+)(h|d)")


def to_lines(request: FileRequest, provider: str, make: Mapping[str, Make]) -> bytes:
    """Return Mistral's lines for OpenAI's. Raises BadRequestError naming the line."""
    lines = read_lines(request.upload.read(), request.upload.filename, ENDPOINTS, WHO)
    return b"".join(msgspec.json.encode(_to_line(line, request, provider, make)) + b"\n" for line in lines)


def _to_line(line: Line, request: FileRequest, provider: str, make: Mapping[str, Make]) -> Body:
    model = line.model(request, provider)
    if line.url not in REQUESTS:
        return {"custom_id": line.custom_id, "body": {**line.body, **({"model": model} if model else {})}}
    with line.named():
        return {"custom_id": line.custom_id, "body": make[line.url](line.build(REQUESTS[line.url], model, request))}


def to_job_body(request: BatchRequest) -> Body:
    """Return the body that starts a job over an uploaded file. `model` given here is the job's."""
    if request.output_expires_after is not None:
        request.unsupported("output_expires_after", "results are kept like any file")
    check_endpoint(request.endpoint, ENDPOINTS, WHO)
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


#: Mistral's status -> OpenAI's.
STATUS: Mapping[str, str] = {
    "QUEUED": "validating", "RUNNING": "in_progress", "SUCCESS": "completed", "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired", "CANCELLATION_REQUESTED": "cancelling", "CANCELLED": "cancelled",
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
    made.ended(job.completed_at)
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


class Results(ResultLines):
    """Results in Mistral's words."""

    may_be_empty = True

    def line(self, text: bytes) -> bytes:
        """Return one result as a line."""
        found = decode(HttpReply(status=200, content=text), _Result)
        if found.response is None:
            return output_line(found.custom_id, None, _error(found.error), id=found.id)
        answer = _answer(found.response.body or {})
        return output_line(found.custom_id, response(answer, found.response.status_code), id=found.id)


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
