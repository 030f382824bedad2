"""What ElevenLabs' own SDK (2.78.0) sends for the same call, byte for byte where bytes can be the same."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest
from forms import files, parts
from wires import Wire

from polyport_elevenlabs.formats import CODECS

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav")
TRANSCRIPT = {"language_code": "eng", "language_probability": 1, "text": "x", "words": []}
SUBTITLED = {**TRANSCRIPT, "additional_formats": [{"requested_format": "srt", "content": "1", "file_extension": "srt"}]}


@pytest.fixture
def official():
    """The SDK's client, and the wire that it speaks to."""
    sdk = pytest.importorskip("elevenlabs")
    wire = Wire()
    with httpx.Client(transport=httpx.MockTransport(wire)) as http:
        yield sdk.ElevenLabs(api_key="sk-test", httpx_client=http), wire


def head(request: httpx.Request) -> tuple[str, str, str, dict[str, str]]:
    """What is asked for, with which key."""
    url = request.url
    return request.method, url.path, request.headers["xi-api-key"], dict(url.params)


def form(request: httpx.Request) -> list[tuple[str, Any]]:
    """The fields of a form, JSON decoded; the SDK sends null for three that were not given."""
    found = []
    for name, filename, _, content in parts(request):
        if filename is None and content != b"null":
            text = content.decode()
            found.append((name, json.loads(text) if text[:1] in '[{"' else text))
    return sorted(found, key=str)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"voice_settings": {"stability": 0.4, "similarity_boost": 0.7, "style": 0.1, "use_speaker_boost": True}},
    {"seed": 7, "language_code": "de"},
    {"previous_text": "Well.", "next_text": "Bye.", "previous_request_ids": ["r-1"], "apply_text_normalization": "off"},
    {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p", "version_id": "v"}]},
    {"enable_logging": False, "optimize_streaming_latency": 2, "use_pvc_as_ivc": True},
]
DOORS = {"convert": {}, "stream": {"stream": True}, "convert_with_timestamps": {"with_timestamps": True}}


@pytest.mark.parametrize("door", DOORS)
def test_speech_is_asked_for_as_the_sdk_does(wire, client, official, door):
    """Every setting with every format: the same address, query and body."""
    sdk, theirs = official
    timed = {"audio_base64": "SUQz", "alignment": None, "normalized_alignment": None}
    theirs.answer = wire.answer = lambda _: (
        httpx.Response(200, json=timed) if "timestamps" in door else httpx.Response(200, content=b"ID3")
    )
    formats = [
        None,
        *(
            name
            for rates in CODECS.values()
            for name in rates.values()
            if "wav" not in name or not DOORS[door].get("stream")
        ),
    ]
    for extra, output_format in itertools.product(SETTINGS, formats):
        given = {"output_format": output_format, **extra} if output_format else extra
        made = getattr(sdk.text_to_speech, door)(GEORGE, text="Hello", model_id="eleven_v3", **given)
        if door != "convert_with_timestamps":
            list(made)
        got = client.speech("elevenlabs/eleven_v3", "Hello", voice=GEORGE, **given, **DOORS[door])
        if DOORS[door].get("stream"):
            list(got)
        assert head(wire.last) == head(theirs.last), given
        assert json.loads(wire.last.content) == json.loads(theirs.last.content), given
    assert len(wire.seen) >= 6 * 13


HEARD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"language": "en", "temperature": 0.2}, {"language_code": "en", "temperature": 0.2}),
    ({"diarize": True, "num_speakers": 3}, {"diarize": True, "num_speakers": 3}),
    ({"diarize": False}, {"diarize": False}),
    ({"timestamp_granularities": ["word"]}, {"timestamps_granularity": "word"}),
    ({"timestamp_granularities": ["character"]}, {"timestamps_granularity": "character"}),
    ({"response_format": "srt"}, {"additional_formats": [{"format": "srt"}]}),
    ({"response_format": "diarized_json"}, {"diarize": True}),
    *(
        (extra, extra)
        for extra in (
            {"tag_audio_events": False, "no_verbatim": True, "seed": 3},
            {"keyterms": ["polyport", "Scribe"], "secondary_language_codes": ["de", "fr"]},
            {"entity_detection": "all"},
            {"entity_detection": ["pii", "phi"], "entity_redaction": "pii", "entity_redaction_mode": "entity_type"},
            {"additional_formats": [{"format": "txt", "include_speakers": True}, {"format": "segmented_json"}]},
            {"use_multi_channel": True, "multichannel_output_style": "combined"},
            {"webhook": True, "webhook_id": "w", "webhook_metadata": {"job": 7}},
            {"diarize": True, "detect_speaker_roles": True, "diarization_threshold": 0.3},
            {"file_format": "pcm_s16le_16", "enable_logging": False, "numbers_format": "digits"},
        )
    ),
]


@pytest.mark.parametrize(("ours", "sdks"), HEARD, ids=lambda given: "-".join(given) or "plain")
@pytest.mark.parametrize("source", ["file", "address"])
def test_a_transcript_is_asked_for_as_the_sdk_does(wire, client, official, ours, sdks, source):
    """The same address, query, fields and file."""
    sdk, theirs = official
    theirs.answer = wire.answer = lambda _: httpx.Response(200, json=SUBTITLED)
    address = "https://example.com/a.mp4"
    named = {"file": WAV} if source == "file" else {"source_url": address}
    sdk.speech_to_text.convert(model_id="scribe_v3", **named, **sdks)
    client.transcription("elevenlabs/scribe_v3", WAV if source == "file" else address, **ours)
    assert head(wire.last) == head(theirs.last)
    assert form(wire.last) == form(theirs.last)
    assert files(wire.last) == files(theirs.last)


def test_voices_are_looked_up_as_the_sdk_does(wire, client, official):
    """By name, a hundred a page."""
    sdk, theirs = official
    voice = {"voice_id": GEORGE, "name": "Mum"}
    page = {"voices": [voice], "has_more": False, "total_count": 1}
    theirs.answer = lambda _: httpx.Response(200, json=page)
    wire.answer = lambda r: httpx.Response(200, json=page) if "voices" in r.url.path else httpx.Response(200)
    sdk.voices.search(search="Mum", page_size=100)
    client.speech("elevenlabs/eleven_v3", "Hello", voice="Mum")
    ours, asked = dict(wire.seen[0].url.params), dict(theirs.last.url.params)
    assert {name: asked[name] for name in ours} == ours
    assert wire.seen[0].url.path == theirs.last.url.path
