"""Masks of OpenAI's kind, transparent where to paint, rewritten in black and white."""

from __future__ import annotations

import struct
import zlib
from random import Random

import httpx
import pytest
from forms import files

from polyport import errors
from polyport.types.upload import Upload
from polyport_stability.masks import SIGNATURE, has_alpha, to_white

CAT = ("cat.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    """What a filter takes from a byte, as the standard words it."""
    guess = left + up - corner
    nearest = min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2, nearest)[kind]


def png(
    rows: list[bytes], width: int, channels: int = 4, depth: int = 8, color: int | None = None, interlaced: int = 0
):
    """A PNG whose rows go through every filter in turn."""
    raw, above = b"", bytes(width * channels)
    for number, row in enumerate(rows):
        kind = number % 5
        line = bytearray()
        for at, value in enumerate(row):
            left = row[at - channels] if at >= channels else 0
            corner = above[at - channels] if at >= channels else 0
            line.append((value - predicted(kind, left, above[at], corner)) & 255)
        raw, above = raw + bytes([kind]) + bytes(line), row
    head = struct.pack(
        ">IIBBBBB", width, len(rows), depth, {2: 4, 4: 6}[channels] if color is None else color, 0, 0, interlaced
    )
    packed = zlib.compress(raw)
    pieces = chunk(b"IDAT", packed[:9]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", packed[9:])
    return SIGNATURE + chunk(b"IHDR", head) + pieces + chunk(b"IEND", b"")


def gray(content: bytes) -> list[bytes]:
    """The rows of a gray PNG without filters, which is what is written here."""
    width, height, depth, color, *_ = struct.unpack_from(">IIBBBBB", content, 16)
    assert (depth, color) == (8, 0)
    at, packed = 8, b""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert content[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(kind + data))
        packed += data if kind == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(packed)
    assert len(raw) == height * (width + 1)
    return [raw[start + 1 : start + 1 + width] for start in range(0, len(raw), width + 1)]


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_transparent_places_become_white(channels, seed):
    """Pixel by pixel, whatever the filter of a row; half transparent is gray."""
    random = Random(seed)
    width, height = random.randint(1, 40), random.randint(5, 30)
    rows = [random.randbytes(width * channels) for _ in range(height)]
    mask = Upload("mask.png", png(rows, width, channels))
    assert has_alpha(mask)
    expected = [bytes(255 - value for value in row[channels - 1 :: channels]) for row in rows]
    assert gray(to_white(mask).read()) == expected


def test_a_mask_that_is_opaque_is_in_black_and_white_already():
    """It stays as it is; so does one without an alpha channel, or that is no PNG."""
    mask = Upload("mask.png", png([b"\xff\xff\xff\xff\0\0\0\xff"] * 5, 2))
    assert to_white(mask) is mask
    for content in (png([b"\0"], 1, 4, color=0)[:40], CAT[1], b"", SIGNATURE):
        assert not has_alpha(Upload("mask", content))


WHOLE = png([bytes(8)] * 6, 2)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:60],
        WHOLE[:26],
        png([bytes(8)] * 6, 2, depth=16),
        png([bytes(8)] * 6, 2, interlaced=1),
        WHOLE.replace(struct.pack(">II", 2, 6), struct.pack(">II", 100_000, 100_000)),
        WHOLE.replace(struct.pack(">II", 2, 6), struct.pack(">II", 0, 6)),
        SIGNATURE + WHOLE[8:33] + chunk(b"IDAT", b"not zlib") + chunk(b"IEND", b""),
        SIGNATURE + WHOLE[8:33] + chunk(b"IDAT", zlib.compress(b"\x09" + bytes(53))) + chunk(b"IEND", b""),
    ],
)
def test_a_mask_that_cannot_be_read_is_an_error(content):
    """That says what to give instead; huge ones are not unpacked."""
    with pytest.raises(errors.BadRequestError, match=r"white where to paint, at \$\.mask"):
        to_white(Upload("mask.png", content))


def test_openais_mask_is_painted_where_it_is_transparent(wire, client):
    """It is sent white there, and the result says so; a mask in black and white is sent as it is."""
    wire.answer = lambda _: httpx.Response(200, json={"image": "iVBORw0KGgo=", "finish_reason": "SUCCESS"})
    rows = [b"\0\0\0\xff\0\0\0\0"] * 5
    got = client.image_edit(CAT, "A hat", "stability/inpaint", mask=("mask.png", png(rows, 2)))
    sent = {name: content for name, _, _, content in files(wire.last)}
    assert gray(sent["mask"]) == [b"\0\xff"] * 5
    assert [(one.parameter, one.action) for one in got.meta.adaptations] == [("mask", "emulated")]
    with pytest.raises(errors.BadRequestError, match="mask would be emulated"):
        client.image_edit(CAT, "A hat", "stability/inpaint", mask=png(rows, 2), strict=True)
    got = client.image_edit(CAT, "A hat", "stability/inpaint", mask=CAT)
    assert got.meta.adaptations == []
