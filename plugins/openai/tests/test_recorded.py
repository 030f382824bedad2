"""Recorded traffic with OpenAI parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from recorded import cut, events, is_stream, needs_recordings, payload, records, status

from polyport import errors

pytestmark = needs_recordings

SAY = [{"role": "user", "content": "x"}]
WAV = ("a.wav", b"RIFF....WAVEfmt ")
PNG = b"\x89PNG\r\n\x1a\n"

#: (method, path) -> our function, and how it is called where the recorded request does not matter.
ROUTES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("POST", "/chat/completions", "completion", {"model": "openai/m", "messages": SAY}),
    ("POST", "/completions", "text_completion", {"model": "openai/m", "prompt": "x"}),
    ("POST", "/responses", "responses", {"model": "openai/m", "input": "x"}),
    ("GET", "/responses/[^/]+", "retrieve_response", {"response_id": "r", "provider": "openai"}),
    ("DELETE", "/responses/[^/]+", "delete_response", {"response_id": "r", "provider": "openai"}),
    ("POST", "/embeddings", "embedding", {"model": "openai/m", "input": "x"}),
    ("POST", "/moderations", "moderation", {"input": "x", "provider": "openai"}),
    ("POST", "/images/generations", "image_generation", {"model": "openai/m", "prompt": "x"}),
    ("POST", "/images/variations", "image_variation", {"model": "openai/m", "image": PNG}),
    ("POST", "/images/edits", "image_edit", {"model": "openai/m", "image": PNG, "prompt": "x"}),
    ("POST", "/audio/transcriptions", "transcription", {"model": "openai/m", "file": WAV}),
    ("POST", "/audio/translations", "translation", {"model": "openai/m", "file": WAV}),
    ("POST", "/audio/speech", "speech", {"model": "openai/m", "input": "x"}),
    ("POST", "/files", "create_file", {"file": ("a.jsonl", b"{}"), "provider": "openai"}),
    ("GET", "/files", "list_files", {"provider": "openai"}),
    ("GET", "/files/[^/]+", "retrieve_file", {"file_id": "f", "provider": "openai"}),
    ("DELETE", "/files/[^/]+", "delete_file", {"file_id": "f", "provider": "openai"}),
    ("GET", "/files/[^/]+/content", "file_content", {"file_id": "f", "provider": "openai"}),
    ("POST", "/batches", "create_batch", {"input_file_id": "f", "provider": "openai"}),
    ("GET", "/batches/[^/]+", "retrieve_batch", {"batch_id": "b", "provider": "openai"}),
    ("POST", "/batches/[^/]+/cancel", "cancel_batch", {"batch_id": "b", "provider": "openai"}),
    ("GET", "/models", "list_models", {"provider": "openai"}),
]
#: Paths that polyport has no operation for.
OUTSIDE = re.compile(r"/organization/usage/|/responses/(compact|input_tokens)$|/models/")
#: Endpoints of records of which only the reply was kept; an "image" among them is a response, a "speech" a session.
BY_ENDPOINT = {
    "chat": "completion",
    "completion": "text_completion",
    "embedding": "embedding",
    "image": "image_generation",
    "moderation": "moderation",
    "responses": "responses",
    "transcription": "transcription",
}
CALLS = {function: fields for _, _, function, fields in ROUTES}


def function_of(record: dict[str, Any]) -> str | None:
    """Return the function that would have made this exchange; None where polyport has none."""
    body, request = record["response"]["body"] or {}, record["request"]
    if request is None:
        if "b64" in body:
            return "speech"
        if body.get("json", {}).get("object") == "response":
            return "responses"
        if is_stream(record) and events(record)[0].get("object") == "chat.completion.chunk":
            return "completion"
        return BY_ENDPOINT.get(record["endpoint"])
    path = urlsplit(request["url"]).path.removeprefix("/v1")
    if OUTSIDE.search(path):
        return None
    return next(f for method, glob, f, _ in ROUTES if request["method"] == method and re.fullmatch(glob, path))


def ours() -> list[tuple[str, dict[str, Any]]]:
    """Return (function, record) for all that polyport has a function for."""
    kept = [r for r in records("openai") if r["endpoint"] != "assistants" and not r["endpoint"].startswith("other:")]
    return [(function, record) for record in kept if (function := function_of(record)) is not None]


def failed(record: dict[str, Any]) -> bool:
    """Whether the reply was an error; a stream of events is a success, whatever the record says of its status."""
    return status(record) >= 400 and not is_stream(record)


def replies(function: str, *, stream: bool) -> list[dict[str, Any]]:
    """Return the successful replies to a function."""
    return [
        r for f, r in ours() if f == function and not failed(r) and is_stream(r) is stream and r["response"]["body"]
    ]


def reply_of(record: dict[str, Any], pieces: Callable[[bytes], Any] | None = None) -> httpx.Response:
    """Return the recorded reply, whole or in pieces."""
    content = payload(record)
    headers = record["response"]["headers"]
    kept = {name: value for name, value in headers.items() if name in ("content-type", "retry-after", "x-request-id")}
    code = 200 if is_stream(record) else status(record)
    return httpx.Response(code, headers=kept, content=pieces(content) if pieces else content)


def test_no_record_is_left_out():
    """Every record is an operation's or of a path that polyport has no operation for."""
    functions = {function for function, _ in ours()}
    assert len(ours()) > 1100
    assert functions == set(CALLS), set(CALLS) - functions


# --- whole replies ----------------------------------------------------------------------------------------


def calls_of(message: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (id, name, arguments) of a message's tool calls."""
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]


def counts(usage: dict[str, Any] | None) -> dict[str, int]:
    """Return the token counts of a usage, flat, without those that are null."""
    flat: dict[str, int] = {}
    for name, value in (usage or {}).items():
        inner = value if isinstance(value, dict) else {}
        flat |= {f"{name}.{key}": number for key, number in inner.items() if number is not None}
        flat |= {name: value} if isinstance(value, int) else {}
    return {name: value for name, value in flat.items() if name.endswith("_tokens")}


def test_chat_replies(wire, client):
    """Text, refusals, tool calls, finish reasons, log probabilities, audio and usage are the body's."""
    for record in replies("completion", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**CALLS["completion"])
        for choice, given in zip(got.choices, raw["choices"], strict=True):
            message = given["message"]
            assert choice.message.content == message.get("content")
            assert choice.message.refusal == message.get("refusal")
            assert choice.finish_reason == given["finish_reason"]
            assert choice.logprobs == given.get("logprobs")
            assert calls_of(choice.message.to_dict()) == calls_of(message)
            assert (choice.message.audio or {}).get("data") == (message.get("audio") or {}).get("data")
            assert bool(choice.message.function_call) == bool(message.get("function_call"))
        assert (got.id, got.model) == (raw["id"], raw["model"])
        assert counts(got.usage and got.usage.to_dict()).items() >= counts(raw.get("usage")).items()
        assert sum(got.usage_buckets.values()) == (raw.get("usage") or {}).get("total_tokens", 0)


def test_an_empty_reply_is_an_error(wire, client):
    """A 200 without a body is no answer."""
    empty = [r for f, r in ours() if f == "completion" and r["response"]["body"] is None]
    assert empty
    for record in empty:
        wire.answer = lambda _, record=record: reply_of(record)
        with pytest.raises(errors.InvalidResponseError):
            client.completion(**CALLS["completion"])


def test_text_completions(wire, client):
    """Texts, finish reasons and usage are the body's."""
    for record in replies("text_completion", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.text_completion(**CALLS["text_completion"])
        assert [(c.text, c.finish_reason) for c in got.choices] == [
            (c["text"], c["finish_reason"]) for c in raw["choices"]
        ]
        assert (got.usage.total_tokens if got.usage else None) == (raw.get("usage") or {}).get("total_tokens")


@pytest.mark.parametrize("function", ["responses", "retrieve_response"])
def test_responses(wire, client, function):
    """Items, text, status and usage are the body's; nothing is lost."""
    for record in replies(function, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], getattr(client, function)(**CALLS[function])
        parts = [p for item in raw["output"] if item["type"] == "message" for p in item["content"]]
        assert got.output_text == "".join(p["text"] for p in parts if p["type"] == "output_text")
        assert got.output == raw["output"]
        assert (got.id, got.status) == (raw["id"], raw.get("status"))
        assert counts(got.usage and got.usage.to_dict()).items() >= counts(raw.get("usage")).items()
        whole = got.to_dict()
        assert [name for name in raw if raw[name] not in (None, []) and name not in whole] == []


def test_embeddings(wire, client):
    """Vectors come as they were sent: floats, or base64."""
    for record in replies("embedding", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.embedding(**CALLS["embedding"])
        assert [d.embedding for d in got.data] == [d["embedding"] for d in raw["data"]]
        assert [d.index for d in got.data] == [d["index"] for d in raw["data"]]
        assert got.usage.total_tokens == raw["usage"]["total_tokens"]


@pytest.mark.parametrize("function", ["image_generation", "image_edit", "image_variation"])
def test_images(wire, client, function):
    """URLs, base64 and usage are the body's."""
    for record in replies(function, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], getattr(client, function)(**CALLS[function])
        assert [d.url or d.b64_json for d in got.data] == [d.get("url") or d["b64_json"] for d in raw["data"]]
        usage = raw.get("usage")
        assert (got.usage and (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens)) == (
            usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
        )
        assert sum(got.usage_buckets.values()) == (usage or {}).get("total_tokens", 0)


@pytest.mark.parametrize("function", ["transcription", "translation"])
def test_transcripts(wire, client, function):
    """Text, speakers and usage are the body's; WebVTT is text."""
    for record in replies(function, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        body = record["response"]["body"]
        if "text" in body:
            assert getattr(client, function)(**CALLS[function], response_format="vtt") == body["text"]
            continue
        raw, got = body["json"], getattr(client, function)(**CALLS[function])
        assert got.text == raw["text"]
        assert [(s.speaker, s.text, s.start, s.end) for s in got.segments or []] == [
            (s.get("speaker"), s["text"], s["start"], s["end"]) for s in raw.get("segments") or []
        ]
        usage = raw.get("usage") or {}
        if usage.get("type") == "duration":
            assert got.usage.seconds == usage["seconds"]
        elif usage:
            assert got.usage.total_tokens == usage["total_tokens"]
            assert got.usage.prompt_tokens_details.audio_tokens == usage["input_token_details"]["audio_tokens"]


def test_speech_is_its_bytes(wire, client):
    """Speech is what was sent, byte for byte, whole and streamed."""
    for record in replies("speech", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        assert client.speech(**CALLS["speech"]).content == payload(record)
        wire.answer = lambda _, record=record: reply_of(record, lambda data: cut(data, Random(1)))
        with client.speech(**CALLS["speech"], stream=True) as stream:
            assert b"".join(stream) == payload(record)


def test_moderations(wire, client):
    """Verdicts and scores are the body's."""
    for record in replies("moderation", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.moderation(**CALLS["moderation"])
        assert [(r.flagged, r.categories, r.category_scores) for r in got.results] == [
            (r["flagged"], r["categories"], r["category_scores"]) for r in raw["results"]
        ]


THINGS = [
    "create_file",
    "retrieve_file",
    "delete_file",
    "create_batch",
    "retrieve_batch",
    "cancel_batch",
    "delete_response",
]


@pytest.mark.parametrize("function", THINGS)
def test_things_are_what_their_bodies_say(wire, client, function):
    """A file, a batch, a deletion: every field that is not null is there and equal."""
    for record in replies(function, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], getattr(client, function)(**CALLS[function]).to_dict()
        given = {name: value for name, value in raw.items() if value is not None}
        assert {name: got.get(name) for name in given} == given


@pytest.mark.parametrize("function", ["list_files", "list_models"])
def test_lists(wire, client, function):
    """Lists hold their things in order."""
    for record in replies(function, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], getattr(client, function)(**CALLS[function])
        assert [thing.id for thing in got.data] == [thing["id"] for thing in raw["data"]]


def test_a_file_is_its_bytes(wire, client):
    """A downloaded file is what was sent."""
    for record in replies("file_content", stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        assert client.file_content(**CALLS["file_content"]).text == record["response"]["body"]["text"]


# --- streams ----------------------------------------------------------------------------------------------


def streamed(wire, client, record, function, pieces):
    """Return the chunks that polyport makes of a recorded stream."""
    wire.answer = lambda _: reply_of(record, pieces)
    with getattr(client, function)(**CALLS[function], stream=True) as stream:
        return list(stream)


def story(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the chunks of a chat tell together: by choice the text, the calls, how it ended; and the usage."""
    told: dict[str, Any] = {"usage": {}}
    for chunk in chunks:
        told["usage"] |= counts(chunk.get("usage"))
        for choice in chunk.get("choices") or []:
            one = told.setdefault(choice["index"], {"text": "", "refusal": "", "audio": "", "calls": {}, "end": None})
            delta = choice.get("delta") or {"content": choice.get("text")}
            one["text"] += delta.get("content") or ""
            one["refusal"] += delta.get("refusal") or ""
            one["audio"] += (delta.get("audio") or {}).get("data") or ""
            one["end"] = choice.get("finish_reason") or one["end"]
            pieces = delta.get("tool_calls") or []
            if delta.get("function_call"):
                pieces = [*pieces, {"index": -1, "function": delta["function_call"]}]
            for piece in pieces:
                call = one["calls"].setdefault(piece["index"], {"id": None, "name": None, "arguments": ""})
                call["id"] = piece.get("id") or call["id"]
                call["name"] = piece["function"].get("name") or call["name"]
                call["arguments"] += piece["function"].get("arguments") or ""
    return told


def is_failing(record: dict[str, Any]) -> bool:
    """Whether an event of the stream is an error."""
    return any(event.get("type") == "error" for event in events(record))


@pytest.mark.parametrize("function", ["completion", "text_completion"])
def test_streams_cut_at_random(wire, client, function):
    """Text, tool calls, finish reasons and usage of a stream are its events', wherever the pieces are cut."""
    recorded = replies(function, stream=True)
    assert recorded
    for number, record in enumerate(recorded):
        chunks = streamed(wire, client, record, function, lambda data, number=number: cut(data, Random(number)))
        assert story([chunk.to_dict() for chunk in chunks]) == story(events(record))


@pytest.mark.parametrize("function", ["completion", "responses", "transcription"])
def test_streams_cut_at_every_byte(wire, client, function):
    """A stream that comes byte by byte is the same stream."""
    sound = [record for record in replies(function, stream=True) if not is_failing(record)]
    for record in sorted(sound, key=lambda record: len(payload(record)))[:12]:
        whole = streamed(wire, client, record, function, lambda data: iter([data]))
        assert streamed(wire, client, record, function, cut) == whole


def test_response_events_cut_at_random(wire, client):
    """Every event of a response arrives, equal and in order; an error event is raised as what its code says."""
    raised: list[errors.APIError] = []
    for number, record in enumerate(replies("responses", stream=True)):
        sent = events(record)
        pieces = lambda data, number=number: cut(data, Random(number))  # noqa: E731
        if is_failing(record):
            with pytest.raises(errors.APIError) as caught:
                streamed(wire, client, record, "responses", pieces)
            raised.append(caught.value)
            continue
        assert [event.to_dict() for event in streamed(wire, client, record, "responses", pieces)] == sent
    kinds = {type(error): (error.message[:23], error.retryable) for error in raised}
    assert kinds == {
        errors.RateLimitError: ("Request too large for g", False),  # waiting does not make it smaller
        errors.InternalServerError: ("Foobar", True),
    }


def test_transcript_events(wire, client):
    """The pieces of a transcript add up to its text, and the last one has the usage."""
    for record in replies("transcription", stream=True):
        sent = events(record)
        got = streamed(wire, client, record, "transcription", lambda data: cut(data, Random(3)))
        assert "".join(event.delta or "" for event in got) == got[-1].text == sent[-1]["text"]
        assert got[-1].usage.total_tokens == sent[-1]["usage"]["total_tokens"]


def test_cut_off_streams_are_errors(wire, client):
    """A stream that breaks in the middle raises APIConnectionError, not a short answer."""
    for function in ("completion", "responses"):
        record = replies(function, stream=True)[0]
        half = payload(record)[: len(payload(record)) // 2]
        wire.answer = lambda _, half=half: httpx.Response(200, content=iter([half]))
        with (
            pytest.raises(errors.APIConnectionError),
            getattr(client, function)(**CALLS[function], stream=True) as stream,
        ):
            list(stream)


# --- errors -----------------------------------------------------------------------------------------------

BY_STATUS = {400: errors.BadRequestError, 401: errors.AuthenticationError, 404: errors.NotFoundError}
BY_CODE = {
    "context_length_exceeded": errors.ContextWindowExceededError,
    "insufficient_quota": errors.RateLimitError,
    "model_not_found": errors.NotFoundError,
    "unknown_parameter": errors.UnsupportedParamsError,
    "unsupported_parameter": errors.UnsupportedParamsError,
    "unsupported_value": errors.UnsupportedParamsError,
}


def test_errors(wire, client):
    """Each recorded error is the class its status, narrowed by its code, stands for, with the provider's words."""
    failures = [(function, record) for function, record in ours() if failed(record)]
    assert len(failures) > 25
    for function, record in failures:
        wire.answer = lambda _, record=record: reply_of(record)
        said = record["response"]["body"]["json"]["error"]
        with pytest.raises(errors.APIError) as caught:
            getattr(client, function)(**CALLS[function])
        error = caught.value
        assert type(error) is BY_CODE.get(said["code"], BY_STATUS[status(record)]), said
        assert (error.status_code, error.message, error.retryable) == (status(record), said["message"], False)
        assert error.body == {"error": said}
