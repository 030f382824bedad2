"""Files that users give by URL, fetched for providers that cannot fetch them themselves."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from polyport.errors import BadRequestError
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.types.upload import Upload, media_type

_ERRORS = tuple(range(300, 600))


def fetch(url: str) -> Flow[Upload]:
    """Return the file at an http(s) or data: URL. No key goes along. Raises BadRequestError where it cannot be had.

    Its name is the last part of the URL's path, its type what the server says or, where it says nothing useful,
    what the first bytes say.
    """
    if url.startswith("data:"):
        return Upload.of(url)
    if not url.startswith(("http://", "https://")):
        raise BadRequestError(f"A remote file is an http(s) or data: URL, not {url[:100]!r}")
    reply: HttpReply = yield HttpRequest(method="GET", url=url, unsigned=True, expect=_ERRORS)
    if reply.status >= 300:
        raise BadRequestError(f"Cannot fetch {url}: its server answered HTTP {reply.status}.")
    name = unquote(PurePosixPath(urlsplit(url).path).name) or "file"
    said = reply.headers.get("content-type", "").partition(";")[0].strip()
    kind = said if said not in ("", "application/octet-stream") else media_type(name, reply.content[:16])
    return Upload(name, reply.content, kind)
