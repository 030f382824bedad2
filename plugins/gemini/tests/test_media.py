"""Vectors, pictures, speech, transcripts and videos: a literal call beside the literal request it becomes."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from polyport import Client
from polyport.errors import (
    BadRequestError,
    ConflictError,
    ContentPolicyViolationError,
    InvalidResponseError,
    NotFoundError,
    UnsupportedParamsError,
)
from polyport.testing import Reply, Wire

PNG = b"\x89PNG\r\n\x1a\n"
PICTURE = base64.b64encode(PNG).decode()
PCM = b"\0\1" * 6


def client(wire: Wire, **options: Any) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, **{"api_key": "AIza-test", "num_retries": 0, **options})


def reply(*parts: Any, finish: str = "STOP", **fields: Any) -> dict[str, Any]:
    """A reply of these parts."""
    candidate = {"content": {"parts": list(parts)}, "finishReason": finish, **fields}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {"candidates": [candidate], "usageMetadata": usage}


DRAWN = reply({"text": "Here"}, {"inlineData": {"mimeType": "image/png", "data": PICTURE}})
SPOKEN = reply({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": base64.b64encode(PCM).decode()}})


# --- vectors ---


def test_vectors_of_texts():
    """One request for each input, with the task and the size of the vectors."""
    wire = Wire({"embeddings": [{"values": [0.5]}, {"values": [0.25]}], "usageMetadata": {"promptTokenCount": 7}})
    with client(wire) as asking:
        result = asking.embedding("gemini/gemini-embedding-001", ["a", "b"], input_type="clustering", dimensions=1)
    common = {"model": "models/gemini-embedding-001", "taskType": "CLUSTERING", "outputDimensionality": 1}
    assert wire.requests[0].json == {
        "requests": [{**common, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]
    }
    assert result.usage.prompt_tokens == 7


def test_newer_models_are_told_the_task_in_the_text():
    """gemini-embedding-2 takes no task type; pictures and chat's parts are embedded as they are."""
    wire = Wire({"embeddings": [{"values": [0.5]}] * 3})
    inputs = ["hello", f"data:image/png;base64,{PICTURE}", {"type": "text", "text": "as it is"}]
    with client(wire) as asking:
        result = asking.embedding("gemini/gemini-embedding-2", inputs, input_type="search_query")
    parts = [one["content"]["parts"][0] for one in wire.requests[0].json["requests"]]
    assert parts[0] == {"text": "task: search result | query: hello"}
    assert parts[1] == {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
    assert [a.parameter for a in result.meta.adaptations] == ["input_type"]


def test_vectors_as_base64():
    """base64 is little-endian float32, and that it is made here is recorded."""
    with client(Wire({"embeddings": [{"values": [0.5, -1.0]}]})) as asking:
        result = asking.embedding("gemini/gemini-embedding-001", "a", encoding_format="base64")
    assert struct.unpack("<2f", base64.b64decode(result.data[0].embedding)) == (0.5, -1.0)


def test_what_cannot_be_embedded():
    """Token ids, unknown input types, and a reply with too few vectors are errors."""
    with client(Wire({"embeddings": []})) as asking:
        with pytest.raises(BadRequestError, match="embeds texts"):
            asking.embedding("gemini/gemini-embedding-001", [[1, 2]])
        with pytest.raises(BadRequestError, match="no input_type"):
            asking.embedding("gemini/gemini-embedding-001", "a", input_type="poem")
        with pytest.raises(InvalidResponseError, match="1 inputs gave 0 vectors"):
            asking.embedding("gemini/gemini-embedding-001", "a")


# --- pictures ---


@pytest.mark.parametrize(
    ("size", "config"),
    [("1536x1024", {"aspectRatio": "3:2"}), ("16:9", {"aspectRatio": "16:9"}), ("2k", {"imageSize": "2K"}),
     ("4096x4096", {"aspectRatio": "1:1", "imageSize": "4K"}), ("1000x990", {"aspectRatio": "1:1"}), ("auto", None)],
)  # fmt: skip
def test_gemini_draws(size, config):
    """A size of OpenAI's becomes an aspect ratio, and where it is large, a size of Google's."""
    wire = Wire(DRAWN)
    with client(wire) as asking:
        result = asking.image_generation("A cat", "gemini/gemini-2.5-flash-image", size=size)
    generation = wire.requests[0].json["generationConfig"]
    assert generation["responseModalities"] == ["TEXT", "IMAGE"]
    assert generation.get("imageConfig") == config
    assert result.data[0].content == PNG
    assert result.usage.total_tokens == 5


def test_several_pictures_are_several_calls():
    """Gemini makes one picture a call; what all of them used is one sum."""
    wire = Wire(lambda sent: DRAWN)
    with client(wire) as asking:
        result = asking.image_generation("A cat", "gemini/gemini-2.5-flash-image", n=3)
    assert (len(wire.requests), len(result.data), result.usage.total_tokens) == (3, 3, 15)
    assert [(a.parameter, a.action) for a in result.meta.adaptations] == [("n", "emulated")]


def test_gemini_changes_pictures():
    """Pictures follow the prompt; what to leave out is asked in it; a mask is refused."""
    wire = Wire(DRAWN)
    model = "gemini/gemini-2.5-flash-image"
    with client(wire) as asking:
        asking.image_edit([PNG, PNG], "Both cats", model, negative_prompt="dogs", seed=3, aspect_ratio="21:9")
        with pytest.raises(UnsupportedParamsError, match="mask"):
            asking.image_edit(PNG, "x", model, mask=PNG)
        with pytest.raises(UnsupportedParamsError, match="background"):
            asking.image_edit(PNG, "x", model, background="transparent")
    (sent,) = wire.requests
    picture = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
    assert sent.json["contents"][0]["parts"] == [{"text": "Both cats\n\nLeave out: dogs"}, picture, picture]
    assert sent.json["generationConfig"]["imageConfig"] == {"aspectRatio": "21:9"}
    assert sent.json["generationConfig"]["seed"] == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(reply(finish="IMAGE_SAFETY", finishMessage="No."), ContentPolicyViolationError),
     (reply({"text": "I would rather not."}), InvalidResponseError)],
)  # fmt: skip
def test_no_picture_is_an_error(answer, kind):
    """A refusal by the filters, and an answer in words only."""
    with client(Wire(answer)) as asking, pytest.raises(kind):
        asking.image_generation("A cat", "gemini/gemini-2.5-flash-image")


def test_imagen_draws():
    """Imagen has parameters of its own; filtered pictures are an error that says why."""
    wire = Wire({"predictions": [{"bytesBase64Encoded": PICTURE, "mimeType": "image/jpeg"}]})
    model = "gemini/imagen-4.0-generate-001"
    with client(wire) as asking:
        asking.image_generation("A cat", model, n=2, size="1024x1024", output_format="jpeg", output_compression=80,
                                negative_prompt="dogs", person_generation="dont_allow")  # fmt: skip
    assert wire.requests[0].path == "/v1beta/models/imagen-4.0-generate-001:predict"
    assert wire.requests[0].json == {
        "instances": [{"prompt": "A cat"}],
        "parameters": {
            "sampleCount": 2,
            "aspectRatio": "1:1",
            "negativePrompt": "dogs",
            "outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 80},
            "personGeneration": "dont_allow",
        },
    }
    filtered = Wire({"predictions": [{"raiFilteredReason": "Too rude"}]})
    with client(filtered) as asking, pytest.raises(ContentPolicyViolationError, match="Too rude"):
        asking.image_generation("A cat", model)


# --- speech ---


def test_speech_whole_and_in_pieces():
    """A WAV unless PCM is asked for; streamed, the header comes first and its length is open."""
    wire = Wire(SPOKEN)
    model = "gemini/gemini-2.5-flash-preview-tts"
    with client(wire) as asking:
        spoken = asking.speech(model, "Hello", instructions="Say cheerfully")
        raw = asking.speech(model, "Hello", "Puck", response_format="pcm")
    assert (spoken.content[:4], spoken.content[44:], spoken.content_type) == (b"RIFF", PCM, "audio/wav")
    assert struct.unpack("<I", spoken.content[40:44]) == (len(PCM),)
    assert (raw.content, raw.content_type) == (PCM, "audio/pcm")
    first, second = (sent.json for sent in wire.requests)
    assert first["contents"][0]["parts"] == [{"text": "Say cheerfully:\nHello"}]
    assert first["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    assert second["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == "Puck"
    events = b"data: " + json.dumps({**SPOKEN}).encode() + b"\n\n"
    with client(Wire(Reply.of(events))) as asking:
        pieces = list(asking.speech(model, "Hello", stream=True))
    assert [piece[:4] for piece in pieces] == [b"RIFF", PCM[:4]]


def test_voices_and_formats():
    """Several speakers are Gemini's own config; formats that Gemini does not speak are refused."""
    speakers = {"multi_speaker_voice_config": {"speaker_voice_configs": [{"speaker": "Joe"}]}}
    wire = Wire(SPOKEN)
    with client(wire) as asking:
        asking.speech("gemini/tts", "Joe: Hi", speakers, language_code="en-US")
        with pytest.raises(UnsupportedParamsError, match="mp3"):
            asking.speech("gemini/tts", "Hi", response_format="mp3")
        with pytest.raises(UnsupportedParamsError, match="speed"):
            asking.speech("gemini/tts", "Hi", speed=2)
    assert wire.requests[0].json["generationConfig"]["speechConfig"] == {
        "multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [{"speaker": "Joe"}]},
        "languageCode": "en-US",
    }
    with client(Wire(reply({"text": "Hi"}))) as asking, pytest.raises(InvalidResponseError, match="without sound"):
        asking.speech("gemini/tts", "Hi")


# --- transcripts ---

WAV = ("talk.wav", b"RIFF....WAVE")
SEGMENTS = {
    "language": "en",
    "segments": [{"start": 0, "end": 1.5, "text": "Hello."}, {"start": 61.25, "end": 3700, "text": "Bye."}],
}


def test_a_transcript():
    """The model is asked to write down what it hears, and told what is known of it."""
    wire = Wire(reply({"text": " Hello. \n"}))
    with client(wire) as asking:
        result = asking.transcription("gemini/gemini-2.5-flash", WAV, language="en", prompt="Kubernetes", temperature=0)
        assert asking.transcription("gemini/gemini-2.5-flash", WAV, response_format="text") == "Hello.\n"
        asking.translation("gemini/gemini-2.5-flash", WAV)
    assert result.text == "Hello."
    first, _, third = (sent.json for sent in wire.requests)
    instruction, sound = first["contents"][0]["parts"]
    assert "is en (ISO 639-1)" in instruction["text"]
    assert "Kubernetes" in instruction["text"]
    assert sound == {"inlineData": {"mimeType": "audio/wav", "data": base64.b64encode(WAV[1]).decode()}}
    assert first["generationConfig"] == {"temperature": 0}
    assert "in English" in third["contents"][0]["parts"][0]["text"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("srt", "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n00:01:01,250 --> 01:01:40,000\nBye.\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n\n00:01:01.250 --> 01:01:40.000\nBye.\n"),
    ],
)
def test_subtitles(kind, text):
    """Times come from a schema that the model fills in."""
    wire = Wire(reply({"text": json.dumps(SEGMENTS)}))
    with client(wire) as asking:
        assert asking.transcription("gemini/gemini-2.5-flash", WAV, response_format=kind) == text
    assert wire.requests[0].json["generationConfig"]["responseMimeType"] == "application/json"


def test_segments_and_their_limits():
    """verbose_json has segments; words have no times, and JSON that does not fit is an error."""
    with client(Wire(reply({"text": json.dumps(SEGMENTS)}))) as asking:
        result = asking.transcription("gemini/gemini-2.5-flash", WAV, response_format="verbose_json")
        with pytest.raises(UnsupportedParamsError, match="not words"):
            asking.transcription("gemini/gemini-2.5-flash", WAV, timestamp_granularities=["word"])
    assert (result.text, result.language, result.duration) == ("Hello. Bye.", "en", 3700)
    assert ("response_format", "emulated") in [(a.parameter, a.action) for a in result.meta.adaptations]
    with client(Wire(reply({"text": "Hello."}))) as asking, pytest.raises(InvalidResponseError, match="does not fit"):
        asking.transcription("gemini/gemini-2.5-flash", WAV, diarize=True)


# --- videos ---


def test_a_video_from_a_picture():
    """A picture to start from, the size as ratio and resolution, and Veo's own parameters where they belong."""
    wire = Wire({"name": "models/veo-3.1-generate-preview/operations/1"})
    with client(wire) as asking:
        asking.video_generation("Waves", "gemini/veo-3.1-generate-preview", seconds="8", size="1080x1920",
                                input_reference=PNG, negative_prompt="people", number_of_videos=1,
                                last_frame={"bytes_base64_encoded": "x"})  # fmt: skip
    assert wire.requests[0].json == {
        "instances": [
            {
                "prompt": "Waves",
                "image": {"bytesBase64Encoded": PICTURE, "mimeType": "image/png"},
                "lastFrame": {"bytesBase64Encoded": "x"},
            }
        ],
        "parameters": {
            "durationSeconds": 8,
            "aspectRatio": "9:16",
            "resolution": "1080p",
            "negativePrompt": "people",
            "sampleCount": 1,
        },
    }


NAME = "models/veo-3.1-generate-preview/operations/1"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [({"name": NAME}, ConflictError),
     ({"name": NAME, "done": True, "error": {"code": 3, "message": "Bad"}}, NotFoundError),
     ({"name": NAME, "done": True, "response": {"generateVideoResponse": {"raiMediaFilteredReasons": ["Bad"]}}},
      NotFoundError)],
)  # fmt: skip
def test_a_video_that_is_not_there(operation, kind):
    """A job that runs has no video yet; one that failed has none at all, and says why."""
    with client(Wire(operation)) as asking:
        with pytest.raises(kind):
            asking.video_content(NAME, provider="gemini")
        if kind is NotFoundError:
            assert asking.video_status(NAME, provider="gemini").error["message"] == "Bad"
        with pytest.raises(BadRequestError, match="no id of a video"):
            asking.video_status("a/../b", provider="gemini")


def test_somebody_elses_host_is_not_given_the_key():
    """A video on another host is fetched without the key."""
    done = {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": "https://cdn.example/v.mp4"}}]}}
    wire = Wire([{"name": NAME, "done": True, "response": done}, Reply(content=b"film")])
    with client(wire) as asking:
        assert asking.video_content(NAME, provider="gemini").content == b"film"
    assert "x-goog-api-key" in wire.requests[0].headers
    assert "x-goog-api-key" not in wire.requests[1].headers
