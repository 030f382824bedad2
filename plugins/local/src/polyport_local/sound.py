"""Transcription and speech: from polyport's requests to the engines, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from polyport.errors import BadRequestError
from polyport.types.audio import (
    Binary,
    Segment as SegmentOut,
    SpeechRequest,
    Transcription,
    TranscriptionEvent,
    TranscriptionRequest,
    Word as WordOut,
)
from polyport.types.usage import Usage
from polyport_local import audio, captions, mel
from polyport_local.espeak import Espeak
from polyport_local.streams import Stream
from polyport_local.whisper import Segment, Transcript, Whisper

_ENGLISH = frozenset({"en", "eng", "english", "en-us", "en-gb"})
#: response_format -> the text of the segments, for the formats that are text.
_TEXTS: dict[str, Callable[[list[Segment]], str]] = {
    "text": lambda segments: "".join(one.text for one in segments).strip() + "\n",
    "srt": captions.to_srt,
    "vtt": captions.to_vtt,
}
_FORMATS = ("json", "verbose_json", *_TEXTS)
_GRANULARITIES = ("segment", "word")


def check_transcription(request: TranscriptionRequest) -> None:
    """Refuse what Whisper tiny.en cannot do. Raises BadRequestError."""
    form = request.response_format
    if form is not None and form not in _FORMATS:
        raise BadRequestError(f"response_format must be one of {', '.join(_FORMATS)}, not {form!r}")
    if request.stream and form not in (None, "json"):
        request.unsupported("response_format", "a stream is always one of events")
    if request.language is not None and request.language.lower() not in _ENGLISH:
        request.unsupported("language", "whisper-tiny.en knows English only")
    for name, why in (
        ("include", "there are no log probabilities of single tokens"),
        ("diarize", "speakers are not told apart"),
        ("chunking_strategy", "sound is always read in windows of 30 seconds"),
    ):
        if getattr(request, name):
            request.unsupported(name, why)
    for one in request.timestamp_granularities or ():
        if one not in _GRANULARITIES:
            raise BadRequestError(f"timestamp_granularities are {' and '.join(_GRANULARITIES)}, not {one!r}")


def listen(whisper: Whisper, request: TranscriptionRequest) -> Transcription | str:
    """Return what was said, in the form asked for."""
    words = "word" in (request.timestamp_granularities or ())
    found = whisper.transcribe(
        request.upload.read(), prompt=request.prompt, temperature=request.temperature, words=words
    )
    form = request.response_format or "json"
    if form in _TEXTS:
        return _TEXTS[form](found.segments)
    if form == "json":
        return Transcription(text=found.text, usage=_seconds(found.duration))
    return _verbose(found, request.timestamp_granularities or ["segment"])


def listening(whisper: Whisper, request: TranscriptionRequest) -> Stream[TranscriptionEvent]:
    """Return what is said, an event a segment, and the whole text at the end."""

    def work(out: Stream[TranscriptionEvent]) -> None:
        samples = whisper.samples(request.upload.read())
        text = ""
        for segment in whisper.segments(samples, prompt=request.prompt, temperature=request.temperature):
            if out.closed:
                return
            delta = segment.text if text else segment.text.lstrip()
            text += delta
            out.put(TranscriptionEvent(type="transcript.text.delta", delta=delta))
        used = _seconds(len(samples) / mel.RATE)
        out.put(TranscriptionEvent(type="transcript.text.done", text=text, usage=used))

    return Stream(work)


def speech_of(request: SpeechRequest) -> tuple[str | None, str]:
    """Return the voice and the format to speak in. Without a format it is WAV, which needs no ffmpeg."""
    if request.instructions is not None:
        request.unsupported("instructions", "eSpeak has voices and speeds, and no moods")
    if request.stream_format not in (None, "audio"):
        request.adapt("stream_format", "dropped", "streamed speech is always its bytes")
    voice = request.voice
    if isinstance(voice, dict):
        voice = voice.get("id")
        if not isinstance(voice, str):
            raise BadRequestError('voice must be a name, or {"id": name}')
    return voice, request.response_format or "wav"


def speak(espeak: Espeak, request: SpeechRequest, voice: str | None, form: str) -> Binary:
    """Return the speech."""
    content = espeak.say(request.input, voice=voice, speed=_speed(request), form=form)
    return Binary(content=content, content_type=audio.CODINGS[form].media_type)


def speaking(espeak: Espeak, request: SpeechRequest, voice: str | None, form: str) -> Iterator[bytes]:
    """Return the bytes of the speech as they are made."""
    return espeak.stream(request.input, voice=voice, speed=_speed(request), form=form)


def _speed(request: SpeechRequest) -> float:
    return 1.0 if request.speed is None else request.speed


def _seconds(duration: float) -> Usage:
    return Usage(seconds=math.ceil(duration))


def _verbose(found: Transcript, granularities: list[str]) -> Transcription:
    segments = [
        SegmentOut(
            id=one.id,
            seek=one.seek,
            start=one.start,
            end=one.end,
            text=one.text,
            tokens=one.tokens,
            temperature=one.temperature,
            avg_logprob=one.avg_logprob,
            compression_ratio=one.compression_ratio,
            no_speech_prob=one.no_speech_prob,
        )
        for one in found.segments
    ]
    words = [WordOut(word=one.word, start=one.start, end=one.end) for one in found.words]
    return Transcription(
        text=found.text,
        task="transcribe",
        language=found.language,
        duration=found.duration,
        segments=segments if "segment" in granularities else None,
        words=words if "word" in granularities else None,
        usage=_seconds(found.duration),
    )
