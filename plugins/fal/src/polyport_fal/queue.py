"""fal's queue: a job is submitted, asked after with growing pauses, and its result fetched; one given up is cancelled.

https://fal.ai/docs/documentation/model-apis/inference/queue
"""

from __future__ import annotations

import contextlib
import re
from itertools import chain
from typing import Any

import msgspec

from polyport.errors import APIError, InvalidResponseError
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.provider import Provider, decode
from polyport.types.record import Request
from polyport.waiting import growing, wait_for
from polyport_fal.apps import App

HOST = "https://queue.fal.run/"
#: Seconds between questions: the first ones are short, as the fastest models take less than one.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
STATUSES = frozenset({"IN_QUEUE", "IN_PROGRESS", "COMPLETED"})


class Submitted(msgspec.Struct):
    """What a submission answers: the job's id, and where to ask for it."""

    request_id: str
    status_url: str = ""
    response_url: str = ""
    cancel_url: str = ""


class Status(msgspec.Struct):
    """How far a job is. `error` is why a completed one failed, where the queue itself knows it."""

    status: str
    error: str | None = None
    error_type: str | None = None
    queue_position: int | None = None


class Job(msgspec.Struct, frozen=True):
    """A job, by the paths below the base URL at which it is asked for."""

    id: str
    status: str
    result: str
    cancel: str


class Queue(Provider):
    """The queue's verbs, for the capabilities."""

    def submit(self, app: App, body: dict[str, Any]) -> Flow[tuple[Job, HttpReply]]:
        """Start a job."""
        reply: HttpReply = yield self.post(f"/{app.path}", json=body)
        given = decode(reply, Submitted)
        job = job_of(app, given.request_id)
        if job is None:
            raise InvalidResponseError(
                f"$.request_id is {given.request_id!r}, which is no id of a job", body=reply.content
            )
        return Job(
            job.id,
            _below(given.status_url) or job.status,
            _below(given.response_url) or job.result,
            _below(given.cancel_url) or job.cancel,
        ), reply

    def work(self, request: Request, app: App, body: dict[str, Any]) -> Flow[HttpReply]:
        """Run a job to its end and return its result; a flow that is given up before cancels the job."""
        job, _ = yield from self.submit(app, body)
        try:
            yield from self._await(job, request)
        except GeneratorExit:
            raise  # a closed flow may yield nothing more
        except BaseException:
            with contextlib.suppress(APIError):  # why it is given up says more than that it cannot be cancelled
                yield self.cancellation(job)
            raise
        reply: HttpReply = yield self.get(job.result)
        return reply

    def cancellation(self, job: Job) -> HttpRequest:
        """Return the request that cancels a job."""
        return self.request("PUT", job.cancel)

    def _await(self, job: Job, request: Request) -> Flow[None]:
        def ask() -> Flow[Status | None]:
            status = status_of((yield self.get(job.status)))
            return status if status.status == "COMPLETED" else None

        pauses = chain([0.0], growing(FIRST_PAUSE, LONGEST_PAUSE))
        yield from wait_for(ask, request, f"The job {job.id}", pauses)


def status_of(reply: HttpReply) -> Status:
    """Return what a reply says of a job. Raises InvalidResponseError for a status that the queue does not have."""
    status = decode(reply, Status)
    if status.status not in STATUSES:
        raise InvalidResponseError(
            f"$.status is {status.status!r}, not one of {', '.join(sorted(STATUSES))}", body=reply.content
        )
    return status


def job_of(app: App, id: str) -> Job | None:
    """Return the job of an app with an id; None where that is no id."""
    if not re.fullmatch(r"[\w-]+", id):
        return None
    path = f"/{app.root}/requests/{id}"
    return Job(id, f"{path}/status", path, f"{path}/cancel")


def _below(url: str) -> str:
    """Return the path of an address on the queue's own host; elsewhere the key is not sent."""
    return url.removeprefix(HOST[:-1]) if url.startswith(HOST) else ""
