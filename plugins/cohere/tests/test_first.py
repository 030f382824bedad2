"""The first version's chat: what its replies and its streams say, and that they can be had as they came."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from polyport import errors
from polyport.border import exchange
from polyport.bridges.assembling import completion_of
from polyport.flow import HttpReply, Streaming
from polyport.operations import BY_FUNCTION
from polyport_cohere import Cohere
from polyport_cohere.conformance import FIRST_REPLY, FIRST_STREAM
from polyport_cohere.first import WIRE, FirstEvents, to_completion

WHOLE = json.dumps(FIRST_REPLY, ensure_ascii=False).encode()


def said(completion: Any) -> Any:
    """Return what a completion says, whole or put together of a stream."""
    choice = completion.choices[0]
    message = choice.message
    calls = [(one.function.name, json.loads(one.function.arguments)) for one in message.tool_calls]
    kept = message.provider_specific_fields["citations"]
    return message.content, calls, kept, choice.finish_reason, completion.usage.to_dict()


def read(cut: list[int], decoder: Any) -> list[Any]:
    """Return the chunks of the stream, cut at these places."""
    places = [0, *cut, len(FIRST_STREAM)]
    pieces = [FIRST_STREAM[start:end] for start, end in itertools.pairwise(places)]
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


def test_a_reply_says_what_it_says():
    """Text, calls, citations with what they cite, why it ended, what was read and what is charged."""
    completion = to_completion(HttpReply(status=200, content=WHOLE), "command-r")
    content, calls, (cited,), finish, usage = said(completion)
    assert (content, calls, finish) == ("Hi, ünïcode", [("now", {"zone": "UTC"})], "tool_calls")
    assert cited["sources"][0]["document"] == FIRST_REPLY["documents"][0]
    assert usage["billed_units"] == FIRST_REPLY["meta"]["billed_units"]
    assert completion.relayed_as(WIRE) == WHOLE


def test_a_stream_says_the_same_wherever_it_is_cut():
    """At no place, at each, and at all; piece by piece the text comes as it does."""
    whole = said(to_completion(HttpReply(status=200, content=WHOLE), "command-r"))
    for cut in ([], *([place] for place in range(1, len(FIRST_STREAM))), [*range(1, len(FIRST_STREAM))]):
        chunks = read(cut, FirstEvents("command-r"))
        assert said(completion_of(chunks)) == whole
    assert [c.choices[0].delta.content for c in read([], FirstEvents("m"))[1:3]] == ["Hi, ", "ünïcode"]


def test_a_stream_passes_as_it_came_wherever_it_is_cut():
    """Byte for byte, with what it used told beside."""
    for cut in ([], [7], [*range(1, len(FIRST_STREAM))]):
        passed = read(cut, FirstEvents("command-r", include_usage=True).relay())
        assert b"".join(one.data for one in passed) == FIRST_STREAM
        chunks = [one.chunk for one in passed if one.chunk is not None]
        assert chunks[-1].usage.billed_units == FIRST_REPLY["meta"]["billed_units"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"event_type": "stream-end", "finish_reason": "ERROR"}, errors.InternalServerError),
        ({"event_type": "stream-end", "finish_reason": "TIMEOUT"}, errors.Timeout),
        ({"message": "all is lost"}, errors.InternalServerError),
        (3, errors.InvalidResponseError),
        ("{", errors.InvalidResponseError),
    ],
)
def test_what_goes_wrong_in_a_stream_is_an_error(line: Any, kind: type[Exception]):
    """By its kind; and so is a stream that is cut off."""
    data = (line if line == "{" else json.dumps(line)).encode() + b"\n"
    with pytest.raises(kind):
        FirstEvents("m").feed(data)
    decoder = FirstEvents("m").relay()
    decoder.feed(FIRST_STREAM[: FIRST_STREAM.index(b"\n") + 1])
    with pytest.raises(errors.APIConnectionError):
        decoder.close()


def test_a_reply_that_failed_is_an_error():
    """With what it says."""
    told = json.dumps({"text": "", "finish_reason": "ERROR", "error": "lost"}).encode()
    with pytest.raises(errors.InternalServerError, match="lost"):
        to_completion(HttpReply(status=200, content=told), "m")


@pytest.mark.parametrize("stream", [False, True])
def test_the_body_goes_out_as_it_came(client, wire, stream: bool):
    """To its own address, with the provider's name of the model."""
    wire.answer = lambda request: httpx.Response(200, content=FIRST_STREAM if stream else WHOLE)
    fields = {"model": "cohere/command-r-08-2024", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    call = client.prepare(BY_FUNCTION["completion"], fields)
    plugin = call.provider.plugin
    assert isinstance(plugin, Cohere)
    body = {"model": "mine", "message": "x", "stream": stream, "new": [1]}
    result = client.run(exchange(plugin.first_chat(call.request, body), call))
    assert wire.last.url.path == "/v1/chat"
    assert json.loads(wire.last.content) == {**body, "model": "command-r-08-2024"}
    assert isinstance(result, Streaming) == stream


def test_models_that_think_are_asked_by_the_second_version():
    """The first has no place for their thoughts; of a model that nobody knows its caller is the better judge."""
    plugin = Cohere("cohere")
    found = {name: plugin.has_first(name) for name in ("command-a-03-2025", "command-a-reasoning-08-2025", "mine-ft")}
    assert found == {"command-a-03-2025": True, "command-a-reasoning-08-2025": False, "mine-ft": True}
