"""The base of decoders: events cut out of bytes become chunks, each none or some. Sans I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from polyport.errors import APIConnectionError, APIError, InvalidResponseError

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
C = TypeVar("C")


class Cutter(Protocol[E_co]):
    """Cuts bytes into events, wherever the pieces are cut: `SSE`, `Lines`."""

    def feed(self, piece: bytes, /) -> Sequence[E_co]:
        """Take the next piece and return the events it completed."""

    def close(self) -> Sequence[E_co]:
        """Return the last event, where the end of the stream is what ends it."""


class Decoding(Generic[E, C]):
    """Knows a complete stream from one that was cut off, and raises an error among chunks after them.

    A subclass says in `take` what an event comes to, and sets `_done` with the one that nothing need come after.
    """

    def __init__(self, cutter: Cutter[E]) -> None:
        self._cutter = cutter
        self._done = False
        self._error: APIError | None = None

    def take(self, event: E) -> Sequence[C]:
        """Return the chunks that an event comes to. Raises the error that it tells of."""
        raise NotImplementedError(f"{type(self).__name__} must implement take()")

    def is_complete(self) -> bool:
        """Whether the stream may end here."""
        return self._done

    def finish(self) -> list[C]:
        """Return what only the end of a complete stream tells."""
        return []

    def feed(self, data: bytes) -> list[C]:
        """Take the next piece and return the chunks it completed."""
        if self._error is not None:
            raise self._error
        return self._decoded(self._cutter.feed(data))

    def close(self) -> list[C]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        if self._error is not None:
            raise self._error
        try:
            chunks = self._decoded(self._cutter.close())
        except InvalidResponseError as error:
            raise APIConnectionError("The stream was cut off in the middle of an event.") from error
        if self._error is not None or not self.is_complete():
            raise self._error or APIConnectionError("The stream ended before it was complete.")
        return chunks + self.finish()

    def _decoded(self, events: Sequence[E]) -> list[C]:
        chunks: list[C] = []
        try:
            for event in events:
                chunks += self.take(event)
        except APIError as error:
            if not chunks:
                raise
            self._error = error
        except RecursionError as error:
            self._error = InvalidResponseError("A streamed event cannot be read: it is nested too deep")
            if not chunks:
                raise self._error from error
        return chunks


def unreadable(data: bytes, error: Exception) -> InvalidResponseError:
    """Return the error for an event that is not JSON, or not of the promised shape."""
    begin = data[:120].decode("utf-8", "replace")
    what = f"{type(error).__name__}: {error}"
    return InvalidResponseError(f"A streamed event cannot be read ({what}). It begins {begin!r}", body=data)
