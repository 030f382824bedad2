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

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.lines import CHAT, ResultLines, asked, check_endpoint, output_line, read_lines, refuse_settings, response
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.wire.dates import seconds
from polyport_gemini.body import to_body
from polyport_gemini.door import Door
from polyport_gemini.reply import Generated, from_generated
from polyport_vertex.names import bare, family
from polyport_vertex.storage import FOLDER, split

#: Who answers, as refusals say it.
WHO = "Vertex AI's jobs"
#: A label's value holds 63 characters; in base32 that is so many bytes of a custom_id.
LONGEST_ID = 39
LABEL = "polyport_custom_id"
#: What is put behind the address of a job's results, to read them as OpenAI's lines.
OUTPUT, ERRORS = "#output", "#errors"


def to_lines(request: FileRequest, provider: str, door: Door) -> Flow[tuple[bytes, str]]:
    """Return (Vertex AI's lines, the model) of an upload of OpenAI's. Raises BadRequestError naming the line."""
    made: list[bytes] = []
    models: set[str] = set()
    for line in read_lines(request.upload.read(), request.upload.filename, (CHAT,), WHO):
        model = bare(line.model(request, provider))
        models.add(model)
        if len(models) > 1 or family(model) != "gemini" or not model:
            raise BadRequestError(
                f"Line {line.number}: a job of Vertex AI's is for one model of Gemini's, not {models}."
            )
        with line.named():
            body = yield from to_body(line.build(ChatRequest, model, request), door)
        body["labels"] = {**body.get("labels", {}), LABEL: _label(line.custom_id, line.number)}
        made.append(msgspec.json.encode({"request": body}))
    return b"\n".join(made) + b"\n", models.pop()


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
    refuse_settings(request, WHO, "; labels={...} are for the bill")
    check_endpoint(request.endpoint, (CHAT,), WHO)
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
    return asked(bare(request.model) or (found[1] if found else None))


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
        created_at=seconds(job.create_time),
        in_progress_at=seconds(job.start_time),
        input_file_id=source.uris[0] if source is not None and source.uris else None,
        request_counts={"total": done + failed + left, "completed": done, "failed": failed},
        errors={"object": "list", "data": [{"message": str(job.error.get("message"))}]} if job.error else None,
    )
    made.ended(seconds(job.end_time or job.update_time))
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


class Results(ResultLines):
    """Results in Vertex AI's words, of which `kind` says which ones are wanted."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def line(self, text: bytes) -> bytes | None:
        """Return one result as a line; None where it belongs into the other file."""
        result: _Result = decode(HttpReply(status=200, content=text), _Result)
        answered = result.response is not None and bool(result.response.candidates)
        if answered != (self._kind == OUTPUT):
            return None
        return output_line(_unlabel(result.request.labels.get(LABEL, "")), _answer(result, text))


def _answer(result: _Result, text: bytes) -> dict[str, Any]:
    if result.response is None or not result.response.candidates:
        message = result.status or "the request has no answer, and Google does not say why"
        return response({"error": {"message": message}}, 400)
    body = from_generated(result.response, "", 0, text).to_dict()
    return response(body, request_id=body.get("id"))
