"""OpenAI's streams: server-sent events of JSON, decoded into chunks. Sans I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from polyport.dialects.openai_errors import stream_error
from polyport.dialects.openai_usage import count
from polyport.errors import APIError
from polyport.flow import Decoder, Passed
from polyport.types.audio import TranscriptionEvent
from polyport.types.chat import ChatCompletionChunk
from polyport.types.completion import TextCompletion
from polyport.types.image import ImageEvent
from polyport.types.record import Result, learn
from polyport.types.responses import Item
from polyport.wire.decoding import Decoding, unreadable
from polyport.wire.relay import Relay
from polyport.wire.sse import SSE, Event

C = TypeVar("C")
R = TypeVar("R", bound=Result)
#: RecursionError: JSON may be nested deeper than Python goes.
FAULTS = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, binascii.Error, RecursionError)


class Events(Decoding[Event, C]):
    """The base of OpenAI's decoders: raises events that are errors; each other one is one chunk.

    A stream is complete after `data: [DONE]` or a chunk for which `is_last` holds. A subclass says how one event's
    data becomes a chunk.
    """

    def __init__(self) -> None:
        super().__init__(SSE())

    def decode(self, data: bytes) -> C:
        """Return the chunk that an event's data is."""
        raise NotImplementedError

    def is_last(self, chunk: C) -> bool:
        """Whether nothing need come after this chunk."""
        return False

    def _decoded(self, events: Sequence[Event]) -> list[C]:
        """Do as the base does, without its call and list for each event: this runs once a token."""
        chunks: list[C] = []
        decode, is_last = self.decode, self.is_last
        try:
            for event, data in events:
                if event == b"error" or data[:8] == b'{"error"' or data[:15] == b'{"type":"error"':
                    raise stream_error(data)
                try:
                    chunk = decode(data)
                except FAULTS as error:
                    if not data.startswith(b"[DONE]"):
                        raise unreadable(data, error) from error
                    self._done = True
                    continue
                if is_last(chunk):
                    self._done = True
                chunks.append(chunk)
        except APIError as error:
            if not chunks:
                raise
            self._error = error
        return chunks


class ResultEvents(Events[R]):
    """Decodes events of one type of result."""

    def __init__(self, type: type[R]) -> None:
        super().__init__()
        self._decode: Callable[[bytes], R] = msgspec.json.Decoder(learn(type)).decode

    def decode(self, data: bytes) -> R:
        """Return the result, its bytes kept for `.extra`."""
        chunk = self._decode(data)
        chunk.keep(data)
        return chunk


#: What stands in events that tell the usage or the whole response, are an error, or the end.
MARKS = (b'"prompt_tokens"', b"error", b"[DONE]")
RESPONSE_MARKS = (b'"response":', b"error", b"[DONE]")


class ChatEvents(ResultEvents[ChatCompletionChunk]):
    """Decodes a chat stream; one that ends after its finish reason is complete even without [DONE].

    https://platform.openai.com/docs/api-reference/chat-streaming
    """

    def __init__(
        self, kind: type[ChatCompletionChunk] = ChatCompletionChunk, own_words: tuple[bytes, ...] | None = None
    ) -> None:
        super().__init__(kind)
        self._own_words = () if kind is ChatCompletionChunk else own_words

    def relay(self) -> Decoder[Passed] | None:
        """Pass OpenAI's own chunks on as they come; those with a word of the look-alike's are read and written anew.

        A subclass reads them differently, and says itself whether it passes any on.
        """
        return self.passing() if type(self) is ChatEvents else None

    def passing(self, *words: bytes) -> Decoder[Passed] | None:
        """Return what passes chunks on, but for those with `words` in them, or the look-alike's own."""
        if self._own_words is None:
            return None
        words += self._own_words
        return Relay(self, (*MARKS, *words), written=partial(self.written, words) if words else None)

    def written(self, words: Sequence[bytes], event: bytes, chunk: ChatCompletionChunk) -> bytes:
        """Return an event as it goes out: anew, where it has one of these words."""
        if not any(word in event for word in words):
            return event
        return b"data: %s\n\n" % msgspec.json.encode(chunk.to_dict())

    def decode(self, data: bytes) -> ChatCompletionChunk:
        """Return the chunk. Raises the error that a chunk without choices may hold in its place."""
        chunk = self._decode(data)
        chunk.__dict__["_bytes"] = data  # chunk.keep(data), without the call: this runs once a token
        if not chunk.choices and b'"error"' in data and chunk.extra.get("error"):
            raise stream_error(data)
        return chunk

    def is_last(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a choice is finished."""
        choices = chunk.choices
        return bool(choices) and choices[-1].finish_reason is not None


class CompletionEvents(ResultEvents[TextCompletion]):
    """Decodes a text completion's stream."""

    def __init__(self) -> None:
        super().__init__(TextCompletion)

    def relay(self) -> Decoder[Passed] | None:
        """Pass OpenAI's own chunks on as they come."""
        return Relay(self, MARKS) if type(self) is CompletionEvents else None

    def is_last(self, chunk: TextCompletion) -> bool:
        """Whether a choice is finished."""
        return any(choice.finish_reason for choice in chunk.choices)


class ResponseEvents(Events[Item]):
    """Decodes the typed events of a response; its last says completed, incomplete, failed or cancelled.

    https://platform.openai.com/docs/api-reference/responses-streaming
    """

    LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

    def relay(self) -> Decoder[Passed] | None:
        """Pass the events on as they come, and read those that tell of the whole response."""
        return Relay(self, RESPONSE_MARKS) if type(self) is ResponseEvents else None

    def decode(self, data: bytes) -> Item:
        """Return the event, its fields as attributes."""
        return Item(_decode_event(data))

    def is_last(self, chunk: Item) -> bool:
        """Whether the response is over."""
        kind = chunk.get("type")
        return isinstance(kind, str) and kind in self.LAST


_decode_event: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode


class ImageEvents(ResultEvents[ImageEvent]):
    """Decodes partial images and finished ones. https://platform.openai.com/docs/api-reference/images-streaming"""

    def __init__(self) -> None:
        super().__init__(ImageEvent)

    def decode(self, data: bytes) -> ImageEvent:
        """Return the event with its usage in the shared words."""
        event = super().decode(data)
        count(event, data)
        return event

    def is_last(self, chunk: ImageEvent) -> bool:
        """Whether an image is finished; each is announced by its own event."""
        return chunk.type.endswith(".completed")


class TranscriptionEvents(ResultEvents[TranscriptionEvent]):
    """Decodes pieces of a transcript.

    https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event
    """

    def __init__(self) -> None:
        super().__init__(TranscriptionEvent)

    def decode(self, data: bytes) -> TranscriptionEvent:
        """Return the event with its usage in the shared words."""
        event = super().decode(data)
        count(event, data)
        return event

    def is_last(self, chunk: TranscriptionEvent) -> bool:
        """Whether the transcript is complete."""
        return chunk.type == "transcript.text.done"


class _SpeechEvent(msgspec.Struct):
    type: str = ""
    audio: str = ""


class SpeechEvents(Events[bytes]):
    """Decodes speech asked for as `stream_format="sse"` into the audio's bytes.

    https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event
    """

    def decode(self, data: bytes) -> bytes:
        """Return the bytes of a delta; b"" for other events."""
        event = msgspec.json.decode(data, type=learn(_SpeechEvent))
        self._done = self._done or event.type == "speech.audio.done"
        return base64.b64decode(event.audio)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the audio it completed."""
        return [audio for audio in super().feed(data) if audio]
