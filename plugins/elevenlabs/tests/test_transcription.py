"""Transcripts with ElevenLabs: literal requests, literal replies."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from forms import fields, files

from polyport import errors

WAV = b"RIFF\0\0\0\0WAVEfmt "
SRT = "1\n00:00:00,100 --> 00:00:00,900\nHello, world.\n\n2\n00:01:01,000 --> 00:01:02,250\nBye, bye.\n"
VTT = "WEBVTT\n\n1\n00:00:00.100 --> 00:00:00.900\nHello, world.\n\n2\n00:01:01.000 --> 00:01:02.250\nBye, bye."


def word(text: str, start: float | None, end: float | None, speaker: str | None = None, kind: str = "word", **more):
    """A word as it stands on the wire."""
    return {"text": text, "start": start, "end": end, "type": kind, "speaker_id": speaker, "logprob": -0.5, **more}


def heard(*words: dict, **more) -> dict:
    """A transcript as it stands on the wire."""
    text = "".join(one["text"] for one in words)
    return {"language_code": "eng", "language_probability": 0.9, "text": text, "words": list(words), **more}


HI = heard(word("Hi.", 0.1, 0.5), audio_duration_secs=0.6)


def hear(client, wire, reply=None, file=("a.wav", WAV), **params):
    """Have a recording written down."""
    wire.answer = lambda _: httpx.Response(200, json=reply or HI)
    return client.transcription("elevenlabs/scribe_v2", file, **params)


def test_a_recording_is_written_down(wire, client):
    """A form: the file first, lists of words as fields of their own, other lists as JSON."""
    got = hear(
        client,
        wire,
        language="en",
        temperature=0.2,
        diarize=True,
        timestamp_granularities=["word", "character"],
        num_speakers=2,
        tag_audio_events=False,
        keyterms=["polyport", "Scribe"],
        entity_detection="all",
        entity_redaction=["pii"],
        additional_formats=[{"format": "txt"}],
        enable_logging=False,
    )
    assert str(wire.last.url) == "https://api.elevenlabs.io/v1/speech-to-text?enable_logging=false"
    assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV)]
    assert fields(wire.last) == {
        "model_id": "scribe_v2",
        "language_code": "en",
        "temperature": "0.2",
        "diarize": "true",
        "timestamps_granularity": "character",
        "num_speakers": "2",
        "tag_audio_events": "false",
        "keyterms": "polyport,Scribe",
        "entity_detection": '"all"',
        "entity_redaction": '["pii"]',
        "additional_formats": '[{"format":"txt"}]',
    }
    assert (got.text, got.language, got.duration, got.usage.seconds) == ("Hi.", "eng", 0.6, 0.6)
    assert got.extra == {"language_code": "eng", "language_probability": 0.9, "audio_duration_secs": 0.6}
    assert got.raw == HI


def test_an_address_is_left_for_elevenlabs_to_fetch(wire, client):
    """No file is sent, and nothing is fetched here."""
    hear(client, wire, file="https://example.com/talk.mp4")
    assert files(wire.last) == []
    assert fields(wire.last) == {"source_url": "https://example.com/talk.mp4", "model_id": "scribe_v2"}
    assert len(wire.seen) == 1


def test_words_have_times_and_speakers(wire, client):
    """Sounds are among them, the spaces between them are not, nor what has no time."""
    reply = heard(
        word("Hi", 0.1, 0.5, "speaker_0"),
        word(" ", 0.5, 0.6, "speaker_0", "spacing"),
        word("(laughs)", 0.6, 1.0, "speaker_1", "audio_event"),
        word("?", None, None, "speaker_1"),
    )
    got = hear(client, wire, reply)
    assert [(one.word, one.start, one.end, one.speaker) for one in got.words] == [
        ("Hi", 0.1, 0.5, "speaker_0"),
        ("(laughs)", 0.6, 1.0, "speaker_1"),
    ]
    assert got.segments is None
    assert got.duration == 1.0
    assert got.meta.adaptations == []


def test_segments_end_with_a_sentence_a_speaker_or_a_pause(wire, client):
    """And hold the text between, spaces and all; the result says they are made here."""
    reply = heard(
        word("He", 0.0, 0.2, "a"),
        word(" ", 0.2, 0.3, "a", "spacing"),
        word('said "no."', 0.3, 0.9, "a"),
        word(" ", 0.9, 1.0, "a", "spacing"),
        word("Then", 1.0, 1.2, "a"),
        word(" ", 1.2, 2.4, "a", "spacing"),
        word("silence", 2.4, 2.8, "a"),
        word("and", 2.8, 3.0, "b"),
    )
    got = hear(client, wire, reply, response_format="verbose_json")
    assert [(one.id, one.text, one.start, one.end, one.speaker) for one in got.segments] == [
        (0, 'He said "no."', 0.0, 0.9, "a"),
        (1, "Then", 1.0, 1.2, "a"),
        (2, "silence", 2.4, 2.8, "a"),
        (3, "and", 2.8, 3.0, "b"),
    ]
    assert [(one.parameter, one.action) for one in got.meta.adaptations] == [("segments", "emulated")]
    assert "diarize" not in fields(wire.last)


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"timestamp_granularities": ["segment"]}, {"timestamps_granularity": "word"}),
        ({"diarize": True}, {"diarize": "true"}),
        ({"response_format": "diarized_json"}, {"diarize": "true"}),
    ],
)
def test_whoever_asks_for_segments_or_speakers_gets_segments(wire, client, params, sent):
    """By granularity, by format, or by asking who spoke."""
    got = hear(client, wire, **params)
    assert [one.text for one in got.segments] == ["Hi."]
    assert fields(wire.last) == {"model_id": "scribe_v2", **sent}


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize(("response_format", "expected"), [("srt", SRT), ("vtt", VTT), ("text", "Hi.\n")])
def test_text_formats_are_text(wire, client, response_format, expected, encoded):
    """ElevenLabs' own subtitles as they are, or with the clock of WebVTT; commas in what is said stay."""
    content = base64.b64encode(SRT.encode()).decode() if encoded else SRT
    export = {"requested_format": "srt", "content": content, "is_base64_encoded": encoded}
    got = hear(client, wire, {**HI, "additional_formats": [None, export]}, response_format=response_format)
    assert got == expected
    formats = fields(wire.last).get("additional_formats")
    assert formats == (None if response_format == "text" else '[{"format":"srt"}]')


def test_subtitles_are_set_up_as_the_user_says(wire, client):
    """An srt among the additional formats is not asked for twice."""
    wanted = [{"format": "srt", "max_characters_per_line": 30}, {"format": "txt"}]
    export = {"requested_format": "srt", "content": SRT}
    reply = {**HI, "additional_formats": [export]}
    hear(client, wire, reply, response_format="srt", additional_formats=wanted)
    assert json.loads(fields(wire.last)["additional_formats"]) == wanted


def test_subtitles_that_did_not_come_are_an_error(wire, client):
    """That names the place; so is what is no base64."""
    with pytest.raises(errors.InvalidResponseError, match=r"\$\.additional_formats"):
        hear(client, wire, response_format="srt")
    export = {"requested_format": "srt", "content": "!", "is_base64_encoded": True}
    with pytest.raises(errors.InvalidResponseError, match=r"\$\.additional_formats is not base64"):
        hear(client, wire, {**HI, "additional_formats": [export]}, response_format="srt")


def test_channels_are_joined(wire, client):
    """A line a channel, the words by when they were said, each with its channel."""
    left = heard(word("Hello.", 0.5, 0.9, channel_index=0), channel_index=0)
    right = heard(word("Hi!", 0.1, 0.4, channel_index=1), channel_index=1)
    got = hear(client, wire, {"transcripts": [left, right], "audio_duration_secs": 2.0}, use_multi_channel=True)
    assert got.text == "Hello.\nHi!"
    assert [(one.word, one.speaker) for one in got.words] == [("Hi!", "channel_1"), ("Hello.", "channel_0")]
    assert got.extra["transcripts"] == [left, right]
    with pytest.raises(errors.BadRequestError, match="multichannel_output_style"):
        hear(client, wire, use_multi_channel=True, response_format="vtt")


def test_log_probabilities_are_given_where_asked_for(wire, client):
    """Of every word and space."""
    got = hear(client, wire, include=["logprobs"])
    assert got.logprobs == [{"token": "Hi.", "logprob": -0.5}]
    assert "include" not in fields(wire.last)


def test_a_transcript_that_goes_to_a_webhook_is_not_here(wire, client):
    """What the reply says of it is in `extra`."""
    got = hear(client, wire, {"message": "Request processed", "request_id": "r-1"}, webhook=True)
    assert (got.text, got.extra["request_id"]) == ("", "r-1")


def test_a_reply_without_a_transcript_is_an_error(wire, client):
    """That names the place."""
    with pytest.raises(errors.InvalidResponseError, match=r"\$\.text"):
        hear(client, wire, {"language_code": "eng", "words": []})


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"prompt": "Names: polyport"}, "prompt"),
        ({"chunking_strategy": {"type": "server_vad"}}, "chunking_strategy"),
        ({"include": ["tokens"]}, "include"),
        ({"response_format": "docx"}, "response_format"),
        ({"stream": True}, "stream"),
    ],
)
def test_what_scribe_cannot_do_is_refused_or_told(wire, client, params, parameter):
    """An error, and nothing is sent; with drop_params it is left out, and recorded."""
    with pytest.raises(errors.UnsupportedParamsError, match=parameter):
        client.transcription("elevenlabs/scribe_v2", ("a.wav", WAV), **params)
    assert wire.seen == []
    got = hear(client, wire, drop_params=True, **params)
    assert [(one.parameter, one.action) for one in got.meta.adaptations] == [(parameter, "dropped")]
    assert fields(wire.last) == {"model_id": "scribe_v2"}
