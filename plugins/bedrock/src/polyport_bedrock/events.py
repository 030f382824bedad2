"""Bedrock's event streams as events: frames read, exceptions raised, an end that never came noticed."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from polyport.errors import APIConnectionError, APIError
from polyport_anthropic.events import Events as AnthropicEvents
from polyport_bedrock.errors import of_frame, unreadable
from polyport_bedrock.eventstream import Frame, Frames

C = TypeVar("C")
EVENT, KIND = ":message-type", ":event-type"


class Events(Generic[C]):
    """Cuts a stream into events and raises what an exception's frame tells.

    A stream that ends before it said that it would was cut off: APIConnectionError.
    """

    def __init__(self) -> None:
        self._frames = Frames()
        self._error: APIError | None = None

    def feed(self, data: bytes) -> list[C]:
        """Take the next piece and return what it completed; an exception behind that is raised by the next call."""
        self._fail()
        made: list[C] = []
        for frame in self._frames.feed(data):
            try:
                made += self._read(frame)
            except APIError as error:
                self._error = error
                break
        if not made:
            self._fail()
        return made

    def close(self) -> list[C]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        self._fail()
        if not self._frames.is_empty:
            raise APIConnectionError("The stream ended in the middle of a frame.")
        return self.finish()

    def _fail(self) -> None:
        if self._error is not None:
            raise self._error

    def _read(self, frame: Frame) -> list[C]:
        if frame.headers.get(EVENT) != "event":
            raise of_frame(frame)
        try:
            return self.take(frame.headers.get(KIND, ""), frame.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise unreadable(frame.payload, error) from error

    def take(self, kind: str, payload: bytes) -> list[C]:
        """Return what an event comes to. Raises a MsgspecError that names the place where it is malformed."""
        raise NotImplementedError

    def finish(self) -> list[C]:
        """Return what is left at the end. Raises APIConnectionError where it came too early."""
        raise NotImplementedError


class _Part(msgspec.Struct):
    content: bytes = msgspec.field(default=b"", name="bytes")


class Chunks(Events[C]):
    """The stream of InvokeModelWithResponseStream: a model's own events, each inside of a chunk, here of Claude's."""

    def __init__(self, inner: AnthropicEvents[C]) -> None:
        super().__init__()
        self._inner = inner

    def take(self, kind: str, payload: bytes) -> list[C]:
        """Return what the event inside of a chunk comes to."""
        if kind != "chunk":
            return []
        event = msgspec.json.decode(payload, type=_Part).content
        return self._inner.feed(b"data: " + event.replace(b"\n", b" ") + b"\n\n")

    def finish(self) -> list[C]:
        """Return what is left."""
        return self._inner.close()
