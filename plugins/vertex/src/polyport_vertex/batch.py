"""Batch prediction jobs behind OpenAI's batches.

https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage

A line's custom_id travels as a label of its request, which the results repeat.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Any

import msgspec

from polyport.client import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.wire.ndjson import Lines
from polyport_gemini.body import to_body
from polyport_gemini.door import Door
from polyport_gemini.reply import Generated, from_generated
from polyport_vertex.names import bare, family
from polyport_vertex.storage import FOLDER, split

CHAT = "/v1/chat/completions"
#: A label's value holds 63 characters; in base32 that is so many bytes of a custom_id.
LONGEST_ID = 39
LABEL = "polyport_custom_id"
STREAMED = ("stream", "stream_options")
#: What is put behind the address of a job's results, to read them as OpenAI's lines.
OUTPUT, ERRORS = "#output", "#errors"


class _Line(msgspec.Struct):
    custom_id: str
    body: dict[str, Any]
    url: str = CHAT


def to_lines(request: FileRequest, provider: str, door: Door) -> Flow[tuple[bytes, str]]:
    """Return (Vertex AI's lines, the model) of an upload of OpenAI's. Raises BadRequestError naming the line."""
    lines = [line for line in request.upload.read().splitlines() if line.strip()]
    if not lines:
        raise BadRequestError(f"The file {request.upload.filename!r} has no lines.")
    made: list[bytes] = []
    models: set[str] = set()
    for number, text in enumerate(lines, 1):
        line = _read(text, number)
        fields = {name: value for name, value in line.body.items() if name not in STREAMED}
        model = bare(str(fields.pop("model", "") or request.model).removeprefix(f"{provider}/"))
        models.add(model)
        if len(models) > 1 or family(model) != "gemini" or not model:
            raise BadRequestError(f"Line {number}: a job of Vertex AI's is for one model of Gemini's, not {models}.")
        chat: Any = build(ChatRequest, fields, request.options)
        chat.model, chat.adaptations = model, request.adaptations
        try:
            body = yield from to_body(chat, door)
        except APIError as error:
            error.message = f"Line {number} ({line.custom_id}): {error.message}"
            raise
        body["labels"] = {**body.get("labels", {}), LABEL: _label(line.custom_id, number)}
        made.append(msgspec.json.encode({"request": body}))
    return b"\n".join(made) + b"\n", models.pop()


def _read(text: bytes, number: int) -> _Line:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"Line {number}: {error}") from error
    if line.url != CHAT:
        raise BadRequestError(f"Line {number}: Vertex AI's jobs answer {CHAT}, not {line.url!r}.")
    return line


def _label(custom_id: str, number: int) -> str:
    raw = custom_id.encode()
    if len(raw) > LONGEST_ID:
        raise BadRequestError(f"Line {number}: a custom_id has {LONGEST_ID} bytes at most here, not {len(raw)}.")
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _unlabel(label: str) -> str:
    try:
        return base64.b32decode(label.upper() + "=" * (-len(label) % 8)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidResponseError(f"Expected a custom_id at $.request.labels.{LABEL}, got {label!r}") from error


def to_job(request: BatchRequest, door: Door) -> dict[str, Any]:
    """Return the body that starts a job over uploaded lines; results go below them in the same bucket."""
    for name in ("metadata", "output_expires_after"):
        if getattr(request, name) is not None:
            request.unsupported(name, "Vertex AI's jobs have none; labels={...} are for the bill")
    if request.completion_window != "24h":
        request.unsupported("completion_window", "Vertex AI's jobs have 24 hours")
    if request.endpoint != CHAT:
        raise BadRequestError(f"Vertex AI's jobs answer {CHAT}, not {request.endpoint!r}.")
    bucket, name = split(request.input_file_id)
    return {
        "displayName": f"polyport-{name.rpartition('/')[2]}"[:128],
        "model": f"publishers/google/models/{model_of(request)}",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [request.input_file_id]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/{FOLDER}/output"},
        },
        **door.extras(request),
    }


def model_of(request: BatchRequest) -> str:
    """Return who is to answer: the caller's word, or the folder of the lines. Raises BadRequestError without either."""
    found = re.search(rf"/{FOLDER}/batch/([^/]+)/", request.input_file_id)
    model = bare(request.model) or (found[1] if found else "")
    if not model:
        raise BadRequestError(
            "Which model is to answer? Upload the lines with create_file(purpose='batch'), or pass model=..."
        )
    return model


class _Stats(msgspec.Struct, rename="camel"):
    successful_count: int | str = 0
    failed_count: int | str = 0
    incomplete_count: int | str = 0


class _Source(msgspec.Struct):
    uris: list[str] = []


class _Input(msgspec.Struct, rename="camel"):
    gcs_source: _Source | None = None


class _Info(msgspec.Struct, rename="camel"):
    gcs_output_directory: str | None = None


class _Job(msgspec.Struct, rename="camel"):
    name: str
    state: str = "JOB_STATE_PENDING"
    model: str = ""
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    update_time: datetime | None = None
    completion_stats: _Stats | None = None
    input_config: _Input | None = None
    output_info: _Info | None = None
    error: dict[str, Any] | None = None


class _Jobs(msgspec.Struct, rename="camel"):
    batch_prediction_jobs: list[_Job] = []
    next_page_token: str | None = None


#: Vertex AI's state -> OpenAI's status.
STATUS = {
    "JOB_STATE_QUEUED": "validating", "JOB_STATE_PENDING": "validating", "JOB_STATE_RUNNING": "in_progress",
    "JOB_STATE_SUCCEEDED": "completed", "JOB_STATE_PARTIALLY_SUCCEEDED": "completed", "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLING": "cancelling", "JOB_STATE_CANCELLED": "cancelled", "JOB_STATE_EXPIRED": "expired",
}  # fmt: skip
SINCE = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at", "expired": "expired_at"}


def to_batch(reply: HttpReply) -> Batch:
    """Return the batch that a reply describes."""
    made = _translate(decode(reply, _Job))
    made.keep(reply.content, extra={})
    return made


def _translate(job: _Job) -> Batch:
    status = STATUS.get(job.state, "in_progress")
    stats = job.completion_stats or _Stats()
    done, failed, left = (_count(n) for n in (stats.successful_count, stats.failed_count, stats.incomplete_count))
    source = job.input_config.gcs_source if job.input_config is not None else None
    made = Batch(
        id=job_id(job.name),
        status=status,
        endpoint=CHAT,
        model=bare(job.model) or None,
        completion_window="24h",
        created_at=_seconds(job.create_time),
        in_progress_at=_seconds(job.start_time),
        input_file_id=source.uris[0] if source is not None and source.uris else None,
        request_counts={"total": done + failed + left, "completed": done, "failed": failed},
        errors={"object": "list", "data": [{"message": str(job.error.get("message"))}]} if job.error else None,
    )
    if status in SINCE:
        setattr(made, SINCE[status], _seconds(job.end_time or job.update_time))
    folder = job.output_info.gcs_output_directory if job.output_info is not None else None
    if folder and status == "completed":
        results = f"{folder.rstrip('/')}/predictions.jsonl"
        made.output_file_id, made.error_file_id = results + OUTPUT, (results + ERRORS if failed else None)
    return made


def _count(value: int | str) -> int:
    try:
        return max(int(value), 0)
    except ValueError as error:
        raise InvalidResponseError(f"Expected a number at $.completionStats, got {value!r}") from error


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def to_batches(reply: HttpReply) -> BatchList:
    """Return the batches that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Jobs = decode(reply, _Jobs)
    made = BatchList(
        data=[_translate(job) for job in page.batch_prediction_jobs],
        last_id=page.next_page_token,
        has_more=bool(page.next_page_token),
    )
    made.keep(reply.content, extra={})
    return made


def job_id(name: str) -> str:
    """Return a job's id: its location and its number, of "projects/p/locations/us-central1/batchPredictionJobs/1"."""
    found = re.search(r"locations/([\w-]+)/batchPredictionJobs/([\w-]+)", name)
    return f"{found[1]}.{found[2]}" if found else name


def job_place(id: str) -> tuple[str, str]:
    """Return (location, number) of a job's id. Raises BadRequestError where it is none."""
    found = re.fullmatch(r"([\w-]+)\.([\w-]+)", job_id(id))
    if found is None:
        raise BadRequestError(f"{id!r} is no id of a batch; they read <location>.<number>.")
    return found[1], found[2]


# --- results ----------------------------------------------------------------------------------------------


def results_of(file_id: str) -> tuple[str, str | None]:
    """Return (address, OUTPUT or ERRORS) for the id of a job's results; (address, None) for any other file."""
    kind = next((kind for kind in (OUTPUT, ERRORS) if file_id.endswith(kind)), None)
    return (file_id.removesuffix(kind), kind) if kind else (file_id, None)


class _Asked(msgspec.Struct):
    labels: dict[str, str] = {}


class _Result(msgspec.Struct):
    request: _Asked
    response: Generated | None = None
    status: str | None = None


class ResultLines:
    """Turns a job's results, as they come, into lines of OpenAI's output file (or of its error file)."""

    def __init__(self, kind: str) -> None:
        self._lines = Lines()
        self._kind = kind
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
        answered = result.response is not None and bool(result.response.candidates)
        if answered != (self._kind == OUTPUT):
            return None
        key = _unlabel(result.request.labels.get(LABEL, ""))
        response = _answer(result, text)
        return (
            msgspec.json.encode({"id": f"batch_req_{key}", "custom_id": key, "response": response, "error": None})
            + b"\n"
        )


def _answer(result: _Result, text: bytes) -> dict[str, Any]:
    if result.response is None or not result.response.candidates:
        message = result.status or "the request has no answer, and Google does not say why"
        return {"status_code": 400, "request_id": None, "body": {"error": {"message": message}}}
    body = from_generated(result.response, "", 0, text).to_dict()
    return {"status_code": 200, "request_id": body.get("id"), "body": body}
