"""Batches: POST .../batchPredictionJobs, and what follows."""

from __future__ import annotations

from typing import Any

from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.batch import Batch, BatchDeleted, BatchIdRequest, BatchList, BatchListRequest, BatchRequest
from polyport.types.record import Request
from polyport_gemini.facts import takes_levels
from polyport_vertex import batch
from polyport_vertex.files import Files
from polyport_vertex.settings import GLOBAL, HOST, HOSTS, REGIONAL


class Batches(Files):
    """Batch prediction jobs."""

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """Start a job over uploaded lines; newer models are in `global` only."""
        body = batch.to_job(request, self.door)
        home = GLOBAL if takes_levels(body["model"]) else REGIONAL
        made = batch.to_batch((yield self.post(f"{self.base_of(request, home)}/batchPredictionJobs", json=body)))
        made.input_file_id = made.input_file_id or request.input_file_id
        return made

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Look how far a batch is."""
        return batch.to_batch((yield self.get(self._job(request))))

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Cancel a batch, and look what came of it: cancelling itself answers nothing."""
        yield self.post(f"{self._job(request)}:cancel")
        return batch.to_batch((yield self.get(self._job(request))))

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """List the batches of a location; `after` is the `last_id` of the page before."""
        params = {"pageSize": request.limit, "pageToken": request.after}
        return batch.to_batches(
            (yield self.get(f"{self.base_of(request, REGIONAL)}/batchPredictionJobs", params=params))
        )

    @hookimpl
    def delete_batch(self, request: BatchIdRequest) -> Flow[BatchDeleted]:
        """Delete a job; its results stay in their bucket. The answer is an operation, which goes on by itself."""
        decode((yield self.delete(self._job(request))), dict[str, Any])
        return BatchDeleted(id=request.batch_id, deleted=True)

    def _job(self, request: BatchIdRequest) -> str:
        location, number = batch.job_place(request.batch_id)
        host = (
            "" if request.options.api_base else f"https://{HOSTS.get(location) or HOST.format(location)}.googleapis.com"
        )
        version = request.options.api_version or "v1"
        return f"{host}/{version}/projects/{{project}}/locations/{location}/batchPredictionJobs/{number}"

    def base_of(self, request: Request, home: str) -> str:
        """Return the address of a place in the project, on its own host."""
        host = "" if request.options.api_base or home == GLOBAL else "https://{region_host}.googleapis.com"
        return f"{host}/{request.options.api_version or 'v1'}/{home}"
