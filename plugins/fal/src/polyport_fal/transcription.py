"""Transcription: Whisper, Wizper, Scribe. https://fal.ai/docs/model-api-reference/speech-to-text-api/overview"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Segment, Transcription, TranscriptionRequest, Word
from polyport.wire.captions import FORMS, captions, stretches
from polyport_fal.apps import App, find
from polyport_fal.body import Body, refuse
from polyport_fal.files import Files

LANGUAGE = ("language", "language_code")
TIMED = frozenset({"verbose_json", "diarized_json", *FORMS})
#: Fields of the endpoints that say when something was said.
TIMES = ("chunk_level", "diarize")
NOTHING_LIKE_IT: dict[str, tuple[Any, ...]] = {
    "include": ([],), "chunking_strategy": ("auto",), "temperature": (0, 0.0), "stream": (False,),
}  # fmt: skip


class Transcriptions(Files):
    """Speech written down."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech."""
        return (yield from self._listen(request, "transcribe"))

    @hookimpl
    def translate(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech in English."""
        return (yield from self._listen(request, "translate"))

    def _listen(self, request: TranscriptionRequest, task: str) -> Flow[Transcription | str]:
        app = find(request.model)
        body = to_body(request, app, task)
        body.set("audio_url", request.url or (yield from self.place(request.upload, request)))
        reply = yield from self.work(request, app, body.finish())
        return to_transcription(reply, request, task)


def by_word(request: TranscriptionRequest) -> bool:
    """Whether the request asks when each word was said."""
    return "word" in (request.timestamp_granularities or [])


def to_body(request: TranscriptionRequest, app: App, task: str) -> Body:
    """Return the body without the recording."""
    refuse(request, NOTHING_LIKE_IT, f"{app.path} has no such setting")
    if app.name(*TIMES) is None:
        _refuse_times(request, app)
    body = Body(request, app)
    if task == "translate" or app.name("task"):
        body.put("task", task, "task")
    if request.language is not None:
        body.put("language", request.language, *LANGUAGE)
    if request.prompt is not None:
        body.put("prompt", request.prompt, "prompt")
    if request.diarize is not None or request.response_format == "diarized_json":
        body.put("diarize", request.diarize is not False, "diarize")
    if app.name("chunk_level") and (by_word(request) or request.timestamp_granularities):
        body.set("chunk_level", "word" if by_word(request) else "segment")
    return body


def _refuse_times(request: TranscriptionRequest, app: App) -> None:
    why = f"{app.path} does not say when something was said"
    if request.response_format in TIMED:
        request.unsupported("response_format", why)
    if request.timestamp_granularities:
        request.unsupported("timestamp_granularities", why)


class _Chunk(msgspec.Struct):
    text: str = ""
    timestamp: list[float | None] = []
    speaker: str | None = None


class _ScribeWord(msgspec.Struct):
    text: str = ""
    type: str = "word"
    start: float | None = None
    end: float | None = None
    speaker_id: str | None = None


class _Heard(msgspec.Struct):
    text: str | None = None
    output: str | None = None
    chunks: list[_Chunk] | None = None
    words: list[_ScribeWord] | None = None
    language_code: str | None = None
    inferred_languages: list[str] | None = None
    languages: list[str] | None = None


def to_transcription(reply: HttpReply, request: TranscriptionRequest, task: str) -> Transcription | str:
    """Return what was heard, in the format asked for: text for text, srt and vtt."""
    heard = decode(reply, _Heard)
    text = heard.text if heard.text is not None else heard.output
    if text is None:
        raise InvalidResponseError("$.text is missing: fal wrote nothing down", body=reply.content)
    words, segments = _words(heard, request), _segments(heard, request)
    if request.response_format == "text":
        return text.strip() + "\n"
    spoken = segments or stretches(words)
    if request.response_format in FORMS and spoken:
        return captions(spoken, str(request.response_format))
    if request.response_format in FORMS and not request.options.drop_params:
        raise InvalidResponseError("$.chunks is empty: there are no times to make captions of", body=reply.content)
    made = Transcription(text=text.strip())
    if request.response_format in TIMED or request.timestamp_granularities or request.diarize:
        made.task, made.language = task, _language(heard)
        made.segments, made.words = spoken or None, words or None
        ends = [one.end for one in segments or []] + [one.end for one in words]
        made.duration = max(ends, default=None)
    made.keep(reply.content, extra=_rest(reply))
    return made


def _language(heard: _Heard) -> str | None:
    return heard.language_code or next(iter(heard.inferred_languages or heard.languages or ()), None)


def _words(heard: _Heard, request: TranscriptionRequest) -> list[Word]:
    """Return the words with their times: Scribe's, but for its spaces, or Whisper's chunks where they are words."""
    if heard.words is not None:
        spoken = [word for word in heard.words if word.type != "spacing"]
        return [
            Word(word=one.text, start=one.start or 0.0, end=one.end or one.start or 0.0, speaker=one.speaker_id)
            for one in spoken
        ]
    if not by_word(request):
        return []
    spans = _spans(heard.chunks or [])
    return [
        Word(word=one.text.strip(), start=start, end=end, speaker=one.speaker)
        for one, (start, end) in zip(heard.chunks or [], spans, strict=True)
    ]


def _segments(heard: _Heard, request: TranscriptionRequest) -> list[Segment] | None:
    if not heard.chunks or by_word(request):
        return None
    return [
        Segment(id=number, start=start, end=end, text=one.text, speaker=one.speaker)
        for number, (one, (start, end)) in enumerate(zip(heard.chunks, _spans(heard.chunks), strict=True))
    ]


def _spans(chunks: Sequence[_Chunk]) -> list[tuple[float, float]]:
    """Return (start, end) of each chunk. Whisper leaves the last one's end open: it is then its start."""
    spans = []
    for one in chunks:
        start = next((time for time in one.timestamp if time is not None), 0.0)
        end = one.timestamp[1] if len(one.timestamp) > 1 and one.timestamp[1] is not None else start
        spans.append((start, max(start, end)))
    return spans


def _rest(reply: HttpReply) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(reply.content)
    return {name: value for name, value in said.items() if name not in ("text", "words")}
