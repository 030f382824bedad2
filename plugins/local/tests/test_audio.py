"""Speech there and back, and the files in between."""

import io
import struct
import time
import wave
from itertools import pairwise

import pytest

from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport_local import audio, captions, mel
from polyport_local.espeak import VOICES
from polyport_local.whisper import Segment

np = pytest.importorskip("numpy")

SENTENCE = "The capital of France is Paris. The weather is very nice today."


def tone(rate: int, seconds: float = 0.5, hertz: float = 440) -> np.ndarray:
    """Return a tone at half the full loudness."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def wav(samples: np.ndarray, rate: int, width: int, channels: int) -> bytes:
    """Return a WAV file by the standard library."""
    scaled = np.repeat(samples, channels) * (2 ** (8 * width - 1) - 1)
    if width == 1:
        raw = (scaled + 128).astype(np.uint8).tobytes()
    elif width == 3:
        raw = b"".join(int(x).to_bytes(3, "little", signed=True) for x in scaled)
    else:
        raw = scaled.astype(f"<i{width}").tobytes()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw)
    return out.getvalue()


def test_what_is_spoken_is_heard(espeak, whisper):
    """eSpeak says it, Whisper writes it down."""
    heard = whisper.transcribe(espeak.say(SENTENCE, voice="en-us"), words=True)
    assert "capital of france is paris" in heard.text.lower()
    assert "very nice today" in heard.text.lower()
    assert heard.duration == pytest.approx(heard.segments[-1].end, abs=2)
    words = heard.words
    assert [word.word.strip(".,").lower() for word in words][:3] == ["the", "capital", "of"]
    assert all(a.start <= a.end <= b.start + 0.01 for a, b in pairwise(words))


def test_sound_longer_than_a_window_is_heard_to_its_end(espeak, whisper):
    """The second window begins where the first one's last whole sentence ended; times go on."""
    facts = [
        "My sister lives in London.", "The train leaves at seven in the morning.", "I would like a cup of coffee.",
        "Winter in Canada is long and cold.", "He bought three apples and a banana.", "The museum is closed on Monday.",
        "She plays the piano very well.", "We are going to the beach in summer.", "The dog is sleeping in the garden.",
        "My father works in a hospital.", "This book has two hundred pages.", "They arrived late last night.",
        "The last word is elephant.",
    ]  # fmt: skip
    heard = whisper.transcribe(espeak.say(" ".join(facts), voice="en-us", speed=0.75))
    assert heard.duration > 31
    assert "london" in heard.text.lower()
    assert "elephant" in heard.text.lower()
    starts = [segment.start for segment in heard.segments]
    assert starts == sorted(starts)
    assert starts[-1] > 27
    assert len({segment.seek for segment in heard.segments}) == 2


def test_silence_has_no_words(whisper):
    """Nothing said, nothing written."""
    heard = whisper.transcribe(wav(np.zeros(32000), 16000, 2, 1))
    assert (heard.text, heard.segments, heard.duration) == ("", [], 2.0)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 2), (48000, 1)])
def test_any_wav_becomes_samples_at_16_khz(width, rate, channels):
    """Every width, rate and number of channels gives the same tone."""
    samples = audio.read(wav(tone(rate), rate, width, channels), 16000)
    expected = tone(16000)
    assert len(samples) == pytest.approx(len(expected), abs=1)
    middle = slice(400, 7500)
    assert np.abs(samples[middle] - expected[middle]).max() < 0.02


def test_float_and_endless_wav_files_are_read():
    """The standard library knows neither 32 bit floats nor files whose length was not known when they began."""
    samples = tone(16000).astype("<f4")
    form = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    data = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xff" + samples.tobytes()
    assert np.allclose(audio.read(data, 16000), samples)


def test_what_lies_above_the_new_rate_is_filtered_out():
    """A 7 kHz tone is silence at 8 kHz, not another tone."""
    assert np.abs(audio.resample(tone(16000, hertz=7000).astype(np.float32), 16000, 8000)[200:-200]).max() < 0.02


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty"), (b"RIFF\0\0\0\0WAVE", "no samples"), (b"no sound at all", "WAV|ffmpeg")],
)
def test_what_is_no_sound_is_refused(data, message):
    """Each with what is wrong and what to do."""
    with pytest.raises(BadRequestError, match=message):
        audio.read(data, 16000)


def test_without_ffmpeg_other_formats_say_what_to_install(espeak, monkeypatch):
    """mp3 needs ffmpeg, in both directions."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnsupportedParamsError, match="apt install ffmpeg"):
        espeak.say("hello", form="mp3")
    with pytest.raises(BadRequestError, match="apt install ffmpeg"):
        audio.read(b"ID3\x04 an mp3 file", 16000)


def test_with_ffmpeg_other_formats_go_through_it(espeak, monkeypatch, tmp_path):
    """A program named ffmpeg on the path is given the sound and its output is the result."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nif [ "$5" = pipe:0 ]; then cat >/dev/null; echo "$@"; else exit 1; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert espeak.say("hello", form="flac").split() == b"-hide_banner -loglevel error -i pipe:0 -f flac pipe:1".split()


@pytest.mark.parametrize("speed", [0.25, 0.4, 1, 2, 4])
def test_speed_is_kept_to(espeak, speed):
    """From a quarter to four times, also beyond what eSpeak itself can do; the pitch does not fall with it."""
    normal = len(espeak.say(SENTENCE, form="pcm"))
    assert len(espeak.say(SENTENCE, form="pcm", speed=speed)) == pytest.approx(normal / speed, rel=0.2)


def test_slow_speech_is_still_understood(espeak, whisper):
    """Stretched to 0.4, the words are the same."""
    assert (
        "capital of france is paris" in whisper.transcribe(espeak.say(SENTENCE, voice="en-us", speed=0.4)).text.lower()
    )


def test_speech_streams_and_stops_when_closed(espeak):
    """Pieces come before the text is over; after close the synthesizer is free for the next one."""
    begun = time.process_time()  # the processor's time: a busy machine takes no more of it
    stream = espeak.stream("word " * 50_000, form="pcm")  # all of it would take half a minute
    assert next(stream)
    stream.close()
    assert len(espeak.say("hi")) > 1000
    assert time.process_time() - begun < 5
    pieces = list(espeak.stream("Hello there, this is a stream."))
    assert len(pieces) > 5
    assert pieces[0][:4] == b"RIFF"
    assert len(audio.read(b"".join(pieces), 16000)) > 16000


def test_the_same_text_gives_the_same_bytes(espeak):
    """Whatever was said in between."""
    first = espeak.say("Hello there", voice="nova")
    espeak.say("Something else", voice="de")
    assert espeak.say("Hello there", voice="nova") == first


def test_voices_differ_and_unknown_ones_are_named(espeak):
    """OpenAI's names and eSpeak's languages work; others are refused with a list."""
    spoken = {voice: espeak.say("Good morning", voice=voice) for voice in ("alloy", "nova", "onyx", "de", "en+f3")}
    assert len(set(spoken.values())) == len(spoken)
    assert "de" in espeak.voices()
    assert {VOICES[name].partition("+")[0] for name in VOICES} <= set(espeak.voices())
    with pytest.raises(BadRequestError, match="alloy"):
        espeak.say("x", voice="klingonx")


@pytest.mark.parametrize(
    ("wrong", "message"), [({"speed": 9}, "0.25"), ({"form": "au"}, "mp3"), ({"text": "  "}, "empty")]
)
def test_speech_that_cannot_be_made_is_refused(espeak, wrong, message):
    """Speed, format and text are checked before anything is said."""
    with pytest.raises(BadRequestError, match=message):
        espeak.say(**{"text": "hello", **wrong})


def test_captions():
    """Hours, minutes and milliseconds in each format's own way."""
    segment = Segment(0, 0, 3661.5, 3662.25, " Hello.", [], 0.0, 0.0, 1.0, 0.0)
    assert captions.to_srt([segment]) == "1\n01:01:01,500 --> 01:01:02,250\nHello.\n\n"
    assert captions.to_vtt([segment]) == "WEBVTT\n\n01:01:01.500 --> 01:01:02.250\nHello.\n\n"
    assert captions.to_srt([]) == ""


def test_the_spectrogram_peaks_where_the_tone_is():
    """1 kHz is 15 mel of Slaney's scale, whose 45 up to 8 kHz are cut into 81: band 26."""
    picture = mel.log_mel(tone(16000, 1, 1000).astype(np.float32), 0)
    assert picture.shape == (80, 100)
    assert abs(int(picture[:, 50].argmax()) - 26) == 0
