"""Subtitles as Whisper's own tools write them: each caption ends in an empty line, the last one too."""

from __future__ import annotations

from polyport.wire.captions import captions
from polyport_local.whisper import Segment


def to_srt(segments: list[Segment]) -> str:
    """Return numbered captions with times such as 00:01:02,345."""
    return captions(segments, "srt") + "\n" * bool(segments)


def to_vtt(segments: list[Segment]) -> str:
    """Return captions with times such as 00:01:02.345, after the line that says it is WebVTT."""
    return captions(segments, "vtt") + "\n" * bool(segments)
