"""Lines of batches: what is asked in OpenAI's words, and what came of it."""

from __future__ import annotations

import json

import pytest

from polyport import Client
from polyport.dialects.openai import Batches, Files, OpenAICompatible, Quirks
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Call
from polyport.hookspecs import hookimpl
from polyport.lines import (
    CHAT,
    ResultLines,
    check_endpoint,
    message_line,
    message_of,
    output_line,
    read_lines,
    refuse_settings,
    response,
)
from polyport.provider import Provider
from polyport.types.batch import BatchRequest, FileRequest
from polyport.types.chat import ChatRequest
from polyport.types.messages import MessagesRequest
from polyport.types.record import Options

ASK = {"messages": [{"role": "user", "content": "Hi"}]}
WHO = "Somebody's batches"


def read(*lines, endpoints=(CHAT,)):
    """Read lines, each given as a dict or as bytes."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return read_lines(b"\n".join(texts), "a.jsonl", endpoints, WHO)


def test_lines_are_read_with_their_numbers():
    """Blank ones are left out; a line that names no endpoint is a chat."""
    first, second = read({"custom_id": "a", "body": ASK}, b" ", {"custom_id": "b", "url": CHAT, "body": {}})
    assert (first.number, first.custom_id, first.url, first.body) == (1, "a", CHAT, ASK)
    assert (second.number, second.custom_id) == (2, "b")


@pytest.mark.parametrize(
    ("lines", "message"),
    [([b" \n"], "a.jsonl' has no lines"),
     ([{"custom_id": "a", "body": {}}, b"{oops"], "Line 2: "),
     ([{"body": {}}], "Line 1: .*custom_id"),
     ([{"custom_id": "a", "url": "/v1/x", "body": {}}], "Line 1: Somebody's batches answer /v1/chat/completions, not")],
)  # fmt: skip
def test_a_line_that_cannot_be_taken_is_named(lines, message):
    """Before anything is sent."""
    with pytest.raises(BadRequestError, match=message):
        read(*lines)


def test_a_line_becomes_a_request():
    """Of the line's model or else the call's, without the prefix; a stream is none of a batch's."""
    asked = FileRequest(file=b"", model="p/other", options=Options(timeout=3))
    (line,) = read({"custom_id": "a", "body": {**ASK, "model": "p/m", "stream": True, "seed": 1}})
    made = line.build(ChatRequest, line.model(asked, "p"), asked)
    assert (made.model, made.stream, made.seed, made.options.timeout) == ("m", None, 1, 3)
    made.adapt("seed", "dropped", "no seeds")
    assert asked.adaptations == made.adaptations
    (line,) = read({"custom_id": "a", "body": ASK})
    assert line.model(asked, "p") == "other"


def test_errors_say_of_which_line_they_are():
    """By number and by its own id."""
    (line,) = read({"custom_id": "a", "body": {"messages": []}})
    with pytest.raises(BadRequestError, match=r"Line 1 \(a\): A chat needs"), line.named():
        line.build(ChatRequest, "m", FileRequest(file=b""))


def test_what_only_openais_batches_have_is_refused():
    """Or dropped, where that is allowed, and told."""
    request = BatchRequest(
        input_file_id="f", metadata={"a": "b"}, completion_window="1h", options=Options(drop_params=True)
    )
    refuse_settings(request, WHO)
    assert [(one.parameter, one.action) for one in request.adaptations] == [
        ("metadata", "dropped"), ("completion_window", "dropped")
    ]  # fmt: skip
    with pytest.raises(BadRequestError, match="Somebody's batches answer"):
        check_endpoint("/v1/x", (CHAT,), WHO)


class Odd(ResultLines):
    """Results of one letter; an x belongs into the other file."""

    def line(self, text):
        return None if text == b"x" else output_line(text.decode(), response({"said": text.decode()}))


def test_results_become_lines_of_output():
    """However the pieces are cut; the last one needs no line feed."""
    lines = Odd()
    made = [*lines.feed(b"a\nx"), *lines.feed(b"\n"), *lines.feed(b"b"), *lines.close()]
    assert [json.loads(line) for line in made] == [
        {"id": f"batch_req_{key}", "custom_id": key, "error": None,
         "response": {"status_code": 200, "request_id": None, "body": {"said": key}}}
        for key in "ab"
    ]  # fmt: skip


def test_results_that_are_none_are_an_error():
    """A batch has one result or more; one for the other file is a result, too."""
    with pytest.raises(InvalidResponseError, match="empty"):
        Odd().close()
    lines = Odd()
    assert lines.feed(b"x\n") + lines.close() == []


# --- messages ---


class Alike(OpenAICompatible, Files, Batches):
    """A provider whose lines go as they are."""

    base_url = "https://alike.test"
    quirks = Quirks(limit="new-.*", renames={"chat": {"stop": "stops"}}, kept=frozenset({"reasoning"}))


class Own(Provider):
    """A provider that translates chats by itself."""


class Messages(Provider):
    """A provider that takes messages as they are."""

    batch_lines = "messages"


class Slow(Own):
    """One whose chat asks something else before, and one that asks nothing."""

    batch_lines = "wire"

    @hookimpl
    def chat(self, request):
        found = yield Call(lambda: 2)
        if request.model == "here":
            return None
        reply = yield self.post("/x", json={"asked": found})
        return reply


def asked_of(kind, model="m", **fields):
    """Return the effects and the result of a message's line."""
    client = Client(providers={"p": kind})
    provider = client.providers.get("p")
    request = MessagesRequest(messages=ASK["messages"], **fields)
    request.model = model
    flow, effects = message_line(provider, request), []
    try:
        effects.append(next(flow))
        while True:
            effects.append(flow.send(effects[-1].blocking()))
    except StopIteration as stop:
        return effects, stop.value


def test_a_message_becomes_the_very_body_that_a_chat_would_be():
    """Where lines go as they are: with the provider's own names."""
    _, (url, body) = asked_of(Alike, "new-1", max_tokens=9, system="Brief.", stop_sequences=["."])
    system = {"role": "system", "content": "Brief."}
    assert (url, body) == (
        CHAT, {"model": "new-1", "messages": [system, *ASK["messages"]], "max_completion_tokens": 9, "stops": ["."]}
    )  # fmt: skip


def test_a_message_becomes_a_chat_that_the_provider_translates():
    """In OpenAI's shape, as polyport has it."""
    _, (url, body) = asked_of(Own, max_tokens=9, top_k=4)
    assert (url, body) == (CHAT, {"model": "m", "messages": ASK["messages"], "max_tokens": 9, "top_k": 4})


def test_a_message_stays_one_where_it_may():
    """With whatever else it has."""
    _, (url, body) = asked_of(Messages, max_tokens=9, thinking={"type": "adaptive"}, betas=["b"])
    assert url == "/v1/messages"
    assert body == {"model": "m", "messages": ASK["messages"], "max_tokens": 9, "thinking": {"type": "adaptive"}}


def test_what_has_to_be_asked_before_is_asked():
    """A picture by its URL, say; what would be sent is not."""
    effects, (_, body) = asked_of(Slow)
    assert ([type(one) for one in effects], body) == ([Call], {"asked": 2})
    with pytest.raises(BadRequestError, match="without a request"):
        asked_of(Slow, "here")


def answer(**said):
    """Return a chat's answer."""
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-7",
        "model": "m-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }


def test_answers_become_messages():
    """Read as the provider's answers are; a message stays as it is."""
    providers = Client(providers={"alike": Alike, "own": Own, "messages": Messages}).providers
    made = message_of(providers.get("alike"), "m", answer(content="Hi", reasoning="Hm."))
    assert [block.get("thinking") or block.get("text") for block in made["content"]] == ["Hm.", "Hi"]
    made = message_of(providers.get("own"), "m", answer(content="Hi"))
    assert (made["id"], made["type"], made["model"], made["stop_reason"]) == ("msg_7", "message", "m-1", "end_turn")
    assert (made["usage"]["input_tokens"], made["usage"]["output_tokens"]) == (3, 2)
    native = {"type": "message", "content": [], "future": 1}
    assert message_of(providers.get("messages"), "m", native) is native
    with pytest.raises(InvalidResponseError):
        message_of(providers.get("own"), "m", {"choices": 7})
