"""What is asked of Cohere's chat: a literal request beside the literal body it becomes."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from matrix import IMAGE_URL, NOW, WEATHER, call, called, result, say

from polyport import errors

THINKER = "command-a-reasoning-08-2025"


def test_every_parameter_that_cohere_has(ask):
    """Names and bounds are Cohere's."""
    body, adapted = ask(
        temperature=0.2, top_p=0.9, top_k=5, seed=1, stop=["a", "b"], max_completion_tokens=9, presence_penalty=0.5,
        frequency_penalty=0.25, logprobs=True,
    )  # fmt: skip
    assert body == {
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.2,
        "p": 0.9,
        "k": 5,
        "seed": 1,
        "stop_sequences": ["a", "b"],
        "max_tokens": 9,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "logprobs": True,
    }
    assert adapted == []


def test_values_beyond_the_bounds_are_clamped_and_told(ask):
    """What Cohere would refuse becomes the nearest it takes."""
    body, adapted = ask(top_p=1, temperature=3, frequency_penalty=-1, stop=list("abcdef"))
    assert (body["p"], body["temperature"], body["frequency_penalty"]) == (0.99, 2, 0)
    assert body["stop_sequences"] == list("abcde")
    assert {action for _, action in adapted} == {"clamped"}
    assert len(adapted) == 4


def test_parameters_of_cohere_itself_go_in_as_they_are(ask):
    """Documents, citation options, safety mode and priority have no counterpart elsewhere."""
    own = {
        "documents": [{"id": "d", "data": {"snippet": "x"}}, "text"],
        "citation_options": {"mode": "FAST"},
        "safety_mode": "STRICT",
        "priority": 2,
    }
    body, _ = ask(**own)
    assert {name: body[name] for name in own} == own


@pytest.mark.parametrize(
    "parameters",
    [{"n": 2}, {"logit_bias": {"1": 1}}, {"top_logprobs": 2}, {"parallel_tool_calls": False, "tools": [NOW]}],
)
def test_what_cohere_lacks_is_refused(ask, parameters):
    """Nothing is left out in silence."""
    with pytest.raises(errors.UnsupportedParamsError):
        ask(**parameters)
    _, adapted = ask(**parameters, drop_params=True)
    assert [action for _, action in adapted] == ["dropped"]


def test_json_by_a_schema(ask):
    """A schema stands beside the type."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body, adapted = ask(response_format=wanted)
    assert body["response_format"] == {"type": "json_object", "json_schema": schema}
    assert adapted == []


@pytest.mark.parametrize("beside", [{"tools": [NOW]}, {"documents": ["x"]}])
def test_json_beside_tools_or_documents_is_asked_for_in_words(ask, beside):
    """Cohere refuses a format there: https://docs.cohere.com/docs/structured-outputs"""
    body, adapted = ask(response_format={"type": "json_object"}, **beside)
    assert "response_format" not in body
    assert body["messages"][0]["role"] == "system"
    assert "JSON" in body["messages"][0]["content"]
    assert adapted == [("response_format", "emulated")]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 2048}),
        ({"reasoning_effort": "low", "max_tokens": 1000}, {"type": "enabled", "token_budget": 500}),
        ({"reasoning_effort": "high"}, {"type": "enabled"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 99}}, {"type": "enabled", "token_budget": 99}),
        ({"thinking": {"type": "adaptive"}}, {"type": "enabled"}),
        ({"thinking": {"token_budget": 5}}, {"token_budget": 5}),
    ],
)
def test_how_hard_to_think(ask, given, sent):
    """An effort is a budget, or none at all; what is given in Cohere's words or Anthropic's is Cohere's."""
    body, _ = ask(model=THINKER, **given)
    assert body["thinking"] == sent


def test_a_model_that_does_not_think_is_not_asked_to(ask):
    """An effort is refused, and none is what happens anyway."""
    assert "thinking" not in ask(reasoning_effort="none")[0]
    with pytest.raises(errors.UnsupportedParamsError):
        ask(reasoning_effort="low")
    with pytest.raises(errors.BadRequestError, match="reasoning_effort"):
        ask(reasoning_effort="very")


def test_a_tool_by_name_is_offered_alone(ask):
    """Cohere can be made to call a tool, not which."""
    body, adapted = ask(tools=[WEATHER, NOW], tool_choice={"type": "function", "function": {"name": "now"}})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now"]
    assert body["tool_choice"] == "REQUIRED"
    assert adapted == [("tool_choice", "emulated")]


def test_allowed_tools_are_the_only_ones_offered(ask):
    """OpenAI's choice among tools is a shorter list here."""
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "now"}}]}
    body, _ = ask(tools=[WEATHER, NOW], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now"]
    assert "tool_choice" not in body


def test_a_tool_that_is_not_there_cannot_be_chosen(ask):
    """The message names it."""
    with pytest.raises(errors.BadRequestError, match="later"):
        ask(tools=[NOW], tool_choice={"type": "function", "function": {"name": "later"}})
    with pytest.raises(errors.BadRequestError, match="auto, required, none"):
        ask(tools=[NOW], tool_choice="perhaps")


def test_one_strict_tool_makes_all_strict(ask):
    """Cohere's switch is for all of them."""
    strict = {"type": "function", "function": {"name": "a", "strict": True, "parameters": {"type": "object"}}}
    body, adapted = ask(tools=[strict, NOW])
    assert body["strict_tools"] is True
    assert adapted == [("tools", "emulated")]


def test_tools_that_are_no_functions_are_refused(ask):
    """Cohere's models call functions only."""
    with pytest.raises(errors.UnsupportedParamsError, match="web_search"):
        ask(tools=[{"type": "web_search"}])


def test_a_file_of_text_becomes_a_document(ask):
    """It can be cited then; it joins the documents that were given."""
    data = "data:text/plain;base64," + base64.b64encode(b"Penguins").decode()
    file = {"type": "file", "file": {"filename": "a.txt", "file_data": data}}
    body, adapted = ask([{"role": "user", "content": [{"type": "text", "text": "Sum up"}, file]}], documents=["x"])
    assert body["documents"] == ["x", {"data": {"title": "a.txt", "snippet": "Penguins"}}]
    assert body["messages"] == [{"role": "user", "content": "Sum up"}]
    assert adapted == [("messages", "emulated")]


def test_other_files_are_refused_by_name(ask):
    """A PDF cannot be read by Cohere's chat."""
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
    with pytest.raises(errors.UnsupportedParamsError, match=r"a\.pdf"):
        ask([{"role": "user", "content": [file]}])


def test_results_of_tools_may_be_documents(ask):
    """Cohere's own parts of a tool's result pass as they are."""
    part = {"type": "document", "document": {"id": "d", "data": {"roll": "1"}}}
    body, _ = ask([say("x"), called(call("c", "now")), result("c", [part])])
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "c", "content": [part]}


def test_pictures_that_tools_return_follow_their_results(ask):
    """They come after all results of the turn, as a message of the user's."""
    image = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
    body, _ = ask([say("x"), called(call("a", "now"), call("b", "now")), result("a", [image]), result("b", "1")])
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert body["messages"][-1]["content"] == [image]


def test_reasoning_of_others_is_a_plan_or_a_thought(ask):
    """Before calls it is the plan, before text a thought."""
    turn = {**called(call("c", "now")), "reasoning_content": "I look."}
    body, _ = ask(
        [say("x"), turn, result("c", "12:00"), {"role": "assistant", "content": "Noon", "reasoning_content": "12"}]
    )
    assert body["messages"][1]["tool_plan"] == "I look."
    thought = {"type": "thinking", "thinking": "12"}
    assert body["messages"][3]["content"] == [thought, {"type": "text", "text": "Noon"}]


def test_functions_of_the_older_shape(ask):
    """A function call and its result pair up as a tool's."""
    turns = [
        say("x"),
        {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": ""}},
        {"role": "function", "name": "now", "content": "12:00"},
    ]
    body, _ = ask(turns, functions=[NOW["function"]], function_call="auto")
    assert body["messages"][1]["tool_calls"][0] == {
        "id": "function_call_1",
        "type": "function",
        "function": {"name": "now", "arguments": "{}"},
    }
    assert body["messages"][2] == {"role": "tool", "tool_call_id": "function_call_1", "content": "12:00"}


@pytest.mark.parametrize("base", ["https://co.example", "https://co.example/v1", "https://co.example/v2/"])
def test_a_base_with_a_version_or_without(client, wire, base):
    """The path brings its own version."""
    client.completion("cohere/x", [say("Hello")], api_base=base)
    assert str(wire.last.url) == "https://co.example/v2/chat"
    wire.answer = lambda _: httpx.Response(200, json={"models": []})
    client.list_models(provider="cohere", api_base=base)
    assert str(wire.last.url).startswith("https://co.example/v1/models?")


def test_the_key_is_a_bearer_token(client, wire):
    """And the body is JSON."""
    client.completion("cohere/x", [say("Hello")])
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert json.loads(wire.last.content)["model"] == "x"
