"""Speech over a provider that only chats."""

from __future__ import annotations

import base64

import pytest

from polyport import InvalidResponseError, UnsupportedParamsError

SOUND = bytes(range(256)) * 3


def spoken(says, data=None):
    """A completion that speaks."""
    data = base64.b64encode(SOUND).decode() if data is None else data
    return says(None, audio={"id": "a", "data": data, "transcript": "hi", "expires_at": 1})


def test_a_chat_model_reads_the_text_aloud(stage, says):
    """The model is asked to read, with a voice and a format; its sound comes back as bytes."""
    reply = stage.answers(spoken(says)).speech(model="fake/m", input="hi", voice="coral", instructions="Whisper.")
    system, user = stage.asked.messages
    assert system["content"].endswith("\n\nWhisper.")
    assert user == {"role": "user", "content": "hi"}
    assert stage.asked.modalities == ["text", "audio"]
    assert stage.asked.audio == {"voice": "coral", "format": "mp3"}
    assert (reply.content, reply.content_type) == (SOUND, "audio/mpeg")
    assert reply.extra["transcript"] == "hi"
    assert {(a.parameter, a.action) for a in reply.meta.adaptations} == {
        ("input", "emulated"),
        ("instructions", "emulated"),
    }


def test_a_voice_left_out_has_a_default(stage, says):
    """A chat wants a voice; the user need not name one."""
    stage.answers(spoken(says)).speech(model="fake/m", input="hi", response_format="wav")
    assert stage.asked.audio == {"voice": "alloy", "format": "wav"}


@pytest.mark.parametrize("cut", [1, 3, 4, 10, 5000])
def test_pcm_is_streamed_in_pieces(stage, streams, cut):
    """Base64 is decoded wherever its pieces are cut."""
    data = base64.b64encode(SOUND).decode()
    pieces = [{"audio": {"data": data[i : i + cut]}} for i in range(0, len(data), cut)]
    client = stage.answers(streams(*pieces, {"audio": {"transcript": "hi"}}))
    stream = client.speech(model="fake/m", input="hi", response_format="pcm", stream=True)
    assert stream.read() == SOUND
    assert stage.asked.stream is True
    assert stage.asked.audio["format"] == "pcm16"


def test_padded_pieces_are_decoded_one_by_one(stage, streams):
    """A provider may encode each piece by itself."""
    pieces = [{"audio": {"data": base64.b64encode(SOUND[i : i + 100]).decode()}} for i in range(0, len(SOUND), 100)]
    client = stage.answers(streams(*pieces))
    assert client.speech(model="fake/m", input="hi", response_format="pcm", stream=True).read() == SOUND


def test_other_formats_are_streamed_as_one_piece(stage, says):
    """A chat streams pcm only; any other format is fetched whole, and that is recorded."""
    stream = stage.answers(spoken(says)).speech(model="fake/m", input="hi", response_format="mp3", stream=True)
    assert list(stream) == [SOUND]
    assert stage.asked.stream is None
    assert "stream" in {a.parameter for a in stream.meta.adaptations}


@pytest.mark.parametrize(("params", "name"), [({"speed": 2.0}, "speed"), ({"stream_format": "sse"}, "stream_format")])
def test_what_a_chat_cannot_do_is_refused(stage, says, params, name):
    """A chat model has no tempo and no events of speech."""
    with pytest.raises(UnsupportedParamsError, match=f"{name} is not supported"):
        stage.answers(spoken(says)).speech(model="fake/m", input="hi", **params)


def test_an_answer_without_sound_is_an_error(stage, says):
    """A model that cannot speak writes instead; the error shows what."""
    with pytest.raises(InvalidResponseError, match=r"without sound.*It wrote: 'I cannot'"):
        stage.answers(says("I cannot")).speech(model="fake/m", input="hi")


def test_broken_base64_is_an_error(stage, says):
    """Sound that cannot be decoded is never handed out."""
    with pytest.raises(InvalidResponseError, match="not base64"):
        stage.answers(spoken(says, "???")).speech(model="fake/m", input="hi")
