"""Request bodies that are sent in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator

from polyport.errors import BadRequestError
from polyport.flow import Body

#: wreq takes bytes for sent at once; more than this may take longer to send than the reply may take to come.
LARGE = 1024 * 1024
PIECE = 64 * 1024


class Sending:
    """A body on its way: remembers when a piece was last asked for, and the error that ended it."""

    def __init__(self, content: bytes | Body) -> None:
        self.length = len(content) if isinstance(content, bytes) else content.length
        self.moved = time.monotonic()
        self.error: Exception | None = None
        self._pieces = _cut(content) if isinstance(content, bytes) else _measured(content)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next piece. Runs in a thread of wreq, out of which an error comes as a description only."""
        self.moved = time.monotonic()
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error  # raised as it is in the caller's thread
            raise


def in_pieces(content: bytes | Body | None) -> Sending | None:
    """Return the content as a Sending where it should go in pieces."""
    if content is None or (isinstance(content, bytes) and len(content) <= LARGE):
        return None
    return Sending(content)


def _measured(body: Body) -> Iterator[bytes]:
    """Give the body's pieces. Raises BadRequestError where they are not as long as was announced."""
    left = body.length
    for piece in body:
        left = None if left is None else left - len(piece)
        if left is not None and left < 0:
            raise BadRequestError("A file grew while it was being sent.")
        yield piece
    if left:
        raise BadRequestError("A file became shorter while it was being sent.")


def _cut(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    return (bytes(view[start : start + PIECE]) for start in range(0, len(view), PIECE))
