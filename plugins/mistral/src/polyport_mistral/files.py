"""Files with Mistral. https://docs.mistral.ai/api/endpoint/files

Lists come in pages; the `last_id` of one is the `after` of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.dialects.openai_audio import to_binary
from polyport.dialects.openai_wire import segment, to_form
from polyport.errors import BadRequestError
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.batch import (
    BatchListRequest,
    FileDeleted,
    FileIdRequest,
    FileList,
    FileListRequest,
    FileObject,
    FileRequest,
)
from polyport.types.upload import Upload

#: OpenAI's purposes of what prompts refer to -> Mistral's one for documents.
PURPOSES: Mapping[str, str] = {"user_data": "ocr", "assistants": "ocr", "vision": "ocr"}
HOUR = 3600
#: How many a page has where nobody says: https://docs.mistral.ai/api/endpoint/files
PAGE = 100


class MistralFiles(Wire):
    """/files."""

    def upload(self, request: FileRequest, content: Upload) -> Flow[FileObject]:
        """Upload a file."""
        form = to_form({"file": content, **self._purpose(request), **_expiry(request), **self.extras(request)})
        return decode((yield self.post("/files", form=form)), FileObject)

    def _purpose(self, request: FileRequest) -> dict[str, str]:
        purpose = PURPOSES.get(request.purpose, request.purpose)
        if purpose != request.purpose:
            request.adapt("purpose", "renamed", f"{request.purpose} is {purpose} here")
        return {"purpose": purpose}

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """Look a file up."""
        return decode((yield self.get(f"/files/{segment(request.file_id)}")), FileObject)

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """List files, newest first."""
        if request.order not in (None, "desc"):
            request.unsupported("order", "Mistral lists the newest first")
        query = {"purpose": request.purpose, **paged(request), **self.extras(request)}
        reply: HttpReply = yield self.get("/files", params=query)
        made = decode(reply, FileList)
        made.last_id = following(request, len(made.data), decode(reply, Total).total)
        made.has_more = made.last_id is not None
        return made

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """Delete a file."""
        return decode((yield self.delete(f"/files/{segment(request.file_id)}")), FileDeleted)

    def content(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file's bytes as they are."""
        reply: HttpReply = yield self.get(f"/files/{segment(request.file_id)}/content", stream=request.stream)
        return Streaming(reply, Raw()) if request.stream else to_binary(reply)


def _expiry(request: FileRequest) -> dict[str, int]:
    """Return how long a file is kept, in whole hours."""
    if request.expires_after is None:
        return {}
    seconds = request.expires_after.get("seconds")
    if not isinstance(seconds, int):
        raise BadRequestError("Expected `int` at $.expires_after.seconds")
    hours = -(-seconds // HOUR)
    if hours * HOUR != seconds:
        request.adapt("expires_after", "clamped", f"Mistral counts in hours: {hours}")
    return {"expiry": hours}


# --- pages ------------------------------------------------------------------------------------------------


class Total(msgspec.Struct):
    """How many there are, on all pages of a list."""

    total: int | None = None


def paged(request: FileListRequest | BatchListRequest) -> dict[str, Any]:
    """Return which page is asked for. Raises BadRequestError where `after` is no page of a list."""
    return {"page": _page(request) or None, "page_size": request.limit}


def following(request: FileListRequest | BatchListRequest, count: int, total: int | None) -> str | None:
    """Return what `after` is for the page after this one of `count`; None where this is the last."""
    page, size = _page(request), request.limit or PAGE
    more = count >= size if total is None else page * size + count < total
    return f"page_{page + 1}" if count and more else None


def _page(request: FileListRequest | BatchListRequest) -> int:
    if request.after is None:
        return 0
    number = request.after.removeprefix("page_")
    if number == request.after or not number.isdecimal():
        raise BadRequestError(f"Mistral lists page by page: $.after is a list's last_id, not {request.after!r}")
    return int(number)
