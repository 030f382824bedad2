"""Services that take their time answer with a job's id. https://platform.stability.ai/docs/api-reference#tag/Results

A job cannot be cancelled; its result is kept for 24 hours.
"""

from __future__ import annotations

from itertools import repeat
from urllib.parse import quote

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.provider import Provider, decode
from polyport.types.record import Request
from polyport.waiting import wait_for

#: "Rate-limiting or other errors may occur if you poll more than once every 10 seconds."
PAUSE = 10.0
IN_PROGRESS = 202
JSON = {"accept": "application/json"}


class _Job(msgspec.Struct):
    id: str


def job_of(reply: HttpReply) -> str:
    """Return the id of the job that a reply names."""
    return decode(reply, _Job).id


def result_of(provider: Provider, job: str, request: Request) -> Flow[HttpReply]:
    """GET /v2beta/results/{id} until it is there. Raises Timeout, see `polyport.waiting`."""

    def ask() -> Flow[HttpReply | None]:
        reply: HttpReply = yield provider.get(f"/v2beta/results/{quote(job, safe='')}", headers=JSON)
        return reply if reply.status != IN_PROGRESS else None

    first = yield from ask()  # what fails before a job was seen in progress is raised at once
    return first if first is not None else (yield from wait_for(ask, request, f"The job {job}", repeat(PAUSE)))
