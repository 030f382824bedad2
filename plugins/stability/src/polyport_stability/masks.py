"""Masks: OpenAI's are transparent where to paint, Stability's are white there. https://www.w3.org/TR/png-3/

A mask with transparent places is rewritten as one in black and white; one that is opaque all over is so already.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import accumulate

from polyport.errors import BadRequestError
from polyport.types.upload import Upload

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Color types with an alpha channel -> how many channels there are; alpha is the last.
CHANNELS = {4: 2, 6: 4}
#: Pixels that are read at most: a file of some bytes can unpack to gigabytes.
MOST_PIXELS = 64 * 1024 * 1024
INVERTED = bytes(255 - value for value in range(256))
HEADER = struct.Struct(">IIBBBBB")


def has_alpha(mask: Upload) -> bool:
    """Whether a mask is a PNG with an alpha channel."""
    head = next(iter(mask), b"")[:26]
    return head.startswith(SIGNATURE) and len(head) == 26 and head[25] in CHANNELS


def to_white(mask: Upload) -> Upload:
    """Return a PNG with alpha as a gray one, white where it was transparent. Raises BadRequestError."""
    try:
        width, height, alpha = _read(mask.read())
    except (zlib.error, struct.error, IndexError) as error:
        raise _unreadable(str(error)) from error
    if alpha.count(255) == len(alpha):
        return mask
    gray = alpha.translate(INVERTED)
    rows = b"".join(b"\0" + gray[start : start + width] for start in range(0, len(gray), width))
    content = SIGNATURE + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", HEADER.pack(width, height, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )
    return Upload(mask.filename, content, "image/png")


def _read(png: bytes) -> tuple[int, int, bytes]:
    """Return width, height and the alpha of every pixel."""
    chunks = list(_chunks(png))
    width, height, depth, color, _, _, interlaced = HEADER.unpack(chunks[0][1])
    if depth != 8 or interlaced or color not in CHANNELS or not 0 < width * height <= MOST_PIXELS:
        raise _unreadable(f"it is {width}x{height} with {depth} bits a channel{', interlaced' if interlaced else ''}")
    channels = CHANNELS[color]
    stride = 1 + width * channels
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    raw = zlib.decompressobj().decompress(packed, stride * height)
    if len(raw) < stride * height:
        raise _unreadable("it ends too early")
    rows, above = [], bytes(width)
    for start in range(0, len(raw), stride):
        # Filters work channel by channel, so that alpha can be read alone.
        above = FILTERS[raw[start]](raw[start + channels : start + stride : channels], above)
        rows.append(above)
    return width, height, b"".join(rows)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _sum(left: int, value: int) -> int:
    return (left + value) & 255


def _sub(line: bytes) -> bytes:
    sums: Iterator[int] = accumulate(line, _sum)
    return bytes(sums)


def _average(line: bytes, above: bytes) -> bytes:
    made, left = bytearray(), 0
    for value, up in zip(line, above, strict=True):
        left = (value + (left + up) // 2) & 255
        made.append(left)
    return bytes(made)


def _paeth(line: bytes, above: bytes) -> bytes:
    made, left, corner = bytearray(), 0, 0
    for value, up in zip(line, above, strict=True):
        to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        near = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
        left, corner = (value + near) & 255, up
        made.append(left)
    return bytes(made)


#: By number: none, sub, up, average, Paeth. https://www.w3.org/TR/png-3/#9Filter-types
FILTERS: tuple[Callable[[bytes, bytes], bytes], ...] = (
    lambda line, _: line,
    lambda line, _: _sub(line),
    lambda line, above: bytes((value + up) & 255 for value, up in zip(line, above, strict=True)),
    _average,
    _paeth,
)


def _unreadable(why: str) -> BadRequestError:
    return BadRequestError(
        f"The mask is a PNG with transparent places that cannot be read ({why}); give one in black and white, "
        "white where to paint, at $.mask"
    )
