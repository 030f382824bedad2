"""The Files API. https://ai.google.dev/api/files

Google's `files/abc` is the id `abc` here; both are taken. Files go by themselves after 48 hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.batch import FileDeleted, FileIdRequest, FileList, FileListRequest, FileObject, FileRequest
from polyport.types.record import Request
from polyport.types.upload import Upload
from polyport.wire.dates import seconds
from polyport_gemini.wire import ContentWire, version

#: Google's states -> OpenAI's.
STATES = {"PROCESSING": "uploaded", "ACTIVE": "processed", "FAILED": "error"}


class Files(ContentWire):
    """POST /upload/{version}/files in two steps, and the rest below /files."""

    def upload(self, request: FileRequest, content: Upload, name: str) -> Flow[HttpReply]:
        """Upload a file under a name of any kind; what comes back describes it."""
        refuse(request)
        begun: HttpReply = yield self.post(
            f"/upload/{version(request)}/files",
            json={"file": {"displayName": name}, **self.door.extras(request)},
            headers={
                "x-goog-upload-protocol": "resumable",
                "x-goog-upload-command": "start",
                "x-goog-upload-header-content-length": str(content.length),
                "x-goog-upload-header-content-type": content.content_type,
            },
        )
        address = begun.headers.get("x-goog-upload-url")
        if not address:
            raise InvalidResponseError("The upload was begun, and no x-goog-upload-url says where it goes on.")
        sent: HttpReply = yield HttpRequest(
            method="POST",
            url=address,
            headers={
                "content-type": "application/octet-stream",
                "x-goog-upload-offset": "0",
                "x-goog-upload-command": "upload, finalize",
            },
            content=Pieces(content),
        )
        return sent

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """Look a file up."""
        return to_file((yield self.get(self.file_path(request, request.file_id))))

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """List files; `after` is the `last_id` of the page before."""
        for name in ("purpose", "order"):
            if getattr(request, name) is not None:
                request.unsupported(name, "Google lists all files, newest first")
        params = {"pageSize": request.limit, "pageToken": request.after}
        return to_files((yield self.get(f"/{version(request)}/files", params=params)))

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """Delete a file."""
        reply = yield self.delete(self.file_path(request, request.file_id))
        decode(reply, dict[str, Any])
        return FileDeleted(id=bare(request.file_id), deleted=True)

    def file_content(self, request: Request, file_id: str, stream: bool | None) -> Flow[Binary | Streaming[bytes]]:
        """Fetch the bytes of a file that Google made; it gives uploaded ones never back."""
        path = f"{self.file_path(request, file_id)}:download"
        reply = yield self.get(path, params={"alt": "media"}, stream=stream)
        if stream:
            return Streaming(reply, Raw())
        kind = reply.headers.get("content-type") or "application/octet-stream"
        return Binary(content=reply.content, content_type=kind)

    def file_path(self, request: Request, file_id: str) -> str:
        """Return the path of a file. Raises BadRequestError where the id is none."""
        return f"/{version(request)}/files/{bare(file_id)}"


class Pieces:
    """An upload as a request's body, read in pieces when it is sent."""

    def __init__(self, upload: Upload) -> None:
        self.length: int | None = upload.length
        self._upload = upload

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._upload)


def bare(file_id: str) -> str:
    """Return a file's id without `files/` and without the address. Raises BadRequestError where it is no id."""
    name = file_id.rpartition("files/")[2]
    if not re.fullmatch(r"[\w-]+", name):
        raise BadRequestError(f"{file_id!r} is no id of a file; Google's are letters, digits and dashes.")
    return name


def refuse(request: FileRequest) -> None:
    """Name what the Files API does not have."""
    if request.expires_after is not None:
        request.unsupported("expires_after", "Google keeps a file for 48 hours")


class _File(msgspec.Struct, rename="camel"):
    name: str
    create_time: datetime | None = None
    expiration_time: datetime | None = None
    display_name: str | None = None
    size_bytes: str | int | None = None
    mime_type: str | None = None
    uri: str | None = None
    state: str | None = None
    error: dict[str, Any] | None = None


class _Uploaded(msgspec.Struct):
    file: _File


class _Files(msgspec.Struct, rename="camel"):
    files: list[_File] = []
    next_page_token: str | None = None


def to_uploaded(reply: HttpReply, purpose: str, filename: str) -> FileObject:
    """Return the file that an upload made."""
    made = _object(decode(reply, _Uploaded).file)
    made.purpose, made.filename = purpose, filename
    return made


def to_file(reply: HttpReply) -> FileObject:
    """Return the file that a reply describes."""
    return _object(decode(reply, _File))


def to_files(reply: HttpReply) -> FileList:
    """Return the files that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Files = decode(reply, _Files)
    made = FileList(
        data=[_object(file) for file in page.files],
        last_id=page.next_page_token,
        has_more=bool(page.next_page_token),
    )
    made.keep(reply.content, extra={})
    return made


def _object(file: _File) -> FileObject:
    marked = mark_of(file.display_name)
    made = FileObject(
        id=file.name.rpartition("/")[2],
        bytes=None if file.size_bytes is None else _number(file.size_bytes),
        created_at=seconds(file.create_time),
        expires_at=seconds(file.expiration_time),
        filename=marked["filename"] if marked else file.display_name or "",
        purpose="batch" if marked else None,
        status=STATES.get(file.state or ""),
        status_details=str(file.error.get("message")) if file.error else None,
    )
    told = {"mime_type": file.mime_type, "uri": file.uri, "display_name": file.display_name}
    made.keep(msgspec.json.encode(file), extra={name: value for name, value in told.items() if value is not None})
    return made


def _number(value: str | int) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidResponseError(f"Expected a number at $.sizeBytes, got {value!r}") from error


#: What the name of an uploaded batch begins with; then come its endpoint and its model, which the lines had.
MARK = "polyport-batch"


def mark(kind: str, model: str, filename: str) -> str:
    """Return a file's display name that tells what `create_batch` must know: its lines cannot be read back."""
    return f"{MARK}:{kind}:{model}:{filename}"[:512]


def mark_of(display_name: str | None) -> Mapping[str, str] | None:
    """Return {kind, model, filename} of a marked name; None for any other."""
    pieces = (display_name or "").split(":", 3)
    if len(pieces) != 4 or pieces[0] != MARK:
        return None
    return dict(zip(("kind", "model", "filename"), pieces[1:], strict=True))
