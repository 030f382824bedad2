"""Scribe's transcripts, read. https://elevenlabs.io/docs/api-reference/speech-to-text/convert

A transcript is a list of words, of the spaces between them and of sounds such as "(laughs)", each with its times.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.audio import Segment, Transcription, TranscriptionRequest, Word
from polyport.types.usage import Usage

#: Seconds of silence that part two segments.
PAUSE = 1.0
#: How a sentence ends: its mark, and the quotes and brackets that it closes.
ENDS = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")  # noqa: RUF001  full-width marks of Chinese and Japanese
#: A time in a line of SRT: WebVTT has a point where it has a comma.
CLOCK = re.compile(r"(\d\d:\d\d:\d\d),(\d{3})")
#: Formats that tell segments.
SEGMENTED = frozenset({"verbose_json", "diarized_json"})


class _Piece(msgspec.Struct):
    text: str
    start: float | None = None
    end: float | None = None
    type: str = "word"
    speaker_id: str | None = None
    channel_index: int | None = None
    logprob: float | None = None

    @property
    def speaker(self) -> str | None:
        """Who spoke: the speaker told apart, else the channel."""
        return self.speaker_id or (None if self.channel_index is None else f"channel_{self.channel_index}")


class _Export(msgspec.Struct):
    requested_format: str
    content: str = ""
    is_base64_encoded: bool = False


class _Transcript(msgspec.Struct):
    text: str | None = None
    language_code: str | None = None
    words: list[_Piece] | None = None
    audio_duration_secs: float | None = None
    additional_formats: list[_Export | None] | None = None
    transcripts: list[_Transcript] | None = None
    message: str | None = None


def wants_segments(request: TranscriptionRequest) -> bool:
    """Whether a request asks for segments, by its format, by granularity, or by asking who spoke."""
    asked = request.diarize or "segment" in (request.timestamp_granularities or ())
    return bool(asked) or request.response_format in SEGMENTED


def to_transcription(reply: HttpReply, request: TranscriptionRequest) -> Transcription | str:
    """Return what was said in the format asked for: text for text, srt and vtt."""
    found: _Transcript = decode(reply, _Transcript)
    if request.response_format in ("srt", "vtt"):
        subtitles = exported(found, "srt", reply)
        return subtitles if request.response_format == "srt" else to_vtt(subtitles)
    heard = found if found.transcripts is None else joined(found, found.transcripts)
    if heard.text is None and heard.message is None:
        raise InvalidResponseError("The reply has no transcript at $.text", body=reply.content)
    if request.response_format == "text":
        return f"{heard.text or ''}\n"
    return told(heard, request, reply)


def joined(whole: _Transcript, channels: list[_Transcript]) -> _Transcript:
    """Return the transcripts of several channels as one: a line a channel, the words by when they were said."""
    pieces = [piece for channel in channels for piece in channel.words or []]
    return _Transcript(
        text="\n".join(channel.text or "" for channel in channels),
        language_code=next((channel.language_code for channel in channels), None),
        words=sorted(pieces, key=lambda piece: piece.start or 0.0),
        audio_duration_secs=whole.audio_duration_secs,
    )


def told(heard: _Transcript, request: TranscriptionRequest, reply: HttpReply) -> Transcription:
    """Return the transcript with its words; segments are made of them where they are asked for."""
    pieces = heard.words or []
    made = Transcription(
        text=heard.text or "",  # sent to a webhook: the reply says so in `extra`
        task="transcribe",
        language=heard.language_code,
        duration=heard.audio_duration_secs or max((piece.end or 0.0 for piece in pieces), default=None),
        words=to_words(pieces) or None,
        usage=None if heard.audio_duration_secs is None else Usage(seconds=heard.audio_duration_secs),
    )
    if wants_segments(request):
        made.segments = to_segments(pieces)
    if "logprobs" in (request.include or ()):
        made.logprobs = [{"token": piece.text, "logprob": piece.logprob} for piece in pieces]
    said: dict[str, Any] = msgspec.json.decode(reply.content)
    made.keep(reply.content, extra={name: said[name] for name in said if name not in ("text", "words")})
    return made


def to_words(pieces: Iterable[_Piece]) -> list[Word]:
    """Return the words and sounds that have a time; the spaces between them are in the text."""
    return [
        Word(word=piece.text, start=piece.start, end=piece.end, speaker=piece.speaker)
        for piece in pieces
        if piece.type != "spacing" and piece.start is not None and piece.end is not None
    ]


def to_segments(pieces: Iterable[_Piece]) -> list[Segment]:
    """Return the words as stretches that end with a sentence, at a change of speaker, or before a pause."""
    stretches: list[list[_Piece]] = []
    last: _Piece | None = None
    for piece in pieces:
        if piece.type == "spacing":
            if stretches:
                stretches[-1].append(piece)
            continue
        if last is None or parts(last, piece):
            stretches.append([])
        stretches[-1].append(piece)
        last = piece
    return [segment(number, stretch) for number, stretch in enumerate(stretches)]


def parts(before: _Piece, after: _Piece) -> bool:
    """Whether a new segment begins between two words."""
    silence = (after.start or 0.0) - (before.end or 0.0)
    return before.speaker != after.speaker or silence >= PAUSE or ENDS.search(before.text) is not None


def segment(number: int, stretch: list[_Piece]) -> Segment:
    """Return a stretch as a segment; it ends with its last word, not with the space after it."""
    spoken = [piece for piece in stretch if piece.type != "spacing"]
    return Segment(
        id=number,
        start=spoken[0].start or 0.0,
        end=spoken[-1].end or 0.0,
        text="".join(piece.text for piece in stretch).strip(),
        speaker=spoken[0].speaker,
    )


# --- subtitles ---


def exported(found: _Transcript, format: str, reply: HttpReply) -> str:
    """Return an additional format of the transcript. Raises InvalidResponseError where it is not there."""
    export = next((one for one in found.additional_formats or [] if one and one.requested_format == format), None)
    if export is None:
        raise InvalidResponseError(f"The reply has no {format} at $.additional_formats", body=reply.content)
    if not export.is_base64_encoded:
        return export.content
    try:
        return base64.b64decode(export.content, validate=True).decode()
    except ValueError as error:
        raise InvalidResponseError(
            f"The {format} at $.additional_formats is not base64 of text: {error}", body=reply.content
        ) from error


def to_vtt(srt: str) -> str:
    """Return SRT as WebVTT: a head, and times with a point. https://www.w3.org/TR/webvtt1/"""
    return "WEBVTT\n\n" + "\n".join(
        CLOCK.sub(r"\1.\2", line) if " --> " in line else line for line in srt.lstrip("\ufeff").splitlines()
    )
