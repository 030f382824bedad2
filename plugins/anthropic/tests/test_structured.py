"""Answers in JSON: native, by a tool, by asking. https://platform.claude.com/docs/en/build-with-claude/structured-outputs"""

from __future__ import annotations

import msgspec
import pytest

from polyport_anthropic.schema import constrain
from polyport_anthropic.tools import ANSWER_TOOL


class City(msgspec.Struct):
    """An answer."""

    name: str
    people: int


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "f"}}


def test_a_schema_is_enforced_natively(ask, message):
    """Models from 4.5 on take `output_config.format`, with closed objects; the answer becomes an instance."""
    message["content"] = [{"type": "text", "text": '{"name": "Oslo", "people": 700000}'}]
    body, adaptations, result = ask(response_format=City, reply=message)
    asked = body["output_config"]["format"]
    assert asked["type"] == "json_schema"
    assert asked["schema"]["properties"] == {"name": {"type": "string"}, "people": {"type": "integer"}}
    assert asked["schema"]["required"] == ["name", "people"]
    assert asked["schema"]["additionalProperties"] is False
    assert adaptations == []
    assert result.parsed == City("Oslo", 700000)


def test_a_schema_and_an_effort_share_output_config(sent):
    """Both live in one field, also beside what the user puts there."""
    body = sent("claude-opus-5-5", response_format=FORMAT, reasoning_effort="low", output_config={"task_budget": 1})
    assert body["output_config"].keys() == {"format", "effort", "task_budget"}


def test_older_models_answer_through_a_tool(ask, message):
    """The tool is forced, and its input is the answer's text; that is an adaptation."""
    message["content"] = [{"type": "tool_use", "id": "t1", "name": ANSWER_TOOL, "input": {"name": "Oslo"}}]
    message["stop_reason"] = "tool_use"
    body, adaptations, result = ask("claude-sonnet-4-0", response_format=FORMAT, reply=message)
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [(ANSWER_TOOL, SCHEMA)]
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL}
    assert adaptations == [("response_format", "emulated")]
    choice = result.choices[0]
    assert (choice.message.content, choice.message.tool_calls) == ('{"name":"Oslo"}', None)
    assert choice.finish_reason == "stop"


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({"tools": [TOOL]}, {"type": "any"}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"type": "auto"}),
        ({"reasoning_effort": "low"}, None),
    ],
)
def test_the_answer_tool_is_forced_only_where_it_may_be(sent, given, choice):
    """Beside other tools any may be called; thinking forbids forcing."""
    body = sent("claude-sonnet-4-0", response_format=FORMAT, **given)
    assert body["tools"][-1]["name"] == ANSWER_TOOL
    assert body.get("tool_choice") == choice


def test_an_answer_through_a_tool_streams_as_text(wire, sse, message):
    """Pieces of its input are the content, and the finish is a plain stop."""
    block = {"type": "tool_use", "id": "t1", "name": ANSWER_TOOL, "input": {}}
    pieces = ['{"name"', ': "Oslo"}']
    stream = sse(
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    client = wire(pieces=[stream]).client()
    chunks = list(
        client.completion(
            "anthropic/claude-sonnet-4-0", [{"role": "user", "content": "x"}], response_format=FORMAT, stream=True
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == '{"name": "Oslo"}'
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_free_json_is_asked_for(ask):
    """There is no such mode; an instruction stands in, after the user's own."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}]
    body, adaptations, _ = ask(messages=messages, response_format={"type": "json_object"})
    assert body["system"][0] == {"type": "text", "text": "Be brief."}
    assert "JSON" in body["system"][1]["text"]
    assert adaptations == [("response_format", "emulated")]


def test_constraints_that_cannot_be_enforced_are_told():
    """They move into descriptions; names of properties are never taken for keywords."""
    schema = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "pattern": "a+", "description": "A word"},
            "list": {"type": "array", "items": {"type": "number", "maximum": 2}, "minItems": 1, "maxItems": 3},
            "either": {"oneOf": [{"type": "string", "format": "email"}, {"type": "string", "format": "phone"}]},
        },
    }
    made, told = constrain(schema)
    assert made == {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": 'A word (pattern: "a+")'},
            "list": {
                "type": "array",
                "items": {"type": "number", "description": "maximum: 2"},
                "minItems": 1,
                "description": "maxItems: 3",
            },
            "either": {
                "anyOf": [
                    {"type": "string", "format": "email"},
                    {"type": "string", "description": 'format: "phone"'},
                ]
            },
        },
        "additionalProperties": False,
    }
    assert told == ["format", "maxItems", "maximum", "pattern"]
