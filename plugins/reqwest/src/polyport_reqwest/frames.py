"""A reply's body: one await for all the frames that are there, which is most of them in a burst."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from wreq import HeaderMap, Streamer

from polyport_reqwest.errors import FAILURES

#: Frames in one piece at most, so that others get their turn.
MOST = 64


class Frames:
    """wreq gives a frame an await, 16 µs each. Here the next one is begun at once, and kept if it has to wait."""

    def __init__(self, streamer: Streamer) -> None:
        self._streamer = streamer
        self._begun: _Begun | None = None
        self._failed: Exception | None = None
        self._over = False

    async def read(self) -> bytes | None:
        """Return what has come since, waiting for it if nothing has; None at the end. Raises wreq's errors."""
        if self._failed is not None:
            raise self._failed
        pieces: list[memoryview] = []
        while not (pieces or self._over):
            try:
                keep(pieces, await (self._take() or self._streamer.__anext__()))
            except StopAsyncIteration:
                self._over = True
        while not self._over and len(pieces) < MOST and self._gather(pieces):
            pass
        if len(pieces) == 1:
            return bytes(pieces[0])
        return b"".join(pieces) or None

    def close(self) -> None:
        """End any read that was begun, and close the connection unless the body was read to its end."""
        self._over = True
        begun = self._take()
        if begun is not None:
            begun.coroutine.close()
        self._streamer.__exit__(None, None, None)

    def _gather(self, pieces: list[memoryview]) -> bool:
        """Begin the next frame; take it if it is there, keep the wait for it otherwise."""
        coroutine = self._streamer.__anext__()
        try:
            waiter = coroutine.send(None)
            while waiter is None:  # it is there, but wreq would let others go first
                waiter = coroutine.send(None)
        except StopIteration as ready:
            keep(pieces, ready.value)
            return True
        except StopAsyncIteration:
            self._over = True
        except FAILURES as error:
            self._failed = error  # after what came before it
        else:
            self._begun = _Begun(coroutine, waiter)
        return False

    def _take(self) -> _Begun | None:
        begun, self._begun = self._begun, None
        return begun


class _Begun:
    """A coroutine that has been begun, and waits."""

    __slots__ = ("_waiter", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, memoryview | HeaderMap], waiter: Any) -> None:
        self.coroutine = coroutine
        self._waiter = waiter

    def __await__(self) -> Generator[Any, None, memoryview | HeaderMap]:
        waiter = self._waiter
        try:
            while True:
                yield waiter
                waiter = self.coroutine.send(None)
        except StopIteration as ready:
            frame: memoryview | HeaderMap = ready.value
            return frame


def keep(pieces: list[memoryview], frame: memoryview | HeaderMap) -> None:
    """Keep a frame, unless it is trailers, which no provider uses."""
    if isinstance(frame, memoryview):
        pieces.append(frame)
