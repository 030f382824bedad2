"""Files and batches together: what is uploaded for a batch is turned into Mistral's lines on the way."""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import Chat, Embeddings
from polyport.dialects.openai_wire import segment
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.batch import (
    Batch,
    BatchDeleted,
    BatchIdRequest,
    BatchList,
    BatchListRequest,
    BatchRequest,
    FileIdRequest,
    FileObject,
    FileRequest,
)
from polyport.types.chat import ChatRequest
from polyport.types.upload import Upload
from polyport_mistral import batch
from polyport_mistral.files import MistralFiles, paged

LINES = "application/jsonl"
#: What Mistral says of files that a job wrote.
RESULTS = frozenset({"batch_result", "batch_error"})


class MistralBatches(MistralFiles, Chat, Embeddings):
    """/batch/jobs. https://docs.mistral.ai/api/endpoint/batch"""

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """Upload a file; lines of a batch become Mistral's, and their adaptations are this call's."""
        content = request.upload
        if request.purpose == "batch":
            make = {"/v1/chat/completions": self._chat_line, "/v1/embeddings": self._embed_line}
            content = Upload(content.filename, batch.to_lines(request, self.name, make), LINES)
        return (yield from self.upload(request, content))

    def _chat_line(self, request: ChatRequest) -> dict[str, Any]:
        return self.chat_body(request, self.history(request))

    def _embed_line(self, request: Any) -> dict[str, Any]:
        return self.body(request, "embed")

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file's bytes; a batch's results as OpenAI's lines."""
        file = yield from self.retrieve_file(request)
        content = yield from self.content(request)
        if file.extra.get("sample_type") not in RESULTS:
            return content
        lines = batch.Results()
        if isinstance(content, Streaming):
            return content.through(lines)
        return Binary(content=b"".join([*lines.feed(content.content), *lines.close()]), content_type=LINES)

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """Start a job over uploaded lines."""
        reply: HttpReply = yield self.post("/batch/jobs", json=batch.to_job_body(request))
        made = batch.to_batch(reply)
        made.completion_window = request.completion_window
        return made

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Look how far a job is; `inline=True` brings the results of one whose requests came inline."""
        return batch.to_batch((yield self.get(self._path(request), params=self.extras(request))))

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Cancel a job; it is `cancelling` first."""
        return batch.to_batch((yield self.post(f"{self._path(request)}/cancel")))

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """List jobs, newest first."""
        reply = yield self.get("/batch/jobs", params={**paged(request), **self.extras(request)})
        return batch.to_batches(reply, request)

    @hookimpl
    def delete_batch(self, request: BatchIdRequest) -> Flow[BatchDeleted]:
        """Delete a job."""
        return decode((yield self.delete(self._path(request))), BatchDeleted)

    def _path(self, request: BatchIdRequest) -> str:
        return f"/batch/jobs/{segment(request.batch_id)}"
