"""What OpenAI's transcriptions do beyond the shared wire: tell speakers apart."""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import Transcriptions
from polyport.types.audio import TranscriptionRequest


class OpenAITranscriptions(Transcriptions):
    """Transcriptions whose `diarize` is the model's name and a response format.

    https://platform.openai.com/docs/guides/speech-to-text#speaker-diarization
    """

    def diarize(self, request: TranscriptionRequest, body: dict[str, Any]) -> None:
        """Ask a diarizing model for speakers. Audio beyond 30 seconds must be cut: it may cut as it likes."""
        if "diarize" not in request.model:
            request.unsupported("diarize", "ask for the model gpt-4o-transcribe-diarize, which tells speakers apart")
            return
        request.adapt("diarize", "renamed", "it is response_format=diarized_json with a chunking_strategy here")
        body.setdefault("response_format", "diarized_json")
        body.setdefault("chunking_strategy", "auto")
