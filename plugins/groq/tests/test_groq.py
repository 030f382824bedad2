"""Groq: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from forms import fields, files
from matrix import IMAGE_URL, PNG, image, say, show

from polyport import Client, errors
from polyport_groq import Groq
from polyport_groq.conformance import ANSWER, ANSWER_STREAM

HELLO = [say("Hello")]
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")


def body(wire):
    """Return the JSON that was sent last."""
    return json.loads(wire.last.content)


def test_a_chat_on_the_wire(wire, client):
    """The request is the user's words; reasoning, cached and reasoning tokens have their places."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    got = client.completion("groq/openai/gpt-oss-120b", HELLO, reasoning_effort="low", include_reasoning=True)
    assert str(wire.last.url) == "https://api.groq.com/openai/v1/chat/completions"
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert body(wire) == {
        "model": "openai/gpt-oss-120b",
        "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "low",
        "include_reasoning": True,
    }
    message = got.choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 4.", "2 + 2 = 4")
    assert got.usage_buckets == {"input": 44, "cached_input": 40, "output": 5, "reasoning": 8}
    assert got.extra["x_groq"] == {"id": "req_1"}


def test_a_streamed_chat_tells_its_usage(wire, client):
    """Usage stands in `x_groq` of the last chunk; asked for, it has a chunk of its own and is not told twice."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion("groq/openai/gpt-oss-120b", HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is 4."
    assert "".join(chunk.choices[0].delta.reasoning_content or "" for chunk in chunks) == "2 + 2 = 4"
    assert [chunk.usage and chunk.usage.total_tokens for chunk in chunks] == [None, None, None, 97]
    with client.completion("groq/m", HELLO, stream=True, stream_options={"include_usage": True}) as stream:
        assert [chunk.usage for chunk in stream] == [None] * 4


def test_a_stream_that_groq_ends_early(wire, client):
    """What came before reaches the reader, then the reason is raised."""
    events = (
        b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
        b'data: {"choices":[],"x_groq":{"error":"over capacity"}}\n\n'
    )
    wire.answer = lambda _: httpx.Response(200, content=events)
    seen = []
    with (
        pytest.raises(errors.InternalServerError, match="ended the stream early: over capacity"),
        client.completion("groq/m", HELLO, stream=True) as stream,
    ):
        seen.extend(chunk.choices[0].delta.content for chunk in stream)
    assert seen == ["Hi"]


def test_qwens_reasoning_is_asked_for_apart(wire, client):
    """Qwen 3 thinks inside the answer unless told otherwise; what the user says about it counts."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    client.completion("groq/qwen/qwen3-32b", HELLO)
    assert body(wire)["reasoning_format"] == "parsed"
    client.completion("groq/qwen/qwen3-32b", HELLO, reasoning_format="raw")
    assert body(wire)["reasoning_format"] == "raw"
    client.completion("groq/qwen/qwen3-32b", HELLO, include_reasoning=False)
    assert "reasoning_format" not in body(wire)


def test_compound_systems_by_either_name(wire, client):
    """`groq/compound` is the name of a system, not only a prefix and a model."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    for name in ("groq/compound", "groq/groq/compound"):
        client.completion(name, HELLO)
        assert body(wire)["model"] == "groq/compound"


def test_tools_that_ran_there_are_told(wire, client):
    """A compound system says which tools it ran; with the answer they need not go back."""
    tool = {"index": 0, "type": "search", "arguments": "{}", "output": "Rain"}
    message = {"role": "assistant", "content": "Rain", "reasoning": "I search.", "executed_tools": [tool]}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})
    got = client.completion("groq/compound", HELLO)
    assert got.choices[0].message.provider_specific_fields == {"executed_tools": [tool]}
    again = client.completion("groq/compound", [*HELLO, got.choices[0].message, say("Sure?")])
    assert body(wire)["messages"][1] == {"role": "assistant", "content": "Rain", "reasoning": "I search."}
    assert [a.parameter for a in again.meta.adaptations] == ["messages.provider_specific_fields"]


def test_images_go_as_they_are(wire, client):
    """By URL or as data: Groq fetches them itself."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    messages = show({"type": "text", "text": "What is it?"}, image(IMAGE_URL), image(PNG))
    client.completion("groq/meta-llama/llama-4-scout-17b-16e-instruct", messages)
    assert body(wire)["messages"] == messages


@pytest.mark.parametrize(
    "given",
    [{"logprobs": True}, {"logit_bias": {"1": 1}}, {"n": 2}, {"top_k": 3}, {"store": True}, {"presence_penalty": 1}],
)
def test_what_groq_cannot_do(wire, client, given):
    """It is refused with the reason, and with drop_params left out and recorded."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    (name,) = given
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        client.completion("groq/m", HELLO, **given)
    got = client.completion("groq/m", HELLO, **given, drop_params=True)
    assert name not in body(wire)
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [(name, "dropped")]


def test_speech_is_written_down(wire, client):
    """With times where asked for; srt, speakers and streams are refused."""
    reply = {"text": "Hello", "duration": 1.5, "segments": [{"id": 0, "start": 0, "end": 1.5, "text": "Hello"}]}
    wire.answer = lambda _: httpx.Response(200, json=reply)
    got = client.transcription("groq/whisper-large-v3", WAV, language="en", response_format="verbose_json")
    assert str(wire.last.url) == "https://api.groq.com/openai/v1/audio/transcriptions"
    assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV[1])]
    assert fields(wire.last) == {"model": "whisper-large-v3", "language": "en", "response_format": "verbose_json"}
    assert (got.text, got.segments[0].end) == ("Hello", 1.5)
    for refused in ({"response_format": "srt"}, {"diarize": True}, {"stream": True}):
        with pytest.raises(errors.UnsupportedParamsError):
            client.transcription("groq/whisper-large-v3", WAV, **refused)
    assert client.translation("groq/whisper-large-v3", WAV).text == "Hello"
    assert str(wire.last.url) == "https://api.groq.com/openai/v1/audio/translations"


def test_text_is_said(wire, client):
    """The voice is one that the model has; the format is one that every model has."""
    wire.answer = lambda _: httpx.Response(200, content=b"RIFFaudio", headers={"content-type": "audio/wav"})
    got = client.speech("groq/canopylabs/orpheus-v1-english", "Hello")
    assert body(wire) == {
        "model": "canopylabs/orpheus-v1-english",
        "input": "Hello",
        "voice": "autumn",
        "response_format": "wav",
    }
    assert got.content == b"RIFFaudio"
    client.speech("groq/canopylabs/orpheus-arabic-saudi", "Hello", response_format="mp3", sample_rate=24000)
    assert body(wire)["voice"] == "fahad"
    assert (body(wire)["response_format"], body(wire)["sample_rate"]) == ("mp3", 24000)
    with pytest.raises(errors.UnsupportedParamsError, match="flac, mp3"):
        client.speech("groq/canopylabs/orpheus-v1-english", "Hello", response_format="opus")
    got = client.speech("groq/m", "Hello", response_format="opus", drop_params=True)
    assert body(wire)["response_format"] == "wav"


def test_batches_over_files(wire, client):
    """Lines go up as a file, the batch is OpenAI's."""
    wire.answer = lambda _: httpx.Response(200, json={"id": "x", "object": "file", "status": "validating"})
    client.create_file(("a.jsonl", b'{"custom_id":"1"}\n'), provider="groq")
    assert fields(wire.last) == {"purpose": "batch"}
    client.create_batch("file_1", completion_window="7d", provider="groq")
    assert body(wire) == {"input_file_id": "file_1", "endpoint": "/v1/chat/completions", "completion_window": "7d"}
    assert client.retrieve_batch("batch_1", provider="groq").status == "validating"
    assert str(wire.last.url) == "https://api.groq.com/openai/v1/batches/batch_1"


ERRORS = [
    (401, {"message": "Invalid API Key", "code": "invalid_api_key"}, errors.AuthenticationError, False),
    (400, {"message": "Please reduce the length", "code": "context_length_exceeded"},
     errors.ContextWindowExceededError, False),
    (400, {"message": "Failed to call a function", "code": "tool_use_failed"}, errors.BadRequestError, False),
    (413, {"message": "Request too large for model", "type": "tokens", "code": "rate_limit_exceeded"},
     errors.RateLimitError, False),
    (429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}, errors.RateLimitError, True),
    (498, {"message": "Flex tier capacity exceeded", "code": "capacity_exceeded"},
     errors.ServiceUnavailableError, True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind", "retryable"), ERRORS)
def test_errors(wire, client, status, said, kind, retryable):
    """Each is what its status and code say, with Groq's words."""
    wire.answer = lambda _: httpx.Response(status, json={"error": said})
    with pytest.raises(errors.APIError) as caught:
        client.completion("groq/m", HELLO)
    assert (type(caught.value), caught.value.message, caught.value.retryable) == (kind, said["message"], retryable)


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        providers = {"groq": Groq}
        async with Client(http=httpx.MockTransport(wire), api_key="sk-test", providers=providers) as client:
            wire.answer = lambda _: httpx.Response(200, content=ANSWER)
            assert (await client.acompletion("groq/m", HELLO)).text == "It is 4."
            wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
            stream = await client.acompletion("groq/m", HELLO, stream=True)
            assert [chunk.usage.total_tokens async for chunk in stream if chunk.usage] == [97]

    asyncio.run(main())
