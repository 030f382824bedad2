"""Tools, calls and their results as Anthropic's. https://platform.claude.com/docs/en/agents-and-tools/tool-use"""

from __future__ import annotations

import pytest

from polyport import errors

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
HISTORY = [
    {"role": "user", "content": "Weather in Oslo and Rome?"},
    {
        "role": "assistant",
        "content": "Looking.",
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
            {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "t1", "content": "Rain"},
    {"role": "tool", "tool_call_id": "t2", "content": "No such city", "is_error": True},
    {"role": "user", "content": "And now?"},
]


def test_functions_become_tools(sent):
    """Name, description and schema; a function without parameters takes an empty object."""
    bare = {"type": "function", "function": {"name": "now", "description": "The time"}}
    assert sent(tools=[WEATHER, bare])["tools"] == [
        {"name": "weather", "input_schema": {"type": "object", "properties": {}}},
        {"name": "now", "description": "The time", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_old_functions_are_tools_too(sent):
    """`functions` and `function_call` from before tools."""
    body = sent(functions=[{"name": "now", "parameters": {"type": "object"}}], function_call={"name": "now"})
    assert body["tools"] == [{"name": "now", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "tool", "name": "now"}


def test_parallel_calls_and_their_results(sent):
    """Calls follow the text; results and what the user says next are one user turn."""
    assert sent(messages=HISTORY, tools=[WEATHER])["messages"] == [
        {"role": "user", "content": "Weather in Oslo and Rome?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "Rain"},
                {"type": "tool_result", "tool_use_id": "t2", "content": "No such city", "is_error": True},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]


def test_a_result_may_hold_images(sent):
    """Parts of a tool's result become blocks inside it."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    messages = [
        *HISTORY[:2],
        {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "See"}, image]},
    ]
    assert sent(messages=messages)["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "t1",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            ],
        }
    ]


def test_a_function_call_from_before_tools_finds_its_result(sent):
    """The old shape has no ids; each result answers the call before it."""
    messages = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "10:00"},
    ]
    body = sent(messages=messages)
    assert body["messages"][1]["content"] == [{"type": "tool_use", "id": "function_call_1", "name": "now", "input": {}}]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "function_call_1", "content": "10:00"}
    ]


def test_arguments_that_are_not_json_are_named(ask):
    """The error says which call."""
    call = {"id": "t9", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    with pytest.raises(errors.BadRequestError, match="tool call 't9' are not JSON"):
        ask(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}])


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, {"type": "tool", "name": "weather"}),
        ({"tool_choice": {"type": "tool", "name": "weather"}}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_which_tool_is_called(sent, given, choice):
    """OpenAI's choices, Anthropic's own, and one call at a time."""
    assert sent(tools=[WEATHER], **given).get("tool_choice") == choice


def test_a_choice_without_tools_is_not_sent(sent):
    """There is nothing to choose, and Anthropic would refuse it."""
    assert "tool_choice" not in sent(tool_choice="auto", parallel_tool_calls=False)


def test_an_unknown_choice_is_named(ask):
    """A misspelt choice is an error that lists the right ones."""
    with pytest.raises(
        errors.BadRequestError, match=r"'any' is no choice at \$\.tool_choice; there are auto, required"
    ):
        ask(tools=[WEATHER], tool_choice="any")


def test_models_that_cannot_be_forced_say_so(ask):
    """Claude Opus 5.5 refuses a forced call; drop_params leaves the choice to it."""
    with pytest.raises(errors.UnsupportedParamsError, match="claude-opus-5-5 cannot be forced to call a tool"):
        ask("claude-opus-5-5", tools=[WEATHER], tool_choice="required")
    body, adaptations, _ = ask("claude-opus-5-5", tools=[WEATHER], tool_choice="required", drop_params=True)
    assert "tool_choice" not in body
    assert adaptations == [("tool_choice", "dropped")]


def test_strict_functions_are_held_to_their_schema(ask):
    """`strict` passes where models know it, with the schema as they take it; older models cannot."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    strict = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    body, adaptations, _ = ask(tools=[strict])
    assert body["tools"] == [
        {
            "name": "f",
            "input_schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "minimum: 1"}},
                "required": ["n"],
                "additionalProperties": False,
            },
            "strict": True,
        }
    ]
    assert adaptations == [("tools", "emulated")]
    body, adaptations, _ = ask("claude-sonnet-4-0", tools=[strict])
    assert body["tools"] == [{"name": "f", "input_schema": schema}]
    assert adaptations == [("tools", "dropped")]


def test_anthropics_own_tools_pass_as_they_are(sent):
    """Server tools, and client tools that Anthropic defined."""
    own = [SEARCH, {"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "f", "input_schema": {}}]
    assert sent(tools=[WEATHER, *own])["tools"][1:] == own


@pytest.mark.parametrize("kind", ["file_search", "image_generation", "code_interpreter", "mcp"])
def test_openais_own_tools_are_refused(ask, kind):
    """The error says what Anthropic has instead."""
    with pytest.raises(errors.UnsupportedParamsError, match=kind):
        ask(tools=[{"type": kind}])


def test_a_grammar_tool_is_refused(ask):
    """OpenAI's custom tools take free text."""
    with pytest.raises(errors.UnsupportedParamsError, match="free text"):
        ask(tools=[{"type": "custom", "custom": {"name": "f"}}])


def test_web_search_options_become_a_server_tool(ask):
    """A location is flat in Anthropic's tool; the context's size has no counterpart."""
    place = {"country": "NO", "city": "Oslo"}
    options = {"user_location": {"type": "approximate", "approximate": place}}
    body, adaptations, _ = ask(web_search_options=options)
    assert body["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "country": "NO", "city": "Oslo"},
        }
    ]
    assert adaptations == []
    assert ask(web_search_options={})[0]["tools"] == [{"type": "web_search_20250305", "name": "web_search"}]
    with pytest.raises(errors.UnsupportedParamsError, match="search_context_size"):
        ask(web_search_options={"search_context_size": "high"})


def test_openais_web_search_tool_is_anthropics(sent):
    """The tool of the Responses API, with its domain filter."""
    tool = {"type": "web_search", "filters": {"allowed_domains": ["a.test"]}}
    assert sent(tools=[tool])["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.test"]}
    ]
