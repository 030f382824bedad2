"""A reply over HTTP/1.1 as its bytes come in: parsed by llhttp, decompressed by zlib. Does no I/O.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

#: What `Answer` can decompress.
DECODINGS = "gzip, deflate"
#: Encoding -> zlib's window bits. "deflate" should have zlib's wrapper; -15 is for servers that leave it out.
PACKED = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
#: How many bytes of headers, trailers or framing may come in a row: llhttp itself would take them for ever.
LONGEST = 256 * 1024


class Broken(Exception):
    """The connection ended, or what came is no HTTP. Says which."""


class Undecodable(Exception):
    """A whole reply came, and it cannot be decompressed. Says why."""


class Unpack:
    """Decompresses a body piece by piece."""

    __slots__ = ("_begun", "_bits", "_stream", "_tried")

    def __init__(self, encoding: str) -> None:
        self._bits = list(PACKED[encoding])
        self._stream = zlib.decompressobj(self._bits.pop(0))
        self._begun = False
        self._tried = b""

    def __call__(self, data: bytes) -> bytes:
        """Return what the data says. Raises zlib.error."""
        self._begun = self._begun or bool(data)
        if not self._bits:
            return self._plain(data)
        tried = self._tried = self._tried + data
        try:
            plain = self._plain(data)
        except zlib.error:
            self._stream = zlib.decompressobj(self._bits.pop(0))
            return self._plain(tried)
        if len(tried) > 1:  # the wrapper's two bytes are there
            self._bits.clear()
        return plain

    def _plain(self, data: bytes) -> bytes:
        plain = self._stream.decompress(data)
        while self._stream.eof and self._stream.unused_data:  # gzip may come in several members
            rest, self._stream = self._stream.unused_data, zlib.decompressobj(31)
            plain += self._stream.decompress(rest)
        return plain

    @property
    def over(self) -> bool:
        """Say whether the data may end here: at its end, or before its beginning."""
        return self._stream.eof or not self._begun


class Answer:
    """The replies of one connection, one after the other: `expect` begins the next.

    `heard` when anything of a reply is here, `began` when its headers are, `complete` when all is; `reusable` if the
    connection then is. `held` is about how many bytes wait to be taken, their framing included.
    """

    __slots__ = (
        "_bodiless",
        "_parser",
        "_pieces",
        "_since_body",
        "_spent",
        "_unpack",
        "_whole",
        "began",
        "complete",
        "headers",
        "heard",
        "held",
        "on_body",
        "reusable",
        "status",
    )

    def __init__(self, method: str = "GET") -> None:
        self._pieces: list[bytes] = []
        #: What the parser calls with each piece of the body: a stream has thousands.
        self.on_body = self._pieces.append
        self._spent = True
        self.expect(method)

    def expect(self, method: str) -> None:
        """Be ready for the reply to such a request. A parser that stopped within a reply is not used again."""
        if self._spent:
            self._parser = HttpResponseParser(self)
        self._spent = True
        self._bodiless = method == "HEAD" or method == "CONNECT"
        self._pieces.clear()
        self._unpack: Unpack | None = None
        self._since_body = self._whole = self.held = self.status = 0
        self.heard = self.began = self.complete = self.reusable = False
        self.headers: dict[str, str] = {}

    def feed(self, data: bytes) -> None:
        """Take what came; nothing is the connection's end. Raises Broken."""
        if not data:
            return self._end()
        self.heard = True
        self._since_body += len(data)
        self.held += len(data)
        before, over = len(self._pieces), self.complete
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as error:
            if self._bodiless:  # CONNECT: what comes after the reply is not HTTP
                return None
            raise self._broken("it was switched to another protocol, which was not asked for") from error
        except HttpParserError as error:
            raise self._broken(f"what came is not HTTP ({error})") from error
        if len(self._pieces) != before:
            self._since_body = 0
            if self.complete:
                self._end_after(before if over else self._whole)
        if self._since_body > LONGEST and not self.complete:
            raise self._broken(f"{LONGEST // 1024} KiB of headers came, and no end of them")
        return None

    def _end_after(self, pieces: int) -> None:
        """Pass over what came after the last piece of the body, and mistrust the connection."""
        if len(self._pieces) > pieces:
            del self._pieces[pieces:]
            self.reusable = False

    def _broken(self, why: str) -> Broken:
        self.reusable = False
        return Broken(why)

    def take(self) -> bytes:
        """Return what is there of the body, decompressed. Raises Undecodable."""
        pieces = self._pieces
        if not pieces and not self.complete:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held = 0
        return data if self._unpack is None else self._unpacked(self._unpack, data)

    def _unpacked(self, unpack: Unpack, data: bytes) -> bytes:
        try:
            plain = unpack(data)
        except zlib.error as error:
            raise Undecodable(str(error)) from error
        if self.complete and not unpack.over:
            raise Undecodable("it ends too early")
        return plain

    def _end(self) -> None:
        self.reusable = False
        if not self.began:
            raise Broken("it was closed before a reply came")
        if not self.complete and ("content-length" in self.headers or "transfer-encoding" in self.headers):
            raise Broken("it was closed before the reply was complete")
        self.complete = True

    # --- what the parser calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which come after the body, are passed over."""
        if not self.began:
            key, text = _lower(name), value.decode("latin-1")
            headers = self.headers
            headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """See what the headers say of the body. Those of 100 Continue and its like are not the reply's."""
        if self.complete:
            return
        status = self.status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers = {}
            return
        self.began, self.complete = True, self._bodiless
        self.reusable = self._parser.should_keep_alive()
        encoding = self.headers.get("content-encoding")
        if encoding is not None and not self._bodiless and encoding.lower() in PACKED:
            self._unpack = Unpack(encoding.lower())

    def on_message_begin(self) -> None:
        """Mistrust a connection on which more comes than was asked for."""
        if self.complete:
            self.reusable = False

    def on_message_complete(self) -> None:
        """Know that all is here."""
        if not self.complete:
            self._whole = len(self._pieces)
        self.complete = self.began
        self._spent = not self.began


@lru_cache(maxsize=512)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()
