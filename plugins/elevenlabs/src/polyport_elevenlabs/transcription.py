"""Speech to text with Scribe. https://elevenlabs.io/docs/api-reference/speech-to-text/convert"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.types.audio import Transcription, TranscriptionRequest
from polyport_elevenlabs.transcript import to_transcription, wants_segments

#: What a transcript can come as. ElevenLabs writes srt itself; vtt is made of it.
FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
SUBTITLES = frozenset({"srt", "vtt"})
#: Parameters that stand in the query.
QUERY = ("enable_logging", "token")
#: Lists whose items are fields of their own; any other list or object is one field of JSON, and in JSON_ALWAYS even a
#: string is, as the official SDK sends it.
REPEATED = frozenset({"keyterms", "secondary_language_codes"})
JSON_ALWAYS = frozenset({"entity_detection", "entity_redaction"})


class Transcriptions(Provider):
    """POST /v1/speech-to-text."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech: words with their times, and who spoke where it is asked for."""
        form, query = to_form(request)
        reply = yield self.post("/v1/speech-to-text", form=form, params=query)
        return to_transcription(reply, request)


def to_form(request: TranscriptionRequest) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Return the fields of the form, the recording first, and the query."""
    refuse(request)
    extra = dict(request.extra)
    query = {name: extra.pop(name) for name in QUERY if name in extra}
    body: dict[str, Any] = {"model_id": request.model}
    if request.language is not None:
        body["language_code"] = request.language
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.diarize is not None or request.response_format == "diarized_json":
        body["diarize"] = request.diarize is not False
    if request.timestamp_granularities:
        body["timestamps_granularity"] = granularity(request.timestamp_granularities)
    if request.response_format in SUBTITLES:
        extra["additional_formats"] = with_srt(request, extra)
    if wants_segments(request):
        request.adapt("segments", "emulated", "Scribe times words: sentences, speakers and pauses part the segments")
    rest = [field for name, value in {**body, **extra}.items() for field in fields(name, value)]
    return [recording(request), *rest], query


def refuse(request: TranscriptionRequest) -> None:
    """Name what Scribe does not have."""
    if request.stream:
        request.unsupported("stream", "Scribe's transcript of a file comes at once")
    if request.prompt is not None:
        request.unsupported("prompt", "Scribe takes none; words to listen for are keyterms=[...]")
    if request.chunking_strategy not in (None, "auto"):
        request.unsupported("chunking_strategy", "Scribe listens to the whole recording")
    if set(request.include or ()) - {"logprobs"}:
        request.unsupported("include", f"Scribe can include logprobs, not {', '.join(request.include or ())}")
    if request.response_format not in (None, *FORMATS):
        request.unsupported(
            "response_format",
            f"transcripts come as {', '.join(FORMATS)}; for {request.response_format} ask by additional_formats=[...]",
        )


def granularity(asked: list[str]) -> str:
    """Return the finest granularity asked for; segments are made of words."""
    return next((name for name in ("character", "word") if name in asked), "word" if "segment" in asked else asked[0])


def with_srt(request: TranscriptionRequest, extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the additional formats with SRT among them, as the user set it up where he did."""
    if extra.get("use_multi_channel") and extra.get("multichannel_output_style") != "combined":
        raise BadRequestError(
            f"For {request.response_format} of several channels pass multichannel_output_style='combined'"
        )
    if request.response_format == "vtt":
        request.adapt("response_format", "emulated", "ElevenLabs writes srt, which is rewritten as vtt")
    given: list[dict[str, Any]] = list(extra.get("additional_formats") or [])
    if any(one.get("format") == "srt" for one in given):
        return given
    return [*given, {"format": "srt"}]


def recording(request: TranscriptionRequest) -> tuple[str, Any]:
    """Return the recording as a field: a file to send, or the address where ElevenLabs finds it."""
    return ("source_url", request.url) if request.url else ("file", request.upload)


def fields(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return a parameter as fields of the form."""
    if name in REPEATED and isinstance(value, list | tuple):
        return [(name, item) for item in value]
    if name in JSON_ALWAYS and isinstance(value, str):
        return [(name, msgspec.json.encode(value))]
    return [(name, value)]
