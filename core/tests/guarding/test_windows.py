"""Streams: whatever the cuts, what may not be said is never read, and everything else is read as it was."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import pairwise
from typing import Any

import pytest
from core.tests.conftest import DONE, ROLE, event
from core.tests.guarding.conftest import ASK, SECRET, blocks, entry, masks, passes, stream
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport import APIConnectionError, GuardrailError
from polyport.drivers.simulation import Simulation
from polyport.flow import Sleep
from polyport.guarding.custom import Function
from polyport.guarding.verdicts import PASS, Block, Mask
from polyport.middleware.guardrails import Guardrails
from polyport.testing import Reply, Wire

WORDS = st.lists(
    st.sampled_from(["hello ", "amy@example.com", " and", "\n", "x@", "@y.com ", "…", "bob@b.com", " ", "é"]),
    max_size=12,
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def cut(text: str, cuts: list[int]) -> list[str]:
    """Cut a text into pieces."""
    edges = [0, *sorted({place % (len(text) + 1) for place in cuts}), len(text)]
    return [text[a:b] for a, b in pairwise(edges) if b > a]


def said(chunks: Any) -> str:
    """What a reader of a chat's stream has read."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def run(client: Any, **more: Any) -> Any:
    """Read a whole stream under the simulation."""
    flow = client.flow("completion", model="fake/m", messages=ASK, stream=True, **more)
    return Simulation(client._drivers._http.simulated).run_flow(flow)


@QUICK
@given(words=WORDS, cuts=st.lists(st.integers(0, 999)), window=st.integers(1, 60), overlap=st.integers(16, 60))
def test_a_masked_stream_reads_as_a_masked_answer(guarded, words, cuts, window, overlap):
    """Nothing that is to be masked is ever read, and all else is, in as many chunks."""
    text = "".join(words)
    pieces = cut(text, cuts)
    client = guarded(stream(*pieces), entry(masks, "post_call", stream_window=window, stream_overlap=overlap))
    chunks = run(client)
    assert said(chunks) == SECRET.sub("[EMAIL]", text)
    assert len(chunks) == len(pieces) + 2


@QUICK
@given(words=WORDS, cuts=st.lists(st.integers(0, 999)), window=st.integers(1, 60))
def test_of_a_blocked_stream_nothing_forbidden_is_read(guarded, words, cuts, window):
    """Not even a beginning of it: every chunk that came was clean, and the stream ends with the error."""
    text = "".join(words)
    pieces = cut(text, cuts)
    wire = Wire(stream(*pieces))
    client = guarded(wire, entry(blocks, "post_call", stream_window=window, stream_overlap=20))
    read: list[Any] = []
    found = SECRET.search(text)
    try:
        with client.completion("fake/m", ASK, stream=True) as chunks:
            for chunk in chunks:
                read.append(chunk)
    except GuardrailError as error:
        assert found is not None
        assert error.findings[0].entity == "EMAIL"  # noqa: PT017
    else:
        assert found is None
        assert said(read) == text
    assert text.startswith(said(read))
    assert found is None or len(said(read)) <= found.start()
    assert wire.open == 0


@QUICK
@given(words=WORDS, cuts=st.lists(st.integers(0, 999), max_size=6))
def test_a_stream_that_passes_is_as_it_was(guarded, words, cuts):
    """Chunk for chunk."""
    pieces = cut("".join(words), cuts)
    chunks = run(guarded(stream(*pieces), entry(passes, "post_call")))
    plain = run(guarded(stream(*pieces)))
    assert [chunk.to_dict() for chunk in chunks] == [chunk.to_dict() for chunk in plain]


@QUICK
@given(words=WORDS, cuts=st.lists(st.integers(0, 999), max_size=8), ascii=st.booleans())
def test_arguments_of_a_streamed_call_are_masked_and_stay_json(guarded, words, cuts, ascii):
    """Also where an escape is cut in two; what is not masked means the same."""
    value = {"to": "".join(words), "n": 1}
    text = json.dumps(value, ensure_ascii=ascii).replace("@", "\\u0040" if ascii else "@")
    calls = [
        event(None) if not piece else b"data: " + json.dumps({"id": "c", "choices": [{"index": 0, "delta": {
            "tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}]}).encode() + b"\n\n"
        for piece in cut(text, cuts)
    ]  # fmt: skip
    wire = ROLE + b"".join(calls) + DONE
    chunks = run(guarded(wire, entry(masks, "post_call", stream_overlap=20)))
    made = "".join(
        call.function.arguments for c in chunks for choice in c.choices for call in choice.delta.tool_calls or []
    )
    assert json.loads(made) == {"to": SECRET.sub("[EMAIL]", value["to"]), "n": 1}


def anthropic(*texts: str) -> bytes:
    """Anthropic's events for a text in pieces."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
                                              "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]  # fmt: skip
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)


def test_anthropics_events_are_masked():
    """From its own API."""
    from polyport import Client

    client = Client(
        http=Wire(anthropic("hello amy@ex", "ample.c", "om", " bye")), api_key="k",
        middleware=[Guardrails([entry(masks, "post_call")])],
    )  # fmt: skip
    events = list(client.messages("anthropic/claude-x", ASK, max_tokens=9, stream=True))
    assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == "hello [EMAIL] bye"
    assert [e["type"] for e in events][-3:] == ["content_block_stop", "message_delta", "message_stop"]


@QUICK
@given(cuts=st.lists(st.integers(0, 999), max_size=8))
def test_every_event_of_a_response_is_masked_alike(guarded, cuts):
    """The pieces, what repeats them as a whole, and the whole response at the end."""
    text = "mail amy@example.com or bob@b.com now"
    client = guarded(stream(*cut(text, cuts)), entry(masks, "post_call"))
    flow = client.flow("responses", model="bare/m", input="hi", stream=True)
    events = Simulation(client._drivers._http.simulated).run_flow(flow)
    whole = "mail [EMAIL] or [EMAIL] now"
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == whole
    assert [e["text"] for e in events if e["type"] == "response.output_text.done"] == [whole]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == whole
    assert not SECRET.search(json.dumps(events))


def test_a_match_that_may_become_another_waits(guarded):
    """`cat` is not `category`: what touches the end of what has come is not decided yet."""

    def cats(seen):
        found = [(i, m) for i, one in enumerate(seen.texts) for m in re.finditer(r"\bcat\b", one.text)]
        from polyport.types.guard import Finding

        return (
            Block("a cat", [Finding("CAT", seen.texts[i].where, m.start(), m.end()) for i, m in found])
            if found
            else PASS
        )

    assert said(run(guarded(stream("the cat", "egory"), entry(cats, "post_call")))) == "the category"
    with pytest.raises(GuardrailError, match="a cat"):
        run(guarded(stream("the cat", " sat"), entry(cats, "post_call")))


def test_what_has_been_judged_is_let_out_while_more_comes(guarded):
    """But for what is held back."""
    wire = Wire(Reply.of(stream(*["0123456789"] * 10), pause=1.0))
    client = guarded(wire, entry(passes, "post_call", stream_overlap=20))
    with client.completion("fake/m", ASK, stream=True) as chunks:
        first = [next(chunks) for _ in range(3)]
    assert said(first) == "0123456789" * 2
    assert wire.open == 0


def test_a_guardrail_that_judges_the_whole_answer_is_asked_once(guarded):
    """With all of it."""
    seen: list[Any] = []

    def look(one):
        seen.append(one)

    guardrail = Function(look)
    guardrail.window, guardrail.modes = None, ("post_call",)
    client = guarded(stream("a", "b", "c"), guardrail)
    assert said(run(client)) == "abc"
    assert [([one.text for one in s.texts], s.partial) for s in seen] == [(["abc"], False)]


def test_a_guardrail_may_take_time_between_the_chunks(guarded):
    """A service is asked a window at a time, under every driver."""

    def slow(seen):
        yield Sleep(0.001)
        return masks(seen)

    def client():
        return guarded(stream("ab amy@exa", "mple.com", " c" * 40), entry(slow, "post_call", stream_window=30))

    whole = "ab [EMAIL]" + " c" * 40
    assert said(run(client())) == whole
    assert said(client().completion("fake/m", ASK, stream=True)) == whole

    async def main():
        one = client()
        chunks = [chunk async for chunk in await one.acompletion("fake/m", ASK, stream=True)]
        await one.aclose()
        return said(chunks)

    assert asyncio.run(main()) == whole


@pytest.mark.parametrize("mode", ["post_call", "logging_only"])
def test_a_stream_that_breaks_or_is_left_is_closed(guarded, mode):
    """Its error is the reader's, and what was held is not read."""
    wire = Wire(lambda sent: Reply.of(stream("a" * 300, "b"), reset_at=len(stream("a" * 300))))
    client = guarded(wire, entry(passes, mode))
    with pytest.raises(APIConnectionError):
        list(client.completion("fake/m", ASK, stream=True))
    assert wire.open == 0
    with client.completion("fake/m", ASK, stream=True) as chunks:
        next(chunks)
    assert wire.open == 0

    async def main():
        stream = await client.acompletion("fake/m", ASK, stream=True)
        async for _ in stream:
            break
        await stream.aclose()
        await client.aclose()

    asyncio.run(main())
    assert wire.open == 0


def test_a_guardrail_that_fails_in_a_stream_ends_it(guarded):
    """Nothing that it had not judged is read."""

    def fails(seen):
        if "b" in seen.text:
            raise ValueError(seen.text)
        return Mask([])

    wire = Wire(stream("a" * 300, "b"))
    read: list[Any] = []
    with pytest.raises(GuardrailError, match="could not judge the result"):
        for chunk in guarded(wire, entry(fails, "post_call")).completion("fake/m", ASK, stream=True):
            read.append(chunk)
    assert "b" not in said(read)
    assert wire.open == 0


def test_several_guardrails_judge_one_after_another(guarded):
    """The second sees what the first let out."""
    seen: list[str] = []

    def look(one):
        seen.extend(text.text for text in one.texts)

    client = guarded(stream("to amy@exam", "ple.com"), entry(masks, "post_call"), entry(look, "post_call"))
    result = client.completion("fake/m", ASK, stream=True)
    assert said(result) == "to [EMAIL]"
    assert not any("amy" in text for text in seen)
    assert [(one.guardrail, one.outcome) for one in result.meta.guardrails] == [("masks", "masked"), ("look", "passed")]
