"""An answer as bytes, and back: results, text and streams, with what their `meta` has to say.

An entry is a header (four letters, the version, a checksum) and MessagePack. Values decode to the types they were;
`raw` and `extra` are kept with them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.caching.shapes import Unnamed, shape_of, type_of
from polyport.types.record import Adaptation, Result
from polyport.types.responses import Item

if TYPE_CHECKING:
    from polyport.border import Call
    from polyport.operations import Operation

VERSION = 1
HEADER = struct.Struct("<4sBI")
MAGIC = b"pply"
#: What a value may be other than a result -> the word for it in an entry.
PLAIN: Mapping[type[Any], str] = {str: "text", bytes: "bytes", Item: "item"}
BY_WORD = {word: kind for kind, word in PLAIN.items()}
WHOLE, STREAM = "whole", "stream"

#: What is raised by a value that cannot be written as bytes, or has no canonical text.
UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)
encode = msgspec.msgpack.Encoder().encode


class Unreadable(ValueError):
    """Bytes that are no entry: torn, of another version, or of types that are not known here."""


class Piece(msgspec.Struct, array_like=True, frozen=True):
    """One value, a whole answer or a chunk: `data` is its MessagePack, `extra` that of its fields beyond the type."""

    data: bytes
    raw: bytes | None = None
    extra: bytes | None = None


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """An answer. `shape` says what its pieces are beside the operation's own type; `cost` is in USD.

    Of a stream, `asked` are the options it was asked for with, which say what chunks it has.
    """

    form: str
    shape: str
    pieces: list[Piece]
    provider: str
    model: str
    cost: float | None = None
    adaptations: list[Adaptation] = []
    content_type: str | None = None
    asked: bytes = b""


_decode = msgspec.msgpack.Decoder(Entry).decode


def piece(value: Any, base: Any) -> tuple[str, Piece]:
    """Return (shape, piece) of a value; `base` is the operation's own type.

    Raises TypeError (Unnamed is one), ValueError, OverflowError or RecursionError where it cannot be written.
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return PLAIN[kind], Piece(encode(value))
    if base is None or not isinstance(value, Result):
        raise Unnamed(f"a {kind.__qualname__} is not what this operation answers with")
    own = vars(value)
    extra = own.get("_extra")
    return shape_of(kind, base), Piece(encode(value), own.get("_bytes"), None if extra is None else encode(extra))


def value_of(piece: Piece, shape: str, base: Any) -> Any:
    """Return the value of a piece. Raises Unreadable."""
    plain: Any = BY_WORD.get(shape)
    try:
        if plain is not None:
            value = _decoder(plain if plain is not Item else dict)(piece.data)
            return Item(value) if plain is Item else value
        if base is None:
            raise Unreadable(f"{shape!r} is not what this operation answers with")
        kind: Any = type_of(shape, base)
        result = _decoder(kind)(piece.data)
        if piece.raw is not None:
            result.__dict__["_bytes"] = piece.raw
        if piece.extra is not None:
            result.__dict__["_extra"] = msgspec.msgpack.decode(piece.extra)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return result


@lru_cache(maxsize=1024)
def _decoder(kind: Any) -> Any:
    return msgspec.msgpack.Decoder(kind).decode


def base_of(operation: Operation, form: str) -> type[Any] | None:
    """Return the type that an operation's own answers, or chunks, have."""
    return operation.response if form == WHOLE else operation.chunk


def write(made: Entry) -> bytes:
    """Return an entry as bytes."""
    body = encode(made)
    return HEADER.pack(MAGIC, VERSION, zlib.crc32(body)) + body


def read(value: bytes) -> Entry:
    """Return the entry that bytes are. Raises Unreadable."""
    try:
        magic, version, checksum = HEADER.unpack_from(value)
        body = memoryview(value)[HEADER.size :]
        if magic != MAGIC or version != VERSION:
            raise Unreadable(f"version {version}, and this one reads {VERSION}" if magic == MAGIC else "no entry")
        if zlib.crc32(body) != checksum:
            raise Unreadable("the checksum is wrong")
        found: Entry = _decode(body)
    except (struct.error, msgspec.MsgspecError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return found


# --- what an entry says of the call ---


def is_by_the_asked(call: Call) -> bool:
    """Whether the model, or the router's group, that was asked has answered, and no fallback in its place."""
    meta = call.meta
    if call.group:
        return fnmatchcase(call.group, meta.group or "")  # a group may be a pattern, `openai/*`
    return meta.provider == call.provider.name and meta.model == call.request.model


def tell(entry: Entry, call: Call) -> None:
    """Make the call's `meta` say that the answer came from here."""
    meta = call.meta
    meta.group = call.group or None
    meta.cache_hit, meta.cost, meta.attempts = True, 0.0, 0
    meta.provider, meta.model = entry.provider, entry.model
    meta.adaptations.extend(one for one in entry.adaptations if one not in meta.adaptations)
