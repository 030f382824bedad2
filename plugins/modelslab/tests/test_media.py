"""Speech and films: literal bodies after docs.modelslab.com/voice-cloning and /video-api; nothing is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from polyport.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    RateLimitError,
    UnsupportedParamsError,
)
from polyport.testing import Reply, Wire

KEY = "ml-not-a-real-key"
PNG = b"\x89PNG\r\n\x1a\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
SOUND = "https://pub-3626123a.r2.dev/generations/a.wav"
FILM = "https://pub-3626123a.r2.dev/generations/a.mp4"
PLACE = "https://pub-3626123a.r2.dev/uploads/cat.png"
SPOKEN = {"status": "success", "id": 7, "output": [SOUND], "audio_time": 1.2}
FILMED = {"status": "success", "id": 7, "output": [FILM]}
PROCESSING = {"status": "processing", "id": 7, "eta": 20, "fetch_result": "https://modelslab.com/api/v6/video/fetch/7"}
VIDEO = "v6/video/fetch/7"


def adapted(result: Any) -> list[tuple[str, str]]:
    """What was not passed on as given."""
    return [(item.parameter, item.action) for item in result.meta.adaptations]


@pytest.mark.parametrize(
    ("model", "given", "path", "sent"),
    [("text_to_speech", {}, "/v6/voice/text_to_speech", {"voice_id": "madison"}),
     ("text_to_speech", {"voice": "Tara", "speed": 1.5, "response_format": "mp3", "language": "french"},
      "/v6/voice/text_to_speech", {"voice_id": "Tara", "speed": 1.5, "output_format": "mp3", "language": "french"}),
     ("text_to_audio", {"init_audio": "https://example.com/me.wav"}, "/v6/voice/text_to_audio",
      {"init_audio": "https://example.com/me.wav"}),
     ("eleven_multilingual_v2", {"voice": {"id": "Rachel"}, "speed": 1}, "/v7/voice/text-to-speech",
      {"model_id": "eleven_multilingual_v2", "voice_id": "Rachel"})],
)  # fmt: skip
def test_speech(ask, model, given, path, sent):
    """Text and voice under each API's names; the sound is downloaded without the key."""
    wire = Wire([SPOKEN, Reply(content=WAV, headers={"content-type": "audio/wav"})])
    result = ask(wire, "speech", model=f"modelslab/{model}", input="Hi", **{"voice": None, **given})
    assert wire.requests[0].url == f"https://modelslab.com/api{path}"
    assert wire.requests[0].json == {"key": KEY, "prompt": "Hi", **sent}
    assert (result.content, result.content_type, result.extra["audio_time"]) == (WAV, "audio/wav", 1.2)
    assert (wire.requests[1].url, wire.requests[1].content) == (SOUND, b"")


@pytest.mark.parametrize(
    ("model", "given"),
    [("text_to_speech", {"response_format": "flac"}), ("text_to_audio", {"response_format": "mp3"}),
     ("text_to_speech", {"instructions": "Softly"}), ("inworld-tts-1", {"speed": 2.0}),
     ("text_to_speech", {"stream_format": "sse"})],
)  # fmt: skip
def test_what_a_voice_cannot_do_is_refused(ask, model, given):
    """By name, before anything is sent."""
    wire = Wire(SPOKEN)
    with pytest.raises(UnsupportedParamsError, match=next(iter(given))):
        ask(wire, "speech", model=f"modelslab/{model}", input="Hi", **{"voice": None, **given})
    assert not wire.requests


def test_streamed_speech_is_its_download(connect):
    """In pieces, and it says so."""
    wire = Wire([SPOKEN, Reply(content=WAV * 10, cuts=[7, 30])])
    with connect(wire) as client:
        stream = client.speech(model="modelslab/text_to_speech", input="Hi", stream=True)
        assert b"".join(stream) == WAV * 10
    assert adapted(stream) == [("stream", "emulated")]


def test_speech_without_sound(ask):
    """Is none."""
    for output in ([], ["file:///etc/passwd"], None):
        with pytest.raises(InvalidResponseError, match=r"\$\.output"):
            ask(Wire({"status": "success", "output": output}), "speech", model="modelslab/text_to_speech", input="Hi")


# --- films ---


@pytest.mark.parametrize(
    ("model", "given", "path", "sent", "told"),
    [("cogvideox", {"seconds": 3, "size": "512x320", "seed": 5, "negative_prompt": "blur"}, "/v6/video/text2video",
      {"num_frames": 24, "fps": 8, "width": 512, "height": 320, "seed": 5, "negative_prompt": "blur"},
      [("seconds", "renamed")]),
     ("cogvideox", {"seconds": "2", "fps": 16}, "/v6/video/text2video", {"num_frames": 32, "fps": 16},
      [("seconds", "renamed")]),
     ("wan2.2", {"size": "720x1280"}, "/v6/video/text2video_ultra", {"resolution": 480, "portrait": True},
      [("size", "clamped")]),
     ("kling-v2-5-turbo-t2v", {"seconds": 5, "size": "16:9"}, "/v7/video-fusion/text-to-video",
      {"duration": "5", "aspect_ratio": "16:9"}, []),
     ("Hailuo-2.3-t2v", {"size": "1280x720", "user": "u"}, "/v7/video-fusion/text-to-video", {"aspect_ratio": "16:9"},
      [("user", "dropped"), ("size", "renamed")]),
     ("sora-2", {"seconds": 8}, "/v7/video-fusion/text-to-video", {"duration": "8s"}, [])],
)  # fmt: skip
def test_parameters_of_films(ask, model, given, path, sent, told):
    """Lengths as pictures or seconds, sizes as pixels, lines or shapes."""
    wire = Wire(PROCESSING)
    job = ask(wire, "video_generation", prompt="Waves", model=f"modelslab/{model}", **given)
    assert wire.requests[0].url == f"https://modelslab.com/api{path}"
    assert wire.requests[0].json == {"key": KEY, "prompt": "Waves", "model_id": model, **sent}
    assert adapted(job) == told
    assert (job.status, job.model) == ("in_progress", model)


def test_a_film_that_begins_with_a_picture(ask):
    """The picture is put into the store first."""
    wire = Wire([{"status": "success", "output": [PLACE]}, PROCESSING])
    ask(wire, "video_generation", prompt="Waves", model="modelslab/wan2.1", input_reference=PNG)
    assert wire.requests[1].url == "https://modelslab.com/api/v6/video/img2video_ultra"
    assert wire.requests[1].json == {"key": KEY, "model_id": "wan2.1", "prompt": "Waves", "init_image": PLACE}


def test_films_that_cannot_be_asked_for(ask):
    """A shape where pixels are wanted, no number of seconds."""
    with pytest.raises(UnsupportedParamsError, match="pixels"):
        ask(Wire(PROCESSING), "video_generation", prompt="Waves", model="modelslab/cogvideox", size="16:9")
    with pytest.raises(UnsupportedParamsError, match="shape"):
        ask(Wire(PROCESSING), "video_generation", prompt="Waves", model="modelslab/sora-2", size="720p")
    with pytest.raises(BadRequestError, match="number of seconds"):
        ask(Wire(PROCESSING), "video_generation", prompt="Waves", model="modelslab/sora-2", seconds="long")


def test_a_job_from_submission_to_bytes(connect):
    """Each step by another client that knows nothing but the id."""
    mp4 = Reply(content=b"film", headers={"content-type": "video/mp4"})
    wire = Wire([PROCESSING, PROCESSING, FILMED, FILMED, mp4, FILMED, mp4])
    with connect(wire) as client:
        made = client.video_generation("Waves", "modelslab/cogvideox")
    steps = []
    for _ in range(2):
        with connect(wire) as client:
            job = client.video_status(made.id)
            steps.append((job.status, job.progress, job.id == made.id))
    assert steps == [("in_progress", None, True), ("completed", 100, True)]
    assert job.extra["urls"] == [FILM]
    with connect(wire) as client:
        assert client.video_content(made.id).content == b"film"
        assert b"".join(client.video_content(made.id, stream=True)) == b"film"
    assert [sent.path for sent in wire.requests[1:4]] == ["/api/v6/video/fetch/7"] * 3
    assert wire.requests[-1].url == FILM


def test_a_film_that_is_made_at_once(ask):
    """Is completed from the beginning."""
    job = ask(Wire(FILMED), "video_generation", prompt="Waves", model="modelslab/cogvideox")
    assert (job.status, job.progress) == ("completed", 100)


def test_a_job_that_failed_and_a_question_that_did(ask):
    """The one is the job's status, the other an error."""
    failed = {"status": "failed", "message": "Out of memory"}
    job = ask(Wire(failed), "video_status", video_id=VIDEO, provider="modelslab")
    assert (job.status, job.error) == ("failed", {"code": "failed", "message": "Out of memory"})
    with pytest.raises(NotFoundError, match="Out of memory"):
        ask(Wire(failed), "video_content", video_id=VIDEO, provider="modelslab")
    for function in ("video_status", "video_content"):
        for said, kind in (("Invalid API key", AuthenticationError), ("Rate limit exceeded", RateLimitError)):
            with pytest.raises(kind):
                ask(Wire({"status": "error", "message": said}), function, video_id=VIDEO, provider="modelslab")


def test_a_film_that_is_not_there(ask):
    """A job that runs has none yet; no model makes thumbnails; somebody else's id leads nowhere."""
    with pytest.raises(ConflictError, match="not finished"):
        ask(Wire(PROCESSING), "video_content", video_id=VIDEO, provider="modelslab")
    with pytest.raises(UnsupportedParamsError, match="variant"):
        ask(Wire(FILMED), "video_content", video_id=VIDEO, variant="thumbnail", provider="modelslab")
    for bad in ("7", "v6/video/fetch/../keys", "v6/keys", "https://elsewhere.example/v6/video/fetch/7"):
        wire = Wire(FILMED)
        with pytest.raises(BadRequestError, match="no id of a video"):
            ask(wire, "video_status", video_id=bad, provider="modelslab")
        assert not wire.requests
