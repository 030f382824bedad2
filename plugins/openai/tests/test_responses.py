"""The Responses API of OpenAI: literal requests, literal replies."""

from __future__ import annotations

import json

import httpx
import pytest

from polyport import errors

DONE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-5",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "b3BhcXVl"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
        },
    ],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    },
}
EVENTS = [
    {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "m", "delta": "Hi."},
    {"type": "response.completed", "sequence_number": 2, "response": DONE},
]


def sse(events) -> bytes:
    """Return events as OpenAI sends them: named, and without [DONE]."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def test_a_response_on_the_wire(wire, client):
    """Input and tools go out as given; items, text and usage come back."""
    wire.answer = lambda _: httpx.Response(200, json=DONE)
    got = client.responses("Hello", "openai/gpt-5", tools=[{"type": "web_search"}], reasoning={"effort": "low"})
    assert str(wire.last.url) == "https://api.openai.com/v1/responses"
    assert json.loads(wire.last.content) == {
        "model": "gpt-5",
        "input": "Hello",
        "tools": [{"type": "web_search"}],
        "reasoning": {"effort": "low"},
    }
    assert (got.output_text, got.items[1].content[0].text) == ("Hi.", "Hi.")
    assert got.usage_buckets == {"input": 5, "cached_input": 4, "cache_write": 1, "output": 3, "reasoning": 2}


def test_items_go_back_as_they_came(wire, client):
    """Reasoning with its encrypted content round-trips in the next input."""
    wire.answer = lambda _: httpx.Response(200, json=DONE)
    first = client.responses("Hello", "openai/gpt-5")
    client.responses([{"role": "user", "content": "Hello"}, *first.items], "openai/gpt-5", store=False)
    assert json.loads(wire.last.content)["input"][1:] == DONE["output"]


def test_a_streamed_response(wire, client):
    """Events are typed by their `type`, and their fields are attributes."""
    wire.answer = lambda _: httpx.Response(200, content=sse(EVENTS))
    with client.responses("Hello", "openai/gpt-5", stream=True) as stream:
        got = list(stream)
    assert [event.type for event in got] == [event["type"] for event in EVENTS]
    assert (got[1].delta, got[2].response.usage.total_tokens) == ("Hi.", 15)


def test_a_background_response_is_followed(wire, client):
    """Queued, looked at, resumed as a stream after the last event seen, cancelled, deleted."""
    wire.answer = lambda _: httpx.Response(200, json={**DONE, "status": "queued", "output": []})
    queued = client.responses("Hello", "openai/gpt-5", background=True, store=True)
    assert queued.status == "queued"

    client.retrieve_response(
        "resp_1", provider="openai", include=["reasoning.encrypted_content", "file_search_call.results"]
    )
    assert wire.last.method == "GET"
    assert wire.last.url.path == "/v1/responses/resp_1"
    assert wire.last.url.params.get_list("include[]") == ["reasoning.encrypted_content", "file_search_call.results"]

    wire.answer = lambda _: httpx.Response(200, content=sse(EVENTS[1:]))
    with client.retrieve_response("resp_1", provider="openai", stream=True, starting_after=0) as stream:
        assert [event.sequence_number for event in stream] == [1, 2]
    assert dict(wire.last.url.params) == {"stream": "true", "starting_after": "0"}

    wire.answer = lambda _: httpx.Response(200, json={**DONE, "status": "cancelled"})
    assert client.cancel_response("resp_1", provider="openai").status == "cancelled"
    assert (wire.last.method, wire.last.url.path) == ("POST", "/v1/responses/resp_1/cancel")

    wire.answer = lambda _: httpx.Response(200, json={"id": "resp_1", "object": "response.deleted", "deleted": True})
    assert client.delete_response("resp_1", provider="openai").deleted
    assert (wire.last.method, wire.last.url.path) == ("DELETE", "/v1/responses/resp_1")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}, errors.RateLimitError),
        ({"type": "error", "error": {"code": "server_error", "message": "oops"}}, errors.InternalServerError),
        ({"type": "error", "code": "context_length_exceeded", "message": "long"}, errors.ContextWindowExceededError),
    ],
)
def test_an_error_event_is_raised(wire, client, event, kind):
    """Whether flat or nested, as both have been seen."""
    wire.answer = lambda _: httpx.Response(200, content=sse([EVENTS[0], EVENTS[1], event]))
    with pytest.raises(kind), client.responses("Hello", "openai/gpt-5", stream=True) as stream:
        list(stream)


def test_ids_are_one_segment(wire, client):
    """An id cannot lead to another path."""
    wire.answer = lambda _: httpx.Response(200, json=DONE)
    client.retrieve_response("../files/f?x", provider="openai")
    assert wire.last.url.raw_path == b"/v1/responses/..%2Ffiles%2Ff%3Fx"
