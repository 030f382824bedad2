"""Streams on their way into a cache, and out of it again."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.border import Call
from polyport.bridges.inner import chunk_of
from polyport.caching import entries
from polyport.caching.entries import Piece
from polyport.flow import Items, Streaming
from polyport.types.chat import ChatCompletion, ChatCompletionChunk


class Recorder:
    """A decoder that lets chunks through and writes them down.

    `shape` is None where they cannot be kept: too many bytes, or of several types. `complete` is whether the stream
    came to its end, `last` what it ended with.
    """

    __slots__ = ("_base", "_left", "complete", "last", "pieces", "shape")

    def __init__(self, base: type[Any] | None, limit: int) -> None:
        self._base = base
        self._left = limit
        self.pieces: list[Piece] = []
        self.shape: str | None = None
        self.complete = False
        self.last: Any = None

    def feed(self, data: Any) -> list[Any]:
        """Write a chunk down and return it."""
        self.last = data
        if self._left > 0:
            try:
                self._add(*entries.piece(data, self._base))
            except entries.UNWRITABLE:
                self._give_up()
        return [data]

    def close(self) -> list[Any]:
        """The stream is complete: one that was cut off has raised before this."""
        self.complete = True
        return []

    def _add(self, shape: str, piece: Piece) -> None:
        self._left -= len(piece.data) + len(piece.raw or b"")
        if self._left <= 0 or shape != (self.shape if self.pieces else shape):
            self._give_up()
        else:
            self.shape = shape
            self.pieces.append(piece)

    def _give_up(self) -> None:
        self._left, self.shape = 0, None
        self.pieces.clear()


def is_final(last: Any) -> bool:
    """Whether a stream's last chunk says that it is an answer: of a response, that is complete and not stored."""
    kind = last.get("type") if isinstance(last, dict) else None
    if not isinstance(kind, str) or not kind.startswith("response."):
        return True
    response = last.get("response")
    return kind == "response.completed" and isinstance(response, dict) and response.get("store") is not True


class Replay:
    """The decoder of a stream that was kept: its one piece is the chunks themselves."""

    def feed(self, data: list[Any]) -> list[Any]:
        """Return the chunks."""
        return data

    def close(self) -> list[Any]:
        """Nothing is ever held back."""
        return []


def is_asked_for(call: Call) -> bool:
    """Whether a stream was asked for; not every operation knows them."""
    return bool(getattr(call.request, "stream", None))


def options_of(call: Call) -> bytes:
    """Return what a stream was asked to bring, in its canonical form."""
    options = getattr(call.request, "stream_options", None)
    return msgspec.json.encode(options, order="deterministic") if options else b""


def replay(chunks: list[Any], content_type: str | None = None) -> Streaming[Any]:
    """Return the stream of these chunks."""
    stream: Streaming[Any] = Streaming(Items([chunks]), Replay())
    if content_type is not None:
        stream.headers = {"content-type": content_type}
    return stream


def chunks_of(completion: ChatCompletion, with_usage: bool) -> list[ChatCompletionChunk]:
    """Return a whole chat answer as chunks: all of it in one, then the usage where it was asked for."""
    chunk = chunk_of(completion)
    usage, chunk.usage = chunk.usage, None
    if not with_usage:
        return [chunk]
    return [chunk, ChatCompletionChunk(id=chunk.id, created=chunk.created, model=chunk.model, usage=usage)]
