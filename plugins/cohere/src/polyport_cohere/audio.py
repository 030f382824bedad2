"""Speech to text: POST /v2/audio/transcriptions. https://docs.cohere.com/reference/create-audio-transcription"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai_wire import to_form
from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.audio import Transcription, TranscriptionRequest

#: What Cohere lacks, and why. https://docs.cohere.com/docs/transcribe
UNSUPPORTED: dict[str, str] = {
    "prompt": "Cohere's transcripts cannot be guided",
    "timestamp_granularities": "Cohere's transcripts have no times",
    "include": "Cohere's transcripts are text and nothing else",
    "diarize": "Cohere does not tell speakers apart",
    "chunking_strategy": "Cohere cuts audio by itself",
    "stream": "Cohere's transcripts come whole",
}
#: Formats that are only a matter of how the text is handed out.
FORMATS = ("json", "text")


class Transcriptions(Provider):
    """Speech written down in the language it is in."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech. `language` must be given: Cohere does not detect it."""
        reply = yield self.post("/v2/audio/transcriptions", form=to_form(to_fields(request)))
        result: Transcription = decode(reply, Transcription)
        return result.text if request.response_format == "text" else result


def to_fields(request: TranscriptionRequest) -> dict[str, Any]:
    """Return the form. Raises BadRequestError where the language is missing."""
    for name, value in request.given().items():
        if name in UNSUPPORTED and value:
            request.unsupported(name, UNSUPPORTED[name])
    if request.response_format is not None and request.response_format not in FORMATS:
        request.unsupported("response_format", f"Cohere's transcripts have no times; there are {', '.join(FORMATS)}")
    if request.language is None:
        raise BadRequestError("Cohere does not detect a language: say which is spoken with language='en' or another.")
    fields: dict[str, Any] = {"model": request.model, "language": request.language, "file": request.upload}
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    return {**fields, **request.extra}
