"""Audio with Groq. https://console.groq.com/docs/speech-to-text and /docs/text-to-speech"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from polyport.dialects.openai import Speech, Transcriptions
from polyport.types.audio import SpeechRequest
from polyport.types.record import Request

#: What transcripts come as (https://console.groq.com/docs/openai) and speech, by what Groq's SDK 1.7.0 says.
TRANSCRIPTS = ("json", "text", "verbose_json")
SOUNDS = ("flac", "mp3", "mulaw", "ogg", "wav")
#: The one that every speech model has: https://console.groq.com/docs/text-to-speech/orpheus
EVERY_MODELS = "wav"
#: A voice of each model's, by what its name holds: https://console.groq.com/docs/text-to-speech/orpheus
VOICES = (("arabic", "fahad"), ("", "autumn"))


class GroqTranscriptions(Transcriptions):
    """POST /audio/transcriptions and /audio/translations."""

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters; transcripts with times as srt or vtt are not Groq's."""
        body = super().body(request, hook, skip)
        if hook in ("transcribe", "translate"):
            _check_format(request, body, TRANSCRIPTS)
        return body


class GroqSpeech(Speech):
    """POST /audio/speech. The voice has a default by model."""

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters with a voice."""
        body = super().body(request, hook, skip)
        if isinstance(request, SpeechRequest):
            _check_format(request, body, SOUNDS)
            body.setdefault("response_format", EVERY_MODELS)
            body.setdefault("voice", next(voice for part, voice in VOICES if part in request.model))
        return body


def _check_format(request: Request, body: dict[str, Any], formats: tuple[str, ...]) -> None:
    if body.get("response_format", formats[0]) not in formats:
        request.unsupported("response_format", f"Groq has {', '.join(formats)}")
        del body["response_format"]
