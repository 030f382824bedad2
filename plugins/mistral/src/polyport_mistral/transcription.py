"""Speech written down by Voxtral. https://docs.mistral.ai/api/endpoint/audio/transcriptions"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.dialects.openai_events import Events
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Segment, Transcription, TranscriptionEvent, TranscriptionRequest, Word
from polyport.types.record import learn
from polyport.types.usage import Usage
from polyport_mistral.answers import MistralUsage

#: What `response_format` may be, and the times that are asked for where the user names none.
FORMATS: Mapping[str, list[str]] = {"json": [], "text": [], "verbose_json": ["segment"], "diarized_json": ["segment"]}


class MistralTranscriptions(Wire):
    """POST /audio/transcriptions; `context_bias=[...]` takes names and terms that may occur."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str | Streaming[TranscriptionEvent]]:
        """Write down speech; with `stream`, as it is understood."""
        reply = yield self.post("/audio/transcriptions", form=self.form(request), stream=request.stream)
        if request.stream:
            return Streaming(reply, VoxtralEvents())
        made = to_transcription(reply, by_word="word" in (request.timestamp_granularities or []))
        return made.text if request.response_format == "text" else made

    def form(self, request: TranscriptionRequest) -> list[tuple[str, Any]]:
        """Return the fields; one with several values comes several times. Speakers are told apart by segment."""
        body = self.body(request, "transcribe", skip=("file", "response_format"))
        asked = request.response_format or "json"
        if asked not in FORMATS:
            request.unsupported("response_format", f"Mistral has {', '.join(FORMATS)}")
        if asked == "diarized_json":
            body["diarize"] = True
        times = ["segment"] if body.get("diarize") else FORMATS.get(asked)
        if times:
            body.setdefault("timestamp_granularities", times)
        several = {name: value if isinstance(value, list) else [value] for name, value in body.items()}
        return [("file", request.upload), *((name, one) for name, values in several.items() for one in values)]


class _Segment(msgspec.Struct):
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker_id: str | None = None
    type: str | None = None


class _Transcript(msgspec.Struct):
    text: str
    model: str | None = None
    language: str | None = None
    duration: float | None = None
    segments: list[_Segment] | None = None
    usage: MistralUsage | None = None


def to_transcription(reply: HttpReply, *, by_word: bool) -> Transcription:
    """Return what was said; `by_word`, each of Mistral's segments is a word."""
    found: _Transcript = decode(reply, _Transcript)
    heard = found.usage.prompt_audio_seconds if found.usage is not None else None
    made = Transcription(
        text=found.text,
        language=found.language,
        duration=found.duration if found.duration is not None else heard,
        usage=found.usage,
    )
    if found.segments and by_word:
        made.words = [
            Word(word=one.text.strip(), start=one.start or 0.0, end=one.end or 0.0, speaker=one.speaker_id)
            for one in found.segments
        ]
    elif found.segments:
        made.segments = [_segment(number, one) for number, one in enumerate(found.segments)]
    made.keep(reply.content, extra={"model": found.model} if found.model else {})
    return made


def _segment(number: int, one: _Segment) -> Segment:
    return Segment(
        id=number, start=one.start or 0.0, end=one.end or 0.0, text=one.text, speaker=one.speaker_id, type=one.type
    )


class _Event(_Segment):
    audio_language: str | None = None
    usage: MistralUsage | None = None


def _delta(event: _Event, _: int) -> TranscriptionEvent:
    return TranscriptionEvent(type="transcript.text.delta", delta=event.text)


def _part(event: _Event, number: int) -> TranscriptionEvent:
    return TranscriptionEvent(
        type="transcript.text.segment",
        id=f"seg_{number}",
        text=event.text,
        start=event.start,
        end=event.end,
        speaker=event.speaker_id,
    )


def _done(event: _Event, _: int) -> TranscriptionEvent:
    usage: Usage | None = event.usage
    return TranscriptionEvent(type="transcript.text.done", text=event.text, usage=usage)


def _other(event: _Event, _: int) -> TranscriptionEvent:
    """Return an event that OpenAI has no word for, such as the language that was heard, under Mistral's name."""
    return TranscriptionEvent(type=event.type or "", text=event.text or None)


#: Mistral's events -> OpenAI's.
EVENTS: Mapping[str, Callable[[_Event, int], TranscriptionEvent]] = {
    "transcription.text.delta": _delta,
    "transcription.segment": _part,
    "transcription.done": _done,
}


class VoxtralEvents(Events[TranscriptionEvent]):
    """Decodes the pieces of a transcript; the language that was heard stays an event of Mistral's own."""

    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.json.Decoder(learn(_Event)).decode
        self._segments = 0

    def decode(self, data: bytes) -> TranscriptionEvent:
        """Return the event in OpenAI's words."""
        event = self._decode(data)
        made = EVENTS.get(event.type or "", _other)(event, self._segments)
        self._segments += made.type == "transcript.text.segment"
        made.keep(data, extra={"audio_language": event.audio_language} if event.audio_language else {})
        return made

    def is_last(self, chunk: TranscriptionEvent) -> bool:
        """Whether the transcript is complete."""
        return chunk.type == "transcript.text.done"
