"""A request as it goes on the wire: the head, and a body that is sent in pieces. Does no I/O.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from polyport.errors import BadRequestError
from polyport.flow import Body, HttpRequest
from polyport.transport import bad_header
from polyport_reqwest.answer import DECODINGS
from polyport_reqwest.routes import Way, host_of

#: Bytes up to here go out with the head; what is larger goes in pieces, so that sending is not taken for waiting.
LARGE = 256 * 1024
PIECE = 64 * 1024
#: Heads that are remembered for each URL; some headers differ in every call, most do not.
MOST_HEADS = 64
METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "POST", "PUT", "PATCH"})
BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
FRAMING = frozenset({"content-length", "transfer-encoding"})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


def write(request: HttpRequest, way: Way) -> bytes:
    """Return the head, and the body where it is small. Raises BadRequestError for what no HTTP message can hold."""
    content = request.content
    length = len(content or b"") if content is None or isinstance(content, bytes) else content.length
    known: tuple[object, ...] = (request.method, *request.headers.items())
    try:
        head = way.heads.get(known)
    except TypeError:  # a value that is no text
        raise bad_header(request) from None
    if head is None:
        head = _head(request, way)
        if len(way.heads) >= MOST_HEADS:
            way.heads.clear()
        way.heads[known] = head
    if "content-length" in request.headers or "transfer-encoding" in request.headers:
        framing = _checked(request, length)
    elif length is None:
        framing = b"transfer-encoding: chunked\r\n\r\n"
    elif length or request.method not in BODILESS:
        framing = b"content-length: %d\r\n\r\n" % length
    else:
        framing = b"\r\n"
    return head + framing + content if isinstance(content, bytes) and len(content) <= LARGE else head + framing


def _head(request: HttpRequest, way: Way) -> bytes:
    """Return the head without what frames the body."""
    headers = request.headers
    if request.method not in METHODS:
        raise BadRequestError(f"There is no HTTP method {request.method!r} (for {host_of(request.url)}).")
    lines = [f"{request.method} {way.target} HTTP/1.1\r\n"]
    if "host" not in headers:
        lines.append(way.route.host_line)
    for name, value in headers.items():
        if not (isinstance(value, str) and TOKEN.fullmatch(name)) or value != value.strip() or CONTROL.search(value):
            raise bad_header(request)
        lines.append(f"{name}: {value}\r\n")
    lines.append(way.route.proxy_line)
    if "authorization" not in headers:
        lines.append(way.user_line)
    if "accept-encoding" not in headers:
        lines.append(f"accept-encoding: {DECODINGS}\r\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:
        raise bad_header(request) from None


class Pieces:
    """What is to be sent after the head, framed. `over` once the last of it was given; asking on is still worth it.

    Asking on raises BadRequestError where the body is longer than was announced.
    """

    __slots__ = ("_framed", "_left", "here", "over")

    def __init__(self, content: bytes | Body) -> None:
        self.over = False
        #: Whether the pieces are in memory; otherwise the next one may take a while.
        self.here = isinstance(content, bytes)
        self._left = len(content) if isinstance(content, bytes) else content.length
        self._framed = _cut(content) if isinstance(content, bytes) else iter(content)

    def next(self) -> bytes | None:
        """Return the next piece, None at the end. Raises BadRequestError, and whatever reading the body does."""
        piece = next(self._framed, None)
        while piece is not None and not piece:  # an empty chunk would end the body
            piece = next(self._framed, None)
        return self._chunk(piece) if self._left is None else self._measured(piece, self._left)

    def _chunk(self, piece: bytes | None) -> bytes | None:
        if piece is not None:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self.over:
            return None
        self.over = True
        return b"0\r\n\r\n"

    def _measured(self, piece: bytes | None, left: int) -> bytes | None:
        left = self._left = left - len(piece or b"")
        if left < 0:
            raise BadRequestError("A file grew while it was being sent.")
        if left and piece is None:
            raise BadRequestError("A file became shorter while it was being sent.")
        self.over = not left
        return piece


def rest(content: bytes | Body | None) -> Pieces | None:
    """Return what to send after the head; None where that has all."""
    if content is None or (isinstance(content, bytes) and len(content) <= LARGE):
        return None
    return Pieces(content)


def _cut(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    return (bytes(view[start : start + PIECE]) for start in range(0, len(view), PIECE))


def _checked(request: HttpRequest, length: int | None) -> bytes:
    """Refuse headers that say of the body what is not so: the next request would begin in the middle of this one."""
    said = {name: request.headers[name].lower() for name in FRAMING if name in request.headers}
    if said != ({"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}):
        raise BadRequestError(
            f"The headers {' and '.join(sorted(said))} for {host_of(request.url)} do not fit the body. Leave them out: "
            "the transport writes them."
        )
    return b"\r\n"
