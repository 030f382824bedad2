"""Text spoken by Voxtral. https://docs.mistral.ai/api/endpoint/audio/speech"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.dialects.openai_events import Events
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary, SpeechRequest
from polyport.types.record import Request, learn

#: What speech may come as, and its media type; pcm is raw float32, little endian.
SOUNDS: Mapping[str, str] = {
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/opus", "pcm": "audio/pcm",
}  # fmt: skip
DEFAULT = "mp3"
#: A voice that Voxtral 2 and 3 both have: https://docs.mistral.ai/studio/audio/text-to-speech/voices
VOICE = "en_paul_neutral"


class MistralSpeech(Wire):
    """POST /audio/speech. `ref_audio` (base64) speaks in the voice of a recording instead of `voice`."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text."""
        body = self.body(request, "speak")
        reply = yield self.post("/audio/speech", json=body, stream=request.stream)
        if request.stream:
            return Streaming(reply, SpeechEvents())
        return to_binary(reply, body.get("response_format", DEFAULT))

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters; speech has a voice and a format that Mistral has."""
        body = super().body(request, hook, skip)
        if isinstance(request, SpeechRequest):
            if body.get("response_format", DEFAULT) not in SOUNDS:
                request.unsupported("response_format", f"Mistral has {', '.join(SOUNDS)}")
                del body["response_format"]
            if body.keys().isdisjoint({"voice_id", "ref_audio"}):
                body["voice_id"] = VOICE
        return body


class _Spoken(msgspec.Struct):
    audio_data: bytes  # base64 in the JSON


def to_binary(reply: HttpReply, format: str) -> Binary:
    """Return the audio that a reply holds."""
    spoken: _Spoken = decode(reply, _Spoken)
    return Binary(content=spoken.audio_data, content_type=SOUNDS.get(format))


class _Event(msgspec.Struct):
    type: str = ""
    audio_data: bytes = b""


class _Events(Events[_Event]):
    def __init__(self) -> None:
        super().__init__()
        self._read = msgspec.json.Decoder(learn(_Event)).decode

    def decode(self, data: bytes) -> _Event:
        return self._read(data)

    def is_last(self, chunk: _Event) -> bool:
        return chunk.type == "speech.audio.done"


class SpeechEvents:
    """Decodes streamed speech into the audio's bytes."""

    def __init__(self) -> None:
        self._events = _Events()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the audio it completed."""
        return [event.audio_data for event in self._events.feed(data) if event.audio_data]

    def close(self) -> list[bytes]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        return [event.audio_data for event in self._events.close() if event.audio_data]
