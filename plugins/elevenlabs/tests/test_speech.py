"""Speech with ElevenLabs: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest
from wires import Wire, connect

from polyport import Client, errors
from polyport_elevenlabs import ElevenLabs
from polyport_elevenlabs.voices import NAMES, OPENAI

MP3 = b"ID3\x04\0not really sound"
GEORGE = "JBFqnCBsd6RMkjVDRZzb"


def sound(request: httpx.Request) -> httpx.Response:
    """Be ElevenLabs."""
    return httpx.Response(200, content=MP3, headers={"content-type": "audio/mpeg", "x-character-count": "5"})


def say(client: Client, wire: Wire, **params):
    """Say hello; what was sent and what came back."""
    wire.answer = sound
    got = client.speech("elevenlabs/eleven_multilingual_v2", "Hello", **params)
    return wire.last.url, json.loads(wire.last.content), got


def adaptations(got) -> list[tuple[str, str]]:
    """What a result says was changed."""
    return [(one.parameter, one.action) for one in got.meta.adaptations]


def test_text_is_spoken(wire, client):
    """The voice stands in the path, the format and what is about the call in the query, the rest in the body."""
    url, body, got = say(
        client,
        wire,
        voice="Sarah",
        response_format="mp3",
        speed=1.1,
        voice_settings={"stability": 0.4},
        seed=7,
        language_code="en",
        previous_text="Well.",
        enable_logging=False,
    )
    assert wire.last.method == "POST"
    assert wire.last.headers["xi-api-key"] == "sk-test"
    assert url.path == f"/v1/text-to-speech/{NAMES['sarah']}"
    assert dict(url.params) == {"enable_logging": "false", "output_format": "mp3_44100_128"}
    assert body == {
        "text": "Hello",
        "model_id": "eleven_multilingual_v2",
        "voice_settings": {"stability": 0.4, "speed": 1.1},
        "seed": 7,
        "language_code": "en",
        "previous_text": "Well.",
    }
    assert (got.content, got.content_type) == (MP3, "audio/mpeg")
    assert got.extra["usage"].characters == 5
    assert adaptations(got) == []


def test_defaults_are_elevenlabs_own(wire, client):
    """Nothing is said of formats or settings; the voice is the one of ElevenLabs' examples."""
    url, body, _ = say(client, wire)
    assert str(url) == f"https://api.elevenlabs.io/v1/text-to-speech/{GEORGE}"
    assert body == {"text": "Hello", "model_id": "eleven_multilingual_v2"}


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"response_format": "mp3"}, "mp3_44100_128"),
        ({"response_format": "mp3", "sample_rate": 22050}, "mp3_22050_32"),
        ({"sample_rate": 24000}, "mp3_24000_48"),
        ({"response_format": "opus"}, "opus_48000_128"),
        ({"response_format": "pcm"}, "pcm_24000"),
        ({"response_format": "pcm", "sample_rate": 16000}, "pcm_16000"),
        ({"response_format": "wav"}, "wav_24000"),
        ({"response_format": "wav", "sample_rate": 44100}, "wav_44100"),
        ({"response_format": "ulaw"}, "ulaw_8000"),
        ({"response_format": "alaw"}, "alaw_8000"),
        ({"response_format": "opus_48000_32"}, "opus_48000_32"),
        ({"output_format": "mp3_44100_192", "response_format": "mp3"}, "mp3_44100_192"),
    ],
)
def test_formats_become_elevenlabs_names(wire, client, params, sent):
    """A codec at its first rate, or the one asked for; ElevenLabs' own names as they are."""
    url, body, got = say(client, wire, **params)
    assert url.params["output_format"] == sent
    assert not {"output_format", "sample_rate", "response_format"} & body.keys()
    assert adaptations(got) == []


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"response_format": "aac"}, "response_format"),
        ({"response_format": "flac"}, "response_format"),
        ({"response_format": "pcm", "sample_rate": 12345}, "sample_rate"),
        ({"instructions": "Whisper."}, "instructions"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
def test_what_elevenlabs_cannot_do_is_refused_or_told(wire, client, params, parameter):
    """An error, and nothing is sent; with drop_params it is left out, and recorded."""
    with pytest.raises(errors.UnsupportedParamsError, match=parameter):
        client.speech("elevenlabs/eleven_v3", "Hello", **params)
    assert wire.seen == []
    _, _, got = say(client, wire, drop_params=True, **params)
    assert adaptations(got) == [(parameter, "dropped")]


@pytest.mark.parametrize(("asked", "sent"), [(4, 1.2), (0.25, 0.7), (1.2, 1.2), (1, 1)])
def test_speed_is_clamped_to_what_a_voice_can(wire, client, asked, sent):
    """OpenAI's range is 0.25 to 4, ElevenLabs' 0.7 to 1.2; strict=True makes the difference an error."""
    _, body, got = say(client, wire, speed=asked)
    assert body["voice_settings"] == {"speed": sent}
    assert adaptations(got) == ([] if asked == sent else [("speed", "clamped")])
    if asked != sent:
        with pytest.raises(errors.BadRequestError, match="speed would be clamped"):
            client.speech("elevenlabs/eleven_v3", "Hello", speed=asked, strict=True)


def test_settings_of_the_user_are_left_alone(wire, client):
    """The dict that was given is not written into."""
    settings = {"stability": 0.1}
    say(client, wire, speed=1.1, voice_settings=settings)
    assert settings == {"stability": 0.1}


# --- voices ---


@pytest.mark.parametrize("name", OPENAI)
def test_a_voice_of_openais_has_a_stand_in(wire, client, name):
    """A default voice of ElevenLabs', and the result says which."""
    url, _, got = say(client, wire, voice=name)
    assert url.path.endswith(NAMES[OPENAI[name]])
    assert [(one.parameter, one.action) for one in got.meta.adaptations] == [("voice", "renamed")]
    assert OPENAI[name].title() in got.meta.adaptations[0].why


@pytest.mark.parametrize(
    ("voice", "sent"),
    [
        ("SARAH", NAMES["sarah"]),
        ("21m00Tcm4TlvDq8ikWAM", "21m00Tcm4TlvDq8ikWAM"),
        ({"id": "21m00Tcm4TlvDq8ikWAM"}, "21m00Tcm4TlvDq8ikWAM"),
        ({"name": "brian"}, NAMES["brian"]),
    ],
)
def test_names_of_default_voices_and_ids_need_no_look_up(wire, client, voice, sent):
    """One request, and nothing to report."""
    url, _, got = say(client, wire, voice=voice)
    assert url.path == f"/v1/text-to-speech/{sent}"
    assert len(wire.seen) == 1
    assert adaptations(got) == []


def directory(*pages: list[tuple[str, str]]):
    """Be an account with pages of voices."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v2/voices":
            return sound(request)
        number = int(request.url.params.get("next_page_token", 0))
        last = number + 1 == len(pages)
        voices = [{"voice_id": voice_id, "name": name} for name, voice_id in pages[number]]
        token = None if last else str(number + 1)
        return httpx.Response(200, json={"voices": voices, "has_more": not last, "next_page_token": token})

    return answer


def test_another_voice_is_looked_up_by_its_name(wire, client):
    """Page by page, in any case, with or without what describes it."""
    wire.answer = directory([("Mummy", "A" * 20)], [("Mum - Warm, Patient", "B" * 20)])
    client.speech("elevenlabs/eleven_v3", "Hello", voice="mum")
    first, second, spoken = wire.seen
    assert dict(first.url.params) == {"search": "mum", "page_size": "100"}
    assert dict(second.url.params) == {"search": "mum", "page_size": "100", "next_page_token": "1"}
    assert spoken.url.path == f"/v1/text-to-speech/{'B' * 20}"


def test_the_whole_name_goes_before_its_beginning(wire, client):
    """Of two that begin alike, the one that is called so."""
    wire.answer = directory([("Mum - Warm", "A" * 20), ("Mum", "B" * 20)])
    client.speech("elevenlabs/eleven_v3", "Hello", voice="Mum")
    assert wire.last.url.path.endswith("B" * 20)


def test_a_name_that_is_nobodys_is_an_error_with_near_ones(wire, client):
    """Nothing is spoken."""
    wire.answer = directory([("Mathilda", "A" * 20)])
    with pytest.raises(errors.NotFoundError, match=r"no voice 'Matylda'.*Mathilda"):
        client.speech("elevenlabs/eleven_v3", "Hello", voice="Matylda")
    assert [request.method for request in wire.seen] == ["GET"]


def test_an_object_without_a_name_is_no_voice(wire, client):
    """The place is named."""
    with pytest.raises(errors.BadRequestError, match=r"\$\.voice"):
        client.speech("elevenlabs/eleven_v3", "Hello", voice={"pitch": 3})


# --- streams and times ---


def test_speech_comes_in_pieces(wire, client):
    """From the endpoint of its own, in the order it is spoken, sync and async."""
    pieces = [b"ID3", b"\x04\0", b"rest"]
    wire.answer = lambda _: httpx.Response(200, content=iter(pieces))
    with client.speech("elevenlabs/eleven_flash_v2_5", "Hi", stream=True, response_format="pcm") as stream:
        assert b"".join(stream) == b"".join(pieces)
    assert str(wire.last.url) == (
        f"https://api.elevenlabs.io/v1/text-to-speech/{GEORGE}/stream?output_format=pcm_24000"
    )
    assert json.loads(wire.last.content) == {"text": "Hi", "model_id": "eleven_flash_v2_5"}

    async def listen() -> bytes:
        async with connect(wire, elevenlabs=ElevenLabs) as client:
            stream = await client.aspeech("elevenlabs/eleven_flash_v2_5", "Hi", stream=True)
            return b"".join([piece async for piece in stream])

    wire.answer = lambda _: httpx.Response(200, content=MP3)
    assert asyncio.run(listen()) == MP3


@pytest.mark.parametrize("params", [{"response_format": "wav"}, {"output_format": "wav_16000"}])
def test_a_wav_is_not_streamed(wire, client, params):
    """ElevenLabs streams none, and the error says what is the same sound."""
    with pytest.raises(errors.UnsupportedParamsError, match="pcm is the same sound"):
        client.speech("elevenlabs/eleven_v3", "Hi", stream=True, **params)


def test_times_of_characters_come_with_the_sound(wire, client):
    """`with_timestamps` is another endpoint, whose reply is JSON."""
    alignment = {"characters": ["H"], "character_start_times_seconds": [0], "character_end_times_seconds": [0.1]}
    reply = {"audio_base64": base64.b64encode(MP3).decode(), "alignment": alignment, "normalized_alignment": None}
    wire.answer = lambda _: httpx.Response(200, json=reply)
    got = client.speech("elevenlabs/eleven_v3", "H", with_timestamps=True, response_format="opus")
    assert wire.last.url.path == f"/v1/text-to-speech/{GEORGE}/with-timestamps"
    assert json.loads(wire.last.content) == {"text": "H", "model_id": "eleven_v3"}
    assert (got.content, got.content_type) == (MP3, "audio/ogg")
    assert got.extra["alignment"] == alignment
    with pytest.raises(errors.UnsupportedParamsError, match="with_timestamps"):
        client.speech("elevenlabs/eleven_v3", "H", with_timestamps=True, stream=True)


# --- models and errors ---


def test_models_are_listed(wire, client):
    """With what ElevenLabs says of each."""
    model = {"model_id": "eleven_v3", "name": "Eleven v3", "can_do_text_to_speech": True}
    wire.answer = lambda _: httpx.Response(200, json=[model])
    (got,) = client.list_models(provider="elevenlabs").data
    assert (got.id, got.display_name, got.owned_by) == ("eleven_v3", "Eleven v3", "elevenlabs")
    assert got.extra == {"can_do_text_to_speech": True}
    assert str(wire.last.url) == "https://api.elevenlabs.io/v1/models"
    with pytest.raises(errors.UnsupportedParamsError, match="limit"):
        client.list_models(provider="elevenlabs", limit=3)


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (401, "quota_exceeded", errors.RateLimitError, False),
        (402, "payment_required", errors.RateLimitError, False),
        (402, "anything", errors.RateLimitError, False),
        (401, "invalid_api_key", errors.AuthenticationError, False),
        (400, "voice_not_found", errors.NotFoundError, False),
        (400, "max_character_limit_exceeded", errors.ContextWindowExceededError, False),
        (403, "content_against_policy", errors.ContentPolicyViolationError, False),
        (403, "only_for_creator+", errors.PermissionDeniedError, False),
        (401, "detected_unusual_activity", errors.PermissionDeniedError, False),
        (429, "too_many_concurrent_requests", errors.RateLimitError, True),
        (429, "system_busy", errors.RateLimitError, True),
        (429, "quota_exceeded", errors.RateLimitError, False),
        (400, "invalid_parameters", errors.BadRequestError, False),
        (422, None, errors.UnprocessableEntityError, False),
    ],
)
@pytest.mark.parametrize("name", ["code", "status"])
def test_a_code_says_what_is_wrong(wire, client, status, code, kind, retryable, name):
    """In the present field and in the old one; the status stays the one that came."""
    wire.answer = lambda _: httpx.Response(status, json={"detail": {name: code, "message": "So it is."}})
    with pytest.raises(kind, match="So it is") as caught:
        client.speech("elevenlabs/eleven_v3", "Hello")
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.retryable) == (status, retryable)


def test_a_validation_error_is_told(wire, client):
    """FastAPI's list of places, as the API reference has it."""
    detail = [{"loc": ["body", "text"], "msg": "field required", "type": "value_error.missing"}]
    wire.answer = lambda _: httpx.Response(422, json={"detail": detail})
    with pytest.raises(errors.UnprocessableEntityError) as caught:
        client.speech("elevenlabs/eleven_v3", "Hello")
    assert caught.value.body == {"detail": detail}
    assert "field required" in str(caught.value)
