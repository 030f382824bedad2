"""The short way of a call through a router comes to the same as the usual one, whatever is asked and answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from core.tests.router.conftest import STREAM, USAGE, Behaviour, Field, fails, ok
from hypothesis import given, settings, strategies as st

from polyport.drivers.simulation import Answer
from polyport.errors import APIConnectionError, PolyportError
from polyport.flow import HttpReply, HttpRequest
from polyport.operations import BY_FUNCTION


class Answered(msgspec.Struct):
    """What a chat is asked to answer with."""

    city: str


WORDS = {"role": "user", "content": "hello"}
#: Chats that go out as they are, and some that do not: those must not be treated alike.
CHATS: list[dict[str, Any]] = [
    {"messages": [WORDS]},
    {"messages": [{"role": "system", "content": ""}, WORDS, {"role": "assistant", "content": "yes"}, WORDS]},
    {"messages": [WORDS], "temperature": 0.5, "max_tokens": 7, "stop": ["a", "b"], "seed": 1, "user": "u"},
    {"messages": [WORDS], "response_format": {"type": "json_object"}, "metadata": {"a": "b"}, "store": True},
    {"messages": [WORDS], "temperature": None, "n": 1},
    {"messages": [{**WORDS, "name": "ada"}], "logit_bias": {"5": -1}},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]},
    {"messages": [WORDS], "tools": [{"function": {"name": "f", "parameters": {}}}]},
    {"messages": [WORDS], "top_k": 5, "drop_params": True},
    {"messages": [WORDS], "top_k": 5},
    {"messages": [WORDS], "unheard_of": {"a": [1]}},
    {"messages": [WORDS], "stream_options": {"include_usage": True}},
    {"messages": [WORDS], "num_retries": 0},
    {"messages": [WORDS], "extra_body": {"own": 1}, "extra_headers": {"x-own": "1"}},
    {"messages": [WORDS], "response_format": Answered},
    {"messages": []},
    {"messages": "hello"},
    {"messages": [{"role": "nobody", "content": "hello"}]},
    {"messages": [{"role": ["user"], "content": "hello"}]},
    {"messages": [{"content": "hello"}]},
    {"messages": [WORDS], "temperature": "hot"},
    {},
]


def broken(request: HttpRequest, now: float) -> Answer:
    """Let nobody connect."""
    return Answer(0.1, error=APIConnectionError("refused"))


def no_json(request: HttpRequest, now: float) -> Answer:
    """Answer with a page."""
    return Answer(0.1, HttpReply(status=200, headers={"content-type": "text/html"}, content=b"<html>"))


def cut_off(at: int) -> Behaviour:
    """Break a stream off after so many pieces."""

    def answer(request: HttpRequest, now: float) -> Answer:
        if not request.stream:
            return fails(500)(request, now)
        return Answer(0.1, HttpReply(status=200), pieces=[(0.1, piece) for piece in STREAM[:at]])

    return answer


def in_turn(*each: Behaviour) -> Behaviour:
    """Do one after the other, the last one again and again."""
    left = list(each)

    def answer(request: HttpRequest, now: float) -> Answer:
        return (left.pop(0) if len(left) > 1 else left[0])(request, now)

    return answer


BEHAVIOURS: dict[str, Any] = {
    "ok": ok(), "fails": fails(), "busy": fails(429, retry_after="1"), "wrong": fails(400), "unknown": fails(404),
    "broken": broken, "no json": no_json, "cut": cut_off(0), "cut late": cut_off(3),
}  # fmt: skip


def told(field: Field, chat: dict[str, Any], relay: str, entries: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Make a call, and return all there is to be seen of it."""
    router = field.router(*entries, **options)
    meta: Any = None
    found: dict[str, Any] = {}
    try:
        call, flow = router.plan("completion", relay=relay, model="g", **chat)
        meta = call.meta
        result = field.simulation.run_flow(flow)
        found["result"] = [as_plain(one) for one in result] if chat.get("stream") else result.to_dict()
    except PolyportError as error:
        found["error"] = type(error), str(error), getattr(error, "request_id", None)
    found["meta"] = None if meta is None else {
        name: value for name, value in meta.__rich_repr__() if name != "headers"
    }  # fmt: skip
    found["requests"] = [
        (one.method, one.url, one.headers, json.loads(one.content), one.stream, one.timeout)
        for one in field.requests
        if isinstance(one.content, bytes)
    ]
    found["standings"] = field.simulation.run_flow(router.state.look(sorted(field.hosts), field.simulation.now))
    found["now"] = field.simulation.now
    return found


def as_plain(chunk: Any) -> Any:
    """Return a chunk as plain data."""
    return msgspec.to_builtins(chunk)


def usual(call: Any, proceed: Any) -> Any:
    """A layer that does nothing, but is there: so the call goes the usual way."""
    return proceed(call)


def both(behaviours: Sequence[Sequence[str]], chat: dict[str, Any], **options: Any) -> tuple[Any, Any]:
    """Make a call by the short way and by the usual one, to groups of so many hosts each."""
    found = []
    for layers in ([], [usual]):
        hosts = {f"h{place}": in_turn(*(BEHAVIOURS[one] for one in each)) for place, each in enumerate(behaviours)}
        field = Field(**hosts)
        entries = [field.entry(host, "further" if host == "h2" else "g") for host in hosts]
        found.append(told(field, chat, "", entries, {**options, "middleware": layers}))
    return found[0], found[1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chat", CHATS, ids=[str(place) for place in range(len(CHATS))])
def test_every_chat_goes_out_and_comes_back_alike(chat, stream):
    """What is asked, what is answered or refused, and what is told of it are the same by both ways."""
    short, long = both([["ok"]], {**chat, "stream": True} if stream else chat)
    assert short == long


@settings(max_examples=150, deadline=None)
@given(
    behaviours=st.lists(st.lists(st.sampled_from(sorted(BEHAVIOURS)), min_size=1, max_size=4), min_size=1, max_size=3),
    chat=st.sampled_from(CHATS[:6]),
    stream=st.booleans(),
    num_retries=st.integers(0, 3),
    detour=st.booleans(),
)
def test_every_failure_goes_on_alike(behaviours, chat, stream, num_retries, detour):
    """Retries, rests, detours and what is noted of failures are the same by both ways."""
    options: dict[str, Any] = {"num_retries": num_retries, "allowed_fails": 1}
    if detour and len(behaviours) == 3:
        options["fallbacks"] = [{"g": ["further"]}]
    short, long = both(behaviours, {**chat, "stream": True} if stream else chat, **options)
    assert short == long


def test_nearly_all_chats_go_the_short_way():
    """A lane is made for a group, and taken by chats in plain words; so the tests above compare two ways."""
    field = Field(h=ok())
    router = field.router()
    asked = [{"model": "g", **chat} for chat in CHATS]
    taken = [router._straight(BY_FUNCTION["completion"], fields, relay="") is not None for fields in asked]
    assert taken[:4] == [True] * 4
    assert not any(taken[4:])


def test_a_changed_list_of_models_changes_the_way():
    """A lane leads to the deployments of now, not to those of before."""
    field = Field(a=ok(text="a"), b=ok(text="b"))
    router = field.router(field.entry("a"))
    assert field.ask(router).choices[0].message.content == "a"
    router.set_model_list([field.entry("b")])
    assert field.ask(router).choices[0].message.content == "b"


def test_what_is_set_on_the_client_holds_at_once():
    """A time limit or headers that are set between two calls are those of the next one."""
    field = Field(h=ok())
    router = field.router(field.entry("h", timeout=None))
    field.ask(router)
    router.client.headers["x-team"] = "blue"
    router.client.timeout = 3.0
    field.ask(router)
    assert field.requests[-1].headers["x-team"] == "blue"
    assert field.requests[-1].timeout.total == 3.0


def test_a_relayed_stream_by_the_short_way_is_metered():
    """Events that pass through unread still tell what was used."""
    field = Field(h=ok())
    router = field.router()
    call, flow = router.plan("completion", relay="own", model="g", messages=[WORDS], stream=True)
    pieces = b"".join(one.data for one in field.simulation.run_flow(flow))
    assert b"Hel" in pieces
    assert b"lo" in pieces
    assert call.meta.deployment == "h"
    standing = field.simulation.run_flow(router.state.look(["h"], field.simulation.now))[0]
    assert (standing.busy, standing.tokens) == (0, USAGE["total_tokens"])
