"""Services that take their time answer with a job's id. https://platform.stability.ai/docs/api-reference#tag/Results

A job cannot be cancelled; its result is kept for 24 hours.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from polyport.errors import APIError, Timeout
from polyport.flow import DEFAULT_TIMEOUT, NOW, Flow, HttpReply, Sleep, TimeoutSpec
from polyport.provider import Provider, decode
from polyport.types.record import Request

#: "Rate-limiting or other errors may occur if you poll more than once every 10 seconds."
PAUSE = 10.0
IN_PROGRESS = 202
#: So many questions in a row may fail for a passing reason once a job was seen in progress: it goes on, and giving up
#: would pay for it twice.
MOST_FAILURES = 4
JSON = {"accept": "application/json"}


class _Job(msgspec.Struct):
    id: str


def job_of(reply: HttpReply) -> str:
    """Return the id of the job that a reply names."""
    return decode(reply, _Job).id


def result_of(provider: Provider, job: str, request: Request) -> Flow[HttpReply]:
    """GET /v2beta/results/{id} until it is there. Raises Timeout after the call's `timeout`, 600 s if it has none."""
    given = request.options.timeout
    limit = (DEFAULT_TIMEOUT if given is None else TimeoutSpec.of(given)).total
    start: float = yield NOW
    failures = MOST_FAILURES
    while True:
        pause = PAUSE
        try:
            reply: HttpReply = yield provider.get(f"/v2beta/results/{quote(job, safe='')}", headers=JSON)
            if reply.status != IN_PROGRESS:
                return reply
            failures = 0
        except APIError as error:
            failures += 1
            if not error.retryable or failures >= MOST_FAILURES:
                raise
            pause = max(PAUSE, error.retry_after or 0.0)
        now: float = yield NOW
        if limit is not None and now - start + pause > limit:
            raise Timeout(f"The job {job} was not done within {limit:g} s; pass a longer timeout=...", retryable=False)
        yield Sleep(pause)
