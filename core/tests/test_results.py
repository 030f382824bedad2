"""Results, usage, structured output, and messages given as other SDKs' objects."""

from __future__ import annotations

import copy
import json
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pydantic
import pytest
from core.tests.conftest import ASK, DONE, ROLE, completion, event, wire
from hypothesis import given, settings, strategies as st
from openai.types.chat import ChatCompletion as TheirCompletion

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.types.chat import ChatCompletion, ChatCompletionChunk
from polyport.types.responses import Item
from polyport.types.schema import strict_format, strict_schema
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage, usage

FAST = settings(max_examples=60, deadline=None)


@pytest.fixture
def answer(mode, client):
    """Ask a wire that answers with the given body, and return the result: `answer(body, **params)`."""

    def ask(body: Any, **params: Any) -> Any:
        return mode.chat(client(http=wire(lambda _: httpx.Response(200, json=body))), **params)

    return ask


# --- read both ways ---


def test_a_result_reads_as_object_and_as_mapping(answer):
    """At every depth; None counts as not there."""
    result = answer(completion("hi", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))
    assert result.choices[0].message.content == result["choices"][0]["message"]["content"] == "hi"
    assert result.usage.total_tokens == result["usage"]["total_tokens"] == result.get("usage").get("total_tokens") == 3
    assert result.text == "hi"
    assert "usage" in result
    assert "system_fingerprint" not in result
    assert result.get("system_fingerprint", "none") == "none"
    assert dict(result)["id"] == "c1"
    assert ("model", "m") in result.items()
    assert {**result.choices[0].message}["role"] == "assistant"
    with pytest.raises(KeyError):
        result["nothing"]
    with pytest.raises(AttributeError):
        _ = result.nothing


def test_what_is_not_modelled_stays_readable(answer):
    """By name, in `extra`, in everything that writes the result out; nested, in `raw`."""
    body = completion("hi", citations=["https://a"], model="m")
    body["choices"][0]["message"]["mood"] = "good"
    result = answer(body)
    assert result.extra == {"citations": ["https://a"]}
    assert result["citations"] == result.get("citations") == ["https://a"]
    assert "citations" in result
    assert "citations" in list(result)
    assert dict(result)["citations"] == ["https://a"]
    assert result.to_dict()["citations"] == json.loads(result.to_json())["citations"] == ["https://a"]
    assert result.raw["choices"][0]["message"]["mood"] == "good"


def test_results_are_written_as_other_sdks_write_them(answer):
    """to_dict, to_json, model_dump, model_dump_json; what came in comes out."""
    body = completion("hi", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    result = answer(body)
    assert {key: result.to_dict()[key] for key in body} | {"choices": body["choices"]} == body
    assert (
        result.model_dump() == result.to_dict() == json.loads(result.to_json()) == json.loads(result.model_dump_json())
    )
    assert "logprobs" not in result.model_dump(exclude_none=True)["choices"][0]
    assert result.to_dict()["choices"][0]["message"]["content"] == "hi"
    TheirCompletion.model_validate(result.to_dict())


def test_a_result_can_be_copied_and_compared(answer):
    """A copy is equal, and independent below when it is deep."""
    result = answer(completion("hi"))
    deep = copy.deepcopy(result)
    assert deep == result
    deep.choices[0].message.content = "changed"
    assert result.text == "hi"


def test_a_result_made_here_has_no_raw():
    """And its meta is empty."""
    made = ChatCompletion(id="x")
    assert (made.raw, made.extra, made.meta.provider, made.usage_buckets) == (None, {}, "", {})
    assert made.parsed is None


def test_chunks_say_whether_they_are_content():
    """A role is none; text, a tool call, reasoning, a finish reason are."""

    def chunk(**delta: Any) -> ChatCompletionChunk:
        return msgspec.convert({"choices": [{"delta": delta}]}, ChatCompletionChunk)

    assert not chunk(role="assistant").is_content()
    assert not chunk(role="assistant", content="").is_content()
    assert chunk(content="a").is_content()
    assert chunk(reasoning_content="a").is_content()
    assert chunk(tool_calls=[{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]).is_content()
    assert msgspec.convert({"choices": [{"delta": {}, "finish_reason": "stop"}]}, ChatCompletionChunk).is_content()


def test_a_null_argument_string_is_empty(answer):
    """Some look-alikes send null where OpenAI sends text."""
    body = completion(None)
    body["choices"][0]["message"]["tool_calls"] = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": None}}
    ]
    result = answer(body)
    assert result.choices[0].message.tool_calls[0].function.arguments == ""
    assert result.text == ""


def test_items_read_as_attributes_and_say_what_they_have():
    """Nested dicts and lists too."""
    item = Item({"type": "message", "content": [{"text": "a", "parts": [1]}]})
    assert item.content[0].text == "a"
    assert item.content[0].parts == [1]
    with pytest.raises(AttributeError, match=r"this 'message' has no 'txt'; it has \['content', 'type'\]"):
        _ = item.txt
    assert type(item.to_dict()) is dict


# --- usage ---

COUNT = st.none() | st.integers(0, 50)
USAGE = st.builds(
    Usage,
    prompt_tokens=st.integers(0, 200),
    completion_tokens=st.integers(0, 200),
    total_tokens=st.integers(0, 500),
    prompt_tokens_details=st.none()
    | st.builds(PromptTokensDetails, cached_tokens=COUNT, cache_write_tokens=COUNT, audio_tokens=COUNT,
                image_tokens=COUNT, video_tokens=COUNT, text_tokens=COUNT),
    completion_tokens_details=st.none()
    | st.builds(CompletionTokensDetails, reasoning_tokens=COUNT, audio_tokens=COUNT, image_tokens=COUNT),
)  # fmt: skip


@FAST
@given(USAGE)
def test_buckets_are_disjoint_and_sum_to_the_total(used):
    """Whatever a provider claims of their parts."""
    buckets = used.buckets()
    assert sum(buckets.values()) == max(used.total_tokens, used.prompt_tokens + used.completion_tokens)
    assert all(count > 0 for count in buckets.values())


def test_buckets_by_example():
    """Cached and written tokens are contained in the prompt, reasoning in the completion."""
    used = usage(prompt=100, completion=50, cached=60, cache_write=10, reasoning=20)
    assert used.buckets() == {"input": 30, "cached_input": 60, "cache_write": 10, "output": 30, "reasoning": 20}
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (100, 50, 150)
    assert usage(prompt=1, completion=1, total=5).buckets() == {"input": 1, "output": 1, "unattributed": 3}
    assert Usage().buckets() == {}


# --- structured output ---


class Place(msgspec.Struct):
    """A place."""

    name: str
    note: str | None = None
    near: list[Place] = []


class Person(pydantic.BaseModel):
    """A person."""

    name: str
    age: Annotated[int, pydantic.Field(ge=0)] = 0
    home: dict[str, int] | None = None
    mood: Literal["good", "bad"] = "good"
    friends: list[Person] = []


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Place, '{"name": "Rome", "note": null, "near": [{"name": "Ostia"}]}', Place("Rome", near=[Place("Ostia")])),
        (Person, '{"name": "Ann", "age": 3}', Person(name="Ann", age=3)),
    ],
)
def test_a_class_as_response_format_is_answered_by_its_instance(mode, client, kind, text, expected):
    """It goes out as a strict JSON schema, and `parsed` is the instance."""
    sent: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["response_format"])
        return httpx.Response(200, json=completion(text))

    result = mode.chat(client(http=wire(reply)), response_format=kind)
    assert result.parsed == expected
    assert result.parsed is result.parsed
    assert sent[0]["type"] == "json_schema"
    assert sent[0]["json_schema"]["name"] == kind.__name__
    assert sent[0]["json_schema"]["strict"] is True
    check_strict(sent[0]["json_schema"]["schema"], root=True)


def check_strict(node: Any, *, root: bool = False) -> None:
    """Every object says what it may hold, requires all of it, and allows nothing else; no defaults."""
    if isinstance(node, list):
        for item in node:
            check_strict(item)
    if not isinstance(node, dict):
        return
    assert "default" not in node
    if root:
        assert node["type"] == "object"
    if "$ref" in node:
        assert set(node) == {"$ref"}
    if isinstance(node.get("properties"), dict):
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
        for value in node["properties"].values():
            check_strict(value)
    for name in ("anyOf", "allOf", "items", "prefixItems"):
        check_strict(node.get(name))
    for value in node.get("$defs", {}).values():
        check_strict(value)


@pytest.mark.parametrize("text", ["not json", '{"name": 5}', '{"name": "Ro'])
@pytest.mark.parametrize("kind", [Place, Person])
def test_an_answer_that_does_not_fit_the_class_says_so(answer, kind, text):
    """When it is asked for; the text stays readable."""
    result = answer(completion(text), response_format=kind)
    assert result.text == text
    with pytest.raises(InvalidResponseError, match=f"The answer does not fit {kind.__name__}") as caught:
        _ = result.parsed
    assert caught.value.body == text


def test_a_refusal_has_nothing_parsed(answer):
    """No text, no instance."""
    assert answer(completion(None), response_format=Place).parsed is None
    assert answer(completion('{"name": "Rome"}')).parsed is None


def test_a_class_that_is_no_schema_is_refused(mode, client):
    """Before anything is sent."""
    with pytest.raises(BadRequestError, match="cannot be a response_format"):
        mode.chat(client(), response_format=object)


LEAVES = [{"type": "string"}, {"type": "integer", "default": 3}, {"enum": [{"default": 1}]}, {"const": {"default": 2}}]
NAMED = st.sampled_from(["a", "default", "properties", "$ref", "enum"])


def objects(inner: Any) -> Any:
    """Objects of such properties, as a model's author might write them."""
    fields = {"type": st.just("object"), "properties": st.dictionaries(NAMED, inner, max_size=3)}
    definitions = st.dictionaries(st.sampled_from(["default", "X"]), inner, max_size=2)
    more = {"default": st.just({}), "$defs": definitions, "required": st.just([])}
    return st.fixed_dictionaries(fields, optional=more)


SCHEMAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        objects(inner)
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
    ),
    max_leaves=8,
)


@FAST
@given(SCHEMAS)
def test_any_schema_becomes_strict(schema):
    """Whatever its properties are called; values are left as they are; doing it twice changes nothing."""
    before = json.dumps(schema)
    made = strict_schema(schema)
    check_strict(made)
    assert strict_schema(made) == made
    assert json.dumps(schema) == before
    assert names(made) == names(schema)


def names(node: Any) -> list[Any]:
    """What a schema speaks of: property and definition names and values, in order."""
    if not isinstance(node, dict):
        return []
    found = [node[key] for key in ("enum", "const") if key in node]
    for key in ("properties", "$defs"):
        found += [(name, names(value)) for name, value in node.get(key, {}).items()]
    return found + names(node.get("items")) + [names(value) for value in node.get("anyOf", [])]


def test_a_recursive_root_is_inlined():
    """Strict providers want an object at the root."""
    schema = strict_format(Place)["json_schema"]["schema"]
    assert schema["type"] == "object"
    assert schema["properties"]["near"]["items"] == {"$ref": "#/$defs/Place"}
    check_strict(schema["$defs"]["Place"])


# --- messages of other makes ---


THEIRS = TheirCompletion.model_validate(
    completion(None) | {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]}
)  # fmt: skip
OURS = msgspec.convert(THEIRS.model_dump(), ChatCompletion)


@pytest.mark.parametrize("source", [THEIRS, OURS], ids=["openai", "polyport"])
@pytest.mark.parametrize("shape", ["whole", "calls"])
def test_messages_may_be_results_of_ours_or_of_another_sdk(mode, client, source, shape):
    """The whole message, or its tool calls inside a dict."""
    sent: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["messages"])
        return httpx.Response(200, json=completion())

    message = source.choices[0].message
    given_message = message if shape == "whole" else {"role": "assistant", "tool_calls": message.tool_calls}
    history = [*ASK, given_message, {"role": "tool", "tool_call_id": "t1", "content": "4"}]
    mode.chat(client(http=wire(reply)), messages=history)
    call = sent[0][1]["tool_calls"][0]
    assert (call["id"], call["type"], call["function"]) == ("t1", "function", {"name": "f", "arguments": "{}"})
    assert sent[0][1]["role"] == "assistant"
    assert history[1] is given_message


def test_messages_may_come_as_any_sequence(mode, client):
    """A tuple, a generator; the user's list and dicts are never changed."""
    sent: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["messages"])
        return httpx.Response(200, json=completion())

    one = client(http=wire(reply))
    before = json.dumps(ASK)
    for messages in (ASK, tuple(ASK), (message for message in ASK)):
        mode.chat(one, messages=messages)
    assert sent == [ASK, ASK, ASK]
    assert json.dumps(ASK) == before


def test_a_streamed_answer_can_be_put_together(client):
    """Its chunks read both ways as well."""
    one = client(http=wire(lambda _: httpx.Response(200, content=ROLE + event("a") + event("b") + DONE)))
    chunks = list(one.completion("fake/m", ASK, stream=True))
    assert "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks) == "ab"
    assert chunks[0].to_dict()["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
