"""The Responses API over a provider that only chats."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import msgspec
import pytest
from openai import OpenAI
from openai.types.responses import Response as SDKResponse, ResponseStreamEvent
from pydantic import TypeAdapter

from polyport import BadRequestError, Client, InvalidResponseError, UnsupportedParamsError
from polyport.dialects.openai import OpenAICompatible

EVENT = TypeAdapter(ResponseStreamEvent)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
SIGNED = {"type": "thinking", "thinking": "It is cold.", "signature": "c2ln"}


def ask(stage, says, **params):
    """Make a call whose answer does not matter, and return the chat request it became."""
    stage.answers(says("ok")).responses(**{"model": "fake/m", "input": "hi", **params})
    return stage.asked


def adapted(request):
    """The (parameter, action) pairs that were recorded."""
    return {(adaptation.parameter, adaptation.action) for adaptation in request.adaptations}


# --- the request ---


def test_text_and_instructions_become_messages(stage, says):
    """Instructions are the system's message, text is the user's."""
    assert ask(stage, says, instructions="Be brief.").messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_parameters_are_passed_under_a_chats_names(stage, says):
    """What a chat knows arrives there, unknown arguments that it models included."""
    request = ask(
        stage,
        says,
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=2,
        service_tier="flex",
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        seed=3,
        prompt_cache_retention="24h",
    )
    assert request.given() | {"messages": None} == {
        "messages": None,
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "logprobs": True,
        "top_logprobs": 2,
        "service_tier": "flex",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
        },
        "seed": 3,
    }
    assert request.extra == {"prompt_cache_retention": "24h"}
    assert request.adaptations == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "function", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ({"type": "custom", "name": "sql"}, {"type": "function", "function": {"name": "sql"}}),
    ],
)
def test_tool_choice_takes_a_chats_form(stage, says, choice, expected):
    """Each form of tool_choice that names a function or a mode is passed on."""
    tools = [WEATHER, {"type": "custom", "name": "sql"}]
    assert ask(stage, says, tools=tools, tool_choice=choice).tool_choice == expected


def test_allowed_tools_are_the_only_ones_offered(stage, says):
    """A subset of tools is made by leaving the others out, and recorded."""
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]}
    tools = [WEATHER, {"type": "function", "name": "other", "parameters": {}}, {"type": "web_search"}]
    request = ask(stage, says, tools=tools, tool_choice=choice)
    assert [tool["function"]["name"] for tool in request.tools] == ["weather"]
    assert (request.tool_choice, request.web_search_options) == ("required", None)
    assert ("tool_choice.allowed_tools", "emulated") in adapted(request)


def test_function_tools_keep_everything(stage, says):
    """Name, description, schema and strictness of a function arrive, and its cache mark."""
    request = ask(stage, says, tools=[{**WEATHER, "cache_control": {"type": "ephemeral"}}], parallel_tool_calls=False)
    inner = {name: WEATHER[name] for name in ("name", "description", "parameters", "strict")}
    assert request.tools == [{"type": "function", "function": inner, "cache_control": {"type": "ephemeral"}}]
    assert request.parallel_tool_calls is False


def test_web_search_becomes_an_option_of_the_chat(stage, says):
    """Where the user is, and how much context to search, is passed in a chat's form."""
    place = {"type": "approximate", "country": "NO", "city": None}
    tool = {"type": "web_search_preview", "search_context_size": "low", "user_location": place}
    assert ask(stage, says, tools=[tool]).web_search_options == {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"country": "NO"}},
    }


@pytest.mark.parametrize("kind", ["file_search", "code_interpreter", "mcp", "computer_use_preview", "image_generation"])
def test_tools_of_openais_servers_are_refused_by_name(stage, says, kind):
    """A tool that nothing here can run is an error that says why; dropped and recorded if the user says so."""
    with pytest.raises(UnsupportedParamsError, match=f"tools.{kind} is not supported: .* drop_params"):
        ask(stage, says, tools=[{"type": kind}])
    request = ask(stage, says, tools=[{"type": kind}], drop_params=True)
    assert (request.tools, adapted(request)) == (None, {(f"tools.{kind}", "dropped")})


@pytest.mark.parametrize(
    "stored", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"prompt": {"id": "pmpt_1"}}]
)
def test_stored_state_is_refused_even_when_parameters_may_be_dropped(stage, says, stored):
    """Without its history a question is another question, so it is never asked."""
    (name,) = stored
    with pytest.raises(UnsupportedParamsError, match=f"{name} is not supported: a chat provider keeps no"):
        ask(stage, says, drop_params=True, **stored)


def test_what_changes_nothing_is_dropped_and_recorded(stage, says):
    """Storing, truncating and including what does not exist are recorded, not refused."""
    request = ask(
        stage,
        says,
        store=True,
        truncation="auto",
        include=["reasoning.encrypted_content", "file_search_call.results"],
        reasoning={"summary": "auto", "context": "all_turns"},
    )
    assert adapted(request) == {
        ("store", "dropped"),
        ("truncation", "dropped"),
        ("include.file_search_call.results", "dropped"),
        ("reasoning.summary", "emulated"),
        ("reasoning.context", "dropped"),
    }


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"background": True}, "background"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.mcp"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.no"]}}]}, "tools.web_search.filters"),
    ],
)
def test_what_a_chat_cannot_do_is_refused(stage, says, params, name):
    """Parameters that would change what happens raise, and are recorded when they may be dropped."""
    with pytest.raises(UnsupportedParamsError, match=f"^fake/m: {name} is not supported"):
        ask(stage, says, **params)
    assert (name, "dropped") in adapted(ask(stage, says, drop_params=True, **params))


def test_adaptations_reach_the_result(stage, says):
    """What was adapted on the way is in the outer result's meta."""
    reply = stage.answers(says("ok")).responses(model="fake/m", input="hi", store=True)
    assert [a.parameter for a in reply.meta.adaptations] == ["store"]


# --- the items ---


def test_a_history_of_items_becomes_messages(stage, says):
    """Reasoning, text and calls of one turn are one assistant message; outputs are tool messages, in order."""
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two calls."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "cold"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "warm"}]},
        {"role": "assistant", "content": "It is cold and warm."},
    ]
    call = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert ask(stage, says, input=items).messages == [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "Two calls.",
            "tool_calls": [{"id": "c1", **call}, {"id": "c2", **call}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "cold"},
        {"role": "tool", "tool_call_id": "c2", "content": "warm"},
        {"role": "assistant", "content": "It is cold and warm."},
    ]


def test_parts_take_a_chats_form(stage, says):
    """Images, files and audio are translated, and cache marks stay on them."""
    mark = {"cache_control": {"type": "ephemeral"}}
    parts = [
        {"type": "input_image", "image_url": "https://a.no/b.png", "detail": "low", **mark},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_file", "file_url": "https://a.no/b.pdf"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]
    assert ask(stage, says, input=[{"role": "user", "content": parts}]).messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://a.no/b.png", "detail": "low"}, **mark},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"file_url": "https://a.no/b.pdf"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("items", "where"),
    [
        (["hi"], r"\$\.input\[0\]"),
        ([{"role": "robot", "content": "hi"}], r"\$\.input\[0\]\.role"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], r"\$\.input\[0\]\.content\[0\]\.text"),
        ([{"role": "user", "content": [{"type": "hologram"}]}], r"\$\.input\[0\]\.content\[0\]\.type"),
        ([{"type": "function_call", "call_id": "c"}], r"\$\.input\[0\]\.name"),
        ([{"role": "user", "content": [{"type": "input_file", "filename": "a"}]}], r"\$\.input\[0\]\.content\[0\]"),
    ],
)
def test_malformed_items_are_named_by_their_place(stage, says, items, where):
    """A wrong item is an error that says where it stands."""
    with pytest.raises(BadRequestError, match=where):
        ask(stage, says, input=items)


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}, {"type": "compaction"}])
def test_items_kept_by_openai_are_refused(stage, says, item):
    """A reference to a stored item cannot be followed, and nothing stands in for it."""
    with pytest.raises(UnsupportedParamsError, match=r"\$\.input\[0\] \((item_reference|compaction)\)"):
        ask(stage, says, input=[item], drop_params=True)


def test_anothers_encrypted_reasoning_is_dropped_and_recorded(stage, says):
    """Reasoning that only OpenAI can read does not come along; what is readable of it does."""
    item = {"type": "reasoning", "encrypted_content": "gAAAA", "summary": [{"type": "summary_text", "text": "hm"}]}
    request = ask(stage, says, input=[item, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}])
    assert request.messages[0] == {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    assert adapted(request) == {("input.reasoning.encrypted_content", "dropped")}


# --- the result ---


def test_a_reply_satisfies_the_sdk(stage, says):
    """Reasoning, text and a call are three items; OpenAI's own model takes the response, strictly."""
    answer = says(
        "It is cold.",
        reasoning_content="Look.",
        tool_calls=[CALL],
        finish="tool_calls",
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    )
    params = {"tools": [WEATHER], "tool_choice": "required", "metadata": {"a": "b"}, "reasoning": {"effort": "low"}}
    reply = stage.answers(answer).responses(model="fake/m", input="hi", instructions="Be brief.", **params)
    read = SDKResponse.model_validate(reply.to_dict(), strict=True)
    assert [item.type for item in read.output] == ["reasoning", "message", "function_call"]
    assert read.output_text == reply.output_text == "It is cold."
    assert (read.status, read.id, read.model, read.created_at) == ("completed", "resp_1", "fake-1", 1700000000)
    assert (read.metadata, read.instructions, read.tool_choice) == ({"a": "b"}, "Be brief.", "required")
    assert (read.output[2].call_id, read.output[2].arguments) == ("call_1", '{"city":"Oslo"}')
    assert (read.usage.input_tokens_details.cached_tokens, read.usage.output_tokens_details.reasoning_tokens) == (4, 3)
    assert reply.usage_buckets == {"input": 4, "cached_input": 4, "cache_write": 2, "output": 2, "reasoning": 3}


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("stop", "completed", None),
        ("error", "failed", None),
    ],
)
def test_how_it_ended_is_the_status(stage, says, finish, status, details):
    """A finish reason becomes a status, with its details."""
    reply = stage.answers(says("It is", finish=finish)).responses(model="fake/m", input="hi")
    assert (reply.status, reply.incomplete_details, reply.error is not None) == (status, details, status == "failed")
    assert reply.output[0]["status"] == ("incomplete" if status == "incomplete" else "completed")
    SDKResponse.model_validate(reply.to_dict(), strict=True)


def test_refusals_annotations_logprobs_and_images_are_kept(stage, says):
    """What hangs on a chat's message hangs on the items."""
    token = {"token": "é", "logprob": -0.1, "top_logprobs": [{"token": "e", "logprob": -2.0}]}
    answer = says(
        "é",
        refusal="No.",
        annotations=[{"type": "url_citation", "url_citation": {"url": "https://a.no", "start_index": 0}}],
        images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}],
    )
    answer["choices"][0]["logprobs"] = {"content": [token]}
    reply = stage.answers(answer).responses(model="fake/m", input="hi", include=["message.output_text.logprobs"])
    assert stage.asked.logprobs is True
    read = SDKResponse.model_validate(reply.to_dict(), strict=True)
    image, message = read.output[1], read.output[0].content
    assert (image.type, image.result) == ("image_generation_call", "iVBO")
    assert [part.type for part in message] == ["output_text", "refusal", "output_text"]
    assert message[0].logprobs[0].bytes == list("é".encode())
    assert message[1].refusal == "No."
    assert message[2].annotations[0].url == "https://a.no"


def test_what_the_provider_said_beyond_chat_stays_readable(stage, says):
    """Top-level fields that nobody models are the response's extra."""
    reply = stage.answers(says("ok")).responses(model="fake/m", input="hi", truncation="disabled")
    assert reply.extra["truncation"] == "disabled"


# --- state that goes out and comes back ---


def test_thinking_blocks_come_back_unchanged(stage, says):
    """The items of one reply, sent back as input, bring the provider its signed and redacted blocks again."""
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    answer = says("Cold.", reasoning_content="It is cold.", thinking_blocks=[SIGNED, redacted], tool_calls=[CALL])
    reply = stage.answers(answer).responses(model="fake/m", input="hi")
    assert reply.output[0]["content"] == [{"type": "reasoning_text", "text": "It is cold."}]
    result = {"type": "function_call_output", "call_id": "call_1", "output": "-3"}
    request = ask(stage, says, input=[{"role": "user", "content": "hi"}, *reply.output, result])
    assert request.messages[1] == {
        "role": "assistant",
        "content": "Cold.",
        "reasoning_content": "It is cold.",
        "thinking_blocks": [SIGNED, redacted],
        "tool_calls": [CALL],
    }


def test_the_state_of_calls_and_messages_comes_back_unchanged(stage, says):
    """What a provider hangs on its tool calls and on its message returns with them."""
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "abc"}}}
    answer = says(None, tool_calls=[signed], provider_specific_fields={"blocks": [1]})
    reply = stage.answers(answer).responses(model="fake/m", input="hi")
    assert [item["type"] for item in reply.output] == ["reasoning", "function_call", "reasoning"]
    request = ask(
        stage, says, input=[*reply.output, {"type": "function_call_output", "call_id": "call_1", "output": ""}]
    )
    assert request.messages[0]["tool_calls"] == [signed]
    assert request.messages[0]["provider_specific_fields"] == {"blocks": [1]}
    SDKResponse.model_validate(reply.to_dict(), strict=True)


# --- tools that a chat calls differently ---


def test_custom_tools_are_called_as_functions_and_come_back_as_they_are(stage, says, streams):
    """A custom tool's text travels in a function's argument, both ways."""
    tool = {
        "type": "custom",
        "name": "sql",
        "description": "Runs SQL",
        "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
    }
    call = {"index": 0, "id": "c1", "function": {"name": "sql", "arguments": '{"input":"select'}}
    chunks = streams({"tool_calls": [call]}, {"tool_calls": [{"index": 0, "function": {"arguments": ' 1"}'}}]})
    events = list(stage.answers(chunks).responses(model="fake/m", input="hi", tools=[tool], stream=True))
    assert stage.asked.tools[0]["function"]["parameters"]["required"] == ["input"]
    assert ("tools.custom", "emulated") in adapted(stage.asked)
    for event in events:
        EVENT.validate_python(dict(event))
    assert [event.type for event in events][2:-1] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]
    (item,) = events[-1].response.output
    assert (item.type, item.call_id, item.name, item.input) == ("custom_tool_call", "c1", "sql", "select 1")
    output = {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"}
    request = ask(stage, says, input=[dict(item), output], tools=[tool])
    assert request.messages[0]["tool_calls"][0]["function"] == {"name": "sql", "arguments": '{"input":"select 1"}'}
    assert request.messages[1] == {"role": "tool", "tool_call_id": "c1", "content": "1"}


def test_namespaces_are_flattened_and_restored(stage, says):
    """A tool of a namespace has one name for the chat, and its two for the user."""
    space = {"type": "namespace", "name": "crm", "description": "CRM.", "tools": [WEATHER]}
    call = {"id": "c1", "type": "function", "function": {"name": "crm__weather", "arguments": "{}"}}
    reply = stage.answers(says(tool_calls=[call])).responses(model="fake/m", input="hi", tools=[space])
    assert (reply.output[0]["name"], reply.output[0]["namespace"]) == ("weather", "crm")
    request = ask(stage, says, input=[*reply.output, {"type": "function_call_output", "call_id": "c1", "output": "x"}])
    assert request.messages[0]["tool_calls"][0]["function"]["name"] == "crm__weather"


def test_a_search_for_tools_that_the_client_runs_is_a_function(stage, says):
    """The model's search comes back as OpenAI's item, and what it found is offered from then on."""
    search = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
    call = {"id": "c1", "type": "function", "function": {"name": "tool_search", "arguments": '{"q":"rate"}'}}
    reply = stage.answers(says(tool_calls=[call])).responses(model="fake/m", input="hi", tools=[search])
    assert reply.output[0]["type"] == "tool_search_call"
    assert reply.output[0]["arguments"] == {"q": "rate"}
    SDKResponse.model_validate(reply.to_dict())
    found = {"type": "tool_search_output", "call_id": "c1", "execution": "client", "tools": [WEATHER]}
    request = ask(stage, says, input=[*reply.output, found], tools=[search])
    assert [tool["function"]["name"] for tool in request.tools] == ["tool_search", "weather"]
    assert [message["role"] for message in request.messages] == ["assistant", "tool"]


# --- streams ---


def test_a_stream_is_the_typed_events_in_order(stage, streams):
    """Every event is one that OpenAI's SDK knows, numbered without a gap, in OpenAI's order."""
    chunks = streams(
        {"reasoning_content": "It is "},
        {"reasoning_content": "cold."},
        {"thinking_blocks": [SIGNED]},
        {"content": "Let me"},
        {"content": " see."},
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        finish="tool_calls",
    )
    events = list(stage.answers(chunks).responses(model="fake/m", input="hi", stream=True))
    assert stage.asked.stream_options == {"include_usage": True}
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(dict(event))
    read = SDKResponse.model_validate(events[-1]["response"], strict=True)
    assert (read.output_text, read.usage.total_tokens) == ("Let me see.", 15)


def test_the_sdk_puts_a_stream_together(stage, streams):
    """OpenAI's own accumulator, fed these events over HTTP, gives the response that was meant."""
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city":'}}
    chunks = streams(
        {"reasoning_content": "Cold."},
        {"content": "Let me"},
        {"content": " see."},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]},
        finish="tool_calls",
    )
    stream = stage.answers(chunks).responses(model="fake/m", input="hi", stream=True, tools=[WEATHER])
    lines = [f"event: {event.type}\ndata: {msgspec.json.encode(event).decode()}\n\n" for event in stream]
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, text="".join(lines)))
    with (
        httpx2.Client(transport=transport) as http,
        OpenAI(api_key="k", http_client=http).responses.stream(model="m", input="hi") as read,
    ):
        response = read.get_final_response()
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert (response.output_text, response.output[2].arguments) == ("Let me see.", '{"city":"Oslo"}')
    assert response.usage.total_tokens == 15


def test_a_summary_that_was_asked_for_is_streamed_as_one(stage, streams):
    """reasoning.summary makes reasoning arrive as summary events and parts."""
    chunks = streams({"reasoning_content": "Cold."}, {"content": "ok"})
    stream = stage.answers(chunks).responses(model="fake/m", input="hi", stream=True, reasoning={"summary": "auto"})
    events = [EVENT.validate_python(dict(event)) for event in stream]
    assert [event.type for event in events][3:7] == [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ]
    assert events[-1].response.output[0].summary[0].text == "Cold."


def test_refusals_and_cut_answers_have_their_events(stage, streams):
    """A refusal is streamed as one, and an answer that was cut ends with response.incomplete."""
    chunks = streams({"refusal": "I "}, {"refusal": "won't."}, finish="length")
    events = [
        EVENT.validate_python(dict(e)) for e in stage.answers(chunks).responses(model="fake/m", input="x", stream=True)
    ]
    assert [event.type for event in events][3:] == [
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert events[-1].response.output[0].content[0].refusal == "I won't."


def test_parallel_calls_are_told_apart_by_index_and_by_id(stage, streams):
    """Calls come one after the other; a new id is a new call, even under an index that was used before."""
    first = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{}"}}
    second = {"index": 0, "id": "b", "function": {"name": "weather", "arguments": ""}}
    chunks = streams(
        {"tool_calls": [first, second]}, {"tool_calls": [{"index": 1, "id": "c", "function": {"name": "x"}}]}
    )
    *_, last = stage.answers(chunks).responses(model="fake/m", input="x", stream=True)
    calls = [(item["call_id"], item["arguments"]) for item in last["response"]["output"]]
    assert calls == [("a", "{}"), ("b", "{}"), ("c", "{}")]


def test_pieces_of_a_call_that_is_over_are_an_error(stage, streams):
    """What can no longer be put where it belongs is never put elsewhere."""
    call = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{"}}
    other = {"index": 1, "id": "b", "function": {"name": "weather", "arguments": "{}"}}
    chunks = streams(
        {"tool_calls": [call]}, {"tool_calls": [other]}, {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}
    )
    with pytest.raises(InvalidResponseError, match="tool call 0"):
        list(stage.answers(chunks).responses(model="fake/m", input="x", stream=True))


# --- over a wire ---

SSE = b"".join(
    b"data: " + line + b"\n\n"
    for line in (
        b'{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
        b'{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":"Hel"}}]}',
        b'{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}',
        b'{"id":"chatcmpl-7","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}',
        b"[DONE]",
    )
)


class Wired(OpenAICompatible):
    """A provider with OpenAI's chat over HTTP, and without its Responses API."""

    base_url = "https://wired.test"


@pytest.mark.parametrize("cut", [1, 7, 100, 10_000])
def test_a_real_stream_is_bridged_wherever_it_is_cut(cut):
    """Sync and async, over HTTP: the bridge's stream is the provider's, and is closed with it."""

    def serve(request: httpx.Request) -> httpx.Response:
        pieces = [SSE[i : i + cut] for i in range(0, len(SSE), cut)]
        return httpx.Response(200, content=iter(pieces))

    with Client(providers={"wired": Wired}, http=httpx.MockTransport(serve)) as client:
        stream = client.responses(model="wired/m", input="hi", stream=True)
        events = list(stream)
        assert events[-1].response.output[0].content[0].text == "Hello"
        assert stream.meta.latency is not None

    async def run() -> list:
        async def pieces():
            for i in range(0, len(SSE), cut):
                yield SSE[i : i + cut]

        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=pieces()))
        async with Client(providers={"wired": Wired}, http=httpx.AsyncClient(transport=transport)) as client:
            return [event async for event in await client.aresponses(model="wired/m", input="hi", stream=True)]

    again = asyncio.run(run())
    assert [event.type for event in again] == [event.type for event in events]


def test_an_error_status_before_the_stream_is_an_error_of_its_class():
    """The bridge adds nothing between a provider's error and the user."""
    transport = httpx.MockTransport(lambda request: httpx.Response(400, json={"error": {"message": "too long"}}))
    with (
        Client(providers={"wired": Wired}, http=transport) as client,
        pytest.raises(BadRequestError, match="too long"),
    ):
        client.responses(model="wired/m", input="hi", stream=True)
