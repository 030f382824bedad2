"""Chats as Cohere's replies and events: a stream says what the reply to the same call would have said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from polyport.bridges.assembling import completion_of
from polyport.errors import InvalidResponseError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ToolCall
from polyport.types.usage import usage
from polyport_gateway.cohere_answers import Pieces, to_reply
from polyport_gateway.cohere_chat import ChatEvents

from .cohere_events import assembled

WORDS = st.text(min_size=1, max_size=8)
PIECES = st.lists(WORDS, max_size=4)
ARGUMENTS = st.lists(st.sampled_from(['{"a":', " 1", "}", '{"b": "ü"}']), max_size=3)
URL = "https://example.com/a"


def chunk(delta: Delta, finish: str | None = None, logprobs: Any = None) -> ChatCompletionChunk:
    """Return a chunk of one choice."""
    choice = ChunkChoice(delta=delta, finish_reason=finish, logprobs=logprobs)
    return ChatCompletionChunk(id="c1", created=1, model="m", choices=[choice])


@st.composite
def streams(draw: st.DrawFn) -> list[ChatCompletionChunk]:
    """Streams as providers have them: thoughts, plan, text, calls one after another, what is cited, the end."""
    made = [chunk(Delta(role="assistant", content=""))] if draw(st.booleans()) else []
    for pieces in draw(st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=2)):
        made += [chunk(Delta(reasoning_content=piece)) for piece in pieces]
        block = {"type": "thinking", "thinking": "".join(pieces), "signature": "c2ln"}
        made.append(chunk(Delta(thinking_blocks=[block])))
    made += [chunk(Delta(reasoning_content=piece)) for piece in draw(PIECES)]
    if draw(st.booleans()):
        made.append(chunk(Delta(thinking_blocks=[{"type": "redacted_thinking", "data": "eA=="}])))
    plan = draw(PIECES)
    made += [chunk(Delta(reasoning_content=piece, provider_specific_fields={"tool_plan": ""})) for piece in plan]
    texts = draw(PIECES)
    for piece in texts:
        tokens = draw(st.lists(WORDS, max_size=3))
        told = {"content": [{"token": one, "logprob": -0.5, "token_ids": [1]} for one in tokens]} if tokens else None
        made.append(chunk(Delta(content=piece), logprobs=told))
    made += [chunk(Delta(refusal=piece)) for piece in draw(PIECES)]
    for index, pieces in enumerate(draw(st.lists(ARGUMENTS, max_size=3))):
        function = FunctionCall(name=f"f{index}")
        made.append(
            chunk(Delta(tool_calls=[ToolCall(index=index, id=f"t{index}", type="function", function=function)]))
        )
        for piece in pieces:
            call = ToolCall(index=index, function=FunctionCall(arguments=piece))
            made.append(chunk(Delta(tool_calls=[call])))
    if texts and draw(st.booleans()):
        place = {"start_index": 0, "end_index": len(texts[0]), "url": URL, "title": "A"}
        made.append(chunk(Delta(annotations=[{"type": "url_citation", "url_citation": place}])))
    kept = {"tool_plan": "".join(plan)} if plan else None
    finish = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    made.append(chunk(Delta(provider_specific_fields=kept), finish))
    if draw(st.booleans()):
        counted = usage(7, 5, 12, cached=draw(st.none() | st.integers(0, 7)), reasoning=draw(st.none() | st.just(2)))
        made.append(ChatCompletionChunk(id="c1", created=1, model="m", usage=counted))
    return made


def told(chunks: list[ChatCompletionChunk]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, as JSON has them."""
    pieces = Pieces()
    for one in chunks:
        yield from map(plain, pieces.events(one))
    yield from map(plain, pieces.end())


def plain(value: Any) -> Any:
    """Return a value as it comes out of JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


@settings(max_examples=200, deadline=None)
@given(streams())
def test_a_stream_says_what_the_reply_would_have_said(chunks: list[ChatCompletionChunk]) -> None:
    """Put together event by event, it is the reply that the chunks' completion comes to."""
    reply = plain(to_reply(completion_of(chunks)))
    assert reply.pop("id") == "c1"
    assert assembled([*told(chunks)]) == reply


@settings(max_examples=100, deadline=None)
@given(streams())
def test_coheres_sdk_reads_the_same(chunks: list[ChatCompletionChunk]) -> None:
    """Its types have a place for everything: what comes out of them is what went in."""
    pytest.importorskip("cohere")
    from cohere.core.unchecked_base_model import construct_type
    from cohere.v2.types import V2ChatResponse, V2ChatStreamResponse

    events = [*told(chunks)]
    for event in events:
        read: Any = construct_type(type_=V2ChatStreamResponse, object_=event)
        assert msgspec.json.decode(read.json(exclude_none=True)) == event
    reply = plain(to_reply(completion_of(chunks)))
    whole: Any = construct_type(type_=V2ChatResponse, object_=reply)
    assert msgspec.json.decode(whole.json(exclude_none=True)) == reply


@settings(max_examples=200, deadline=None)
@given(streams())
def test_coheres_plugin_reads_what_was_meant(chunks: list[ChatCompletionChunk]) -> None:
    """A gateway before a gateway: texts, thoughts, plan, calls, usage and citations are those of the first."""
    polyport_cohere = pytest.importorskip("polyport_cohere")
    events = ChatEvents()
    sent = b"".join([*map(events.chunk, chunks), events.end()])
    decoder = polyport_cohere.ChatEvents("m", include_usage=True)
    found, meant = completion_of([*decoder.feed(sent), *decoder.close()]), completion_of(chunks)
    message, wanted = found.choices[0].message, meant.choices[0].message
    assert (message.content or "") == (wanted.content or "") + (wanted.refusal or "")
    assert message.reasoning_content == wanted.reasoning_content
    calls = [(one.id, one.function and (one.function.name, one.function.arguments)) for one in message.tool_calls or ()]
    assert calls == [
        (one.id, one.function and (one.function.name, one.function.arguments or "{}"))
        for one in wanted.tool_calls or ()
    ]
    assert found.choices[0].finish_reason == meant.choices[0].finish_reason
    assert len(message.annotations or ()) == len(wanted.annotations or ())
    counts = (found.usage or usage(0, 0)).buckets(), (meant.usage or usage(0, 0)).buckets()
    assert counts[0] == counts[1]


def test_an_answer_of_nothing_has_an_empty_text() -> None:
    """Applications read the first block's text."""
    chunks = [chunk(Delta(role="assistant"), "stop")]
    assert to_reply(completion_of(chunks))["message"]["content"] == [{"type": "text", "text": ""}]
    assert assembled([*told(chunks)])["message"]["content"] == [{"type": "text", "text": ""}]
    assert [event["type"] for event in told([])] == ["message-start", "content-start", "content-end", "message-end"]


def test_a_picture_is_a_block() -> None:
    """Some models of other vendors answer with one."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
    chunks = [chunk(Delta(content="Look")), chunk(Delta(images=[image])), chunk(Delta(), "stop")]
    assert assembled([*told(chunks)])["message"]["content"] == [{"type": "text", "text": "Look"}, image]
    assert to_reply(completion_of(chunks))["message"]["content"] == [{"type": "text", "text": "Look"}, image]


def test_a_late_piece_of_a_call_is_not_lost() -> None:
    """It is told by its index; where the call had gone out as one without arguments, the stream fails."""

    def call(index: int, name: str | None, arguments: str) -> ChatCompletionChunk:
        function = FunctionCall(name=name, arguments=arguments)
        return chunk(Delta(tool_calls=[ToolCall(index=index, id=name, function=function)]))

    events = [*told([call(0, "a", '{"x":'), call(1, "b", "{}"), call(0, None, "1}")])]
    pieces = [one for one in events if one["type"] == "tool-call-delta" and one["index"] == 0]
    assert "".join(one["delta"]["message"]["tool_calls"]["function"]["arguments"] for one in pieces) == '{"x":1}'
    with pytest.raises(InvalidResponseError, match="call 0 came after"):
        [*told([call(0, "a", ""), call(1, "b", "{}"), call(0, None, "1}")])]
