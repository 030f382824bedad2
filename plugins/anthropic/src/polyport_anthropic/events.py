"""The Messages API's event stream, cut into events. https://platform.claude.com/docs/en/build-with-claude/streaming"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from polyport.errors import APIConnectionError, InvalidResponseError
from polyport.types.responses import Item
from polyport.wire.sse import SSE
from polyport_anthropic.errors import event_error, unreadable

C = TypeVar("C")
decode_plain = msgspec.json.Decoder(dict[str, Any]).decode


class Start(msgspec.Struct):
    """The message that a stream begins with, still empty."""

    id: str = ""
    model: str = ""
    usage: dict[str, Any] | None = None


class Piece(msgspec.Struct):
    """A delta: of a block, or of the message at its end."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """Any event: what is read of the kinds that are known."""

    type: str
    index: int = 0
    message: Start | None = None
    content_block: dict[str, Any] | None = None
    delta: Piece | None = None
    usage: dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None


class Events(Generic[C]):
    """Cuts a stream into events and raises what an `error` event tells.

    A stream that ends before it said that it would was cut off: APIConnectionError.
    """

    def __init__(self) -> None:
        self._sse = SSE()
        self._done = False

    def feed(self, data: bytes) -> list[C]:
        """Take the next piece and return what it completed."""
        return self._read(self._sse.feed(data))

    def close(self) -> list[C]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        cut: InvalidResponseError | None = None
        made: list[C] = []
        try:
            made = self._read(self._sse.close())
        except InvalidResponseError as error:
            cut = error
        if not self._done:
            raise APIConnectionError("The stream ended before it was complete.") from cut
        return made

    def _read(self, events: list[tuple[bytes, bytes]]) -> list[C]:
        made: list[C] = []
        for name, data in events:
            if name == b"error":
                raise event_error(data)
            try:
                made += self.take(data)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise unreadable(data, error) from error
        return made

    def take(self, data: bytes) -> list[C]:
        """Return what an event's data comes to. Raises a MsgspecError that names the place where it is malformed."""
        raise NotImplementedError


class NativeEvents(Events[Item]):
    """Gives the events as they come, pings included."""

    def take(self, data: bytes) -> list[Item]:
        """Return the event."""
        event = decode_plain(data)
        kind = event.get("type")
        if not isinstance(kind, str):
            raise msgspec.ValidationError(f"Expected `str`, got `{type(kind).__name__}` at $.type")
        if kind == "error":
            raise event_error(data)
        self._done = kind == "message_stop"
        return [Item(event)]
