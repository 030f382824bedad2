"""Sound: Gemini speaks raw PCM, 24 kHz, 16 bits, mono, little-endian; a WAV is that with a header.

https://ai.google.dev/gemini-api/docs/speech-generation
"""

from __future__ import annotations

import base64
import re
import struct

import msgspec

from polyport.types.chat import ChatCompletion, ChatRequest
from polyport_gemini.errors import misshapen
from polyport_gemini.parts import decoded

RATE = 24_000
#: The length in a WAV's header that says: until it ends.
ENDLESS = 0xFFFFFFFF


def wav_header(size: int | None, rate: int = RATE) -> bytes:
    """Return the header of a WAV whose sound has `size` bytes; None for one that is not known yet."""
    data = ENDLESS if size is None else size
    whole = ENDLESS if size is None else size + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", whole, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", data
    )


def wav(sound: bytes, rate: int = RATE) -> bytes:
    """Return PCM as a WAV; what is one already stays as it is."""
    return sound if sound[:4] == b"RIFF" else wav_header(len(sound), rate) + sound


def rate_of(kind: str) -> int:
    """Return the rate that a media type tells, as in "audio/L16;codec=pcm;rate=24000"."""
    found = re.search(r"rate=(\d+)", kind)
    return int(found[1]) if found else RATE


def as_asked(completion: ChatCompletion, request: ChatRequest) -> ChatCompletion:
    """Give the sound in a completion the format that was asked for."""
    if (request.audio or {}).get("format") == "wav":
        for choice in completion.choices:
            if choice.message.audio is not None and choice.message.audio.data:
                try:
                    sound = decoded(choice.message.audio.data)
                except msgspec.ValidationError as error:
                    raise misshapen(error, completion.raw) from error
                choice.message.audio.data = base64.b64encode(wav(sound)).decode()
    return completion
