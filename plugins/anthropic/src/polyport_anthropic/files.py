"""The Files API. https://platform.claude.com/docs/en/api/files-create

Its files are for prompts (`{"type": "file", "file": {"file_id": ...}}`) and for what tools make; lines of a batch
wait in `polyport_anthropic.spool` instead.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.batch import FileDeleted, FileList, FileListRequest, FileObject, FileRequest
from polyport.wire.dates import seconds

#: Purposes that mean: to be referred to in a prompt. Anthropic's files have no others.
PURPOSES = frozenset({"batch", "assistants", "user_data", "vision"})


class _File(msgspec.Struct):
    id: str
    created_at: datetime
    filename: str = ""
    size_bytes: int | None = None
    mime_type: str | None = None
    downloadable: bool | None = None
    expires_at: datetime | None = None


class _Files(msgspec.Struct):
    data: list[_File] = []
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None
    next_page: str | None = None


def to_upload(request: FileRequest) -> list[tuple[str, Any]]:
    """Return the form of an upload."""
    if request.purpose not in PURPOSES:
        request.unsupported("purpose", f"Anthropic's files are for prompts, not for {request.purpose!r}")
    form: list[tuple[str, Any]] = [("file", request.upload)]
    if request.expires_after is not None:
        form.append(("expires_in_seconds", request.expires_after.get("seconds")))
    return [*form, *((name, value) for name, value in request.extra.items() if name != "betas")]


def to_file(reply: HttpReply, purpose: str | None = None) -> FileObject:
    """Return the file that a reply describes."""
    file: _File = decode(reply, _File)
    made = _object(file, purpose)
    made.keep(reply.content, extra=_extra(file))
    return made


def _object(file: _File, purpose: str | None = None) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.size_bytes,
        created_at=seconds(file.created_at),
        expires_at=seconds(file.expires_at),
        filename=file.filename,
        purpose=purpose,
        status="processed",
    )


def _extra(file: _File) -> dict[str, Any]:
    return {"mime_type": file.mime_type, "downloadable": file.downloadable}


def to_query(request: FileListRequest) -> dict[str, Any]:
    """Return the query of a listing; `after` is a `last_id`: a page's cursor, or an id in older replies."""
    for name in ("purpose", "order"):
        if getattr(request, name) is not None:
            request.unsupported(name, "Anthropic lists all files, newest first")
    after = request.after or ""
    return {"limit": request.limit, "page" if after.startswith("page_") else "after_id": after or None}


def to_files(reply: HttpReply) -> FileList:
    """Return the files that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Files = decode(reply, _Files)
    made = FileList(
        data=[_object(file) for file in page.data],
        first_id=page.first_id,
        last_id=page.next_page or page.last_id,
        has_more=bool(page.next_page) if page.has_more is None else page.has_more,
    )
    for file, known in zip(made.data, page.data, strict=True):
        file.keep(msgspec.json.encode(known), extra=_extra(known))
    made.keep(reply.content, extra={})
    return made


class _Deleted(msgspec.Struct):
    id: str


def to_deleted(reply: HttpReply) -> FileDeleted:
    """Return what a deletion answers."""
    deleted: _Deleted = decode(reply, _Deleted)
    return FileDeleted(id=deleted.id, deleted=True)
