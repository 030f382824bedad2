"""Files, batches and the list of models on OpenAI's wire."""

from __future__ import annotations

from typing import ClassVar, Literal

from polyport.dialects.openai_audio import to_binary
from polyport.dialects.openai_wire import Wire, segment, to_form
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.batch import (
    Batch,
    BatchIdRequest,
    BatchList,
    BatchListRequest,
    BatchRequest,
    FileDeleted,
    FileIdRequest,
    FileList,
    FileListRequest,
    FileObject,
    FileRequest,
)
from polyport.types.models import ModelList, ModelListRequest


class Files(Wire):
    """/files. https://platform.openai.com/docs/api-reference/files"""

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """Upload a file."""
        body = {**self.body(request, "create_file", skip=("file",)), "file": request.upload}
        body.pop("model", None)
        reply = yield self.post("/files", form=to_form(body))
        return decode(reply, FileObject)

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """Look a file up."""
        reply = yield self.get(f"/files/{segment(request.file_id)}")
        return decode(reply, FileObject)

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """List files, newest first."""
        reply = yield self.get("/files", params={**request.given(), **self.extras(request)})
        return decode(reply, FileList)

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """Delete a file."""
        reply = yield self.delete(f"/files/{segment(request.file_id)}")
        return decode(reply, FileDeleted)

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file's bytes."""
        reply: HttpReply = yield self.get(f"/files/{segment(request.file_id)}/content", stream=request.stream)
        return Streaming(reply, Raw()) if request.stream else to_binary(reply)


class Batches(Wire):
    """/batches. https://platform.openai.com/docs/api-reference/batch"""

    batch_lines: ClassVar[Literal["chat", "wire", "messages"]] = "wire"

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """Start a batch over an uploaded file."""
        body = self.body(request, "create_batch")
        body.pop("model", None)
        reply = yield self.post("/batches", json=body)
        return decode(reply, Batch)

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Look how far a batch is."""
        reply = yield self.get(f"/batches/{segment(request.batch_id)}")
        return decode(reply, Batch)

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """Cancel a batch; it is `cancelling` first."""
        reply = yield self.post(f"/batches/{segment(request.batch_id)}/cancel")
        return decode(reply, Batch)

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """List batches, newest first."""
        reply = yield self.get("/batches", params={**request.given(), **self.extras(request)})
        return decode(reply, BatchList)


class Models(Wire):
    """GET /models. https://platform.openai.com/docs/api-reference/models/list"""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models the key may use."""
        query = self.body(request, "list_models")
        query.pop("model", None)
        reply = yield self.get("/models", params=query)
        return decode(reply, ModelList)
