"""Files that users give by URL, fetched for providers that cannot fetch them themselves.

Who calls models for strangers (a gateway) must not let them ask machines of its own network by such a URL: `REACH` says
which addresses may be asked. What a name stands for is looked up before it is asked, and again for each redirect; a
name whose owner changes it in between is not caught, only a network that lets nothing out is safe from that.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from polyport.errors import BadRequestError
from polyport.flow import Call, Flow, HttpReply, HttpRequest
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


# --- which addresses may be asked ---


def public(url: str) -> Flow[None]:
    """See that a URL's host is on the public internet. Raises BadRequestError."""
    split = urlsplit(url)
    try:
        host, port = split.hostname or "", split.port or (443 if split.scheme == "https" else 80)
    except ValueError as error:
        raise BadRequestError(f"{url[:100]!r} is no address") from error
    found = yield Call(partial(_addresses, host, port))
    if not found or not all(map(is_public, found)):
        raise BadRequestError(
            f"{host[:100]!r} is not on the public internet: files by URL are fetched from there alone"
        )


def nothing(url: str) -> Flow[None]:
    """Let nothing be fetched. Raises BadRequestError."""
    yield from ()
    raise BadRequestError(f"Files by URL are not fetched here: send {url[:100]!r} as a data: URL")


def _addresses(host: str, port: int) -> list[str]:
    """Return what a name stands for; nothing where nobody knows it."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


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
REACH: dict[str, Callable[[str], Flow[None]] | None] = {"any": None, "public": public, "none": nothing}
