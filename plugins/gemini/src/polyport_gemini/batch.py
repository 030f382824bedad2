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

from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.lines import (
    CHAT,
    EMBEDDINGS,
    Line,
    ResultLines,
    check_endpoint,
    output_line,
    read_lines,
    refuse_settings,
    response,
)
from polyport.provider import decode
from polyport.types.batch import Batch, BatchList, BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.embed import EmbedRequest, embeddings
from polyport.wire.dates import seconds
from polyport_gemini.body import Body, to_body
from polyport_gemini.door import Door
from polyport_gemini.embed import to_embed_body
from polyport_gemini.errors import from_body
from polyport_gemini.media import Media
from polyport_gemini.reply import Generated, from_generated

#: Who answers, as refusals say it.
WHO = "Google's batches"
#: A batch's id and one of these name the files that its results can be read as.
OUTPUT, ERRORS = "_output", "_errors"


class Kind(msgspec.Struct, frozen=True):
    """One of OpenAI's endpoints: the method that runs its batches, and how a line becomes a request."""

    name: str
    method: str
    make: Callable[[Line, str, FileRequest, Door], Flow[Body]]


def to_lines(request: FileRequest, provider: str, door: Door) -> Flow[tuple[bytes, Kind, str]]:
    """Return (Google's lines, what they are, the model) of an upload. Raises BadRequestError naming the line."""
    made: list[bytes] = []
    found: set[tuple[str, str]] = set()
    for line in read_lines(request.upload.read(), request.upload.filename, ENDPOINTS, WHO):
        model = line.model(request, provider)
        found.add((line.url, model))
        if len(found) > 1:
            raise BadRequestError(
                f"Line {line.number}: a batch of Google's has one endpoint and one model, not {found}."
            )
        with line.named():
            body = yield from ENDPOINTS[line.url].make(line, model, request, door)
        made.append(msgspec.json.encode({"key": line.custom_id, "request": body}))
    ((url, model),) = found
    return b"\n".join(made) + b"\n", ENDPOINTS[url], model


def _chat(line: Line, model: str, request: FileRequest, door: Door) -> Flow[Body]:
    return (yield from to_body(line.build(ChatRequest, model, request), door))


def _embed(line: Line, model: str, request: FileRequest, door: Door) -> Flow[Body]:
    inner = line.build(EmbedRequest, model, request)
    media = Media(inner, door)
    requests: list[Body] = to_embed_body(inner, media)["requests"]
    if len(requests) != 1:
        raise BadRequestError("a line of Google's batches has one input at $.body.input")
    yield from media.inline()
    return requests[0]


ENDPOINTS: dict[str, Kind] = {
    CHAT: Kind("chat", "batchGenerateContent", _chat),
    EMBEDDINGS: Kind("embeddings", "asyncBatchEmbedContent", _embed),
}


def to_batch_body(request: BatchRequest, name: str, door: Door) -> Body:
    """Return the body that starts a batch over an uploaded file."""
    refuse_settings(request, WHO)
    check_endpoint(request.endpoint, ENDPOINTS, WHO)
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
        endpoint=EMBEDDINGS if "embed" in told.model else CHAT,
        model=told.model.removeprefix("models/") or None,
        completion_window="24h",
        created_at=seconds(told.create_time),
        input_file_id=told.input_config.file_name if told.input_config is not None else None,
        request_counts={"total": total, "completed": done, "failed": failed},
        errors={"object": "list", "data": [{"message": str(operation.error.get("message"))}]}
        if operation.error
        else None,
    )
    made.ended(seconds(told.end_time or told.update_time))
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


class Results(ResultLines):
    """Results in Google's words, of which `kind` says which ones are wanted."""

    def __init__(self, kind: str, model: str) -> None:
        super().__init__()
        self._kind = kind
        self._model = model
        self._number = 0

    def line(self, text: bytes) -> bytes | None:
        """Return one result as a line; None where it belongs into the other file."""
        result: _Result = decode(HttpReply(status=200, content=text), _Result)
        self._number += 1
        if (result.response is None) != (self._kind == ERRORS):
            return None
        key = result.key or str(next(iter((result.metadata or {}).values()), self._number - 1))
        return output_line(key, _answer(result, self._model))


class _Result(msgspec.Struct):
    key: str | None = None
    metadata: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def _answer(result: _Result, model: str) -> Body:
    """Return the response of a line; a prompt that was blocked is an error of its own line only."""
    try:
        if result.response is None:
            raise from_body({"error": result.error or {}})
        body = _completion(result.response, model)
    except InvalidResponseError:
        raise
    except APIError as error:
        return response({"error": {"message": error.message, "code": error.status_code}}, error.status_code)
    return response(body, request_id=body.get("id"))


def _completion(answer: Body, model: str) -> dict[str, Any]:
    try:
        if "embedding" in answer:
            values = msgspec.convert(answer["embedding"], _Values).values
            made = {"object": "list", "model": model, "data": embeddings([values], None)}
            plain: dict[str, Any] = msgspec.to_builtins(made)
            return plain
        return from_generated(msgspec.convert(answer, Generated), model, 0, answer).to_dict()
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"A result is not of the promised shape: {error}", body=answer) from error


class _Values(msgspec.Struct):
    values: list[float]


def inlined(output: _Output) -> list[bytes] | None:
    """Return results that came with the batch itself as lines; None where a file holds them."""
    found = output.inlined_responses or output.inlined_embed_content_responses
    return None if found is None else [msgspec.json.encode(result) for result in found.inlined_responses]
