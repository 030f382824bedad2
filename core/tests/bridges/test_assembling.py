"""Streams put together: what comes out is the answer that would have come without `stream=True`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from polyport import Client
from polyport.bridges.assembling import assembled, completion_of
from polyport.bridges.inner import chunk_of
from polyport.operations import BY_FUNCTION
from polyport.types.audio import Binary, Transcription, TranscriptionEvent
from polyport.types.chat import ChatCompletion, ChatCompletionChunk
from polyport.types.image import ImageEvent, ImageResponse

ASK = [{"role": "user", "content": "hello"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def text() -> st.SearchStrategy[str]:
    """Some words, without what JSON cannot write."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def messages() -> st.SearchStrategy[dict[str, Any]]:
    """What an assistant may say."""
    function = st.fixed_dictionaries({"name": st.just("find"), "arguments": text()})
    call = st.fixed_dictionaries({"id": st.just("t1"), "type": st.just("function"), "function": function})
    said = {"content": text(), "reasoning_content": text().filter(bool), "refusal": text().filter(bool)}
    calls = {"tool_calls": st.lists(call, min_size=1, max_size=3)}
    return st.fixed_dictionaries({"role": st.just("assistant")}, optional={**said, **calls})


def completions() -> st.SearchStrategy[ChatCompletion]:
    """Whole answers of up to three choices."""
    reasons = st.sampled_from(["stop", "length", "tool_calls"])
    choice = st.fixed_dictionaries({"message": messages(), "finish_reason": reasons})
    return st.lists(choice, min_size=1, max_size=3).map(
        lambda found: msgspec.convert(
            {
                "id": "c1",
                "created": 7,
                "model": "m",
                "choices": [{**one, "index": index} for index, one in enumerate(found)],
                "usage": USAGE,
            },
            ChatCompletion,
        )
    )


def pieces(chunk: ChatCompletionChunk) -> list[ChatCompletionChunk]:
    """Return a chunk letter by letter, as a provider might have sent it."""
    whole = chunk.to_dict()
    made: list[dict[str, Any]] = []

    def send(index: int, delta: dict[str, Any], **more: Any) -> None:
        made.append({"id": "c1", "model": "m", "choices": [{"index": index, "delta": delta, **more}]})

    for choice in whole["choices"]:
        index, delta = choice["index"], choice["delta"]
        send(index, {"role": delta["role"]})
        for name in ("reasoning_content", "content", "refusal"):
            for letter in delta.get(name) or "":
                send(index, {name: letter})
        for call in delta.get("tool_calls") or ():
            named = {"name": call["function"]["name"], "arguments": ""}
            send(index, {"tool_calls": [{**call, "function": named}]})
            for letter in call["function"].get("arguments", ""):
                send(index, {"tool_calls": [{"index": call["index"], "function": {"arguments": letter}}]})
        send(index, {}, finish_reason=choice["finish_reason"])
    made.append({"id": "c1", "created": 7, "model": "m", "choices": [], "usage": whole["usage"]})
    return msgspec.convert(made, list[ChatCompletionChunk])


def plain(completion: ChatCompletion) -> dict[str, Any]:
    """Return what is said; that nothing was said is the same as saying nothing, and places of calls are a stream's."""
    found = completion.to_dict()
    for choice in found["choices"]:
        choice["message"]["content"] = choice["message"].get("content") or None
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
    return found


@settings(deadline=None)
@given(completions())
def test_a_chat_in_pieces_is_the_chat(completion):
    """However small the pieces: texts, tool calls, several choices."""
    expected = plain(msgspec.convert(completion.to_dict(), ChatCompletion))
    assert plain(completion_of(pieces(chunk_of(completion)))) == expected
    assert plain(completion_of([chunk_of(completion)])) == expected


ANSWER = {
    "id": "c1",
    "created": 7,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"a": [1, 2]}'}}
                ],
            },
        }
    ],
    "usage": USAGE,
}
TOOLS = {
    "messages": [{"name": "find", "input_schema": {"type": "object"}}],
    "responses": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
}


def ask(client: Client, function: str, **more: Any) -> Any:
    """Ask by a function that a chat stands behind."""
    asked: dict[str, Any] = {"messages": ASK, "max_tokens": 9} if function == "messages" else {"input": "hello"}
    return getattr(client, function)(model="fake/m", tools=TOOLS[function], **asked, **more)


@pytest.mark.parametrize("function", ["messages", "responses"])
def test_typed_events_are_the_answer(stage, function):
    """Anthropic's blocks and OpenAI's items, tool calls and reasoning among them."""
    chunk = chunk_of(msgspec.convert(ANSWER, ChatCompletion)).to_dict()
    client = stage.answers(ANSWER, [chunk])
    whole = ask(client, function).to_dict()
    made = assembled(BY_FUNCTION[function].response, [*ask(client, function, stream=True)])
    assert made is not None

    def without_ids(value: Any) -> Any:
        if isinstance(value, dict):
            hidden = ("id", "created_at", "completed_at")
            return {name: without_ids(inner) for name, inner in value.items() if name not in hidden}
        return [without_ids(inner) for inner in value] if isinstance(value, list) else value

    assert without_ids(made.to_dict()) == without_ids(whole)


@pytest.mark.parametrize("function", ["messages", "responses"])
def test_an_answer_that_is_left_early_is_there_as_far_as_it_came(stage, function):
    """The text until then, and no more."""
    deltas = [{"role": "assistant", "content": "Hel"}, {"content": "lo"}, {"content": " there"}]
    chunks = [{"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events = []
    for event in ask(stage.answers(chunks), function, stream=True):
        events.append(event)
        if "lo" in str(event.get("delta")):
            break
    made: Any = assembled(BY_FUNCTION[function].response, events)
    assert (made.text if function == "messages" else made.output_text) == "Hello"


def test_images_and_transcripts():
    """What was completed; else the latest of what came."""
    partial = ImageEvent(type="image_generation.partial_image", b64_json="AA")
    done = ImageEvent(type="image_generation.completed", b64_json="BB", size="1x1")
    made: Any = assembled(ImageResponse, [partial, done])
    assert ([image.b64_json for image in made.data], made.size) == (["BB"], "1x1")
    made = assembled(ImageResponse, [partial])
    assert [image.b64_json for image in made.data] == ["AA"]
    heard = [TranscriptionEvent(type="transcript.text.delta", delta=word) for word in ("Hel", "lo")]
    made = assembled(Transcription, heard)
    assert made.text == "Hello"
    made = assembled(Transcription, [*heard, TranscriptionEvent(type="transcript.text.done", text="Hello!")])
    assert made.text == "Hello!"


def test_no_chunks_and_bytes_make_no_answer():
    """There is nothing to put together."""
    assert assembled(ChatCompletion, []) is None
    assert assembled(Binary, [b"x"]) is None
