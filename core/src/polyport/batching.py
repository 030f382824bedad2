"""Batches over any provider: OpenAI's batch lines in, OpenAI's batch output lines out, by ordinary calls.

    for line in run_batch("requests.jsonl", resume="results.jsonl", concurrency=16):
        print(line.custom_id, line.response["body"] if line.ok else line.error)

A line is `{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": ..., ...}}`; its url
says which operation it is. https://platform.openai.com/docs/api-reference/batch/request-input
"""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import msgspec

from polyport.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    PluginError,
    PolyportError,
)
from polyport.interface import Interface
from polyport.journal import Journal
from polyport.operations import OPERATIONS, Operation
from polyport.types.record import OPTION_NAMES, Fields, describe, null

Source: TypeAlias = "str | os.PathLike[str] | Iterable[Any]"
Report: TypeAlias = "Callable[[Progress], None]"

#: Operations by their path in OpenAI's HTTP interface, of those whose body is JSON.
BY_PATH: dict[str, Operation] = {
    row.path: row for row in OPERATIONS if row.body == "json" and row.method == "POST" and row.id_field is None
}
#: Errors that are no line's own: they end the run, and nothing is recorded for the line.
FATAL = (AuthenticationError, BudgetExceededError, PluginError)
#: Names that are arguments of ours, and in a body a provider's parameters.
RESERVED = OPTION_NAMES | {"custom_llm_provider", "self"}
#: How every line that is recorded begins.
START = b'{"id":"batch_req_'


class BatchLine(msgspec.Struct, kw_only=True):
    """One request of a batch."""

    custom_id: str | None = None
    method: str = "POST"
    url: str
    body: dict[str, Any]


class BatchOutput(Fields):
    """What came of one line. `response` holds status_code, request_id and body; `error` what went wrong without one.

    `cost` is what the call cost in USD, null where that is not known; lines of a provider's own batch have no such
    field.

    An error status of the provider is a response whose body is `{"error": {...}}`; `error` (code, message) is
    for what never got that far. https://platform.openai.com/docs/api-reference/batch/request-output
    """

    id: str = ""
    custom_id: str | None = null()
    response: dict[str, Any] | None = null()
    error: dict[str, Any] | None = null()
    cost: float | None = null()

    @property
    def ok(self) -> bool:
        """Whether the line was answered."""
        return self.response is not None and self.response["status_code"] < 400


class Progress(msgspec.Struct, frozen=True):
    """How far a batch is, in lines. `failed` of the `done` have no answer; `resumed` were done before this run."""

    done: int
    failed: int
    resumed: int
    total: int


def run_batch(
    requests: Source,
    *,
    resume: str | os.PathLike[str] | None = None,
    concurrency: int = 8,
    progress: Report | None = None,
    retry_failed: bool = False,
    client: Interface | None = None,
    **options: Any,
) -> list[BatchOutput]:
    """Run every line and return what came of each, in the order of the lines.

    `requests` is the path of a JSONL file (or one with a JSON array), or an iterable of lines (dicts, text or
    bytes). `resume` is a file that each result is appended to as it comes; lines that have a result there are not
    run again, whatever ended the run before, and with `retry_failed` those without an answer are. `progress` is
    told after each line, in the thread that ran it. `options` go with every call (`model`, `timeout`,
    `num_retries`, `provider` ...) and win over the line's own. A line's failure is its result; a missing or
    refused key, a spent budget and a broken plugin end the run with their error. Raises BadRequestError for a
    line that cannot be read, before anything is sent.
    """
    with _Run(requests, resume, progress, retry_failed, client) as run:

        def work() -> None:
            with run.tasks() as tasks:
                for task in tasks:
                    function, fields = task.call(options)
                    try:
                        answer: Any = getattr(run.client, function)(**fields)
                    except PolyportError as error:
                        answer = error
                    run.record(task, answer)

        with ThreadPoolExecutor(max_workers=max(1, concurrency)) as pool:
            workers = [pool.submit(work) for _ in range(max(1, concurrency))]
            try:
                for worker in workers:
                    worker.result()
            finally:
                run.stop()
        return run.results()


async def arun_batch(
    requests: Source,
    *,
    resume: str | os.PathLike[str] | None = None,
    concurrency: int = 8,
    progress: Report | None = None,
    retry_failed: bool = False,
    client: Interface | None = None,
    **options: Any,
) -> list[BatchOutput]:
    """`run_batch`, asynchronously: `concurrency` tasks. `progress` is told in a worker thread, one line at a time."""
    with await asyncio.to_thread(_Run, requests, resume, progress, retry_failed, client) as run:

        async def work() -> None:
            with run.tasks() as tasks:
                for task in tasks:
                    function, fields = task.call(options)
                    try:
                        answer: Any = await getattr(run.client, f"a{function}")(**fields)
                    except PolyportError as error:
                        answer = error
                    await asyncio.to_thread(run.record, task, answer)

        workers = [asyncio.create_task(work()) for _ in range(max(1, concurrency))]
        try:
            await asyncio.wait(workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for worker in workers:
            worker.result()
        return run.results()


class Task(msgspec.Struct, frozen=True):
    """A line on its way: its number (from 1), what tells it from others, and the line as it was given."""

    number: int
    custom_id: str | None
    raw: Any

    @property
    def id(self) -> str:
        """The id of its output line."""
        return f"batch_req_{self.number}"

    @property
    def key(self) -> str:
        """What the line is known by, also when it is run again: its own id, else its place."""
        return key_of(self.id, self.custom_id)

    def call(self, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the function to call, and its arguments."""
        line = read_line(self.raw, self.number)
        operation = operation_of(line, self.number)
        return operation.function, fields_of(line, operation, options)


def key_of(id: str, custom_id: str | None) -> str:
    """Return what an output line is known by."""
    return id if custom_id is None else f"custom_id {custom_id}"


class _Run:
    """What the workers of one run share; safe for several threads."""

    def __init__(
        self,
        requests: Source,
        resume: str | os.PathLike[str] | None,
        report: Report | None,
        retry_failed: bool,
        client: Interface | None,
    ) -> None:
        self.client = client or _default_client()
        self._report = report
        self._lock = threading.Lock()
        self._stopped = False
        self._failed = 0
        tasks = list(read_tasks(requests))
        self._done: dict[str, BatchOutput | None] = _by_key(tasks)
        self._journal = Journal(Path(resume), START) if resume is not None else None
        self._resumed = self._restore(retry_failed)
        self._finished = self._resumed
        self._rest = iter([task for task in tasks if self._done[task.key] is None])

    def _restore(self, retry_failed: bool) -> int:
        """Read the results of earlier runs and return their number; what is to be run again leaves the file."""
        if self._journal is None:
            return 0
        try:
            lines = self._journal.lines()
            kept = [line for line in lines if self._restore_line(line, retry_failed)]
            if len(kept) < len(lines):
                self._journal.replace(kept)
        except BaseException:
            self._journal.close()
            raise
        return sum(output is not None for output in self._done.values())

    def _restore_line(self, line: bytes, retry_failed: bool) -> bool:
        output = _read_output(line, self._journal)
        if retry_failed and not output.ok:
            return False
        if (key := key_of(output.id, output.custom_id)) in self._done:
            self._done[key] = output
            self._failed += not output.ok
        return True

    @contextmanager
    def tasks(self) -> Iterator[Iterator[Task]]:
        """Give lines to run until there are none or the run is stopped, each once; a worker's failure stops it."""
        try:
            yield iter(self._next, None)
        except BaseException:
            self.stop()
            raise

    def _next(self) -> Task | None:
        with self._lock:
            return None if self._stopped else next(self._rest, None)

    def record(self, task: Task, answer: Any) -> None:
        """Make what came of a line durable, then count it. Raises what is no line's own error."""
        if isinstance(answer, FATAL):
            raise answer
        output = output_of(task, answer)
        if self._journal is not None:
            self._journal.append(msgspec.json.encode(output))
        with self._lock:
            self._done[task.key] = output
            self._finished += 1
            self._failed += not output.ok
            if self._report is not None:
                self._report(Progress(self._finished, self._failed, self._resumed, len(self._done)))

    def results(self) -> list[BatchOutput]:
        """Return the results in the order of the lines."""
        return [output for output in self._done.values() if output is not None]

    def stop(self) -> None:
        """Give out no more lines; those on their way are still recorded."""
        self._stopped = True

    def __enter__(self) -> Self:
        if self._report is not None:
            self._report(Progress(self._finished, self._failed, self._resumed, len(self._done)))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        if self._journal is not None:
            self._journal.close()


def _default_client() -> Interface:
    from polyport.api import default_client

    return default_client


# --- lines ------------------------------------------------------------------------------------------------


def read_tasks(requests: Source) -> Iterator[Task]:
    """Give the lines of a batch. Raises BadRequestError that names the line which cannot be run."""
    for number, raw in enumerate(_raw_lines(requests), start=1):
        if isinstance(raw, str | bytes) and not raw.strip():
            continue
        line = read_line(raw, number)
        operation_of(line, number)
        if line.body.get("stream"):
            raise BadRequestError(f"Line {number} of the batch asks for a stream; a batch has none.")
        yield Task(number, line.custom_id, raw)


def _raw_lines(requests: Source) -> Iterator[Any]:
    if not isinstance(requests, str | os.PathLike):
        return iter(requests)
    try:
        content = Path(requests).read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise BadRequestError(f"Cannot read the batch {os.fspath(requests)!r}: {error.strerror or error}.") from error
    if content.lstrip().startswith(b"["):
        from polyport.types.batch import as_json_lines
        from polyport.types.upload import Upload

        content = as_json_lines(Upload(Path(requests).name, content)).read()
    return iter(content.splitlines())


def read_line(raw: Any, number: int) -> BatchLine:
    """Return a line as a value. Raises BadRequestError that names the line and the place in it."""
    try:
        if isinstance(raw, str | bytes):
            return msgspec.json.decode(raw, type=BatchLine)
        return raw if isinstance(raw, BatchLine) else msgspec.convert(raw, BatchLine)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"Line {number} of the batch: {describe(error, '$')}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"Line {number} of the batch is not JSON: {error}.") from error


def operation_of(line: BatchLine, number: int) -> Operation:
    """Return the operation a line's url names. Raises BadRequestError that lists the ones there are."""
    found = BY_PATH.get("/" + line.url.strip("/").removeprefix("v1/"))
    if found is None or line.method.upper() != "POST":
        raise BadRequestError(
            f"Line {number} of the batch asks for {line.method} {line.url!r}; "
            f"a batch can POST {', '.join(f'/v1{path}' for path in BY_PATH)}."
        )
    return found


def fields_of(line: BatchLine, operation: Operation, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a line's call.

    A body is what goes over a wire: names in it that are options of ours (`provider`, `timeout`, `api_base`) mean
    the provider's parameters, so that no file can say where a key is sent.
    """
    needed = [field.name for field in msgspec.structs.fields(operation.request) if field.required]
    fields: dict[str, Any] = dict.fromkeys(("model", *needed))
    fields |= {name: value for name, value in line.body.items() if name not in RESERVED}
    fields |= options
    if theirs := {name: line.body[name] for name in RESERVED.intersection(line.body)}:
        fields["extra_body"] = {**theirs, **(options.get("extra_body") or {})}
    return fields


def _by_key(tasks: list[Task]) -> dict[str, BatchOutput | None]:
    done: dict[str, BatchOutput | None] = {}
    for task in tasks:
        if task.key in done:
            raise BadRequestError(
                f"Line {task.number} of the batch has the custom_id of another, {task.custom_id!r}; each needs its own."
            )
        done[task.key] = None
    return done


# --- results ----------------------------------------------------------------------------------------------


def output_of(task: Task, answer: Any) -> BatchOutput:
    """Return the output line for what a call gave: a result, or the error it raised."""
    output = BatchOutput(id=task.id, custom_id=task.custom_id)
    if not isinstance(answer, PolyportError):
        output.response = {"status_code": 200, "request_id": answer.meta.request_id, "body": answer.to_dict()}
        output.cost = answer.meta.cost
    elif isinstance(answer, APIError) and answer.status_code is not None:
        body = {"error": {"message": answer.message, "type": type(answer).__name__, **_details(answer.body)}}
        output.response = {"status_code": answer.status_code, "request_id": answer.request_id, "body": body}
    else:
        output.error = {"code": type(answer).__name__, "message": str(answer)}
    return output


def _details(body: Any) -> dict[str, Any]:
    """Return what the provider's error says besides its message, where it has OpenAI's shape."""
    inner = body.get("error") if isinstance(body, dict) else None
    return {name: inner.get(name) for name in ("param", "code")} if isinstance(inner, dict) else {}


def _read_output(line: bytes, journal: Journal | None) -> BatchOutput:
    path = journal.path if journal else ""
    try:
        output = msgspec.json.decode(line, type=BatchOutput)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"{path} holds something else than the results of a batch: {error}.") from error
    if not output.id or (output.response is None and output.error is None):
        raise BadRequestError(f"{path} holds something else than the results of a batch: {line[:60]!r}.")
    return output
