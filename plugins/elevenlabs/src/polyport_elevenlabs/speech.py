"""Text to speech. https://elevenlabs.io/docs/api-reference/text-to-speech/convert"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.audio import Binary, SpeechRequest
from polyport.types.usage import Usage
from polyport_elevenlabs.formats import media_of, output_format
from polyport_elevenlabs.voices import find_voice

#: How fast a voice can be made to speak: voice_settings.speed of https://elevenlabs.io/docs/api-reference/text-to-speech
SLOWEST, FASTEST = 0.7, 1.2
#: Parameters that stand in the query; all others stand in the body.
QUERY = ("enable_logging", "optimize_streaming_latency")


class Speech(Provider):
    """POST /v1/text-to-speech/{voice_id}, and its /stream and /with-timestamps."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text, whole or in pieces; `with_timestamps=True` tells when each character is said, in `.extra`."""
        spoken = to_spoken(request)
        voice = yield from find_voice(self, request)
        path = f"/v1/text-to-speech/{quote(voice, safe='')}{spoken.door}"
        reply = yield self.post(path, json=spoken.body, params=spoken.query, stream=request.stream)
        if request.stream:
            return Streaming(reply, Raw())
        return to_timed(reply, spoken.format) if spoken.timed else to_binary(reply, spoken.format)


class Spoken(msgspec.Struct, frozen=True):
    """A request as ElevenLabs takes it, but for the voice. `door` is what follows the voice in the path."""

    body: dict[str, Any]
    query: dict[str, Any]
    format: str | None
    timed: bool
    door: str


def to_spoken(request: SpeechRequest) -> Spoken:
    """Return what to send; what ElevenLabs cannot do is refused, a speed beyond its range clamped."""
    if request.instructions:
        request.unsupported(
            "instructions",
            "ElevenLabs takes none; write tags such as [whispers] into eleven_v3's text, or voice_settings",
        )
    if request.stream_format not in (None, "audio"):
        request.unsupported("stream_format", "ElevenLabs' speech is given as bytes")
    extra = dict(request.extra)
    timed = bool(extra.pop("with_timestamps", False))
    if timed and request.stream:
        request.unsupported("with_timestamps", "a stream of bytes has no place for them")
        timed = False
    named = output_format(request, extra)
    query = {name: extra.pop(name) for name in QUERY if name in extra}
    settings = dict(extra.pop("voice_settings", None) or {})
    if request.speed is not None:
        settings["speed"] = speed_of(request)
    body: dict[str, Any] = {"text": request.input, "model_id": request.model}
    if settings:
        body["voice_settings"] = settings
    door = "/stream" if request.stream else "/with-timestamps" if timed else ""
    return Spoken({**body, **extra}, {**query, "output_format": named}, named, timed, door)


def speed_of(request: SpeechRequest) -> float:
    """Return the speed within ElevenLabs' range."""
    asked = request.speed or 1.0
    speed = min(max(asked, SLOWEST), FASTEST)
    if speed != asked:
        request.adapt("speed", "clamped", f"ElevenLabs speaks {SLOWEST} to {FASTEST} times as fast: {asked} is {speed}")
    return speed


def to_binary(reply: HttpReply, format: str | None) -> Binary:
    """Return the sound."""
    kind = reply.headers.get("content-type") or media_of(format)
    return _told(Binary(content=reply.content, content_type=kind), reply, {})


class _Timed(msgspec.Struct):
    audio_base64: bytes  # msgspec reads base64
    alignment: dict[str, Any] | None = None
    normalized_alignment: dict[str, Any] | None = None


def to_timed(reply: HttpReply, format: str | None) -> Binary:
    """Return the sound, with the times of its characters in `extra`."""
    timed: _Timed = decode(reply, _Timed)
    times = {"alignment": timed.alignment, "normalized_alignment": timed.normalized_alignment}
    return _told(Binary(content=timed.audio_base64, content_type=media_of(format)), reply, times)


def _told(binary: Binary, reply: HttpReply, extra: dict[str, Any]) -> Binary:
    """Give a result its extra fields, and the number of characters that are billed."""
    count = reply.headers.get("x-character-count", "")
    usage = {"usage": Usage(characters=int(count))} if count.isdecimal() else {}
    binary.carry({**extra, **usage})
    return binary
