"""Recorded replies of ElevenLabs, held against what plain JSON says of them."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

import httpx
import pytest
import recorded
from recorded import cut, needs_recordings, payload

pytestmark = needs_recordings


def records(endpoint: str) -> list[Any]:
    """The records of an endpoint as parameters, none where the recordings are not here."""
    found = recorded.records("elevenlabs") if recorded.FOLDER.is_dir() else []
    return [
        pytest.param(record, id=f"{endpoint}-{number}")
        for number, record in enumerate(one for one in found if one["endpoint"] == endpoint)
    ]


def squeezed(text: str) -> str:
    """The text without its white space."""
    return "".join(text.split())


@pytest.mark.parametrize("record", records("transcription"))
def test_a_recorded_transcript_reads(wire, client, record):
    """Text, language and every word with its times and speaker; the segments hold all of the text, in order."""
    truth = record["response"]["body"]["json"]
    wire.answer = lambda _: httpx.Response(200, content=payload(record))
    got = client.transcription("elevenlabs/scribe_v1", ("a.mp3", b"ID3"), response_format="verbose_json")
    assert (got.text, got.language) == (truth["text"], truth["language_code"])
    spoken = [one for one in truth["words"] if one["type"] != "spacing"]
    assert [(one.word, one.start, one.end, one.speaker) for one in got.words] == [
        (one["text"], one["start"], one["end"], one.get("speaker_id")) for one in spoken
    ]
    assert squeezed("".join(one.text for one in got.segments)) == squeezed(truth["text"])
    assert [one.start for one in got.segments] == sorted(one.start for one in got.segments)
    for one in got.segments:
        inside = [w for w in got.words if one.start <= w.start and w.end <= one.end]
        assert one.speaker in {w.speaker for w in inside}
    assert {one.speaker for one in got.segments} == {one.get("speaker_id") for one in spoken}
    assert got.duration == max(one["end"] for one in truth["words"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("record", records("speech"))
def test_recorded_speech_is_the_same_whole_and_in_pieces(wire, client, record, seed):
    """Byte for byte, wherever the pieces are cut."""
    truth = base64.b64decode(record["response"]["body"]["b64"])
    assert truth.startswith(b"ID3")
    wire.answer = lambda _: httpx.Response(200, content=truth, headers={"content-type": "audio/mpeg"})
    assert client.speech("elevenlabs/eleven_multilingual_v2", "Hello").content == truth
    wire.answer = lambda _: httpx.Response(200, content=cut(truth, Random(seed)))
    stream = client.speech("elevenlabs/eleven_multilingual_v2", "Hello", stream=True)
    assert b"".join(stream) == truth


def test_every_record_is_replayed():
    """None is left out."""
    found = recorded.records("elevenlabs")
    assert len(found) == len(records("transcription")) + len(records("speech")) == 7
