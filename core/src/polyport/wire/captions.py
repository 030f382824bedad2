"""Subtitles: stretches of speech as SRT and WebVTT, for providers that answer with times and not with these formats.

https://www.w3.org/TR/webvtt1/ ; SRT has no standard, this is what players read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from polyport.types.audio import Segment, Word

#: Caption formats -> what stands first, and the mark between seconds and milliseconds.
FORMS = {"srt": ("", ","), "vtt": ("WEBVTT\n\n", ".")}
#: A caption made of words is no longer than this: two lines of the 42 characters that broadcasters allow.
LONGEST = 84


class Spoken(Protocol):
    """What a caption needs to know of a stretch of speech."""

    @property
    def text(self) -> str:
        """What was said."""

    @property
    def start(self) -> float:
        """When it begins, in seconds."""

    @property
    def end(self) -> float:
        """When it ends, in seconds."""


def captions(segments: Iterable[Spoken], form: str) -> str:
    """Return captions in a form, "srt" or "vtt"; the numbers that SRT wants count from 1."""
    head, mark = FORMS[form]
    cues = []
    for number, one in enumerate(segments, 1):
        label = f"{number}\n" if form == "srt" else ""
        cues.append(f"{label}{_clock(one.start, mark)} --> {_clock(one.end, mark)}\n{one.text.strip()}\n")
    return head + "\n".join(cues)


def stretches(words: Iterable[Word]) -> list[Segment]:
    """Return words as segments: a new one after the end of a sentence, with another speaker, or when one is full."""
    made: list[Segment] = []
    for word in words:
        last = made[-1] if made else None
        if last is None or _is_full(last, word):
            made.append(
                Segment(id=len(made), start=word.start, end=word.end, text=word.word.strip(), speaker=word.speaker)
            )
        else:
            last.text, last.end = f"{last.text} {word.word.strip()}", word.end
    return made


def _is_full(segment: Segment, word: Word) -> bool:
    ended = segment.text.endswith((".", "!", "?"))
    return ended or segment.speaker != word.speaker or len(segment.text) + len(word.word) >= LONGEST


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"
