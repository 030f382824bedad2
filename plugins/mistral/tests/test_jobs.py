"""Mistral: literal requests, literal replies, of recordings, speech, files and batches."""

from __future__ import annotations

import json

import httpx
import pytest
from forms import fields, files
from matrix import say

from polyport import errors
from polyport_mistral.conformance import (
    FILE,
    FILES,
    JOB,
    JOBS,
    RESULT_FILE,
    RESULTS,
    SPOKEN,
    SPOKEN_STREAM,
    TRANSCRIPT,
    TRANSCRIPT_STREAM,
)

WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")
EAR, VOICE = "mistral/voxtral-mini-latest", "mistral/voxtral-mini-tts-2603"


def test_a_transcript(wire, client):
    """Speakers, times and the seconds that were heard; speakers are told apart by segment."""
    wire.answer = lambda _: httpx.Response(200, content=TRANSCRIPT)
    got = client.transcription(EAR, WAV, diarize=True, context_bias=["Bath", "York"])
    assert str(wire.last.url) == "https://api.mistral.ai/v1/audio/transcriptions"
    assert fields(wire.last) == {
        "model": "voxtral-mini-latest",
        "diarize": "true",
        "context_bias": "Bath,York",
        "timestamp_granularities": "segment",
    }
    assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV[1])]
    assert [(part.text, part.start, part.end, part.speaker) for part in got.segments] == [
        ("Hello.", 0.1, 0.8, "speaker_1"),
        (" Hi!", 0.9, 1.4, "speaker_2"),
    ]
    assert (got.text, got.language, got.duration, got.usage.seconds) == ("Hello. Hi!", "en", 2, 2)
    assert got.usage_buckets == {"input": 4, "audio_input": 25, "output": 9}


def test_words(wire, client):
    """Asked for by word, Mistral's segments are words."""
    wire.answer = lambda _: httpx.Response(200, content=TRANSCRIPT)
    got = client.transcription(EAR, WAV, timestamp_granularities=["word"])
    assert [(word.word, word.start, word.speaker) for word in got.words] == [
        ("Hello.", 0.1, "speaker_1"),
        ("Hi!", 0.9, "speaker_2"),
    ]
    assert got.segments is None


FORMATS = [
    ("json", {}),
    ("text", {}),
    ("verbose_json", {"timestamp_granularities": "segment"}),
    ("diarized_json", {"diarize": "true", "timestamp_granularities": "segment"}),
]


@pytest.mark.parametrize(("kind", "sent"), FORMATS)
def test_formats(wire, client, kind, sent):
    """What they need is asked for; the text alone is a string."""
    wire.answer = lambda _: httpx.Response(200, content=TRANSCRIPT)
    got = client.transcription(EAR, WAV, response_format=kind, strict=True)
    assert fields(wire.last) == {"model": "voxtral-mini-latest", **sent}
    assert got == "Hello. Hi!" if kind == "text" else got.text == "Hello. Hi!"


@pytest.mark.parametrize("given", [{"response_format": "srt"}, {"prompt": "Bath"}, {"include": ["logprobs"]}])
def test_what_voxtral_cannot_do(wire, client, given):
    """It is refused with the reason."""
    with pytest.raises(errors.UnsupportedParamsError, match=next(iter(given))):
        client.transcription(EAR, WAV, **given)


def test_a_streamed_transcript(wire, client):
    """OpenAI's events, and one of Mistral's own that says which language was heard."""
    wire.answer = lambda _: httpx.Response(200, content=TRANSCRIPT_STREAM)
    with client.transcription(EAR, WAV, stream=True) as stream:
        events = list(stream)
    assert fields(wire.last)["stream"] == "true"
    assert [(event.type, event.delta or event.text) for event in events] == [
        ("transcription.language", None),
        ("transcript.text.delta", "Hello."),
        ("transcript.text.segment", "Hello."),
        ("transcript.text.delta", " Hi!"),
        ("transcript.text.done", "Hello. Hi!"),
    ]
    assert events[0].extra == {"audio_language": "en"}
    assert (events[2].id, events[2].start, events[2].speaker) == ("seg_0", 0.1, "speaker_1")
    assert events[-1].usage.seconds == 2


def test_speech(wire, client):
    """The voice has a default, unless a recording gives one; streamed or not, it is bytes."""
    wire.answer = lambda _: httpx.Response(200, content=SPOKEN)
    got = client.speech(VOICE, "Hello")
    assert json.loads(wire.last.content) == {
        "model": "voxtral-mini-tts-2603",
        "input": "Hello",
        "voice_id": "en_paul_neutral",
    }
    assert (got.content, got.content_type) == (b"ID3\x04\0\0\0\0\0", "audio/mpeg")
    got = client.speech(VOICE, "Hello", "gb_jane_sad", response_format="wav")
    assert json.loads(wire.last.content)["voice_id"] == "gb_jane_sad"
    assert got.content_type == "audio/wav"
    client.speech(VOICE, "Hello", ref_audio="UklGRg==")
    assert "voice_id" not in json.loads(wire.last.content)
    wire.answer = lambda _: httpx.Response(200, content=SPOKEN_STREAM)
    with client.speech(VOICE, "Hello", stream=True) as stream:
        assert list(stream) == [b"ID3", b"\x04\0\0\0\0\0"]
    with pytest.raises(errors.UnsupportedParamsError, match="response_format"):
        client.speech(VOICE, "Hello", response_format="aac")


# --- files ------------------------------------------------------------------------------------------------


def test_an_upload(wire, client):
    """Purposes of OpenAI's that mean documents are Mistral's one; seconds become whole hours."""
    wire.answer = lambda _: httpx.Response(200, content=FILE)
    expires = {"anchor": "created_at", "seconds": 5400}
    got = client.create_file(("a.pdf", b"%PDF-"), purpose="user_data", expires_after=expires, provider="mistral")
    assert str(wire.last.url) == "https://api.mistral.ai/v1/files"
    assert fields(wire.last) == {"purpose": "ocr", "expiry": "2"}
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [
        ("purpose", "renamed"),
        ("expires_after", "clamped"),
    ]
    assert (got.id, got.bytes, got.extra["num_lines"]) == ("f-1", 966, 2)


def test_files_page_by_page(wire, client):
    """The last id of a page is the `after` of the next."""
    wire.answer = lambda _: httpx.Response(200, json={**json.loads(FILES), "total": 3})
    first = client.list_files(limit=1, purpose="batch", provider="mistral")
    assert dict(wire.last.url.params) == {"purpose": "batch", "page_size": "1"}
    assert (first.has_more, first.last_id) == (True, "page_1")
    second = client.list_files(limit=1, after=first.last_id, provider="mistral")
    assert dict(wire.last.url.params) == {"page": "1", "page_size": "1"}
    assert second.last_id == "page_2"
    assert client.list_files(limit=1, after="page_2", provider="mistral").has_more is False
    with pytest.raises(errors.BadRequestError, match="last_id"):
        client.list_files(after="f-1", provider="mistral")


# --- batches ----------------------------------------------------------------------------------------------


def line(**more):
    """Return one of OpenAI's lines."""
    return {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", **more}


def uploaded(wire):
    """Return the lines that were uploaded last."""
    [(_, name, kind, content)] = files(wire.last)
    assert (name, kind) == ("a.jsonl", "application/jsonl")
    return [json.loads(text) for text in content.splitlines()]


def test_lines_become_mistrals(wire, client):
    """Each with its model; a line for an endpoint of Mistral's own goes as it is."""
    wire.answer = lambda _: httpx.Response(200, content=FILE)
    lines = [
        line(body={"model": "mistral/mistral-small-latest", "messages": [say("Hi")], "seed": 7, "stream": True}),
        line(custom_id="b", url="/v1/embeddings", body={"model": "codestral-embed", "input": "a", "dimensions": 64}),
        line(custom_id="c", url="/v1/ocr", body={"model": "mistral-ocr-latest", "document": {"type": "file"}}),
    ]
    got = client.create_file(("a.json", json.dumps(lines).encode()), provider="mistral")
    assert uploaded(wire) == [
        {"custom_id": "a", "body": {"model": "mistral-small-latest", "messages": [say("Hi")], "random_seed": 7}},
        {"custom_id": "b", "body": {"model": "codestral-embed", "input": "a", "output_dimension": 64}},
        {"custom_id": "c", "body": {"model": "mistral-ocr-latest", "document": {"type": "file"}}},
    ]
    assert {(a.parameter, a.action) for a in got.meta.adaptations} == {("seed", "renamed"), ("dimensions", "renamed")}


BAD = [
    (b"{}", r"Line 1: .*custom_id"),
    (json.dumps(line(url="/v1/images/generations", body={})).encode(), "Line 1: Mistral's batches answer"),
    (json.dumps(line(body={"messages": "Hi"})).encode(), r"messages"),
    (json.dumps(line(body={"messages": [say("Hi")], "user": "u"})).encode(), r"Line 1 \(a\): user"),
    (b" \n", "no lines"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_lines_that_cannot_be_run(wire, client, content, said):
    """The line is named, and nothing is sent."""
    with pytest.raises(errors.BadRequestError, match=said):
        client.create_file(("a.jsonl", content), provider="mistral")
    assert wire.seen == []


def test_a_job(wire, client):
    """Started over a file, with the window as hours."""
    wire.answer = lambda _: httpx.Response(200, content=JOB)
    got = client.create_batch("f-1", completion_window="7d", metadata={"a": "b"}, provider="mistral")
    assert str(wire.last.url) == "https://api.mistral.ai/v1/batch/jobs"
    assert json.loads(wire.last.content) == {
        "input_files": ["f-1"],
        "endpoint": "/v1/chat/completions",
        "metadata": {"a": "b"},
        "timeout_hours": 168,
    }
    assert (got.status, got.input_file_id, got.output_file_id, got.completed_at) == (
        "completed", "f-1", "f-2", 1786390000
    )  # fmt: skip
    assert got.request_counts == {"total": 2, "completed": 2, "failed": 0}
    with pytest.raises(errors.BadRequestError, match="completion_window"):
        client.create_batch("f-1", completion_window="soon", provider="mistral")


STATUSES = {
    "QUEUED": "validating", "RUNNING": "in_progress", "SUCCESS": "completed", "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired", "CANCELLATION_REQUESTED": "cancelling", "CANCELLED": "cancelled",
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_how_far_a_job_is(wire, client, status):
    """In OpenAI's words; what went wrong is told, and results that came inline."""
    job = {**json.loads(JOB), "status": status, "errors": [{"message": "bad line", "count": 2}], "outputs": [{"a": 1}]}
    wire.answer = lambda _: httpx.Response(200, json=job)
    got = client.retrieve_batch("j-1", inline=True, provider="mistral")
    assert str(wire.last.url) == "https://api.mistral.ai/v1/batch/jobs/j-1?inline=true"
    assert got.status == STATUSES[status]
    assert got.errors == {"object": "list", "data": [{"message": "bad line", "count": 2}]}
    assert got.extra == {"outputs": [{"a": 1}]}


def test_cancelling_and_listing(wire, client):
    """A job is cancelled by its id; jobs come in pages."""
    wire.answer = lambda _: httpx.Response(200, content=JOB)
    client.cancel_batch("j-1", provider="mistral")
    assert (wire.last.method, wire.last.url.path) == ("POST", "/v1/batch/jobs/j-1/cancel")
    wire.answer = lambda _: httpx.Response(200, content=JOBS)
    got = client.list_batches(limit=20, provider="mistral")
    assert str(wire.last.url) == "https://api.mistral.ai/v1/batch/jobs?page_size=20"
    assert ([job.id for job in got.data], got.has_more) == (["j-1"], False)


def test_results_become_openais(wire, client):
    """Answers in OpenAI's words, refusals and losses as they are; other files are not touched."""
    wire.answer = lambda request: httpx.Response(200, content=RESULTS if "content" in request.url.path else RESULT_FILE)
    lines = [json.loads(text) for text in client.file_content("f-2", provider="mistral").content.splitlines()]
    message = lines[0]["response"]["body"]["choices"][0]["message"]
    assert (lines[0]["custom_id"], message["content"], message["reasoning_content"]) == ("a", "Hi.", "Greet.")
    assert lines[1]["response"] == {"status_code": 422, "request_id": None, "body": {"detail": "wrong"}}
    assert (lines[2]["response"], lines[2]["error"]) == (None, {"code": "batch_error", "message": "lost"})
    with client.file_content("f-2", stream=True, provider="mistral") as stream:
        assert [json.loads(text) for text in b"".join(stream).splitlines()] == lines
    wire.answer = lambda request: httpx.Response(200, content=b"%PDF-" if "content" in request.url.path else FILE)
    assert client.file_content("f-1", provider="mistral").content == b"%PDF-"
