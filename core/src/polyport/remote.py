"""Files that users give by URL, fetched for providers that cannot fetch them themselves.

Who calls models for strangers (a gateway) must not let them ask machines of its own network by such a URL, nor fill its
memory: a `Reach` says which addresses may be asked, and how large a file may be. A name is looked up once, for a
redirect's host as well; every address that it stands for is judged, and the connection goes to one of those
(`HttpRequest.address`), so that a name whose owner changes it in between leads nowhere else. Where requests go through
a proxy, it is the proxy that looks names up once more and connects: what it may reach is for its own rules to say.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import msgspec

from polyport.errors import APIConnectionError, BadRequestError, Timeout
from polyport.flow import NOW, Call, Close, Flow, HttpReply, HttpRequest, Read
from polyport.types.upload import Upload, media_type

_ERRORS = tuple(range(300, 600))
#: What strangers may have fetched for them, in megabytes, where nothing else is said.
MOST_MB = 100.0


def fetch(url: str) -> Flow[Upload]:
    """Return the file at an http(s) or data: URL. No key goes along. Raises BadRequestError where it cannot be had.

    Its name is the last part of the URL's path, its type what the server says or, where it says nothing useful,
    what the first bytes say.
    """
    if url.startswith("data:"):
        return Upload.of(url)
    if not url.startswith(("http://", "https://")):
        raise BadRequestError(f"A remote file is an http(s) or data: URL, not {url[:100]!r}")
    request = HttpRequest(method="GET", url=url, stream=True, unsigned=True, expect=_ERRORS)
    began: float = yield NOW
    reply: HttpReply = yield request
    try:
        if reply.status >= 300:
            raise BadRequestError(f"Cannot fetch {url}: its server answered HTTP {reply.status}.")
        content = yield from _whole(reply, request, began)
    finally:
        if reply.source is not None:
            yield Close(reply.source)
    name = unquote(PurePosixPath(urlsplit(url).path).name) or "file"
    said = reply.headers.get("content-type", "").partition(";")[0].strip()
    kind = said if said not in ("", "application/octet-stream") else media_type(name, content[:16])
    return Upload(name, content, kind)


def _whole(reply: HttpReply, request: HttpRequest, began: float) -> Flow[bytes]:
    """Return a body that is read piece by piece, as long as it is no larger than it may be and comes in time."""
    said = reply.headers.get("content-length", "")
    _measure(int(said[:19]) if said.isdecimal() else 0, request)
    pieces = [reply.content]
    held, total = len(reply.content), request.timeout.total
    while reply.source is not None and (piece := (yield Read(reply.source))) is not None:
        pieces.append(piece)
        held += len(piece)
        _measure(held, request)
        if total is not None and (yield NOW) - began > total:
            raise Timeout(f"{_host(request.url)} did not send its file within {total} s (total timeout)")
    _measure(held, request)
    return b"".join(pieces)


def _measure(size: int, request: HttpRequest) -> None:
    if request.limit is not None and size > request.limit:
        raise BadRequestError(
            f"The file at {_host(request.url)} is larger than {request.limit / 1e6:g} MB, which is the most that is "
            "fetched by URL here (max_remote_file_mb)"
        )


def _host(url: str) -> str:
    return repr((urlsplit(url).hostname or "")[:100])


# --- which addresses may be asked ---


class Reach(msgspec.Struct, frozen=True):
    """How far requests may go that belong to somebody else.

    `addresses` gives those that a URL may be asked at, none for whatever its host stands for; it raises
    BadRequestError. `limit` is the most bytes of a file.
    """

    addresses: Callable[[str], Flow[Sequence[str]]]
    limit: int | None = None

    @classmethod
    def of(cls, word: str, max_mb: float | None) -> Reach | None:
        """Read what users write: "any", "public" or "none", and megabytes. Raises BadRequestError."""
        if not isinstance(word, str) or word not in REACH:
            raise BadRequestError(f"remote_files is {word!r}: write {', '.join(REACH)}")
        if max_mb is not None and (isinstance(max_mb, bool) or not isinstance(max_mb, int | float) or not max_mb > 0):
            raise BadRequestError(f"max_remote_file_mb is {max_mb!r}: write the most megabytes of a file, above 0")
        if max_mb is None and word == "public":
            max_mb = MOST_MB
        limit = None if max_mb is None else int(max_mb * 1e6)
        return None if word == "any" and limit is None else cls(REACH[word], limit)

    def ask(self, request: HttpRequest) -> Flow[HttpReply]:
        """Send a request to one of the addresses that it may go to: what only asks goes on to the next one."""
        request.limit = self.limit
        addresses = yield from self.addresses(request.url)
        for address in addresses[:-1] if request.method == "GET" else ():
            request.address = address
            try:
                reply: HttpReply = yield request
            except APIConnectionError:
                continue
            return reply
        request.address = addresses[-1] if addresses else None
        reply = yield request
        return reply


def anywhere(_: str) -> Flow[Sequence[str]]:
    """Let every URL be asked."""
    yield from ()
    return ()


def public(url: str) -> Flow[Sequence[str]]:
    """Return the addresses of a URL's host, which all are on the public internet. Raises BadRequestError."""
    split = urlsplit(url)
    try:
        host, port = split.hostname or "", split.port or (443 if split.scheme == "https" else 80)
    except ValueError as error:
        raise BadRequestError(f"{url[:100]!r} is no address") from error
    found: list[str] = yield Call(partial(_addresses, host, port))
    if not found or not all(map(is_public, found)):
        raise BadRequestError(
            f"{host[:100]!r} is not on the public internet: files by URL are fetched from there alone"
        )
    return found


def nothing(url: str) -> Flow[Sequence[str]]:
    """Let nothing be fetched. Raises BadRequestError."""
    yield from ()
    raise BadRequestError(f"Files by URL are not fetched here: send {url[:100]!r} as a data: URL")


def _addresses(host: str, port: int) -> list[str]:
    """Return what a name stands for; nothing where nobody knows it."""
    try:
        found = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(found))


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also that which stands within an address of IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.sixtofour is not None or found.teredo is not None or found in NAT64:
            return False
        found = found.ipv4_mapped or found
    return found.is_global and not found.is_multicast


#: Addresses of IPv6 that stand for any of IPv4. https://www.rfc-editor.org/rfc/rfc6052
NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: Where files by URL may be fetched from -> what sees to it.
REACH: dict[str, Callable[[str], Flow[Sequence[str]]]] = {"any": anywhere, "public": public, "none": nothing}
