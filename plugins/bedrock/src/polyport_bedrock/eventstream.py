"""AWS' binary event stream, sans I/O: bytes to frames, both checksums of each verified.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html draws a frame: total length, headers'
length, their CRC-32; headers; payload; the CRC-32 of all before it.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from polyport.errors import InvalidResponseError

PRELUDE = 12
CHECKSUM = 4
#: No frame of AWS' is larger: 24 MiB of payload and 128 KiB of headers.
MAX_FRAME = 24 * 1024 * 1024 + 128 * 1024 + PRELUDE + CHECKSUM
#: A header value's type -> its size in bytes; those of None say it themselves, in two bytes.
SIZES: dict[int, int | None] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: None, 7: None, 8: 8, 9: 16}
TEXT = 7


class Frame(NamedTuple):
    """One message: the headers that are text, and the payload."""

    headers: dict[str, str]
    payload: bytes


class Frames:
    """Cuts a stream of bytes into frames, wherever the pieces are cut.

    Raises InvalidResponseError for bytes that are no frames, or were damaged on the way.
    """

    __slots__ = ("_needed", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = PRELUDE

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a frame is held that never ended."""
        return not self._size

    def feed(self, piece: bytes) -> list[Frame]:
        """Take the next piece and return the frames it completed."""
        self._size += len(piece)
        if self._pieces or self._size < self._needed:
            self._pieces.append(piece)
            if self._size < self._needed:
                return []
            piece = b"".join(self._pieces)
        data = piece
        found: list[Frame] = []
        at, self._needed = 0, PRELUDE
        while len(data) - at >= PRELUDE:
            total, head = _prelude(data, at)
            if len(data) - at < total:
                self._needed = total
                break
            found.append(_frame(data, at, total, head))
            at += total
        rest = data[at:]
        self._pieces, self._size = [rest] if rest else [], len(rest)
        return found


def _prelude(data: bytes, at: int) -> tuple[int, int]:
    total, head, checksum = struct.unpack_from(">III", data, at)
    if crc32(data[at : at + 8]) != checksum:
        begin = data[at : at + 60].decode("utf-8", "replace")
        raise InvalidResponseError(f"The reply is no event stream of AWS', or was damaged: it goes on with {begin!r}")
    if not PRELUDE + head + CHECKSUM <= total <= MAX_FRAME:
        raise InvalidResponseError(f"A frame of the event stream says it has {total} bytes, {head} of them headers.")
    return total, head


def _frame(data: bytes, at: int, total: int, head: int) -> Frame:
    end = at + total - CHECKSUM
    if crc32(data[at:end]) != int.from_bytes(data[end : end + CHECKSUM], "big"):
        raise InvalidResponseError("A frame of the event stream was damaged on the way: its checksum does not fit.")
    start = at + PRELUDE
    return Frame(_headers(data[start : start + head]), data[start + head : end])


@lru_cache(maxsize=64)
def _headers(data: bytes) -> dict[str, str]:
    """Return the headers that are text. The same few come with nearly all frames."""
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            at = name_end + 1
            size = SIZES[kind]
            if size is None:
                size = int.from_bytes(data[at : at + 2], "big")
                at += 2
            if kind == TEXT:
                found[name] = data[at : at + size].decode()
            at += size
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise InvalidResponseError(f"The headers of a frame cannot be read: {data[:80]!r}") from error
    return found
