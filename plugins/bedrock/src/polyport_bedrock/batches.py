"""Batches: POST /model-invocation-job, and what follows.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.batch import Batch, BatchIdRequest, BatchList, BatchListRequest, BatchRequest
from polyport_bedrock import batch
from polyport_bedrock.files import Files
from polyport_bedrock.settings import extras


class _Begun(msgspec.Struct, rename="camel"):
    job_arn: str


class Batches(Files):
    """Model invocation jobs, whose ids are their ARNs."""

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """Start a job over uploaded lines. Bedrock wants a hundred of them or more."""
        body = batch.to_job(request)
        reply = yield self.post("bedrock:/model-invocation-job", json=body)
        made = Batch(
            id=decode(reply, _Begun).job_arn,
            status="validating",
            endpoint=batch.BY_NAME[batch.shape_of(request.input_file_id)][0],
            input_file_id=request.input_file_id,
            completion_window=request.completion_window,
            model=body["modelId"],
            metadata=request.metadata,
        )
        made.keep(reply.content, extra={})
        return made

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Look how far a job is."""
        return batch.to_batch((yield self.get(_place(request.batch_id))))

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Stop a job, and look what came of it: stopping itself answers nothing."""
        yield self.post(f"{_place(request.batch_id)}/stop")
        return batch.to_batch((yield self.get(_place(request.batch_id))))

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """List jobs, newest first; `after` is the `last_id` of the page before."""
        params = {"maxResults": request.limit, "nextToken": request.after, "sortOrder": "Descending"}
        reply = yield self.get("bedrock:/model-invocation-jobs", params={**params, **extras(request)})
        return batch.to_batches(reply)


def _place(job: str) -> str:
    if not job.startswith("arn:") or ":model-invocation-job/" not in job:
        raise BadRequestError(f"{job!r} is no id of a batch; Bedrock's are ARNs of model invocation jobs.")
    return f"bedrock:/model-invocation-job/{quote(job, safe='')}"
