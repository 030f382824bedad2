"""Speech: trained voices, cloned ones, hosted models. https://docs.modelslab.com/voice-cloning/text-to-speech"""

from __future__ import annotations

from typing import Any

from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Binary, SpeechRequest
from polyport_modelslab.doors import CLONES, HOSTED_VOICES, SPEECH, Door, door_of
from polyport_modelslab.work import Work, extras, first_file, read, rest

#: A voice must be named: this is the one of ModelsLab's own examples.
VOICE = "madison"
FORMATS = frozenset({"wav", "mp3"})


class Speech(Work):
    """Text read aloud; the sound is downloaded when it is made."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text; a stream is of the download, as ModelsLab makes the whole sound first."""
        door = door_of(request, SPEECH)
        reply = yield from self.work(request, door, door.text, to_body(request, door))
        url = first_file(read(reply), reply)
        if request.stream:
            request.adapt("stream", "emulated", "ModelsLab makes the whole sound first; what streams is its download")
            return Streaming((yield self.download(url, stream=True)), Raw())
        fetched: HttpReply = yield self.download(url)
        made = Binary(content=fetched.content, content_type=fetched.headers.get("content-type") or "audio/wav")
        made.carry(rest(reply))
        return made


def to_body(request: SpeechRequest, door: Door) -> dict[str, Any]:
    """Return the body that has a text read."""
    body: dict[str, Any] = {"prompt": request.input, **({"model_id": request.model} if door.named else {})}
    voice = request.voice.get("id") if isinstance(request.voice, dict) else request.voice
    if voice or "init_audio" not in request.extra:
        body["voice_id"] = voice or VOICE
    if request.speed is not None:
        if door is HOSTED_VOICES and request.speed != 1:
            request.unsupported("speed", f"{request.model} is not told how fast to speak")
        elif door is not HOSTED_VOICES:
            body["speed"] = request.speed
    if request.instructions is not None:
        request.unsupported(
            "instructions", "ModelsLab's voices take no directions; emotion=True hears tags in the text"
        )
    if request.stream_format not in (None, "audio"):
        request.unsupported("stream_format", "ModelsLab streams no events, only sound")
    if request.response_format is not None:
        _put_format(request, door, body)
    return {**body, **extras(request)}


def _put_format(request: SpeechRequest, door: Door, body: dict[str, Any]) -> None:
    if request.response_format not in FORMATS:
        request.unsupported("response_format", "ModelsLab makes wav and mp3")
    elif door is CLONES or door is HOSTED_VOICES:
        request.unsupported("response_format", f"{request.model} chooses the format itself")
    else:
        body["output_format"] = request.response_format
