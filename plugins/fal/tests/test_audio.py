"""Speech and transcripts: literal bodies after the schemas of fal's client; no recordings exist."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from polyport.errors import InvalidResponseError, UnsupportedParamsError
from polyport.testing import Reply

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
DATA = "data:audio/wav;base64," + base64.b64encode(WAV).decode()
SOUND = {"url": "https://v3.fal.media/files/koala/tts.wav", "content_type": "audio/wav"}
SPOKEN = {"audio": SOUND, "duration_ms": 1200}


def adapted(result: Any) -> list[tuple[str, str]]:
    """What was not passed on as given."""
    return [(item.parameter, item.action) for item in result.meta.adaptations]


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [("kokoro/american-english", {"voice": "af_heart", "speed": 1.2},
      {"prompt": "Hi", "voice": "af_heart", "speed": 1.2}),
     ("kokoro/american-english", {}, {"prompt": "Hi"}),
     ("minimax/speech-02-hd", {"voice": "Wise_Woman", "speed": 1, "response_format": "flac"},
      {"text": "Hi", "voice_setting": {"voice_id": "Wise_Woman", "speed": 1}, "audio_setting": {"format": "flac"},
       "output_format": "url"}),
     ("minimax/speech-2.8-hd", {"voice": "Wise_Woman", "voice_setting": {"pitch": 2}},
      {"prompt": "Hi", "voice_setting": {"voice_id": "Wise_Woman", "pitch": 2}, "output_format": "url"}),
     ("elevenlabs/tts/turbo-v2.5", {"voice": {"id": "Rachel"}, "stability": 0.4},
      {"text": "Hi", "voice": "Rachel", "stability": 0.4}),
     ("gemini-tts", {"instructions": "Softly", "response_format": "opus"},
      {"prompt": "Hi", "style_instructions": "Softly", "output_format": "ogg_opus"}),
     ("chatterbox/text-to-speech", {"speed": 1, "exaggeration": 0.3}, {"text": "Hi", "exaggeration": 0.3}),
     ("xai/tts/v1", {"response_format": "wav"}, {"text": "Hi", "output_format": {"codec": "wav"}}),
     ("qwen-3-tts/text-to-speech/1.7b", {"voice": "Ryan"}, {"text": "Hi", "voice": "Ryan"})],
)  # fmt: skip
def test_speech(ask, model, given, sent, fake):
    """Text, voice, speed and format under each endpoint's names; the sound is downloaded without the key."""
    queue = fake(SPOKEN, files=Reply(content=WAV, headers={"content-type": "audio/wav"}))
    result = ask(queue, "speech", model=f"fal_ai/{model}", input="Hi", **{"voice": None, **given})
    assert queue.body == sent
    assert (result.content, result.content_type, result.extra) == (WAV, "audio/wav", SPOKEN)
    assert queue.sent[-1].url == SOUND["url"]
    assert "authorization" not in queue.sent[-1].headers


@pytest.mark.parametrize(
    "given",
    [
        {"speed": 2.0},
        {"response_format": "mp3"},
        {"instructions": "Softly"},
        {"voice": "alloy"},
        {"stream_format": "sse"},
    ],
)
def test_what_an_endpoint_cannot_say_is_refused(ask, given, fake):
    """Chatterbox has neither voices by name nor speed nor formats."""
    with pytest.raises(UnsupportedParamsError, match=next(iter(given))):
        ask(fake(SPOKEN), "speech", model="fal_ai/chatterbox/text-to-speech", input="Hi", **{"voice": None, **given})


def test_streamed_speech_is_its_download(ask, connect, fake):
    """In pieces, and it says so."""
    queue = fake(SPOKEN, files=Reply(content=WAV * 10, cuts=[7, 30]))
    with connect(queue) as client:
        stream = client.speech(model="fal_ai/kokoro/american-english", input="Hi", stream=True)
        assert b"".join(stream) == WAV * 10
    assert adapted(stream) == [("stream", "emulated")]


def test_a_result_without_sound(ask, fake):
    """Is not one."""
    for result in ({"audio": None}, {"audio": {"url": "ftp://x"}}, {}):
        with pytest.raises(InvalidResponseError, match=r"\$\.audio\.url"):
            ask(fake(result), "speech", model="fal_ai/kokoro/american-english", input="Hi")


# --- transcripts ---

HEARD = {
    "text": " Hello there. Goodbye.",
    "chunks": [{"timestamp": [0.0, 1.5], "text": " Hello there.", "speaker": "SPEAKER_00"},
               {"timestamp": [1.5, None], "text": " Goodbye.", "speaker": None}],
    "inferred_languages": ["en"],
    "diarization_segments": [],
}  # fmt: skip
WORDS = {
    "text": "Hello there",
    "chunks": [{"timestamp": [0.0, 0.5], "text": " Hello"}, {"timestamp": [0.5, 1], "text": " there"}],
}
SCRIBE = {
    "text": "Hello there. Bye.",
    "language_code": "eng",
    "language_probability": 0.99,
    "words": [{"text": "Hello", "start": 0.1, "end": 0.5, "type": "word", "speaker_id": "speaker_0"},
              {"text": " ", "start": 0.5, "end": 0.6, "type": "spacing", "speaker_id": "speaker_0"},
              {"text": "there.", "start": 0.6, "end": 1.0, "type": "word", "speaker_id": "speaker_0"},
              {"text": "Bye.", "start": 1.2, "end": 1.5, "type": "word", "speaker_id": "speaker_1"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("function", "model", "given", "sent"),
    [("transcription", "whisper", {"language": "en", "prompt": "fal", "diarize": True, "num_speakers": 2},
      {"task": "transcribe", "language": "en", "prompt": "fal", "diarize": True, "num_speakers": 2}),
     ("translation", "wizper", {}, {"task": "translate"}),
     ("transcription", "whisper", {"timestamp_granularities": ["word"]}, {"task": "transcribe", "chunk_level": "word"}),
     ("transcription", "elevenlabs/speech-to-text/scribe-v2", {"language": "en", "response_format": "diarized_json"},
      {"language_code": "en", "diarize": True}),
     ("transcription", "speech-to-text", {"temperature": 0}, {})],
)  # fmt: skip
def test_recordings(ask, function, model, given, sent, fake):
    """Language, hints and speakers under each endpoint's names."""
    queue = fake(HEARD)
    ask(queue, function, model=f"fal_ai/{model}", file=("a.wav", WAV), **given)
    assert queue.body == {"audio_url": DATA, **sent}


def test_a_recording_by_its_address(ask, fake):
    """fal fetches it."""
    queue = fake(HEARD)
    ask(queue, "transcription", model="fal_ai/whisper", file="https://example.com/talk.mp3")
    assert queue.body == {"audio_url": "https://example.com/talk.mp3", "task": "transcribe"}


def test_formats_of_a_transcript(ask, fake):
    """Plain, with times, and as captions."""

    def heard(result: Any = HEARD, **given: Any) -> Any:
        return ask(fake(result), "transcription", model="fal_ai/whisper", file=("a.wav", WAV), **given)

    assert heard().text == "Hello there. Goodbye."
    assert heard().segments is None
    assert heard(response_format="text") == "Hello there. Goodbye.\n"
    whole = heard(response_format="verbose_json")
    assert (whole.language, whole.duration, whole.task) == ("en", 1.5, "transcribe")
    assert [(one.id, one.start, one.end, one.speaker) for one in whole.segments] == [
        (0, 0.0, 1.5, "SPEAKER_00"),
        (1, 1.5, 1.5, None),
    ]
    assert heard(response_format="srt").startswith("1\n00:00:00,000 --> 00:00:01,500\nHello there.\n")
    words = heard(WORDS, timestamp_granularities=["word"])
    assert [(one.word, one.start, one.end) for one in words.words] == [("Hello", 0.0, 0.5), ("there", 0.5, 1.0)]
    assert heard({"output": "Hi", "partial": False}).text == "Hi"


def test_scribe_has_words_and_speakers(ask, fake):
    """Its spaces are no words; captions are made of what was said in one go."""

    def heard(**given: Any) -> Any:
        model = "fal_ai/elevenlabs/speech-to-text/scribe-v2"
        return ask(fake(SCRIBE), "transcription", model=model, file=("a.wav", WAV), **given)

    whole = heard(diarize=True)
    assert [(one.word, one.speaker) for one in whole.words] == [
        ("Hello", "speaker_0"),
        ("there.", "speaker_0"),
        ("Bye.", "speaker_1"),
    ]
    assert (whole.language, whole.duration) == ("eng", 1.5)
    assert heard(response_format="vtt") == (
        "WEBVTT\n\n00:00:00.100 --> 00:00:01.000\nHello there.\n\n00:00:01.200 --> 00:00:01.500\nBye.\n"
    )


@pytest.mark.parametrize(
    ("function", "model", "given"),
    [("transcription", "whisper", {"temperature": 0.5}), ("transcription", "whisper", {"stream": True}),
     ("transcription", "whisper", {"include": ["logprobs"]}), ("transcription", "wizper", {"diarize": True}),
     ("translation", "elevenlabs/speech-to-text", {}), ("transcription", "speech-to-text", {"language": "en"}),
     ("transcription", "speech-to-text", {"response_format": "srt"}),
     ("transcription", "speech-to-text", {"timestamp_granularities": ["segment"]})],
)  # fmt: skip
def test_what_an_endpoint_cannot_hear_is_refused(ask, function, model, given, fake):
    """By name, before anything is sent."""
    queue = fake(HEARD)
    with pytest.raises(UnsupportedParamsError):
        ask(queue, function, model=f"fal_ai/{model}", file=("a.wav", WAV), **given)
    assert not queue.sent


def test_captions_without_times(ask, fake):
    """Cannot be made; with drop_params the text comes as it is."""
    plain = {"text": "Hello.", "chunks": []}
    call = {"model": "fal_ai/whisper", "file": ("a.wav", WAV), "response_format": "srt"}
    with pytest.raises(InvalidResponseError, match=r"\$\.chunks"):
        ask(fake(plain), "transcription", **call)
    assert ask(fake(plain), "transcription", drop_params=True, **call).text == "Hello."


def test_a_transcript_without_text(ask, fake):
    """Is none."""
    with pytest.raises(InvalidResponseError, match=r"\$\.text"):
        ask(fake({"chunks": []}), "transcription", model="fal_ai/whisper", file=("a.wav", WAV))
