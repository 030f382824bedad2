"""The results of a message batch: lines of a provider's output files, as Anthropic's results.

https://docs.anthropic.com/en/api/retrieving-message-batch-results
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport import border
from polyport.border import Call
from polyport.errors import BadRequestError, PolyportError
from polyport.flow import Flow, HttpReply, Items, Raw, Streaming
from polyport.lines import message_of
from polyport.operations import Operation
from polyport.plugins import LoadedProvider
from polyport.types.batch import SINCE, Batch
from polyport.wire.ndjson import Lines
from polyport_gateway import replies
from polyport_gateway.anthropic import TYPES
from polyport_gateway.anthropic_batches import Batches, bounds, noting, places
from polyport_gateway.gate import Admission
from polyport_gateway.running import Running
from polyport_gateway.surface import Events, Octets, Problem

LINES = "application/x-jsonl"
#: Anthropic's own words for what went wrong.
KINDS = frozenset({*TYPES.values(), "api_error", "billing_error"})
#: Codes of lines that were not run, in OpenAI's output files -> Anthropic's results.
#: https://platform.openai.com/docs/guides/batch
NOT_RUN = {"batch_expired": "expired", "batch_cancelled": "canceled"}


class Results(Batches):
    """What came of a batch."""

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call that looks at the batch, and the flow that goes on to its results."""
        call, look = super().plan(running, admission, operation, fields)
        client = running.router.client

        def flow() -> Flow[Streaming[bytes]]:
            batch = yield from look
            yield noting(admission, operation.function, fields, batch, call)
            output, errors = _files(batch)
            one = next(one for one in running.router.groups.all() if one.id == call.meta.deployment)
            there = {**next(places(running, [one])).parameters, **bounds(fields)}
            tail, results = b"", Streaming[bytes](Items([]), Raw())
            if errors:
                tail = (yield from client.flow("file_content", **there, file_id=errors)).content
            if output:
                found = yield from client.flow("file_content", **there, file_id=output, stream=True)
                results = found if isinstance(found, Streaming) else Streaming(Items([found.content]), Raw())
                yield noting(admission, "file_content", {"file_id": output}, results, call)
            return results.through(MessageLines(call.provider, tail))

        return call, flow()

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how results are written: line by line."""
        return Octets(LINES)

    def problem_event(self, problem: Problem) -> bytes:
        """Return an error in the middle of the lines."""
        return replies.encode(self.problem(problem)) + b"\n"


def _files(batch: Batch) -> tuple[str | None, str | None]:
    """Return the files of answers and of errors; one file may have both. Raises BadRequestError without any."""
    if batch.status not in SINCE:
        raise BadRequestError(f"The batch has no results yet: it is {batch.status}.")
    whole = batch.extra.get("messages_file_id")
    if isinstance(whole, str):
        return whole, None
    if not (batch.output_file_id or batch.error_file_id):
        why = [str(one.get("message")) for one in (batch.errors or {}).get("data") or ()]
        raise BadRequestError(f"The batch is {batch.status} and has no results. {' '.join(why)}".rstrip())
    return batch.output_file_id, batch.error_file_id


class MessageLines:
    """Turns output lines, as they come, into results; `tail` are lines that stand in a file of their own."""

    def __init__(self, provider: LoadedProvider, tail: bytes = b"") -> None:
        self._provider, self._tail = provider, tail
        self._lines = Lines()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the results that the next piece completes."""
        return [self._result(line) for line in self._lines.feed(data)]

    def close(self) -> list[bytes]:
        """Return the last ones."""
        rest = [*self._lines.close(), *(line for line in self._tail.splitlines() if line.strip())]
        return [self._result(line) for line in rest]

    def _result(self, text: bytes) -> bytes:
        line = msgspec.json.decode(text, type=_Line)
        return replies.encode({"custom_id": line.custom_id, "result": self._outcome(line)}) + b"\n"

    def _outcome(self, line: _Line) -> dict[str, Any]:
        if line.response is None:
            told = line.error or {}
            kind = NOT_RUN.get(str(told.get("code")))
            return {"type": kind} if kind else _errored({"error": told}, 500, None)
        answer = line.response
        if answer.status_code >= 400:
            return _errored(answer.body, answer.status_code, answer.request_id)
        try:
            message = message_of(self._provider, "", answer.body)
        except PolyportError as error:
            return _errored({"error": {"message": error.message}}, error.status_code or 500, answer.request_id)
        return {"type": "succeeded", "message": message}


class _Answer(msgspec.Struct):
    status_code: int = 200
    request_id: str | None = None
    body: dict[str, Any] = {}


class _Line(msgspec.Struct):
    custom_id: str | None = None
    response: _Answer | None = None
    error: dict[str, Any] | None = None


def _errored(body: dict[str, Any], status: int, request_id: str | None) -> dict[str, Any]:
    """Return the result of a request that failed: in Anthropic's words, where they are, else by its status."""
    found = body.get("error")
    kind = found.get("type") if isinstance(found, dict) else None
    if kind not in KINDS:
        kind = TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": border.message_of(body, HttpReply(status=status))}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": request_id}}
