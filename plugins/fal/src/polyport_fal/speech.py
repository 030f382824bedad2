"""Speech: text read aloud. https://fal.ai/docs/model-api-reference/text-to-speech-api/overview"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary, SpeechRequest
from polyport_fal.apps import App, find
from polyport_fal.body import Body, refuse
from polyport_fal.files import Files

TEXT = ("text", "prompt", "gen_text")
VOICE = ("voice", "voice_id", "voice_setting.voice_id")
SPEED = ("speed", "voice_setting.speed")
FORMAT = ("audio_setting.format", "output_format.codec", "output_format")
INSTRUCTIONS = ("style_instructions",)
#: OpenAI's name of a format -> fal's, where they differ.
FORMATS = {"opus": "ogg_opus"}


class Speech(Files):
    """Speech, whose sound is downloaded when the job is done."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text; a stream is of the download, as fal makes the whole sound first."""
        app = find(request.model)
        reply = yield from self.work(request, app, to_body(request, app))
        sound = sound_of(reply)
        if request.stream:
            request.adapt("stream", "emulated", "fal makes the whole sound first; what streams is its download")
            return Streaming((yield self.download(sound.url, stream=True)), Raw())
        fetched: HttpReply = yield self.download(sound.url)
        kind = fetched.headers.get("content-type") or sound.content_type or "application/octet-stream"
        made = Binary(content=fetched.content, content_type=kind)
        made.carry(_said(reply))
        return made


def to_body(request: SpeechRequest, app: App) -> dict[str, Any]:
    """Return the body that has a text read."""
    refuse(request, {"stream_format": ("audio",)}, "fal streams no events, only sound")
    body = Body(request, app)
    body.put("input", request.input, *TEXT)
    if request.voice is not None:
        voice = request.voice.get("id") if isinstance(request.voice, dict) else request.voice
        body.put("voice", voice, *VOICE)
    if request.speed is not None and (request.speed != 1 or app.name(*SPEED)):
        body.put("speed", request.speed, *SPEED)
    if request.instructions is not None:
        body.put("instructions", request.instructions, *INSTRUCTIONS)
    if request.response_format is not None:
        body.put("response_format", FORMATS.get(request.response_format, request.response_format), *FORMAT)
    if set(app.values("output_format")) == {"url", "hex"}:  # MiniMax: not of the sound, but of the answer
        body.set("output_format", "url")
    return body.finish()


class Sound(msgspec.Struct):
    """Where a job's sound is."""

    url: str
    content_type: str | None = None


class _Spoken(msgspec.Struct):
    audio: Sound | None = None
    audio_url: Sound | None = None


def sound_of(reply: HttpReply) -> Sound:
    """Return where the sound of a result is. Raises InvalidResponseError where it is nowhere."""
    spoken = decode(reply, _Spoken)
    sound = spoken.audio or spoken.audio_url
    if sound is None or not sound.url.startswith(("http://", "https://")):
        raise InvalidResponseError("$.audio.url is no address: fal made no sound", body=reply.content)
    return sound


def _said(reply: HttpReply) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(reply.content)
    return said
