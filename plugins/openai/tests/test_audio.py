"""Audio with OpenAI: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import httpx
import pytest
from forms import fields, files

from polyport import Client, errors

WAV = b"RIFF\0\0\0\0WAVEfmt "
SRT = "1\n00:00:00,000 --> 00:00:01,000\nHello\n"


def test_speech_is_written_down(wire, client):
    """The file goes first; lists repeat as `name[]`; numbers and dicts as OpenAI's own client writes them."""
    reply = {
        "text": "Hello",
        "language": "english",
        "duration": 1.5,
        "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": "Hello", "avg_logprob": -0.1}],
        "words": [{"word": "Hello", "start": 0.0, "end": 1.5}],
        "usage": {"type": "duration", "seconds": 2},
    }
    wire.answer = lambda _: httpx.Response(200, json=reply)
    got = client.transcription(
        "whisper-1",
        ("a.wav", WAV),
        language="en",
        response_format="verbose_json",
        temperature=0.2,
        timestamp_granularities=["word", "segment"],
        chunking_strategy={"type": "server_vad", "threshold": 0.4},
    )
    assert str(wire.last.url) == "https://api.openai.com/v1/audio/transcriptions"
    assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV)]
    assert fields(wire.last) == {
        "model": "whisper-1",
        "language": "en",
        "response_format": "verbose_json",
        "temperature": "0.2",
        "timestamp_granularities[]": "word,segment",
        "chunking_strategy[type]": "server_vad",
        "chunking_strategy[threshold]": "0.4",
    }
    assert (got.text, got.segments[0].text, got.words[0].end, got.usage.seconds) == ("Hello", "Hello", 1.5, 2.0)


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
@pytest.mark.parametrize("function", ["transcription", "translation"])
def test_text_formats_are_text(wire, client, function, response_format):
    """They are strings, untouched."""
    wire.answer = lambda _: httpx.Response(200, text=SRT)
    assert getattr(client, function)("whisper-1", io.BytesIO(WAV), response_format=response_format) == SRT


def test_a_transcript_is_streamed(wire, client):
    """Deltas, then the whole with its usage."""
    events = [
        {"type": "transcript.text.delta", "delta": "Hel"},
        {"type": "transcript.text.delta", "delta": "lo"},
        {
            "type": "transcript.text.done",
            "text": "Hello",
            "usage": {
                "type": "tokens",
                "input_tokens": 30,
                "input_token_details": {"audio_tokens": 30, "text_tokens": 0},
                "output_tokens": 2,
                "total_tokens": 32,
            },
        },
    ]
    wire.answer = lambda _: httpx.Response(200, content="".join(f"data: {json.dumps(e)}\r\n\r\n" for e in events))
    with client.transcription("openai/gpt-4o-transcribe", ("a.wav", WAV), stream=True) as stream:
        got = list(stream)
    assert fields(wire.last)["stream"] == "true"
    assert "".join(event.delta or "" for event in got) == got[-1].text == "Hello"
    assert got[-1].usage.buckets() == {"audio_input": 30, "output": 2}


def test_speakers_are_told_apart(wire, client):
    """`diarize=True` is a response format of a model that can; with another, the error names the model."""
    segment = {"type": "transcript.text.segment", "id": "seg_0", "speaker": "A", "start": 0, "end": 1, "text": "Hello"}
    wire.answer = lambda _: httpx.Response(200, json={"text": "Hello", "segments": [segment]})
    got = client.transcription("openai/gpt-4o-transcribe-diarize", ("a.wav", WAV), diarize=True)
    assert fields(wire.last) == {
        "model": "gpt-4o-transcribe-diarize",
        "response_format": "diarized_json",
        "chunking_strategy": "auto",
    }
    assert (got.segments[0].speaker, got.segments[0].id) == ("A", "seg_0")
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("diarize", "renamed")]
    with pytest.raises(errors.UnsupportedParamsError, match="gpt-4o-transcribe-diarize"):
        client.transcription("whisper-1", ("a.wav", WAV), diarize=True)


def test_speech_is_translated(wire, client):
    """A translation takes less than a transcription, and says so."""
    wire.answer = lambda _: httpx.Response(200, json={"text": "Hello"})
    assert client.translation("whisper-1", ("a.wav", WAV), prompt="names").text == "Hello"
    assert str(wire.last.url) == "https://api.openai.com/v1/audio/translations"
    assert fields(wire.last) == {"model": "whisper-1", "prompt": "names"}
    with pytest.raises(errors.UnsupportedParamsError, match="language"):
        client.translation("whisper-1", ("a.wav", WAV), language="de")


def test_text_is_said(wire, client, tmp_path):
    """The voice has a default; the bytes can be read, iterated and written to a file."""
    wire.answer = lambda _: httpx.Response(200, content=b"ID3audio", headers={"content-type": "audio/mpeg"})
    got = client.speech("tts-1", "Hello", speed=1.5)
    assert str(wire.last.url) == "https://api.openai.com/v1/audio/speech"
    assert json.loads(wire.last.content) == {"voice": "alloy", "model": "tts-1", "input": "Hello", "speed": 1.5}
    got.stream_to_file(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == got.content == b"".join(got.iter_bytes(3)) == b"ID3audio"
    assert got.content_type == "audio/mpeg"
    client.speech("tts-1", "Hello", "nova")
    assert json.loads(wire.last.content)["voice"] == "nova"


def test_speech_is_streamed(wire, client):
    """The bytes as they come; asked for as events, they are decoded to the same bytes."""
    wire.answer = lambda _: httpx.Response(200, content=iter([b"ID3", b"audio"]))
    with client.speech("tts-1", "Hello", stream=True) as stream:
        assert b"".join(stream) == b"ID3audio"
    assert "stream" not in json.loads(wire.last.content)
    deltas = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in (b"ID3", b"audio")]
    events = [*deltas, {"type": "speech.audio.done", "usage": {"total_tokens": 3}}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    wire.answer = lambda _: httpx.Response(200, content=body)
    with client.speech("openai/gpt-4o-mini-tts", "Hello", stream=True, stream_format="sse") as stream:
        assert list(stream) == [b"ID3", b"audio"]
    assert client.speech("openai/gpt-4o-mini-tts", "Hello", stream_format="sse").content == b"ID3audio"


def test_audio_asynchronously(wire):
    """A form goes out, and bytes come in, under the asynchronous driver."""

    async def main() -> None:
        async with Client(http=httpx.MockTransport(wire), api_key="sk-test") as client:
            wire.answer = lambda _: httpx.Response(200, json={"text": "Hello"})
            assert (await client.atranscription("whisper-1", ("a.wav", WAV))).text == "Hello"
            assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV)]
            wire.answer = lambda _: httpx.Response(200, content=b"ID3audio")
            stream = await client.aspeech("tts-1", "Hello", stream=True)
            assert b"".join([piece async for piece in stream]) == b"ID3audio"

    asyncio.run(main())
