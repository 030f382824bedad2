"""Anthropic: Claude through the Messages API, batches and files. https://platform.claude.com/docs/en/api

`to_messages`, `to_completion` and `MessageEvents` translate the Messages API for other doors to Claude, too.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import quote

from polyport.auth import Auth
from polyport.errors import APIError, NotFoundError
from polyport.flow import Call, Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.audio import Binary
from polyport.types.batch import (
    Batch,
    BatchDeleted,
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
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.messages import AnthropicMessage, MessagesRequest, TokenCount
from polyport.types.models import ModelList, ModelListRequest
from polyport.types.responses import Item
from polyport.wire.dates import created_at
from polyport_anthropic import batch, errors, files, native, spool
from polyport_anthropic.access import AUTH, FILES_BETA, headers, settle
from polyport_anthropic.chat import to_messages
from polyport_anthropic.events import NativeEvents
from polyport_anthropic.reply import to_completion
from polyport_anthropic.stream import MessageEvents

__all__ = ["Anthropic", "MessageEvents", "NativeEvents", "to_completion", "to_messages"]

#: The most models a page can have: all of them.
ALL_MODELS = 1000


class Anthropic(Provider):
    """The Claude API, with a key (`x-api-key`) or a token (`Authorization: Bearer`)."""

    auth: ClassVar[Auth] = AUTH
    base_url = "https://api.anthropic.com"
    base_env = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")
    batch_lines: ClassVar[Literal["chat", "wire", "messages"]] = "messages"

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """POST /v1/messages. https://platform.claude.com/docs/en/api/messages"""
        body = settle(request, to_messages(request))
        reply = yield self.post("/v1/messages", json=body, headers=headers(request, body), stream=request.stream)
        if request.stream:
            decoder = MessageEvents(include_usage=request.wants_usage, created=created_at(reply.headers))
            return Streaming(reply, decoder)
        return to_completion(reply)

    @hookimpl
    def create_message(self, request: MessagesRequest) -> Flow[AnthropicMessage | Streaming[Item]]:
        """POST /v1/messages as it is. https://platform.claude.com/docs/en/api/messages"""
        body = native.to_native(request)
        reply = yield self.post("/v1/messages", json=body, headers=headers(request, body), stream=request.stream)
        return Streaming(reply, NativeEvents()) if request.stream else decode(reply, AnthropicMessage).relay()

    @hookimpl
    def count_tokens(self, request: MessagesRequest) -> Flow[TokenCount]:
        """POST /v1/messages/count_tokens. https://platform.claude.com/docs/en/api/messages-count-tokens"""
        body = native.to_count(request)
        reply = yield self.post("/v1/messages/count_tokens", json=body, headers=headers(request, body))
        return decode(reply, TokenCount)

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """GET /v1/models. https://platform.claude.com/docs/en/api/models-list"""
        params = {"after_id": request.after, "limit": request.limit or ALL_MODELS}
        reply = yield self.get("/v1/models", params=params, headers=headers(request))
        return native.to_models(reply)

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """POST /v1/files, but lines of a batch stay here. https://platform.claude.com/docs/en/api/files-create"""
        if request.purpose == "batch":
            return (yield Call(lambda: spool.keep(request.upload)))  # type: ignore[no-any-return]
        reply = yield self.post("/v1/files", form=files.to_upload(request), headers=self._files(request))
        return files.to_file(reply, request.purpose)

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """GET /v1/files/{id}. https://platform.claude.com/docs/en/api/files-metadata"""
        if spool.is_ours(request.file_id):
            path = yield Call(lambda: spool.find(request.file_id))
            return spool.describe(_found(path, request.file_id))
        reply = yield self.get(f"/v1/files/{request.file_id}", headers=self._files(request))
        return files.to_file(reply)

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """GET /v1/files. https://platform.claude.com/docs/en/api/files-list"""
        reply = yield self.get("/v1/files", params=files.to_query(request), headers=self._files(request))
        return files.to_files(reply)

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """DELETE /v1/files/{id}. https://platform.claude.com/docs/en/api/files-delete"""
        if spool.is_ours(request.file_id):
            _found((yield Call(lambda: spool.delete(request.file_id))) or None, request.file_id)
            return FileDeleted(id=request.file_id, deleted=True)
        reply = yield self.delete(f"/v1/files/{request.file_id}", headers=self._files(request))
        return files.to_deleted(reply)

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file that a tool made, a kept input file, or a batch's results as OpenAI's lines."""
        if (results := batch.results_of(request.file_id)) is not None:
            return (yield from self._results(*results, request))
        return Binary(content=(yield from self._content(request)), content_type="application/octet-stream")

    def _results(self, batch_id: str, kind: str, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        path = f"{_place(batch_id)}/results"
        reply = yield self.get(path, headers=headers(request), stream=request.stream)
        lines = batch.Results(kind, created_at(reply.headers))
        if request.stream:
            return Streaming(reply, lines)
        return Binary(content=b"".join(lines.feed(reply.content) + lines.close()), content_type="application/jsonl")

    def _content(self, request: Any, file_id: str = "") -> Flow[bytes]:
        file_id = file_id or request.file_id
        if spool.is_ours(file_id):
            content: bytes = _found((yield Call(lambda: spool.read(file_id))), file_id)
            return content
        reply: HttpReply = yield self.get(f"/v1/files/{file_id}/content", headers=self._files(request))
        return reply.content

    def _files(self, request: Any) -> dict[str, str]:
        return headers(request, beta=FILES_BETA)

    @hookimpl
    def create_batch(self, request: BatchRequest) -> Flow[Batch]:
        """POST /v1/messages/batches. https://platform.claude.com/docs/en/api/creating-message-batches"""
        content = yield from self._content(request, request.input_file_id)
        body = batch.to_batch_body(content, request, self.name)
        reply = yield self.post("/v1/messages/batches", json=body, headers=headers(request, body))
        return batch.to_batch(reply, request)

    @hookimpl
    def retrieve_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """GET /v1/messages/batches/{id}. https://platform.claude.com/docs/en/api/retrieving-message-batches"""
        reply = yield self.get(_place(request.batch_id), headers=headers(request))
        return batch.to_batch(reply)

    @hookimpl
    def cancel_batch(self, request: BatchIdRequest) -> Flow[Batch]:
        """POST /v1/messages/batches/{id}/cancel. https://platform.claude.com/docs/en/api/canceling-message-batches"""
        reply = yield self.post(f"{_place(request.batch_id)}/cancel", headers=headers(request))
        return batch.to_batch(reply)

    @hookimpl
    def list_batches(self, request: BatchListRequest) -> Flow[BatchList]:
        """GET /v1/messages/batches. https://platform.claude.com/docs/en/api/listing-message-batches"""
        params = {"after_id": request.after, "limit": request.limit}
        reply = yield self.get("/v1/messages/batches", params=params, headers=headers(request))
        return batch.to_batches(reply)

    @hookimpl
    def delete_batch(self, request: BatchIdRequest) -> Flow[BatchDeleted]:
        """DELETE /v1/messages/batches/{id}. https://platform.claude.com/docs/en/api/deleting-message-batches"""
        return batch.to_deleted((yield self.delete(_place(request.batch_id), headers=headers(request))))

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell an overlong prompt and a refusal by policy from other 400s."""
        return errors.refine(error)


def _place(batch_id: str) -> str:
    return f"/v1/messages/batches/{quote(batch_id, safe='')}"


def _found(value: Any, file_id: str) -> Any:
    if value is None:
        raise NotFoundError(
            f"{file_id!r} is not kept on this machine (any more): lines of a batch are only where create_file ran."
        )
    return value
