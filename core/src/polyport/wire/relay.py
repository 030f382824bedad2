"""Server-sent events on their way through: passed on as they came, and only those read that tell something. Sans I/O.

A stream's events nearly all say the same, a little more text, and who passes a stream on need not read them. So a
piece is searched for `marks`, byte strings that stand in every event that has to be read; up to the first content
every event is read. A mark that stands in another event costs a little time, and changes nothing. The fewer marks, the
better: each is looked for in every byte, and that is most of what a stream costs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from polyport.errors import APIConnectionError, APIError, InvalidResponseError
from polyport.flow import Decoder, Passed
from polyport.wire.sse import END, SSE


class Reader(Decoder[Any], Protocol):
    """A decoder that knows whether its stream is complete, such as a `Decoding`."""

    def is_complete(self) -> bool:
        """Whether the stream may end here."""


class Relay:
    """A Decoder[Passed] around the decoder of a stream's events, which says what those come to that are read.

    An event that comes to no chunk, such as `[DONE]`, goes no further, as who writes a stream writes its end; with
    `all`, it does. `written` says how an event goes out that was read, given its first chunk, where that is not as it
    came: for a wire that is another's but for some words.
    """

    __slots__ = ("_all", "_begun", "_decoder", "_error", "_events", "_marks", "_unread", "_written")

    def __init__(
        self,
        decoder: Reader,
        marks: Sequence[bytes],
        *,
        all: bool = False,
        written: Callable[[bytes, Any], bytes] | None = None,
    ) -> None:
        self._decoder = decoder
        self._marks = tuple(marks)
        self._all, self._written = all, written
        self._events = SSE()
        self._begun = False
        self._unread = b""
        self._error: APIError | None = None

    def feed(self, data: bytes) -> list[Passed]:
        """Take the next piece and return the events it completed."""
        if self._error is not None:
            raise self._error
        return self._passed(self._events.whole(data))

    def close(self) -> list[Passed]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        if self._error is not None:
            raise self._error
        rest = self._events.rest()
        try:
            left = self._read(rest) if rest else []
        except InvalidResponseError as error:
            raise APIConnectionError("The stream was cut off in the middle of an event.") from error
        if not self._decoder.is_complete():  # it may have been said in what nobody read
            self._decoder.feed(self._unread)
        return [*left, *(Passed(b"", chunk) for chunk in self._decoder.close())]

    def _passed(self, data: bytes) -> list[Passed]:
        """Return whole events, those with a mark each for itself and read."""
        found: list[Passed] = []
        done, size = 0, len(data)
        try:
            while not self._begun and done < size:
                end = data.index(END, done) + len(END)
                found += self._read(data[done:end])
                done = end
            while done < size:
                place = self._mark(data, done)
                if place < 0:
                    self._unread = data[done:]
                    found.append(Passed(self._unread))
                    break
                before = data.rfind(END, done, place)
                start = done if before < 0 else before + len(END)
                if start > done:
                    self._unread = data[done:start]
                    found.append(Passed(self._unread))
                done = data.index(END, place) + len(END)
                found += self._read(data[start:done])
        except APIError as error:
            if not found:
                raise
            self._error = error
        return found

    def _mark(self, data: bytes, start: int) -> int:
        """Return where the first mark stands, -1 where there is none."""
        first = -1
        for mark in self._marks:
            place = data.find(mark, start) if first < 0 else data.find(mark, start, first)
            if place >= 0:
                first = place
        return first

    def _read(self, event: bytes) -> list[Passed]:
        """Return an event with what it says."""
        chunks = self._decoder.feed(event)
        if not chunks:
            return [Passed(event)] if self._all else []
        data = event if self._written is None else self._written(event, chunks[0])
        found = [Passed(data, chunks[0]), *(Passed(b"", chunk) for chunk in chunks[1:])]
        self._begun = self._begun or any(one.is_content() for one in found)
        return found
