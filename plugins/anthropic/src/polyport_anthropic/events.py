"""The Messages API's event stream, cut into events. https://platform.claude.com/docs/en/build-with-claude/streaming"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from polyport.flow import Decoder, Passed
from polyport.types.responses import Item
from polyport.wire.decoding import Decoding, unreadable
from polyport.wire.relay import Relay
from polyport.wire.sse import SSE, Event as Cut
from polyport_anthropic.errors import event_error

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


class Events(Decoding[Cut, C]):
    """Raises what an `error` event tells; a subclass says in `read` what any other comes to."""

    def __init__(self) -> None:
        super().__init__(SSE())

    def take(self, event: Cut) -> list[C]:
        """Return what an event comes to."""
        name, data = event
        if name == b"error":
            raise event_error(data)
        try:
            return self.read(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise unreadable(data, error) from error

    def read(self, data: bytes) -> list[C]:
        """Return what an event's data comes to. Raises a MsgspecError that names the place where it is malformed."""
        raise NotImplementedError


#: What stands in events that tell of the whole message, and in errors.
MARKS = (b'"message_', b"error")


class NativeEvents(Events[Item]):
    """Gives the events as they come, pings included."""

    def relay(self) -> Decoder[Passed] | None:
        """Pass the events on as they come, and read those that tell of the whole message."""
        return Relay(self, MARKS) if type(self) is NativeEvents else None

    def read(self, data: bytes) -> list[Item]:
        """Return the event."""
        event = decode_plain(data)
        kind = event.get("type")
        if not isinstance(kind, str):
            raise msgspec.ValidationError(f"Expected `str`, got `{type(kind).__name__}` at $.type")
        if kind == "error":
            raise event_error(data)
        self._done = kind == "message_stop"
        return [Item(event)]
