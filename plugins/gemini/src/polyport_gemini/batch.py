"""Batches behind OpenAI's batches. https://ai.google.dev/gemini-api/docs/batch-api

`create_file(purpose="batch")` turns OpenAI's lines into Google's and uploads those; what they were for and which model
is to answer stands in the file's display name, because Google never gives an uploaded file back. Results are turned
into OpenAI's lines when they are downloaded, as `<batch>_output` and `<batch>_errors`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from polyport.client import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest
from polyport.types.record import Request
from polyport.wire.ndjson import Lines
from polyport_gemini.body import Body, to_body
from polyport_gemini.door import Door
from polyport_gemini.embed import to_embed_body, vectors
from polyport_gemini.errors import from_body
from polyport_gemini.files import seconds
from polyport_gemini.media import Media
from polyport_gemini.reply import Generated, from_generated

#: A batch's id and one of these name the files that its results can be read as.
OUTPUT, ERRORS = "_output", "_errors"
STREAMED = ("stream", "stream_options")


class _Line(msgspec.Struct):
    custom_id: str
    body: dict[str, Any]
    url: str = "/v1/chat/completions"


class Kind(msgspec.Struct, frozen=True):
    """One of OpenAI's endpoints: the method that runs its batches, and how a line becomes a request."""

    name: str
    method: str
    make: Callable[[Body, str, FileRequest, Door], Flow[Body]]


def to_lines(request: FileRequest, provider: str, door: Door) -> Flow[tuple[bytes, Kind, str]]:
    """Return (Google's lines, what they are, the model) of an upload. Raises BadRequestError naming the line."""
    lines = [line for line in request.upload.read().splitlines() if line.strip()]
    if not lines:
        raise BadRequestError(f"The file {request.upload.filename!r} has no lines.")
    made: list[bytes] = []
    found: set[tuple[str, str]] = set()
    for number, text in enumerate(lines, 1):
        line = _read(text, number)
        fields = {name: value for name, value in line.body.items() if name not in STREAMED}
        model = str(fields.pop("model", "") or request.model).removeprefix(f"{provider}/")
        found.add((line.url, model))
        if len(found) > 1:
            raise BadRequestError(f"Line {number}: a batch of Google's has one endpoint and one model, not {found}.")
        try:
            body = yield from ENDPOINTS[line.url].make(fields, model, request, door)
        except APIError as error:
            error.message = f"Line {number} ({line.custom_id}): {error.message}"
            raise
        made.append(msgspec.json.encode({"key": line.custom_id, "request": body}))
    ((url, model),) = found
    return b"\n".join(made) + b"\n", ENDPOINTS[url], model


def _read(text: bytes, number: int) -> _Line:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"Line {number}: {error}") from error
    if line.url not in ENDPOINTS:
        raise BadRequestError(f"Line {number}: Google's batches answer {' and '.join(ENDPOINTS)}, not {line.url!r}.")
    return line


def _chat(fields: Body, model: str, request: FileRequest, door: Door) -> Flow[Body]:
    return (yield from to_body(_build(ChatRequest, fields, model, request), door))


def _embed(fields: Body, model: str, request: FileRequest, door: Door) -> Flow[Body]:
    inner = _build(EmbedRequest, fields, model, request)
    media = Media(inner, door)
    requests: list[Body] = to_embed_body(inner, media)["requests"]
    if len(requests) != 1:
        raise BadRequestError("a line of Google's batches has one input at $.body.input")
    yield from media.inline()
    return requests[0]


def _build(kind: type[Any], fields: Body, model: str, request: FileRequest) -> Any:
    made = build(kind, fields, request.options)
    made.model = model
    made.adaptations = request.adaptations
    return made


ENDPOINTS: dict[str, Kind] = {
    "/v1/chat/completions": Kind("chat", "batchGenerateContent", _chat),
    "/v1/embeddings": Kind("embeddings", "asyncBatchEmbedContent", _embed),
}


def to_batch_body(request: BatchRequest, name: str, door: Door) -> Body:
    """Return the body that starts a batch over an uploaded file."""
    for parameter in ("metadata", "output_expires_after"):
        if getattr(request, parameter) is not None:
            request.unsupported(parameter, "Google's batches have none")
    if request.completion_window != "24h":
        request.unsupported("completion_window", "Google's batches have 24 hours")
    if request.endpoint not in ENDPOINTS:
        raise BadRequestError(f"Google's batches answer {' and '.join(ENDPOINTS)}, not {request.endpoint!r}.")
    inner = {"displayName": name, "inputConfig": {"fileName": f"files/{name}"}}
    return {"batch": inner, **door.extras(request)}


# --- batches ----------------------------------------------------------------------------------------------


class _Stats(msgspec.Struct, rename="camel"):
    request_count: int | str = 0
    successful_request_count: int | str = 0
    failed_request_count: int | str = 0


class _Inlined(msgspec.Struct, rename="camel"):
    inlined_responses: list[dict[str, Any]] = []


class _Output(msgspec.Struct, rename="camel"):
    responses_file: str | None = None
    inlined_responses: _Inlined | None = None
    inlined_embed_content_responses: _Inlined | None = None


class _Input(msgspec.Struct, rename="camel"):
    file_name: str | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    state: str = "BATCH_STATE_PENDING"
    model: str = ""
    create_time: datetime | None = None
    end_time: datetime | None = None
    update_time: datetime | None = None
    batch_stats: _Stats = msgspec.field(default_factory=_Stats)
    output: _Output | None = None
    input_config: _Input | None = None


class Operation(msgspec.Struct):
    """A batch as Google tells it: a long-running operation."""

    name: str
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    error: dict[str, Any] | None = None
    response: _Output | None = None

    @property
    def output(self) -> _Output | None:
        """What it gave."""
        return self.metadata.output or self.response


class _Operations(msgspec.Struct, rename="camel"):
    operations: list[Operation] = []
    next_page_token: str | None = None


#: Google's state, without what it begins with -> OpenAI's status.
STATUS = {
    "PENDING": "validating", "QUEUED": "validating", "RUNNING": "in_progress", "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "completed", "FAILED": "failed", "CANCELLED": "cancelled", "CANCELLING": "cancelling",
    "EXPIRED": "expired", "PAUSED": "in_progress", "UPDATING": "in_progress",
}  # fmt: skip
#: A status -> the field that says since when.
SINCE = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at", "expired": "expired_at"}


def to_batch(reply: HttpReply) -> Batch:
    """Return the batch that a reply describes."""
    made = _translate(decode(reply, Operation))
    made.keep(reply.content, extra={})
    return made


def _translate(operation: Operation) -> Batch:
    told = operation.metadata
    status = STATUS.get(re.sub(r"^(BATCH|JOB)_STATE_", "", told.state), "in_progress")
    stats = told.batch_stats
    total, done, failed = (_count(n) for n in (
        stats.request_count, stats.successful_request_count, stats.failed_request_count
    ))  # fmt: skip
    name = operation.name.rpartition("/")[2]
    made = Batch(
        id=name,
        status=status,
        endpoint="/v1/embeddings" if "embed" in told.model else "/v1/chat/completions",
        model=told.model.removeprefix("models/") or None,
        completion_window="24h",
        created_at=seconds(told.create_time),
        input_file_id=told.input_config.file_name if told.input_config is not None else None,
        request_counts={"total": total, "completed": done, "failed": failed},
        errors={"object": "list", "data": [{"message": str(operation.error.get("message"))}]}
        if operation.error
        else None,
    )
    if status in SINCE:
        setattr(made, SINCE[status], seconds(told.end_time or told.update_time))
    if status == "completed" and operation.output is not None:
        made.output_file_id, made.error_file_id = name + OUTPUT, (name + ERRORS if failed else None)
    return made


def _count(value: int | str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidResponseError(f"Expected a number at $.metadata.batchStats, got {value!r}") from error


def to_batches(reply: HttpReply) -> BatchList:
    """Return the batches that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Operations = decode(reply, _Operations)
    made = BatchList(
        data=[_translate(operation) for operation in page.operations],
        last_id=page.next_page_token,
        has_more=bool(page.next_page_token),
    )
    made.keep(reply.content, extra={})
    return made


def batch_id(value: str) -> str:
    """Return a batch's id without `batches/`. Raises BadRequestError where it is none."""
    name = value.removeprefix("batches/")
    if not re.fullmatch(r"[\w-]+", name):
        raise BadRequestError(f"{value!r} is no id of a batch; Google's are letters, digits and dashes.")
    return name


# --- results ----------------------------------------------------------------------------------------------


def results_of(file_id: str) -> tuple[str, str] | None:
    """Return (batch id, OUTPUT or ERRORS) for the id of a batch's output; None for any other file."""
    kind = next((kind for kind in (OUTPUT, ERRORS) if file_id.endswith(kind)), None)
    return (batch_id(file_id.removesuffix(kind)), kind) if kind else None


class ResultLines:
    """Turns a batch's results, as they come, into lines of OpenAI's output file (or of its error file)."""

    def __init__(self, kind: str, model: str) -> None:
        self._lines = Lines()
        self._kind = kind
        self._model = model
        self._number = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the lines it completed."""
        return [made for line in self._lines.feed(data) if (made := self.line(line)) is not None]

    def close(self) -> list[bytes]:
        """Return the last line. Raises InvalidResponseError where there was none: a batch has one result or more."""
        last = [made for line in self._lines.close() if (made := self.line(line)) is not None]
        if not self._number:
            raise InvalidResponseError("The batch's results are empty.")
        return last

    def line(self, text: bytes) -> bytes | None:
        """Return one result as a line; None where it belongs into the other file."""
        result: _Result = decode(HttpReply(status=200, content=text), _Result)
        self._number += 1
        if (result.response is None) != (self._kind == ERRORS):
            return None
        key = result.key or str(next(iter((result.metadata or {}).values()), self._number - 1))
        response, error = _answer(result, self._model)
        line = {"id": f"batch_req_{key}", "custom_id": key, "response": response, "error": error}
        return msgspec.json.encode(line) + b"\n"


class _Result(msgspec.Struct):
    key: str | None = None
    metadata: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def _answer(result: _Result, model: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return (response, error) of a line; a prompt that was blocked is an error of its own line only."""
    try:
        if result.response is None:
            raise from_body({"error": result.error or {}})
        body = _completion(result.response, model)
    except InvalidResponseError:
        raise
    except APIError as error:
        inner = {"message": error.message, "code": error.status_code}
        return {"status_code": error.status_code, "request_id": None, "body": {"error": inner}}, None
    return {"status_code": 200, "request_id": body.get("id"), "body": body}, None


def _completion(response: dict[str, Any], model: str) -> dict[str, Any]:
    try:
        if "embedding" in response:
            values = msgspec.convert(response["embedding"], _Values).values
            made = {"object": "list", "model": model, "data": vectors([values], None)}
            plain: dict[str, Any] = msgspec.to_builtins(made)
            return plain
        return from_generated(msgspec.convert(response, Generated), model, 0, response).to_dict()
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"A result is not of the promised shape: {error}", body=response) from error


class _Values(msgspec.Struct):
    values: list[float]


def inlined(output: _Output) -> list[bytes] | None:
    """Return results that came with the batch itself as lines; None where a file holds them."""
    found = output.inlined_responses or output.inlined_embed_content_responses
    return None if found is None else [msgspec.json.encode(result) for result in found.inlined_responses]


def model_of(request: BatchRequest | Request, marked: str | None) -> str:
    """Return the model that is to answer a batch. Raises BadRequestError where neither file nor caller tells."""
    model = request.model or marked
    if not model:
        raise BadRequestError(
            "Which model is to answer? Upload the lines with create_file(purpose='batch'), or pass model=..."
        )
    return model
