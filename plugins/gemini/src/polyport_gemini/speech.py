"""Speech: a TTS model of Gemini's reads a text aloud. https://ai.google.dev/gemini-api/docs/speech-generation"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Binary, SpeechRequest
from polyport.types.chat import ChatCompletionChunk
from polyport_gemini.body import speech_config
from polyport_gemini.door import Door
from polyport_gemini.errors import misshapen
from polyport_gemini.naming import camel, camel_keys
from polyport_gemini.parts import decoded
from polyport_gemini.reply import to_completion
from polyport_gemini.sound import wav, wav_header
from polyport_gemini.stream import ContentEvents
from polyport_gemini.wire import ContentWire

DEFAULT_VOICE = "Kore"
#: Format -> its media type. Gemini gives PCM of 24 kHz, 16 bits, mono; a WAV is that with a header.
FORMATS = {"wav": "audio/wav", "pcm": "audio/pcm"}
DEFAULT_FORMAT = "wav"


class Speech(ContentWire):
    """POST {model}:generateContent with the answer in sound."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Read a text aloud, whole or in pieces."""
        body = to_speech_body(request, self.door)
        kind = request.response_format if request.response_format in FORMATS else DEFAULT_FORMAT
        if request.stream:
            reply = yield self.ask(request, "streamGenerateContent", body, stream=True)
            return Streaming(reply, ContentEvents(request.model)).through(Pieces(header=kind == "wav"))
        reply = yield self.ask(request, "generateContent", body)
        completion = to_completion(reply, request.model)
        message = completion.choices[0].message
        if message.audio is None or not message.audio.data:
            said = f" It wrote: {message.content[:200]!r}" if message.content else ""
            raise InvalidResponseError(
                f"The model answered without sound at $.candidates[0].content; is it one that speaks?{said}",
                body=reply.content,
            )
        sound = _sound(message.audio.data)
        binary = Binary(content=wav(sound) if kind == "wav" else sound, content_type=FORMATS[str(kind)])
        binary.carry({"usage": completion.usage} if completion.usage is not None else {})
        return binary


def to_speech_body(request: SpeechRequest, door: Door) -> dict[str, Any]:
    """Return the body that has a text read aloud."""
    if request.response_format is not None and request.response_format not in FORMATS:
        request.unsupported("response_format", f"Gemini speaks {' or '.join(FORMATS)}, not {request.response_format}")
    if request.speed not in (None, 1):
        request.unsupported("speed", "Gemini speaks at its own pace; say how in instructions")
    if request.stream_format not in (None, "audio"):
        request.unsupported("stream_format", "Gemini's speech is given as bytes")
    text = request.input
    if request.instructions:
        request.adapt("instructions", "emulated", "they are put before the text, which is how Gemini takes them")
        text = f"{request.instructions}:\n{text}"
    generation: dict[str, Any] = {
        "responseModalities": ["AUDIO"],
        "speechConfig": speech_config(request.voice or DEFAULT_VOICE),
    }
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    for given, value in door.extras(request).items():
        name = camel(given)
        if name == "speechConfig":
            generation["speechConfig"] = camel_keys(value)
        elif name == "languageCode":
            generation["speechConfig"] = {**generation["speechConfig"], name: value}
        elif name in ("temperature", "seed"):
            generation[name] = value
        else:
            body[given] = value
    return {**body, "generationConfig": generation}


class Pieces:
    """The sound in a stream of chunks, as bytes; before the first of a WAV comes its header."""

    def __init__(self, *, header: bool) -> None:
        self._header = header

    def feed(self, data: ChatCompletionChunk) -> list[bytes]:
        """Return the sound that a chunk brings."""
        found = []
        for choice in data.choices:
            audio = choice.delta.audio
            if audio is None or not audio.data:
                continue
            sound = _sound(audio.data)
            if self._header and sound[:4] != b"RIFF":
                found.append(wav_header(None))
            self._header = False
            found.append(sound)
        return found

    def close(self) -> list[bytes]:
        """Nothing is ever held back."""
        return []


def _sound(data: str) -> bytes:
    try:
        return decoded(data)
    except msgspec.ValidationError as error:
        raise misshapen(error, data) from error
