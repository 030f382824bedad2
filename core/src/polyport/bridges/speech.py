"""Speech over chat: a chat model that can speak reads the text aloud.

https://platform.openai.com/docs/guides/audio
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from polyport.bridges.inner import Chat, chat_request
from polyport.errors import InvalidResponseError
from polyport.flow import Flow, Items, Raw, Streaming
from polyport.types.audio import Binary, SpeechRequest
from polyport.types.chat import ChatCompletionChunk, ChatRequest

#: Our format -> a chat's name for it, and the media type. A chat's pcm16 is what speech calls pcm: 24 kHz, 16 bits,
#: mono, little-endian.
FORMATS = {
    "mp3": ("mp3", "audio/mpeg"),
    "wav": ("wav", "audio/wav"),
    "flac": ("flac", "audio/flac"),
    "opus": ("opus", "audio/ogg"),
    "aac": ("aac", "audio/aac"),
    "pcm": ("pcm16", "audio/pcm"),
}
DEFAULT_FORMAT, DEFAULT_VOICE = "mp3", "alloy"
READ_ALOUD = "Read the user's text aloud, word for word. Say nothing else, and do not answer it."


def over_chat(request: SpeechRequest, chat: Chat) -> Flow[Binary | Streaming[bytes]]:
    """Speak with a chat model. Only pcm comes in pieces from a chat; other formats are streamed as one piece.

    Raises InvalidResponseError where the model answered without sound.
    """
    inner = to_chat(request)
    answer = yield from chat(inner)
    if isinstance(answer, Streaming):
        return answer.through(SpeechPieces())
    message = answer.choices[0].message if answer.choices else None
    if message is None or message.audio is None or not message.audio.data:
        said = f" It wrote: {message.content[:200]!r}" if message and message.content else ""
        raise InvalidResponseError(f"The model answered without sound; is it one that speaks?{said}")
    content = decoded(message.audio.data)
    if request.stream:
        return Streaming(Items([content]), Raw())
    binary = Binary(content=content, content_type=_format(request)[1])
    binary.carry({"transcript": message.audio.transcript, "usage": answer.usage})
    return binary


def to_chat(request: SpeechRequest) -> ChatRequest:
    """Return the chat request."""
    name, _ = _format(request)
    if request.speed not in (None, 1):
        request.unsupported("speed", "a chat model speaks at its own pace; say how in instructions")
    if request.stream_format not in (None, "audio"):
        request.unsupported("stream_format", "a chat's speech is given as bytes")
    if name == "pcm16":
        request.adapt("response_format", "renamed", "a chat calls pcm pcm16")
    request.adapt("input", "emulated", "a chat model is asked to read the text aloud")
    if request.instructions:
        request.adapt("instructions", "emulated", "they are passed as a system message")
    pieces = request.stream and name == "pcm16"
    if request.stream and not pieces:
        request.adapt("stream", "emulated", f"a chat streams pcm only; {request.response_format} comes as one piece")
    fields = {
        "messages": [
            {"role": "system", "content": "\n\n".join(filter(None, [READ_ALOUD, request.instructions]))},
            {"role": "user", "content": request.input},
        ],
        "modalities": ["text", "audio"],
        "audio": {"voice": request.voice or DEFAULT_VOICE, "format": name},
        "stream": True if pieces else None,
    }
    return chat_request(request, fields)


def _format(request: SpeechRequest) -> tuple[str, str]:
    wanted = request.response_format or DEFAULT_FORMAT
    return FORMATS.get(wanted, (wanted, f"audio/{wanted}"))


class SpeechPieces:
    """Decodes the base64 pieces of a chat's speech, wherever they are cut."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, data: ChatCompletionChunk) -> list[bytes]:
        """Return the sound that a chunk brings."""
        found = []
        for choice in data.choices:
            audio: Any = choice.delta.audio
            if audio is None or not audio.data:
                continue
            text = self._rest + audio.data
            whole = len(text) // 4 * 4
            self._rest = text[whole:]
            if whole:
                found.append(decoded(text[:whole]))
        return found

    def close(self) -> list[bytes]:
        """Return what is left. Raises InvalidResponseError where that is no base64."""
        rest, self._rest = self._rest, ""
        return [decoded(rest)] if rest else []


def decoded(data: str) -> bytes:
    """Return the bytes of base64 text. Raises InvalidResponseError for what is none."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise InvalidResponseError(f"The model's speech is not base64: {error}") from error
