"""Files and batches together: what is uploaded for a batch is turned into Google's lines on the way."""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError, ConflictError
from polyport.flow import Flow, HttpReply, Items, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.lines import asked
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
from polyport.types.upload import Upload
from polyport_gemini import batch
from polyport_gemini.batch import ENDPOINTS, Operation, Results
from polyport_gemini.files import Files, bare, mark, mark_of, to_file, to_uploaded
from polyport_gemini.wire import version

LINES = "application/jsonl"


class Batches(Files):
    """Batches below {model}:batchGenerateContent and /batches."""

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """Upload a file; lines of a batch become Google's, and their adaptations are this call's."""
        content, name = request.upload, request.upload.filename
        if request.purpose == "batch":
            lines, kind, model = yield from batch.to_lines(request, self.name, self.door)
            content = Upload(name, lines, LINES)
            name = mark(kind.name, model, name)
        return to_uploaded((yield from self.upload(request, content, name)), request.purpose, request.upload.filename)

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a batch's results as OpenAI's lines, or a file that Google made."""
        results = batch.results_of(request.file_id)
        if results is None:
            return (yield from self.file_content(request, request.file_id, request.stream))
        operation = decode((yield self.get(f"/{version(request)}/batches/{results[0]}")), Operation)
        lines = Results(results[1], operation.metadata.model.removeprefix("models/"))
        return (yield from self._results(operation, lines, request))

    def _results(self, operation: Operation, lines: Results, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        output = operation.output
        if output is None:
            raise ConflictError(f"{operation.name} has no results yet.", status_code=409, retryable=False)
        found = batch.inlined(output)
        if found is None:
            if not output.responses_file:
                raise BadRequestError(f"{operation.name} gave no results.")
            path = f"{self.file_path(request, output.responses_file)}:download"
            reply = yield self.get(path, params={"alt": "media"}, stream=request.stream)
            if request.stream:
                return Streaming(reply, lines)
            made = [*lines.feed(reply.content), *lines.close()]
        else:
            made = [line for text in found if (line := lines.line(text)) is not None]
        if request.stream:
            return Streaming(Items(made), Raw())
        return Binary(content=b"".join(made), content_type=LINES)

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """Start a batch over uploaded lines."""
        name = bare(request.input_file_id)
        body = batch.to_batch_body(request, name, self.door)
        kind, marked = ENDPOINTS[request.endpoint], None
        if not request.model:
            file = to_file((yield self.get(self.file_path(request, name))))
            marked = mark_of(file.extra.get("display_name"))
        if marked is not None and marked["kind"] != kind.name:
            raise BadRequestError(f"{name!r} holds lines for {marked['kind']}, not for {request.endpoint}.")
        model = asked(request.model or (marked["model"] if marked else None))
        reply: HttpReply = yield self.post(f"{self.model_path(request, model)}:{kind.method}", json=body)
        made = batch.to_batch(reply)
        made.endpoint, made.input_file_id = request.endpoint, name
        return made

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Look how far a batch is."""
        return batch.to_batch((yield self.get(self._batch_path(request))))

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Cancel a batch, and look what came of it: cancelling itself answers nothing."""
        yield self.post(f"{self._batch_path(request)}:cancel")
        return batch.to_batch((yield self.get(self._batch_path(request))))

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """List batches; `after` is the `last_id` of the page before."""
        params = {"pageSize": request.limit, "pageToken": request.after}
        return batch.to_batches((yield self.get(f"/{version(request)}/batches", params=params)))

    @hookimpl
    def delete_batch(self, request: BatchIdRequest) -> Flow[BatchDeleted]:
        """Delete a batch; its results' file stays."""
        decode((yield self.delete(self._batch_path(request))), dict[str, Any])
        return BatchDeleted(id=request.batch_id, deleted=True)

    def _batch_path(self, request: BatchIdRequest) -> str:
        return f"/{version(request)}/batches/{batch.batch_id(request.batch_id)}"
