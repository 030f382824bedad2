"""Files and batches. https://platform.openai.com/docs/api-reference/files and /batch"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import CallParams, Request, Result, empty
from polyport.types.upload import Upload


class FileObject(Result):
    """A file kept by a provider; `bytes` is its size."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "file")
    bytes: int | None = None
    created_at: int | None = None
    expires_at: int | None = None
    filename: str = ""
    purpose: str | None = None
    status: str | None = None
    status_details: str | None = None


class FileList(Result):
    """Files, newest first."""

    object: str = msgspec.field(default_factory=lambda: "list")
    data: list[FileObject] = empty()
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool | None = None


class FileDeleted(Result):
    """What a deletion answers."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "file")
    deleted: bool = False


class FileRequest(Request):
    """A file to upload. For purpose "batch" a JSON array is turned into JSON lines."""

    file: Any
    purpose: str = "batch"
    expires_after: dict[str, Any] | None = None

    def check(self) -> None:
        """Read the file, so that an unreadable one is an error before anything is sent."""
        self.upload = Upload.of(self.file, "file")
        if self.purpose == "batch":
            self.upload = as_json_lines(self.upload)


class FileParams(CallParams, total=False):
    """The optional parameters of `create_file`."""

    purpose: str
    expires_after: dict[str, Any] | None


class FileIdRequest(Request):
    """A request about a file that exists."""

    file_id: str
    stream: bool | None = None


class FileListRequest(Request):
    """Which files to list."""

    purpose: str | None = None
    after: str | None = None
    limit: int | None = None
    order: str | None = None


#: A status that is an end -> the field that says since when.
SINCE = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at", "expired": "expired_at"}


class Batch(Result):
    """A batch. `status`: validating, in_progress, finalizing, completed, failed, expired, cancelling, cancelled.

    Where requests are messages of Anthropic's, `extra` tells `message_counts` (requests by what became of them) and, at
    the end, `messages_file_id`: all results, with answers as the messages that they are.
    """

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "batch")
    endpoint: str | None = None
    status: str = ""
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    completion_window: str | None = None
    created_at: int | None = None
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: dict[str, int] | None = None
    errors: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None

    def ended(self, at: int | None) -> None:
        """Say when the batch came to its status, where that is an end."""
        if self.status in SINCE:
            setattr(self, SINCE[self.status], at)


class BatchDeleted(Result):
    """What the deletion of a batch answers."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "batch")
    deleted: bool = False


class BatchList(Result):
    """Batches, newest first."""

    object: str = msgspec.field(default_factory=lambda: "list")
    data: list[Batch] = empty()
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool | None = None


class BatchRequest(Request):
    """Which uploaded lines to run against which endpoint."""

    input_file_id: str
    endpoint: str = "/v1/chat/completions"
    completion_window: str = "24h"
    metadata: dict[str, Any] | None = None
    output_expires_after: dict[str, Any] | None = None


class BatchParams(CallParams, total=False):
    """The optional parameters of `create_batch`."""

    endpoint: str
    completion_window: str
    metadata: dict[str, Any] | None
    output_expires_after: dict[str, Any] | None


class BatchIdRequest(Request):
    """A request about a batch that exists."""

    batch_id: str


class BatchListRequest(Request):
    """Which batches to list."""

    after: str | None = None
    limit: int | None = None


class ListParams(CallParams, total=False):
    """The optional parameters of the list functions."""

    after: str | None
    limit: int | None


class FileListParams(ListParams, total=False):
    """The optional parameters of `list_files`."""

    purpose: str | None
    order: str | None


def as_json_lines(upload: Upload) -> Upload:
    """Return JSON lines as they are, and a JSON array as JSON lines. Raises BadRequestError for neither."""
    content = upload.read()
    if not content.lstrip().startswith(b"["):
        return upload
    try:
        lines = msgspec.json.decode(content, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{upload.filename} starts like a JSON array but is none: {error}.") from error
    compact = b"".join(msgspec.json.encode(msgspec.json.decode(line)) + b"\n" for line in lines)
    return Upload(upload.filename.removesuffix(".json") + ".jsonl", compact, "application/jsonl")
