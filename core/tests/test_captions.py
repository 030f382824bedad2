"""Subtitles of segments and of words."""

from __future__ import annotations

import pytest

from polyport.types.audio import Segment, Word
from polyport.wire.captions import captions, stretches

SEGMENTS = [Segment(start=0, end=1.5, text=" Hello. "), Segment(start=3661.0007, end=3662, text="Bye.")]


@pytest.mark.parametrize(
    ("form", "text"),
    [("srt", "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n01:01:01,001 --> 01:01:02,000\nBye.\n"),
     ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n\n01:01:01.001 --> 01:01:02.000\nBye.\n")],
)  # fmt: skip
def test_segments_as_captions(form, text):
    """Numbered with a comma in SRT, bare with a point in WebVTT."""
    assert captions(SEGMENTS, form) == text


def test_words_become_stretches():
    """A sentence, a speaker and two lines of text each end one."""
    said = [("Hi.", None), ("And", None), ("you?", None), ("Me", "B"), *[("x" * 40, "B")] * 3]
    words = [Word(word=word, start=at, end=at + 1, speaker=speaker) for at, (word, speaker) in enumerate(said)]
    made = [(one.start, one.end, one.text[:8], one.speaker) for one in stretches(words)]
    assert made == [
        (0, 1, "Hi.", None),
        (1, 3, "And you?", None),
        (3, 6, "Me xxxxx", "B"),
        (6, 7, "xxxxxxxx", "B"),
    ]
