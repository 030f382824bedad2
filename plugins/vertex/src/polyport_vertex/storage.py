"""Cloud Storage, where Vertex AI's files are. https://cloud.google.com/storage/docs/json_api/v1

A file's id is its address, `gs://bucket/name`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.batch import FileList, FileObject
from polyport.wire.dates import seconds

HOST = "https://storage.googleapis.com"
#: Below this name everything is that polyport puts into a bucket.
FOLDER = "polyport"


def split(uri: str) -> tuple[str, str]:
    """Return (bucket, name) of an address. Raises BadRequestError where it is none."""
    found = re.fullmatch(r"gs://([\w.-]+)/(.+)", uri)
    if found is None:
        raise BadRequestError(f"{uri!r} is no file of Cloud Storage; their ids are gs://bucket/name.")
    return found[1], found[2]


def place(uri: str) -> str:
    """Return where an object's description is."""
    bucket, name = split(uri)
    return f"{HOST}/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def media(uri: str) -> str:
    """Return where an object's content is."""
    return f"{place(uri)}?alt=media"


class StoredObject(msgspec.Struct, rename="camel"):
    """An object in a bucket."""

    name: str
    bucket: str
    size: str | int | None = None
    content_type: str | None = None
    time_created: datetime | None = None
    metadata: dict[str, str] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"gs://{self.bucket}/{self.name}"


class _Objects(msgspec.Struct, rename="camel"):
    items: list[StoredObject] = []
    next_page_token: str | None = None


def to_file(reply: HttpReply, purpose: str | None = None) -> FileObject:
    """Return the file that a reply describes."""
    return _file(decode(reply, StoredObject), purpose)


def to_files(reply: HttpReply) -> FileList:
    """Return the files that a reply lists; `last_id` is what `after` wants for the next page."""
    page: _Objects = decode(reply, _Objects)
    made = FileList(
        data=[_file(item) for item in page.items], last_id=page.next_page_token, has_more=bool(page.next_page_token)
    )
    made.keep(reply.content, extra={})
    return made


def _file(item: StoredObject, purpose: str | None = None) -> FileObject:
    told: dict[str, Any] = item.metadata or {}
    size = str(item.size or "")
    made = FileObject(
        id=item.uri,
        bytes=int(size) if size.isdecimal() else None,
        created_at=seconds(item.time_created),
        filename=told.get("filename") or item.name.rpartition("/")[2],
        purpose=purpose or told.get("purpose"),
        status="processed",
    )
    made.carry({"mime_type": item.content_type} if item.content_type else {})
    return made
