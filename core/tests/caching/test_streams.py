"""Streams in the cache: kept when they came to their end, and replayed as they were."""

from __future__ import annotations

import asyncio

import pytest
from core.tests.caching.conftest import STREAM, USAGE
from core.tests.conftest import ASK, DONE, ROLE, completion, event

from polyport.caching import Cache
from polyport.dialects.openai import Quirks
from polyport.errors import APIConnectionError
from polyport.testing import Reply

TOLD = b'data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":3}}\n\n'


def test_a_stream_is_replayed_chunk_by_chunk(mode, cached):
    """The same chunks, and `meta` says that nobody was asked."""
    client, wire = cached(Cache())
    assert mode.stream(client, leave="with") == mode.stream(client, leave="with") == "Hello"
    assert len(wire.requests) == 1
    assert wire.open == 0


def test_a_replayed_stream_is_a_stream_in_all(cached):
    """Chunks, their bytes, `meta`, and the media type."""
    client, _ = cached(Cache())
    first = client.completion("fake/m", ASK, stream=True)
    chunks = list(first)
    second = client.completion("fake/m", ASK, stream=True)
    assert (second.meta.cache_hit, second.meta.cost, second.meta.attempts) == (True, 0.0, 0)
    assert not first.meta.cache_hit
    replayed = list(second)
    assert [chunk.to_dict() for chunk in replayed] == [chunk.to_dict() for chunk in chunks]
    assert [chunk.raw for chunk in replayed] == [chunk.raw for chunk in chunks]
    assert second.headers["content-type"] == first.headers["content-type"]


@pytest.mark.parametrize("leave", ["close", "break", "del"])
def test_a_stream_that_was_left_is_not_kept(mode, cached, leave):
    """Who walks away has not heard the answer."""
    cache = Cache()
    client, wire = cached(cache, lambda sent: Reply.of(STREAM, cuts=[len(ROLE), len(ROLE) + 150]))
    assert mode.stream(client, take=1, leave=leave) == ""
    assert len(cache.store) == 0
    assert mode.stream(client) == "Hello"
    assert len(wire.requests) == 2


@pytest.mark.parametrize("harm", [{"ends_at": len(STREAM) - 40}, {"reset_at": len(STREAM) - 40}])
def test_a_stream_that_broke_is_not_kept(mode, cached, harm):
    """Neither one that was cut off nor one whose connection broke."""
    harmed = Reply.of(ROLE + event("Hel") + event("lo") + event(" you") * 9 + DONE, **harm)
    client, _ = cached(Cache(), [harmed, STREAM, STREAM], num_retries=0)
    with pytest.raises(APIConnectionError):
        mode.stream(client)
    assert mode.stream(client) == mode.stream(client) == "Hello"


def test_a_whole_answer_serves_who_asks_for_a_stream(mode, cached):
    """All of it in one chunk: nothing is lost that the whole answer had."""
    tool = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = completion(usage=USAGE)
    body["choices"][0]["message"]["tool_calls"] = [tool]
    client, wire = cached(Cache(), lambda sent: body)
    client.completion("fake/m", ASK)
    assert mode.stream(client) == "hi"
    (chunk,) = client.completion("fake/m", ASK, stream=True)
    assert chunk.usage is None
    assert chunk.choices[0].finish_reason == "stop"
    assert chunk.choices[0].delta.tool_calls[0].to_dict() == {**tool, "index": 0}
    *_, last = client.completion("fake/m", ASK, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage.to_dict()) == ([], USAGE)
    assert len(wire.requests) == 1


def test_a_stream_serves_only_streams_that_were_asked_for_alike(cached):
    """A stream without usage is neither a whole answer nor a stream with usage; these are asked for, and kept."""
    answers = [STREAM, ROLE + event("hi") + DONE.removesuffix(b"data: [DONE]\n\n") + TOLD + b"data: [DONE]\n\n"]
    client, wire = cached(Cache(), [*answers, completion(usage=USAGE)])
    with_usage = {"stream": True, "stream_options": {"include_usage": True}}
    list(client.completion("fake/m", ASK, stream=True))
    *_, last = client.completion("fake/m", ASK, **with_usage)
    assert last.usage.prompt_tokens == 3
    *_, last = client.completion("fake/m", ASK, **with_usage)
    assert last.usage.prompt_tokens == 3
    assert client.completion("fake/m", ASK).usage.to_dict() == USAGE
    assert client.completion("fake/m", ASK).meta.cache_hit
    assert len(wire.requests) == 3


def test_a_stream_that_is_too_large_passes_and_is_not_kept(cached):
    """The bound on an entry holds while it is made: nothing is piled up."""
    cache = Cache(max_entry_bytes=300)
    client, wire = cached(cache)
    for _ in range(2):
        assert len(list(client.completion("fake/m", ASK, stream=True))) == 4
    assert len(wire.requests) == 2
    assert cache.stats["not_stored"] == 2


def test_speech_is_streamed_as_the_bytes_it_was(mode, cached):
    """Pieces of bytes are chunks, too."""
    client, wire = cached(Cache(), lambda sent: Reply(content=b"sound", headers={"content-type": "audio/mpeg"}))

    async def hear():
        stream = await client.aspeech(model="fake/m", input="hello", voice="a", stream=True)
        return stream.headers["content-type"], await stream.read()

    def hear_now():
        stream = client.speech(model="fake/m", input="hello", voice="a", stream=True)
        return stream.headers["content-type"], stream.read()

    heard = [asyncio.run(hear()) if mode.name == "async" else hear_now() for _ in range(2)]
    assert heard == [("audio/mpeg", b"sound")] * 2
    assert len(wire.requests) == 1


def events(*kinds, **response):
    """Events of a response, as they stand on the wire."""
    import json

    told = [{"type": kind, "response": {"id": "r1", "object": "response", **response}} for kind in kinds]
    return b"".join(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in told)


@pytest.mark.parametrize(
    ("stream", "asked"),
    [
        (events("response.created", "response.completed"), 1),
        (events("response.created", "response.completed", store=True), 2),
        (events("response.created", "response.incomplete"), 2),
    ],
)
def test_events_of_a_response_are_kept_where_it_is_complete_and_not_stored(cached, stream, asked):
    """The last event says so."""
    client, wire = cached(Cache(), lambda sent: stream)
    first = list(client.responses(model="fake/m", input="hello", stream=True))
    second = list(client.responses(model="fake/m", input="hello", stream=True))
    assert first == second
    assert [type(event) for event in second] == [type(event) for event in first]
    assert len(wire.requests) == asked


def test_the_types_of_a_look_alike_come_back_from_bytes(client):
    """Fields that only this dialect has, in answers and chunks, also in a process that has not met them."""
    from core.tests.caching.conftest import Everything

    from polyport.caching import shapes
    from polyport.testing import Wire

    class Odd(Everything):
        quirks = Quirks(kept=frozenset({"mood"}), beside=frozenset({"seat"}), finishes={"eos": "stop"})

    body = completion()
    body["choices"][0] |= {"seat": 7, "finish_reason": "eos"}
    body["choices"][0]["message"]["mood"] = "good"
    wire = Wire(lambda sent: STREAM if sent.json.get("stream") else body)
    made = client(http=wire, providers={"fake": Odd}, middleware=[Cache().layer])
    first = made.completion("fake/m", ASK)
    shapes.type_of.cache_clear()
    second = made.completion("fake/m", ASK)
    assert second.meta.cache_hit
    assert second.choices[0].seat == first.choices[0].seat == 7
    assert second.choices[0].message.provider_specific_fields == {"mood": "good"}
    assert second.choices[0].finish_reason == "stop"
    assert second.to_dict() == first.to_dict()
    other = [{"role": "user", "content": "other"}]
    chunks = [list(made.completion("fake/m", other, stream=True)) for _ in range(2)]
    assert [chunk.to_dict() for chunk in chunks[0]] == [chunk.to_dict() for chunk in chunks[1]]
    assert len(wire.requests) == 2
