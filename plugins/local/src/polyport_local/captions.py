"""Subtitles: segments as SRT and WebVTT.

https://www.w3.org/TR/webvtt1/ ; SRT has no standard, this is what players read.
"""

from __future__ import annotations

from polyport_local.whisper import Segment


def to_srt(segments: list[Segment]) -> str:
    """Return numbered captions with times such as 00:01:02,345."""
    cues = [
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{one.text.strip()}\n"
        for number, one in enumerate(segments, 1)
    ]
    return "\n".join(cues) + "\n" if cues else ""


def to_vtt(segments: list[Segment]) -> str:
    """Return captions with times such as 00:01:02.345, after the line that says it is WebVTT."""
    cues = [f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{one.text.strip()}\n" for one in segments]
    return "\n".join(["WEBVTT\n", *cues]) + "\n"


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"
