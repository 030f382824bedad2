"""S3, where Bedrock's files are: addresses, requests and lists. https://docs.aws.amazon.com/AmazonS3/latest/API/

A file's id is its address, `s3://bucket/key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Body, HttpReply, HttpRequest
from polyport.types.batch import FileList, FileObject
from polyport.types.upload import Upload
from polyport_bedrock.sigv4 import DIGEST, UNSIGNED
from polyport_bedrock.wire import BedrockWire

#: Below this name everything is that polyport puts into a bucket.
FOLDER = "polyport"
SAFE = frozenset(ascii_letters + digits + "-_.()")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def split(uri: str) -> tuple[str, str]:
    """Return (bucket, key) of an address. Raises BadRequestError where it is none."""
    found = re.fullmatch(r"s3://([^/]+)/(.+)", uri)
    if found is None or not BUCKET.fullmatch(found[1]):
        raise BadRequestError(f"{uri!r} is no file in S3; their ids are s3://bucket/key.")
    return found[1], found[2]


def plain(text: str) -> str:
    """Write text in the characters that Bedrock's jobs take in an address; `!` and two digits stand for any other.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ModelInvocationJobS3InputDataConfig.html
    """
    return "".join(chr(byte) if chr(byte) in SAFE else f"!{byte:02X}" for byte in text.encode())


def unplain(text: str) -> str:
    """Return what `plain` wrote."""
    return unquote(text.replace("!", "%"))


def checked(bucket: str) -> str:
    """Return a bucket's name, given with or without `s3://`. Raises BadRequestError where it is none."""
    name = bucket.removeprefix("s3://").rstrip("/")
    if not BUCKET.fullmatch(name):
        raise BadRequestError(f"{bucket!r} is no name of a bucket in S3.")
    return name


class Pieces:
    """An upload as a request's body: sent in pieces, its length known beforehand."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.length: int | None = upload.length

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._upload)


class S3(BedrockWire):
    """Requests to buckets, signed as S3 wants them."""

    def at(
        self, method: str, uri: str, *, content: bytes | Body | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpRequest:
        """Return a request for an object; content that comes in pieces is not part of the signature."""
        bucket, key = split(uri)
        made = self.request(method, f"s3:/{bucket}/{quote(key, safe='/~')}", headers=dict(headers or {}))
        made.content = content
        made.headers[DIGEST] = "" if content is None or isinstance(content, bytes) else UNSIGNED
        return made

    def listing(self, bucket: str, **params: Any) -> HttpRequest:
        """Return a request for what is in a bucket."""
        query = {"list-type": 2, "encoding-type": "url", **params}
        return self.request("GET", f"s3:/{bucket}/", params=query, headers={DIGEST: ""})


def to_file(uri: str, headers: Mapping[str, str], purpose: str | None) -> FileObject:
    """Return the file that a reply's headers describe, to a request for its first byte."""
    whole = headers.get("content-range", "").rpartition("/")[2]
    made = FileObject(
        id=uri,
        bytes=int(whole) if whole.isdecimal() else None,
        created_at=_moment(headers.get("last-modified", "")),
        filename=uri.rpartition("/")[2],
        purpose=purpose or purpose_of(uri),
        status="processed",
    )
    made.carry({"mime_type": headers["content-type"]} if headers.get("content-type") else {})
    return made


def purpose_of(uri: str) -> str | None:
    """Return what a file is for, which the folder tells where polyport put it there."""
    found = re.search(rf"/{FOLDER}/([^/]+)/", uri)
    return found[1] if found else None


def to_files(reply: HttpReply, bucket: str) -> FileList:
    """Return the files that a reply lists; `last_id` is what `after` wants for the next page."""
    text = reply.content.decode("utf-8", "replace")
    if "<ListBucketResult" not in text:
        raise InvalidResponseError(f"The reply is no list of S3's: it begins {text[:120]!r}", body=reply.content)
    token = _tag(text, "NextContinuationToken")
    found = [_listed(entry, bucket) for entry in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL)]
    made = FileList(data=found, last_id=token, has_more=token is not None)
    made.carry({})
    return made


def _listed(entry: str, bucket: str) -> FileObject:
    uri = f"s3://{bucket}/{unquote_plus(_tag(entry, 'Key') or '')}"
    size = _tag(entry, "Size") or ""
    return FileObject(
        id=uri,
        bytes=int(size) if size.isdecimal() else None,
        created_at=_iso(_tag(entry, "LastModified") or ""),
        filename=uri.rpartition("/")[2],
        purpose=purpose_of(uri),
        status="processed",
    )


def _tag(text: str, name: str) -> str | None:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]) if found else None


def _moment(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except ValueError:
        return None


def _iso(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None
