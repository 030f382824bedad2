"""The splitter and the schemas, without a model."""

import json

from polyport_local import tools

PLAN = tools.plan([{"type": "function", "function": {"name": name}} for name in ("get", "get_all")], "auto")
CALL = '<tool_call>{"name": "get_all", "arguments": {"a": "}</tool_call"}}</tool_call>'


def split(text: str, size: int) -> tuple[str, str, str]:
    """Return name, arguments and plain text of a reply cut into pieces of `size`."""
    splitter = tools.Splitter(PLAN, "call_1")
    deltas = [d for i in range(0, len(text), size) for d in splitter.feed(text[i : i + size])] + splitter.close()
    calls = [d["tool_calls"][0] for d in deltas if "tool_calls" in d]
    name = "".join(call["function"].get("name", "") for call in calls)
    arguments = "".join(call["function"]["arguments"] for call in calls)
    return name, arguments, "".join(d.get("content", "") for d in deltas)


def test_a_call_is_read_however_it_is_cut():
    """Cut at every length, even with the closing mark inside an argument."""
    for size in range(1, len(CALL) + 1):
        assert split(CALL, size) == ("get_all", '{"a": "}</tool_call"}', "")


def test_plain_text_passes():
    """Text that only begins like a call is text."""
    for text in ("Hello", "<tool_call>nonsense", "<", '<tool_call>{"name": "getx"'):
        for size in (1, 3, 100):
            assert split(text, size) == ("", "", text)


def test_objects_are_closed_where_that_is_safe():
    """Undeclared properties are shut out, except where the schema says more than we can judge."""
    inner = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tight = tools.tight(
        {"type": "object", "properties": {"list": {"type": "array", "items": inner}}, "$defs": {"i": inner}}
    )
    assert tight["additionalProperties"] is False
    assert tight["properties"]["list"]["items"]["additionalProperties"] is False
    assert tight["$defs"]["i"]["additionalProperties"] is False
    assert "additionalProperties" not in tools.tight({"allOf": [inner], "type": "object", "properties": {}})
    kept = tools.tight({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}})
    assert kept["additionalProperties"] == {"type": "string"}


def test_the_allowed_tools_form_of_tool_choice():
    """OpenAI's list of allowed tools narrows the offer and carries the mode."""
    offered = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "name": "b"}]},
    }
    plan = tools.plan(offered, allowed)
    assert [tool.name for tool in plan.tools] == ["b"]
    assert plan.forced


def test_a_system_prompt_is_kept_before_the_tools():
    """The user's system prompt and the description of the tools become one message."""
    first, second = PLAN.messages([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}])
    assert first["content"].startswith("Be kind.\n\n")
    assert json.dumps("get_all") in first["content"]
    assert second == {"role": "user", "content": "Hi"}
