"""The event stream as chunks. https://platform.claude.com/docs/en/build-with-claude/streaming"""

from __future__ import annotations

import asyncio

import pytest

from polyport import errors

ASK = [{"role": "user", "content": "x"}]
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": None,
        "usage": {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5, "service_tier": "standard"},
    },
}  # fmt: skip
FINISH = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def block(index, start, *deltas):
    """A block's events."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


TEXT = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hé"}, {"type": "text_delta", "text": "!"})


@pytest.fixture
def chunks(wire, sse):
    """Stream events through a chat call: `chunks(*events, **params)` gives the chunks."""

    def chunks(*events, **params):
        client = wire(pieces=[sse(*events)]).client()
        return list(client.completion("anthropic/claude-opus-4-5", ASK, stream=True, **params))

    return chunks


def test_a_stream_is_role_text_and_a_finish_with_the_usage(chunks):
    """Counts are cumulative: the start's stand until the end's replace them."""
    role, *texts, last = chunks(START, PING, *TEXT, FINISH, STOP)
    assert role.choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in texts] == ["Hé", "!"]
    assert last.choices[0].finish_reason == "stop"
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (15, 7)
    assert last.usage.prompt_tokens_details.cached_tokens == 5
    assert {(c.id, c.model, c.created, c.service_tier) for c in (role, last)} == {
        ("msg_1", "claude-x", 1795341600, "standard")
    }


def test_usage_has_a_chunk_of_its_own_where_asked_for(chunks):
    """As OpenAI does it: no choices in the last chunk."""
    *_, finish, last = chunks(START, *TEXT, FINISH, STOP, stream_options={"include_usage": True})
    assert (finish.choices[0].finish_reason, finish.usage) == ("stop", None)
    assert (last.choices, last.usage.total_tokens) == ([], 22)


def test_calls_come_in_pieces_under_their_own_index(chunks):
    """The index counts calls, not blocks; a call without arguments has an empty object."""
    first = block(
        1,
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ":1}"},
    )
    second = block(2, {"type": "tool_use", "id": "t2", "name": "g", "input": {}})
    finish = {**FINISH, "delta": {"stop_reason": "tool_use"}}
    got = chunks(START, *TEXT, *first, *second, finish, STOP)
    calls = [call for chunk in got for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.id, call.function.name, call.function.arguments) for call in calls] == [
        (0, "t1", "f", ""),
        (0, None, None, '{"a"'),
        (0, None, None, ":1}"),
        (1, "t2", "g", ""),
        (1, None, None, "{}"),
    ]
    assert got[-1].choices[0].finish_reason == "tool_calls"


def test_thinking_streams_and_ends_with_its_block(chunks):
    """Readable pieces first, then the whole block with its signature, then redacted ones."""
    thinking = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "H"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "c2ln"},
    )
    redacted = block(1, {"type": "redacted_thinking", "data": "b3A="})
    deltas = [chunk.choices[0].delta for chunk in chunks(START, *thinking, *redacted, FINISH, STOP)]
    assert [delta.reasoning_content for delta in deltas if delta.reasoning_content] == ["H", "m"]
    assert [delta.thinking_blocks for delta in deltas if delta.thinking_blocks] == [
        [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}],
        [{"type": "redacted_thinking", "data": "b3A="}],
    ]


def test_events_and_deltas_that_are_new_lose_nothing(chunks):
    """Unknown events are passed over; unknown deltas grow their block, which is kept."""
    new = block(
        1, {"type": "novelty", "note": ""}, {"type": "note_delta", "note": "a"}, {"type": "note_delta", "note": "b"}
    )
    got = chunks(START, {"type": "brand_new"}, *TEXT, *new, FINISH, STOP)
    kept = got[-1].choices[0].delta.provider_specific_fields["anthropic_content"]
    assert kept[1] == {"type": "novelty", "note": "ab"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", errors.ServiceUnavailableError),
        ("api_error", errors.InternalServerError),
        ("rate_limit_error", errors.RateLimitError),
        ("timeout_error", errors.Timeout),
        ("authentication_error", errors.AuthenticationError),
        ("invalid_request_error", errors.BadRequestError),
        ("brand_new_error", errors.InternalServerError),
    ],
)
@pytest.mark.parametrize("function", ["completion", "messages"])
def test_an_error_event_is_the_error_it_tells(wire, sse, function, kind, error):
    """In the midst of a stream, of its own class and as retryable as that, chat and native alike."""
    told = {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "req_9"}
    client = wire(pieces=[sse(START, *TEXT), sse(told)]).client()
    with pytest.raises(error) as caught:
        list(getattr(client, function)("anthropic/claude-opus-4-5", ASK, stream=True))
    assert type(caught.value) is error
    assert caught.value.retryable is error.retryable
    assert (caught.value.request_id, caught.value.provider) == ("req_9", "anthropic")
    assert "Sorry" in str(caught.value)


def test_an_overload_before_the_first_text_is_tried_again(wire, sse):
    """Nothing was shown yet, so the call may start over."""
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    server = wire(pieces=[sse(START, told)])
    with pytest.raises(errors.ServiceUnavailableError):
        list(server.client(num_retries=1).completion("anthropic/claude-opus-4-5", ASK, stream=True))
    assert len(server.requests) == 2


@pytest.mark.parametrize("function", ["completion", "messages"])
def test_a_stream_that_is_cut_off_is_an_error(wire, sse, function):
    """An end without a stop reason is no end."""
    client = wire(pieces=[sse(START, *TEXT)]).client()
    with pytest.raises(errors.APIConnectionError, match="before it was complete"):
        list(getattr(client, function)("anthropic/claude-opus-4-5", ASK, stream=True))


@pytest.mark.parametrize("data", [b"data: {oops\n\n", b"data: 5\n\n", b'data: {"type":"message_start"}\n\n'])
def test_an_event_that_cannot_be_read_is_an_error(wire, data):
    """Broken JSON, no object, a missing field: the error shows how the event begins."""
    client = wire(pieces=[data]).client()
    with pytest.raises(errors.InvalidResponseError, match="cannot be read"):
        list(client.completion("anthropic/claude-opus-4-5", ASK, stream=True))


def test_leaving_a_stream_early_closes_the_reply(wire, sse):
    """By `with`, and by `close` on an asynchronous one."""
    server = wire(pieces=[sse(START, *TEXT), sse(*TEXT), sse(FINISH, STOP)])
    with server.client().completion("anthropic/claude-opus-4-5", ASK, stream=True) as stream:
        next(stream)
    assert server.body.closed

    async def leave():
        server = wire(pieces=[sse(START, *TEXT), sse(*TEXT), sse(FINISH, STOP)])
        client = server.client()
        async with await client.acompletion("anthropic/claude-opus-4-5", ASK, stream=True) as stream:
            await anext(stream)
        await client.aclose()
        return server.body.closed

    assert asyncio.run(leave())
