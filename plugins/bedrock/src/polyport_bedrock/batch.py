"""Batch inference behind OpenAI's batches: lines to Bedrock's records and back.

https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html and …/batch-inference-results.html

`create_file(purpose="batch")` translates the lines: chats into Converse's bodies, vectors into the model's own. The
folder of what it uploads says which, and which model is to answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from polyport.building import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest
from polyport.wire.ndjson import Lines
from polyport_bedrock import embed
from polyport_bedrock.body import to_body
from polyport_bedrock.errors import of_status
from polyport_bedrock.reply import Converse, from_converse
from polyport_bedrock.settings import OUTPUT_BUCKET, ROLE, extras, wanted
from polyport_bedrock.storage import FOLDER, checked, split, unplain

CHAT, VECTORS = "/v1/chat/completions", "/v1/embeddings"
STREAMED = ("stream", "stream_options")
#: What is put behind the folder of a job's results, to read them as OpenAI's lines.
OUTPUT, ERRORS = "#output", "#errors"
Body = dict[str, Any]


class _Line(msgspec.Struct):
    custom_id: str
    body: dict[str, Any]
    url: str = CHAT


class Shape(msgspec.Struct, frozen=True):
    """One of OpenAI's endpoints: how Bedrock invokes it, and how a line becomes a record's input."""

    name: str
    invocation: str
    make: Callable[[Body, str, FileRequest], Flow[Body]]


def to_lines(request: FileRequest, provider: str) -> Flow[tuple[bytes, str, str]]:
    """Return (Bedrock's records, the model, the shape's name) of an upload. Raises BadRequestError naming the line."""
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
        if len(found) > 1 or not model:
            raise BadRequestError(f"Line {number}: a job of Bedrock's has one endpoint and one model, not {found}.")
        try:
            body = yield from ENDPOINTS[line.url].make(fields, model, request)
        except APIError as error:
            error.message = f"Line {number} ({line.custom_id}): {error.message}"
            raise
        made.append(msgspec.json.encode({"recordId": line.custom_id, "modelInput": body}))
    ((url, model),) = found
    return b"\n".join(made) + b"\n", model, ENDPOINTS[url].name


def _read(text: bytes, number: int) -> _Line:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"Line {number}: {error}") from error
    if line.url not in ENDPOINTS:
        raise BadRequestError(f"Line {number}: Bedrock's jobs answer {' and '.join(ENDPOINTS)}, not {line.url!r}.")
    return line


def _chat(fields: Body, model: str, request: FileRequest) -> Flow[Body]:
    return (yield from to_body(_build(ChatRequest, fields, model, request)))


def _vector(fields: Body, model: str, request: FileRequest) -> Flow[Body]:
    asked = _build(EmbedRequest, fields, model, request)
    parts = embed.shape_of(asked).ask(asked)
    if len(parts) != 1:
        raise BadRequestError("a line of Bedrock's jobs is one call of the model at $.body.input")
    yield from ()
    return {**parts[0].body, **extras(asked)}


def _build(kind: type[Any], fields: Body, model: str, request: FileRequest) -> Any:
    made = build(kind, fields, request.options)
    made.model, made.adaptations = model, request.adaptations
    return made


ENDPOINTS: dict[str, Shape] = {
    CHAT: Shape("chat", "Converse", _chat),
    VECTORS: Shape("embeddings", "InvokeModel", _vector),
}
BY_NAME = {shape.name: (url, shape) for url, shape in ENDPOINTS.items()}


def shape_of(uri: str) -> str:
    """Return the name of the shape that a file of a job's is of; chats are what others upload."""
    found = re.search(rf"/{FOLDER}/(?:batch|output)/({'|'.join(BY_NAME)})/", uri)
    return found[1] if found else "chat"


# --- jobs ---


def to_job(request: BatchRequest) -> Body:
    """Return the body that starts a job over uploaded records; results go below them, or into a bucket of their own."""
    if request.output_expires_after is not None:
        request.unsupported("output_expires_after", "how long objects live is a rule of the bucket's")
    name = shape_of(request.input_file_id)
    url, shape = BY_NAME[name]
    if request.endpoint != url and request.endpoint != CHAT:
        raise BadRequestError(f"{request.input_file_id!r} holds lines for {url}, not for {request.endpoint!r}.")
    bucket, key = split(request.input_file_id)
    digest = key.split("/")[-2] if "/" in key else "lines"
    output = request.extra.get(OUTPUT_BUCKET[0])
    target = f"s3://{checked(str(output)) if output else bucket}/{FOLDER}/output/{name}/"
    role = wanted(request, ROLE, "A batch of Bedrock's works as a role, which may read and write the bucket")
    body: Body = {
        "jobName": f"polyport-{digest}"[:63],
        "roleArn": role,
        "modelId": model_of(request),
        "modelInvocationType": shape.invocation,
        "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": request.input_file_id}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": target}},
        "timeoutDurationInHours": _hours(request.completion_window),
    }
    if request.metadata:
        body["tags"] = [{"key": key, "value": str(value)} for key, value in request.metadata.items()]
    return {**body, **extras(request)}


def _hours(window: str) -> int:
    found = re.fullmatch(r"(\d+)([hd])", window)
    if found is None:
        raise BadRequestError(f"{window!r} is no time to complete in; write it as 24h at $.completion_window")
    return int(found[1]) * (24 if found[2] == "d" else 1)


def model_of(request: BatchRequest) -> str:
    """Return who is to answer: the caller's word, or the folder of the lines. Raises BadRequestError without either."""
    found = re.search(rf"/{FOLDER}/batch/[^/]+/([^/]+)/", request.input_file_id)
    model = request.model or (unplain(found[1]) if found else "")
    if not model:
        raise BadRequestError(
            "Which model is to answer? Upload the lines with create_file(purpose='batch'), or pass model=..."
        )
    return model


class _S3(msgspec.Struct, rename="camel"):
    s3_uri: str = ""


class _Input(msgspec.Struct, rename="camel"):
    s3_input_data_config: _S3 | None = None


class _Output(msgspec.Struct, rename="camel"):
    s3_output_data_config: _S3 | None = None


class _Job(msgspec.Struct, rename="camel"):
    job_arn: str
    status: str = "Submitted"
    model_id: str = ""
    message: str | None = None
    submit_time: datetime | None = None
    last_modified_time: datetime | None = None
    end_time: datetime | None = None
    job_expiration_time: datetime | None = None
    input_data_config: _Input | None = None
    output_data_config: _Output | None = None
    total_record_count: int = 0
    success_record_count: int = 0
    error_record_count: int = 0


class _Jobs(msgspec.Struct, rename="camel"):
    invocation_job_summaries: list[_Job] = []
    next_token: str | None = None


#: Bedrock's status -> OpenAI's.
STATUS = {
    "Submitted": "validating", "Validating": "validating", "Scheduled": "validating", "InProgress": "in_progress",
    "Completed": "completed", "PartiallyCompleted": "completed", "Failed": "failed", "Stopping": "cancelling",
    "Stopped": "cancelled", "Expired": "expired",
}  # fmt: skip
SINCE = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at", "expired": "expired_at"}


def to_batch(reply: HttpReply) -> Batch:
    """Return the batch that a reply describes."""
    made = _translate(decode(reply, _Job))
    made.keep(reply.content, extra={})
    return made


def _translate(job: _Job) -> Batch:
    status = STATUS.get(job.status, "in_progress")
    source = job.input_data_config.s3_input_data_config if job.input_data_config is not None else None
    target = job.output_data_config.s3_output_data_config if job.output_data_config is not None else None
    counts = {
        "total": job.total_record_count,
        "completed": job.success_record_count,
        "failed": job.error_record_count,
    }
    made = Batch(
        id=job.job_arn,
        status=status,
        endpoint=BY_NAME[shape_of(source.s3_uri if source is not None else "")][0],
        model=job.model_id or None,
        completion_window="24h",
        created_at=_seconds(job.submit_time),
        expires_at=_seconds(job.job_expiration_time),
        input_file_id=source.s3_uri if source is not None else None,
        request_counts=counts,
        errors={"object": "list", "data": [{"message": job.message}]} if job.message else None,
    )
    if status in SINCE:
        setattr(made, SINCE[status], _seconds(job.end_time or job.last_modified_time))
    if status == "completed" and target is not None and target.s3_uri:
        folder = f"{target.s3_uri.rstrip('/')}/{job.job_arn.rpartition('/')[2]}/"
        made.output_file_id = folder + OUTPUT
        made.error_file_id = folder + ERRORS if job.error_record_count else None
    return made


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def to_batches(reply: HttpReply) -> BatchList:
    """Return the batches that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Jobs = decode(reply, _Jobs)
    made = BatchList(
        data=[_translate(job) for job in page.invocation_job_summaries],
        last_id=page.next_token,
        has_more=bool(page.next_token),
    )
    made.keep(reply.content, extra={})
    return made


# --- results ---


def results_of(file_id: str) -> tuple[str, str | None]:
    """Return (folder, OUTPUT or ERRORS) for the id of a job's results; (address, None) for any other file."""
    kind = next((kind for kind in (OUTPUT, ERRORS) if file_id.endswith(kind)), None)
    return (file_id.removesuffix(kind), kind) if kind else (file_id, None)


class _Failure(msgspec.Struct, rename="camel"):
    error_code: int | str = 400
    error_message: str = ""


class _Result(msgspec.Struct, rename="camel"):
    record_id: str
    model_output: dict[str, Any] | None = None
    error: _Failure | None = None


class ResultLines:
    """Turns a job's results, as they come, into lines of OpenAI's output file (or of its error file)."""

    def __init__(self, kind: str, shape: str) -> None:
        self._lines = Lines()
        self._kind, self._shape = kind, shape
        self._seen = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the lines it completed."""
        return [made for line in self._lines.feed(data) if (made := self._line(line)) is not None]

    def close(self) -> list[bytes]:
        """Return the last line. Raises InvalidResponseError where there was none: a job has one result or more."""
        last = [made for line in self._lines.close() if (made := self._line(line)) is not None]
        if not self._seen:
            raise InvalidResponseError("The job's results are empty.")
        return last

    def _line(self, text: bytes) -> bytes | None:
        result: _Result = decode(HttpReply(status=200, content=text), _Result)
        self._seen = True
        if (result.model_output is None) != (self._kind == ERRORS):
            return None
        key = result.record_id
        line = {"id": f"batch_req_{key}", "custom_id": key, "response": self._answer(result), "error": None}
        return msgspec.json.encode(line) + b"\n"

    def _answer(self, result: _Result) -> Body:
        if result.model_output is None:
            failure = result.error or _Failure()
            code = int(failure.error_code) if str(failure.error_code).isdecimal() else 400
            error = of_status(code, failure.error_message or "no answer, and Bedrock does not say why", None)
            told = {"message": error.message, "type": type(error).__name__, "code": failure.error_code}
            return {"status_code": code, "request_id": None, "body": {"error": told}}
        return {"status_code": 200, "request_id": None, "body": READERS[self._shape](result.model_output)}


def _completion(output: Body) -> Body:
    try:
        return from_converse(msgspec.convert(output, Converse), "").to_dict()
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"$.modelOutput is not of the promised shape: {error}", body=output) from error


def _vectors(output: Body) -> Body:
    """Return the vectors of a result, whose shape tells whose model it is of."""
    reply = HttpReply(status=200, content=msgspec.json.encode(output))
    read = embed.reader_of(output)
    data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(read(reply))]
    return {"object": "list", "data": data}


READERS: dict[str, Callable[[Body], Body]] = {"chat": _completion, "embeddings": _vectors}
