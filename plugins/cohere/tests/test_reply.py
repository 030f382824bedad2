"""What Cohere's chat answers: a literal body beside what it reads as, whole and streamed, and how it goes back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from matrix import say
from recorded import cut

from polyport import errors
from polyport.types.chat import Message
from polyport_cohere.conformance import BEGIN, CITATION, REPLY, STREAM, event, events

ANNOTATION = {
    "type": "document_citation",
    "document_citation": {
        "title": "A",
        "start_index": 0,
        "end_index": 2,
        "text": "Hi",
        "source": CITATION["sources"][0],
    },
}


def answered(client, wire, reply: Any, **more: Any) -> Any:
    """Return what a reply reads as."""
    wire.answer = lambda _: httpx.Response(200, json=reply)
    return client.completion("cohere/x", [say("Hello")], **more)


def streamed(client, wire, body: bytes, **more: Any) -> list[Any]:
    """Return the chunks of a stream."""
    wire.answer = lambda _: httpx.Response(200, content=body)
    return list(client.completion("cohere/x", [say("Hello")], stream=True, **more))


def test_a_reply_with_everything(client, wire):
    """Thoughts, text, plan, call, citation, log probabilities and usage each have their place."""
    got = answered(client, wire, REPLY)
    message = got.choices[0].message
    assert message.content == "Hi, ünïcode"
    assert message.reasoning_content == "A greeting.I will look at the clock."
    assert message.thinking_blocks == [{"type": "thinking", "thinking": "A greeting."}]
    assert message.tool_calls[0].to_dict() == {
        "id": "now_1",
        "type": "function",
        "function": {"name": "now", "arguments": '{"zone": "UTC"}'},
    }
    assert message.annotations == [ANNOTATION]
    assert message.provider_specific_fields == {"tool_plan": "I will look at the clock.", "citations": [CITATION]}
    assert got.extra == {"citations": [CITATION]}
    assert got.choices[0].finish_reason == "tool_calls"
    assert got.choices[0].logprobs["content"][0] == {
        "token": "Hi",
        "bytes": [72, 105],
        "logprob": -0.25,
        "top_logprobs": [],
        "token_ids": [1],
    }
    assert got.usage.buckets() == {"input": 36, "cached_input": 64, "output": 8, "reasoning": 4}
    assert got.usage.billed_units == {"input_tokens": 3, "output_tokens": 7}


def test_a_stream_tells_what_the_reply_tells(client, wire):
    """Put together, the chunks of a stream are the message of a reply."""
    chunks = streamed(client, wire, STREAM)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    whole = answered(client, wire, REPLY).choices[0].message
    assert "".join(delta.content or "" for delta in deltas) == whole.content
    assert "".join(delta.reasoning_content or "" for delta in deltas) == whole.reasoning_content
    assert [block for delta in deltas for block in delta.thinking_blocks or []] == whole.thinking_blocks
    assert [note for delta in deltas for note in delta.annotations or []] == whole.annotations
    assert deltas[-1].provider_specific_fields == whole.provider_specific_fields
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert (calls[0].id, calls[0].function.name) == ("now_1", "now")
    assert "".join(call.function.arguments for call in calls) == '{"zone": "UTC"}'
    told = next(chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs)
    assert told["content"][0]["token"] == "Hi"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage.total_tokens == 112
    assert {chunk.id for chunk in chunks} == {"c14c80c3"}


def test_a_stream_cut_at_every_byte(client, wire):
    """The cuts make no difference."""
    wire.answer = lambda _: httpx.Response(200, content=cut(STREAM))
    chunks = list(client.completion("cohere/x", [say("Hello")], stream=True))
    assert [chunk.to_dict() for chunk in chunks] == [chunk.to_dict() for chunk in streamed(client, wire, STREAM)]


def test_usage_has_a_chunk_of_its_own_where_asked_for(client, wire):
    """As OpenAI does it."""
    chunks = streamed(client, wire, STREAM, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 112
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_what_came_out_goes_back_in(client, wire):
    """Thoughts, plan, calls and citations return as they came."""
    message = answered(client, wire, REPLY).choices[0].message
    turns = [say("Hello"), message, {"role": "tool", "tool_call_id": "now_1", "content": "12:00"}]
    client.completion("cohere/x", turns)
    sent = json.loads(wire.last.content)["messages"][1]
    assert sent == REPLY["message"]


def test_citations_stay_behind_where_the_text_was_changed(client, wire):
    """They would stand in the wrong place."""
    message = answered(client, wire, REPLY).choices[0].message.to_dict()
    client.completion("cohere/x", [say("Hello"), {**message, "content": "Ho, ünïcode"}, say("x")])
    assert "citations" not in json.loads(wire.last.content)["messages"][1]


def test_a_citation_of_a_page_is_a_url_citation(client, wire):
    """A source that tells an address is one of the web."""
    source = {"type": "tool", "id": "t:0", "tool_output": {"url": "https://a.example", "title": "A"}}
    citation = {"start": 0, "end": 2, "text": "Hi", "sources": [source]}
    reply = {**REPLY, "message": {**REPLY["message"], "citations": [citation]}}
    (note,) = answered(client, wire, reply).choices[0].message.annotations
    assert note["type"] == "url_citation"
    assert note["url_citation"]["url"] == "https://a.example"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_why_an_answer_ended(client, wire, reason, word):
    """OpenAI's word stands for it, and Cohere's own where that says more."""
    choice = answered(client, wire, {**REPLY, "finish_reason": reason}).choices[0]
    assert choice.finish_reason == word
    told = (choice.message.provider_specific_fields or {}).get("finish_reason")
    assert told == (None if reason in ("COMPLETE", "MAX_TOKENS") else reason)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (
            {"finish_reason": "ERROR", "error": "no", "error_type": "INVALID_TOOL_GENERATION"},
            errors.UnprocessableEntityError,
        ),
        ({"finish_reason": "ERROR"}, errors.InternalServerError),
        ({"finish_reason": "TIMEOUT"}, errors.Timeout),
    ],
)
def test_an_answer_that_failed_is_an_error(client, wire, end, kind):
    """Whole or streamed, after what came before it."""
    with pytest.raises(kind):
        answered(client, wire, {**REPLY, **end})
    start = {"id": "c", "type": "message-start", "delta": {"message": BEGIN}}
    wire.answer = lambda _: httpx.Response(200, content=events(start, {"type": "message-end", "delta": end}))
    with pytest.raises(kind):
        list(client.completion("cohere/x", [say("Hello")], stream=True))


def test_a_call_without_arguments(client, wire):
    """It has `{}`, whole and streamed."""
    bare = {"id": "a", "type": "function", "function": {"name": "now", "arguments": ""}}
    reply = {**REPLY, "message": {"role": "assistant", "tool_calls": [bare]}}
    assert answered(client, wire, reply).choices[0].message.tool_calls[0].function.arguments == "{}"
    body = events(
        {"id": "c", "type": "message-start", "delta": {"message": BEGIN}},
        event("tool-call-start", 0, tool_calls=bare),
        event("tool-call-end", 0),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    )
    pieces = [c.choices[0].delta.tool_calls[0] for c in streamed(client, wire, body) if c.choices[0].delta.tool_calls]
    assert "".join(piece.function.arguments for piece in pieces) == "{}"


def test_events_of_new_kinds_are_passed_over(client, wire):
    """A stream may grow."""
    new = b'data: {"type": "weather", "delta": {"message": {}}}\n\n'
    assert len(streamed(client, wire, new + STREAM)) == len(streamed(client, wire, STREAM))


def test_an_error_instead_of_an_event(client, wire):
    """An object without a type is what went wrong."""
    with pytest.raises(errors.APIError, match="internal server error"):
        streamed(client, wire, b'data: {"message": "internal server error", "id": "1"}\n\n')


def test_pictures_are_counted_beside_the_text(client, wire):
    """Cohere's input tokens do not hold them."""
    usage = {"tokens": {"input_tokens": 34, "output_tokens": 70, "image_tokens": 259}, "cached_tokens": 0}
    got = answered(client, wire, {**REPLY, "usage": usage})
    assert got.usage.prompt_tokens == 293
    assert got.usage.buckets() == {"input": 34, "image_input": 259, "output": 70}
    assert got.usage.billed_units is None


def test_a_message_is_a_message(client, wire):
    """What the client hands out is core's type, to be read both ways."""
    got = answered(client, wire, REPLY)
    assert isinstance(got.choices[0].message, Message)
    assert got["choices"][0]["message"]["content"] == "Hi, ünïcode"


def test_a_call_costs_what_is_charged(client):
    """One unit in and one out, not the nine and two that were counted."""
    got = client.completion("cohere/command-a-03-2025", [{"role": "user", "content": "Hello"}])
    assert got.usage.total_tokens == 11
    assert got.meta.cost == pytest.approx((1 * 2.5 + 1 * 10.0) / 1e6)
