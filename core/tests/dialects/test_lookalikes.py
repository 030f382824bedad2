"""What look-alikes answer beyond OpenAI's fields is read, kept, and goes back; what they lack is not sent."""

from __future__ import annotations

import json

import httpx
import pytest
from matrix import PNG, Recipe, image, say, show

from polyport import Client, errors
from polyport.dialects.openai import OpenAICompatible, Quirks
from polyport.types.usage import Usage

SAID = {"role": "assistant", "content": "4", "reasoning": "2 + 2", "details": [{"data": "b3BhcXVl"}], "noise": ""}
ANSWER = {
    "choices": [{"index": 0, "message": SAID, "finish_reason": "stop", "verdicts": {"hate": False}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "hits": 3},
}


class Counted(Usage):
    """Usage with a count of its own."""

    hits: int | None = None

    def __post_init__(self) -> None:
        self.cost = float(self.hits or 0)


class Thinker(OpenAICompatible):
    """A provider with fields of its own at every depth."""

    base_url = "https://api.thinker.example/v1"
    quirks = Quirks(
        kept=frozenset({"reasoning", "details", "noise"}),
        history=frozenset({"reasoning", "details"}),
        beside=frozenset({"verdicts"}),
        lacks=frozenset({"name", "refusal", "file"}),
        roles={"developer": "system"},
        schemas=False,
        usage=Counted,
    )


@pytest.fixture
def seen() -> list[httpx.Request]:
    """The requests of this test."""
    return []


@pytest.fixture
def client(seen):
    """A client that knows the thinker."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if not json.loads(request.content).get("stream"):
            return httpx.Response(200, json=ANSWER)
        deltas = [{"reasoning": "2 + "}, {"reasoning": "2", "details": SAID["details"]}, {"content": "4"}]
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return httpx.Response(200, text=lines + "data: [DONE]\n\n")

    with Client(http=httpx.MockTransport(answer), providers={"thinker": Thinker}) as client:
        yield client


def test_fields_of_its_own_are_read(client):
    """Reasoning has one name, opaque state a place, and neither stands twice."""
    got = client.completion("thinker/m", [say("2 + 2?")])
    choice = got.choices[0]
    assert choice.message.to_dict() == {
        "role": "assistant",
        "content": "4",
        "reasoning_content": "2 + 2",
        "provider_specific_fields": {"details": [{"data": "b3BhcXVl"}]},
    }
    assert choice["verdicts"] == got.to_dict()["choices"][0]["verdicts"] == {"hate": False}
    assert (got.usage.cost, got.usage_buckets) == (3.0, {"input": 5, "output": 1})


def test_streamed_fields_of_its_own(client):
    """The same, piece by piece."""
    with client.completion("thinker/m", [say("2 + 2?")], stream=True) as stream:
        deltas = [chunk.choices[0].delta for chunk in stream]
    assert [delta.reasoning_content for delta in deltas] == ["2 + ", "2", None]
    assert deltas[1].provider_specific_fields == {"details": SAID["details"]}


def test_they_go_back_as_they_came(client, seen):
    """An answer that is put into the history has the provider's own fields again."""
    answer = client.completion("thinker/m", [say("2 + 2?")])
    again = client.completion("thinker/m", [say("2 + 2?"), answer.choices[0].message, say("Sure?")])
    sent = json.loads(seen[-1].content)["messages"][1]
    assert sent == {"role": "assistant", "content": "4", "reasoning": "2 + 2", "details": [{"data": "b3BhcXVl"}]}
    assert again.meta.adaptations == []


def test_what_it_lacks_is_not_sent(client, seen):
    """Fields are dropped and recorded, a refusal becomes what was said, a part it cannot read is refused."""
    messages = [{**say("Hi"), "name": "ada"}, {"role": "assistant", "content": None, "refusal": "No."}]
    got = client.completion("thinker/m", messages)
    assert json.loads(seen[-1].content)["messages"] == [say("Hi"), {"role": "assistant", "content": "No."}]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [
        ("messages.name", "dropped"),
        ("messages.refusal", "renamed"),
    ]
    with pytest.raises(errors.UnsupportedParamsError, match="type file"):
        client.completion("thinker/m", show({"type": "file", "file": {"file_id": "f"}}, image(PNG)))


def test_a_schema_is_told_in_words(client, seen):
    """Where only any JSON can be asked for, the schema stands in a system message, and the result is recorded."""
    got = client.completion("thinker/m", [say("Soup?")], response_format=Recipe)
    body = json.loads(seen[-1].content)
    assert body["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert '"minutes":{"type":"integer"}' in body["messages"][0]["content"]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("response_format", "emulated")]


def test_a_role_it_does_not_know(client, seen):
    """Another stands for it, and that is recorded."""
    got = client.completion("thinker/m", [{"role": "developer", "content": "Be brief."}, say("Hi")])
    assert json.loads(seen[-1].content)["messages"] == [{"role": "system", "content": "Be brief."}, say("Hi")]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("messages.role", "renamed")]


def test_an_empty_account_is_not_asked_twice():
    """Payment required is what OpenAI calls an exhausted quota."""
    answer = httpx.MockTransport(lambda _: httpx.Response(402, json={"error": {"message": "Insufficient Balance"}}))
    with Client(http=answer, providers={"thinker": Thinker}) as client, pytest.raises(errors.RateLimitError) as caught:
        client.completion("thinker/m", [say("Hi")])
    assert (caught.value.status_code, caught.value.retryable) == (402, False)


class Parted(OpenAICompatible):
    """A provider whose answers come in parts, and end in a word of its own."""

    base_url = "https://api.parted.example/v1"
    quirks = Quirks(kept=frozenset({"content"}), history=frozenset({"content"}), finishes={"eos": "stop"})


def test_an_answer_in_parts():
    """Its text is joined, its reasoning is read, and it goes back in the parts it came in."""
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "2 + 2", "signature": "c2ln"}]}
    parts = [thought, {"type": "text", "text": "It is "}, {"type": "text", "text": "4."}]
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        message = {"role": "assistant", "content": parts}
        return httpx.Response(200, json={"choices": [{"index": 0, "message": message, "finish_reason": "eos"}]})

    with Client(http=httpx.MockTransport(answer), providers={"parted": Parted}) as client:
        got = client.completion("parted/m", [say("2 + 2?")])
        client.completion("parted/m", [say("2 + 2?"), got.choices[0].message, say("Sure?")], strict=True)
    assert (got.text, got.choices[0].message.reasoning_content) == ("It is 4.", "2 + 2")
    assert got.choices[0].finish_reason == "stop"
    assert seen[1]["messages"][1] == {"role": "assistant", "content": parts}


def test_an_answer_that_is_json():
    """The structure that was asked for may come as it is; it is text all the same."""
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": {"a": [1]}}}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with Client(http=transport, providers={"parted": Parted}) as client:
        assert client.completion("parted/m", [say("Hi")]).text == '{"a":[1]}'


def test_content_that_is_no_content():
    """Neither text nor parts is an error that names the place."""
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": 7}}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with (
        Client(http=transport, providers={"parted": Parted}) as client,
        pytest.raises(errors.InvalidResponseError, match=r"`content` - at `\$\.choices\[0\]\.message`"),
    ):
        client.completion("parted/m", [say("Hi")])


def test_an_error_in_the_body_of_a_success():
    """It is raised, as what its code says, not read as an empty answer."""
    said = {"error": {"code": "content_filter", "message": "No.", "innererror": {"code": "Policy"}}}
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json=said))
    with (
        Client(http=answer, providers={"thinker": Thinker}) as client,
        pytest.raises(errors.ContentPolicyViolationError, match=r"No\.") as caught,
    ):
        client.completion("thinker/m", [say("Hi")])
    assert caught.value.body == said
