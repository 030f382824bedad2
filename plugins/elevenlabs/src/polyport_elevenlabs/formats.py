"""Formats of speech, `codec_rate_bitrate`. https://elevenlabs.io/docs/api-reference/text-to-speech/convert"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polyport.types.audio import SpeechRequest

RATES = (24_000, 8_000, 16_000, 22_050, 32_000, 44_100, 48_000)
#: Codec -> rate in Hz -> the format, of those with several bitrates the one that is ElevenLabs' own default or the best
#: that every plan has. The first rate is taken where none is asked for: that of OpenAI's pcm and wav is 24 kHz.
CODECS: Mapping[str, Mapping[int, str]] = {
    "mp3": {44_100: "mp3_44100_128", 24_000: "mp3_24000_48", 22_050: "mp3_22050_32"},
    "opus": {48_000: "opus_48000_128"},
    "pcm": {rate: f"pcm_{rate}" for rate in RATES},
    "wav": {rate: f"wav_{rate}" for rate in RATES},
    "ulaw": {8_000: "ulaw_8000"},
    "alaw": {8_000: "alaw_8000"},
}
#: Codec -> media type, where a reply does not tell it.
MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "ulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}
DEFAULT = "mp3"
OWN = re.compile(r"[a-z0-9]+_\d+(_\d+)?")


def output_format(request: SpeechRequest, extra: dict[str, Any]) -> str | None:
    """Return ElevenLabs' name of the format asked for, None for its own default; takes what it reads out of `extra`.

    That is `output_format`, which wins, and `sample_rate` in Hz. A `response_format` may be ElevenLabs' own as well.
    """
    named, rate = extra.pop("output_format", None), extra.pop("sample_rate", None)
    wanted = named or request.response_format
    codec = (wanted or DEFAULT).partition("_")[0]
    if codec not in CODECS:
        request.unsupported("response_format", f"ElevenLabs speaks {', '.join(CODECS)}, not {wanted}")
        wanted, codec = None, DEFAULT
    elif codec == "wav" and request.stream:
        request.unsupported("response_format", "ElevenLabs streams no wav; pcm is the same sound without a header")
        wanted, codec = None, DEFAULT
    if wanted and OWN.fullmatch(wanted):
        return str(wanted)
    rates = CODECS[codec]
    if rate is not None and rate not in rates:
        known = ", ".join(str(known) for known in sorted(rates))
        request.unsupported("sample_rate", f"ElevenLabs has {codec} at {known} Hz, not {rate}")
        rate = None
    if wanted is None and rate is None:
        return None
    return rates[rate or next(iter(rates))]


def media_of(format: str | None) -> str:
    """Return the media type of a format."""
    return MEDIA[(format or DEFAULT).partition("_")[0]]
