"""Streams that are passed on as they came: the same events, the same ends and errors as of one that is decoded."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from polyport.dialects.openai import ChatEvents, Quirks, ResponseEvents
from polyport.dialects.openai_answers import chunk_type, own_words
from polyport.errors import APIError
from polyport.flow import Items, Passed, Streaming
from polyport.metering import ChunkMeter, Passing
from polyport.types.usage import Usage
from polyport.wire.relay import Relay

FAST = settings(max_examples=80, deadline=None)
FRAME = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(choices: list[Any], spaced: bool = False, **more: Any) -> bytes:
    """Return a chunk as a server writes it, with or without spaces between its tokens."""
    told = {**FRAME, "choices": choices, **more}
    return b"data: %s\n\n" % json.dumps(told, separators=(", ", ": ") if spaced else (",", ":")).encode()


def word(text: str, spaced: bool = False, **more: Any) -> bytes:
    """Return a chunk with content."""
    return event([{"index": 0, "delta": {"content": text}, "finish_reason": None}], spaced, **more)


def last(spaced: bool = False) -> bytes:
    """Return the chunk that says why an answer ended."""
    return event([{"index": 0, "delta": {}, "finish_reason": "stop"}], spaced)


def read(decoder: Any, pieces: list[bytes]) -> tuple[list[Any], str]:
    """Return what a decoder makes of pieces, and the error it ended with."""
    found: list[Any] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.close()
    except APIError as error:
        return found, f"{type(error).__name__}: {error}"
    return found, ""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


SPACED = st.booleans()
#: Texts that look like what is searched for.
TEXTS = st.sampled_from(["hi", '"error"', '{"usage":{"a":1}}', "[DONE]", "event: error\n\ndata: x", "日本", "\r\n"])
FAILED = [b'data: {"error":{"message":"x"}}\n\n'], [b'event: error\ndata: {"message":"y"}\n\n']
ENDINGS = st.sampled_from(
    [
        [last(), DONE], [last(True)], [last(), event([], usage=USED), DONE], [DONE], [], *FAILED,
        [event([], True, usage=USED)], [last(), b"data: [DONE]"], [word("cut")[:-9]], [last()[:-2]],
    ]
)  # fmt: skip


@FAST
@given(st.lists(TEXTS, max_size=6), SPACED, ENDINGS, st.lists(st.integers(0, 5000), max_size=8))
def test_a_stream_passes_as_it_would_be_decoded(
    texts: list[str], spaced: bool, ending: list[bytes], places: list[int]
) -> None:
    """Wherever it is cut: the same chunks in the same order, the same error at its end, and not a byte changed."""
    stream = b"".join([*(word(text, spaced) for text in texts), *ending])
    whole, error = read(ChatEvents(), [stream])
    relay = ChatEvents().relay()
    passed, failed = read(relay, cut(stream, places))
    told, _ = read(ChatEvents(), [b"".join(one.data for one in passed), DONE])
    assert failed == error
    assert [chunk.raw for chunk in told] == [chunk.raw for chunk in whole]
    assert stream.startswith(b"".join(one.data for one in passed if one.data)[:-2].rstrip(b"\n"))
    assert [one.chunk.usage.total_tokens for one in passed if one.chunk is not None and one.chunk.usage] == [
        chunk.usage.total_tokens for chunk in whole if chunk.usage
    ]


def test_most_events_are_not_read() -> None:
    """But those up to the first content, and what tells the usage."""
    relay = ChatEvents().relay()
    role = event([{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}], usage=None)
    words = b"".join(word(str(number), usage=None, own={"x": 1.50}) for number in range(9))
    passed, error = read(relay, [role, words + last(), event([], usage=USED) + DONE])
    assert not error
    assert [one.chunk is not None for one in passed] == [True, True, False, True]
    assert b"".join(one.data for one in passed) == role + words + last() + event([], usage=USED)
    assert [one.is_content() for one in passed[:3]] == [False, True, True]


def test_a_subclass_does_not_pass_on_unless_it_says_so() -> None:
    """It may read the events differently."""

    class Other(ChatEvents):
        """Another's."""

    assert Other().relay() is None
    assert not Streaming(Items([]), Other()).relay().passes
    assert Streaming(Items([]), ChatEvents()).relay().passes
    seen = Streaming(Items([]), ChatEvents()).tap(print)
    assert not seen.relay().passes


REASONS = Quirks(kept=frozenset({"reasoning"}), finishes={"model_length": "length"})


def test_what_a_look_alike_says_in_words_of_its_own_is_written_anew() -> None:
    """Reasoning under its other name, an end in OpenAI's word; all else goes out as it came."""
    thought = event([{"index": 0, "delta": {"reasoning": "Hm."}, "finish_reason": None}])
    ended = event([{"index": 0, "delta": {}, "finish_reason": "model_length"}])
    words = [word("a", own=1.50), word("b", own=1.50)]
    relay = ChatEvents(chunk_type(REASONS), own_words(REASONS)).relay()
    passed, error = read(relay, [thought, *words, ended, event([], usage=USED), DONE])
    assert not error
    first, *middle, last_but_one, used = [one.data for one in passed]
    told = json.loads(first.removeprefix(b"data: "))["choices"][0]["delta"]
    assert (told["reasoning_content"], told.get("reasoning")) == ("Hm.", None)
    assert json.loads(last_but_one.removeprefix(b"data: "))["choices"][0]["finish_reason"] == "length"
    assert (b"".join(middle), used) == (b"".join(words), event([], usage=USED))


def test_where_every_answer_is_of_another_shape_none_is_passed_on() -> None:
    """Content in parts, or usage that is counted differently."""
    for quirks in (Quirks(kept=frozenset({"content"})), Quirks(usage=type("Other", (Usage,), {}))):
        assert own_words(quirks) is None
        assert ChatEvents(chunk_type(quirks), own_words(quirks)).relay() is None


def test_another_wire_is_passed_on_to_who_wants_that_one() -> None:
    """By its name; to others it is decoded."""

    class Foreign(ChatEvents):
        """Somebody's own events."""

        wire = "foreign"

        def relay(self) -> Any:
            """Pass all on."""
            return Relay(self, (b"data:",), all=True)

    assert not Streaming(Items([]), Foreign()).relay().passes
    assert not Streaming(Items([]), ChatEvents()).relay("foreign").passes
    assert Streaming(Items([]), Foreign()).relay("foreign").passes
    passed, _ = read(Foreign().relay(), [word("a"), word("b"), last(), DONE])
    assert b"".join(one.data for one in passed) == word("a") + word("b") + last() + DONE
    assert [one.chunk is not None for one in passed] == [True, True, True, False]


def test_lines_that_end_otherwise_are_passed_on_with_line_feeds() -> None:
    """CRLF is as good an end of a line."""
    stream = (word("a") + last() + DONE).replace(b"\n", b"\r\n")
    passed, error = read(ChatEvents().relay(), [stream[:30], stream[30:31], stream[31:]])
    assert not error
    assert b"".join(one.data for one in passed) == word("a") + last()


def test_a_response_passes_with_its_ends_read() -> None:
    """The events that hold the response are read, the pieces of its text are not."""
    events = [
        {"type": "response.created", "response": {"id": "r", "usage": None}},
        *({"type": "response.output_text.delta", "delta": f"w{number}"} for number in range(3)),
        {"type": "response.completed", "response": {"id": "r", "usage": {"total_tokens": 3}}},
    ]
    stream = b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)  # type: ignore[attr-defined]
    passed, error = read(ResponseEvents().relay(), [stream])
    assert not error
    assert b"".join(one.data for one in passed) == stream
    assert [one.chunk["type"].split(".")[-1] if one.chunk else one.data.count(b"delta\n") for one in passed] == [
        "created", "delta", 2, "completed",
    ]  # fmt: skip


def test_letters_that_nobody_read_are_counted_all_the_same() -> None:
    """By what their events have beyond the frame: a stream that is left early still costs."""
    meter = Passing(ChunkMeter(None))
    texts = ["One", " two", " and three", ", four."]
    passed, _ = read(ChatEvents().relay(), [word(text) for text in texts])
    for one in passed:
        assert meter.see(one) is False
    assert meter.letters == sum(map(len, texts))
    assert meter.used() is None
    assert meter.see(Passed(b"", ChatEvents().feed(event([], usage=USED))[0]))
    used = meter.used()
    assert used is not None
    assert used.counted().tokens == {"input": 3, "output": 2}


@pytest.mark.parametrize("decoder", [ChatEvents, ResponseEvents])
def test_a_stream_that_is_cut_off_is_an_error(decoder: Any) -> None:
    """As it is for one that is decoded."""
    _, error = read(decoder().relay(), [word("a"), word("b")[:-9]])
    assert error.startswith("APIConnectionError")
