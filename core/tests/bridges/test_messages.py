"""Anthropic's Messages API over a provider that only chats."""

from __future__ import annotations

import httpx2
import msgspec
import pytest
from anthropic import Anthropic
from anthropic.types import Message as SDKMessage, RawMessageStreamEvent
from pydantic import TypeAdapter

from polyport import BadRequestError, InternalServerError, InvalidResponseError, UnsupportedParamsError

EVENT = TypeAdapter(RawMessageStreamEvent)
HI = [{"role": "user", "content": "hi"}]
WEATHER = {
    "name": "weather",
    "description": "Tells the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
SIGNED = {"type": "thinking", "thinking": "It is cold.", "signature": "c2ln"}
MARK = {"cache_control": {"type": "ephemeral"}}


def ask(stage, says, **params):
    """Make a call whose answer does not matter, and return the chat request it became."""
    stage.answers(says("ok")).messages(**{"model": "fake/m", "messages": HI, "max_tokens": 9, **params})
    return stage.asked


def answer(stage, completion, **params):
    """Make a call that is answered so, and return the message, read by the SDK as well."""
    reply = stage.answers(completion).messages(model="fake/m", messages=HI, max_tokens=9, **params)
    SDKMessage.model_validate(reply.to_dict(), strict=True)
    return reply


def adapted(request):
    """The (parameter, action) pairs that were recorded."""
    return {(adaptation.parameter, adaptation.action) for adaptation in request.adaptations}


# --- the request ---


def test_parameters_are_passed_under_a_chats_names(stage, says):
    """What a chat knows arrives there, unknown arguments that it models included."""
    request = ask(
        stage,
        says,
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="auto",
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        seed=3,
        vendor_option=True,
    )
    assert request.given() == {
        "messages": [{"role": "system", "content": "Be brief."}, *HI],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "stop": ["END"],
        "user": "u",
        "service_tier": "auto",
        "reasoning_effort": "max",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "seed": 3,
    }
    assert request.extra == {"vendor_option": True}
    assert request.adaptations == []


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, "high"),
        ({"type": "adaptive"}, None),
        ({"type": "disabled"}, None),
    ],
)
def test_thinking_becomes_reasoning_effort(stage, says, thinking, effort):
    """A budget becomes the nearest effort, and that it did is recorded."""
    request = ask(stage, says, thinking=thinking)
    assert request.reasoning_effort == effort
    assert request.thinking is None
    assert ("thinking", "emulated") in adapted(request)


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}, None),
    ],
)
def test_tools_and_choices_take_a_chats_form(stage, says, choice, expected, parallel):
    """A tool becomes a function with all it has, and each form of tool_choice its counterpart."""
    request = ask(stage, says, tools=[{**WEATHER, "strict": True, **MARK}], tool_choice=choice)
    function = {
        "name": "weather",
        "parameters": WEATHER["input_schema"],
        "description": "Tells the weather",
        "strict": True,
    }
    assert request.tools == [{"type": "function", "function": function, **MARK}]
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)


def test_web_search_becomes_an_option_of_the_chat(stage, says):
    """Searching the web is an option; limits that it cannot have are refused."""
    place = {"type": "approximate", "city": "Oslo"}
    search = {"type": "web_search_20250305", "name": "web_search", "user_location": place, "allowed_domains": None}
    request = ask(stage, says, tools=[search])
    assert request.web_search_options == {"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}}
    with pytest.raises(UnsupportedParamsError, match=r"tools\.web_search\.max_uses"):
        ask(stage, says, tools=[{**search, "max_uses": 2}])


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"name": "a"}]}, "mcp_servers"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget"),
        ({"tools": [{"type": "code_execution_20260120", "name": "x"}]}, "tools.code_execution_20260120"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.bash_20250124"),
    ],
)
def test_what_a_chat_cannot_do_is_refused(stage, says, params, name):
    """What only Anthropic's servers do raises, and is recorded when it may be dropped."""
    with pytest.raises(UnsupportedParamsError, match=f"{name} is not supported"):
        ask(stage, says, **params)
    assert (name, "dropped") in adapted(ask(stage, says, drop_params=True, **params))


def test_what_changes_nothing_is_dropped_and_recorded(stage, says):
    """Betas, deferred tools and hints are recorded, not refused."""
    tools = [{**WEATHER, "defer_loading": True}, {"type": "tool_search_tool_bm25_20251119", "name": "t"}]
    request = ask(stage, says, tools=tools, betas=["x"], service_tier="standard_only", metadata={"a": 1})
    assert len(request.tools) == 1
    assert adapted(request) == {
        ("tools.defer_loading", "emulated"),
        ("tools.tool_search", "emulated"),
        ("betas", "dropped"),
        ("service_tier", "renamed"),
        ("metadata.a", "dropped"),
    }


# --- the blocks ---


def test_a_history_of_blocks_becomes_messages(stage, says):
    """Thinking and calls stay with their message, results become tool messages, nested images stay in them."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "-3"}, image]}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    messages = [
        *HI,
        {"role": "assistant", "content": [SIGNED, redacted, {"type": "text", "text": "See."}, call]},
        {"role": "user", "content": [{**result, "is_error": True, **MARK}, {"type": "text", "text": "so?", **MARK}]},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "well?"},
    ]
    system = [{"type": "text", "text": "Be brief.", **MARK}]
    assert ask(stage, says, messages=messages, system=system).messages == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", **MARK}]},
        *HI,
        {
            "role": "assistant",
            "content": "See.",
            "reasoning_content": "It is cold.",
            "thinking_blocks": [SIGNED, redacted],
            "tool_calls": [CALL],
        },
        {
            "role": "tool",
            "tool_call_id": "toolu_1",
            "content": [
                {"type": "text", "text": "-3"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
            "is_error": True,
            **MARK,
        },
        {"role": "user", "content": [{"type": "text", "text": "so?", **MARK}]},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "well?"},
    ]


def test_documents_and_images_take_a_chats_form(stage, says):
    """PDFs are files, texts are text, images are URLs; titles and marks stay."""
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AA=="}
    blocks = [
        {"type": "image", "source": {"type": "url", "url": "https://a.no/b.png"}},
        {"type": "document", "source": pdf, "title": "T", "citations": {"enabled": True}, **MARK},
        {"type": "document", "source": {"type": "url", "url": "https://a.no/b.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "T"},
        {
            "type": "search_result",
            "title": "S",
            "source": "https://a.no",
            "content": [{"type": "text", "text": "found"}],
        },
    ]
    request = ask(stage, says, messages=[{"role": "user", "content": blocks}])
    data = "data:application/pdf;base64,AA=="
    assert request.messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://a.no/b.png"}},
        {
            "type": "file",
            "file": {"file_data": data, "filename": "T"},
            "title": "T",
            "citations": {"enabled": True},
            **MARK,
        },
        {"type": "file", "file": {"file_url": "https://a.no/b.pdf"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "text", "text": "T"},
        {"type": "text", "text": "plain"},
        {"type": "text", "text": "S\nhttps://a.no"},
        {"type": "text", "text": "found"},
    ]
    assert adapted(request) == {("messages.document", "emulated"), ("messages.search_result", "emulated")}


def test_traces_of_server_tools_are_dropped_and_recorded(stage, says):
    """What Anthropic's servers did is left out, so that a conversation can go on elsewhere."""
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    turn = {"role": "assistant", "content": [used, found, {"type": "text", "text": "It is cold."}]}
    request = ask(stage, says, messages=[*HI, turn, *HI])
    assert request.messages[1] == {"role": "assistant", "content": "It is cold."}
    assert adapted(request) == {
        ("messages.server_tool_use", "dropped"),
        ("messages.web_search_tool_result", "dropped"),
    }


def test_a_message_to_be_continued_is_named(stage, says):
    """Whether the assistant's last message is continued is the provider's affair; that is recorded."""
    request = ask(stage, says, messages=[*HI, {"role": "assistant", "content": "The answer is"}])
    assert request.messages[-1] == {"role": "assistant", "content": "The answer is"}
    assert adapted(request) == {("messages.prefill", "emulated")}


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ("text", r"content\[0\]\.type"),
        ({"type": "text"}, r"content\[0\]\.text"),
        ({"type": "image", "source": {"type": "base64", "data": "AA=="}}, r"content\[0\]\.source\.media_type"),
        ({"type": "image", "source": {"type": "ftp"}}, r"content\[0\]\.source\.type"),
        ({"type": "tool_result", "content": "x"}, r"content\[0\]\.tool_use_id"),
    ],
)
def test_malformed_blocks_are_named_by_their_place(stage, says, block, where):
    """A wrong block is an error that says where it stands."""
    with pytest.raises(BadRequestError, match=r"\$\.messages\[0\]\." + where):
        ask(stage, says, messages=[{"role": "user", "content": [block]}])


# --- the result ---


def test_a_reply_satisfies_the_sdk(stage, says):
    """Thinking, text and a call are blocks; input tokens exclude what the cache served or took."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "cache_write_1h_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    completion = says("See.", reasoning_content="Hm.", tool_calls=[CALL], finish="tool_calls", usage=usage)
    reply = answer(stage, completion, tools=[WEATHER])
    assert reply.content == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "See."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert (reply.id, reply.model, reply.stop_reason) == ("msg_1", "fake-1", "tool_use")
    assert reply.usage.to_dict() == {
        "input_tokens": 3,
        "output_tokens": 5,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_1h_input_tokens": 1, "ephemeral_5m_input_tokens": 2},
        "output_tokens_details": {"thinking_tokens": 2},
    }
    expected = {"input": 3, "cached_input": 4, "cache_write": 3, "output": 3, "reasoning": 2}
    assert reply.usage_buckets == expected


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("tool_calls", "tool_use")],
)
def test_how_it_ended_is_the_stop_reason(stage, says, finish, stop_reason):
    """A finish reason becomes Anthropic's stop reason."""
    assert answer(stage, says("ok", finish=finish)).stop_reason == stop_reason


def test_a_call_is_tool_use_even_where_the_provider_says_stop(stage, says):
    """Clients go by stop_reason, and some providers say stop after a call."""
    assert answer(stage, says(tool_calls=[CALL], finish="stop")).stop_reason == "tool_use"


def test_refusals_citations_and_images_are_kept(stage, says):
    """What hangs on a chat's message becomes blocks and citations."""
    web = {"type": "url_citation", "url_citation": {"url": "https://a.no", "start_index": 0, "end_index": 4}}
    page = {"type": "document_citation", "document_citation": {"start_page_number": 1, "end_page_number": 2}}
    reply = answer(stage, says("Cold and so.", annotations=[web, page]))
    assert reply.content[0]["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://a.no",
            "title": None,
            "cited_text": "Cold",
            "encrypted_index": "",
        },
        {
            "type": "page_location",
            "document_index": 0,
            "document_title": None,
            "cited_text": "Cold and so.",
            "start_page_number": 1,
            "end_page_number": 2,
        },
    ]
    assert answer(stage, says(None, refusal="No.")).stop_reason == "refusal"
    drawn = says(None, images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])
    reply = stage.answers(drawn).messages(model="fake/m", messages=HI, max_tokens=9)
    assert reply.content[0]["source"] == {"type": "base64", "media_type": "image/png", "data": "AA=="}


def test_arguments_that_are_not_json_are_an_error_unless_cut_off(stage, says):
    """Anthropic's input is an object: broken text is never passed off as one."""
    broken = {**CALL, "function": {"name": "weather", "arguments": '{"city":'}}
    with pytest.raises(InvalidResponseError, match="'weather' are not JSON"):
        answer(stage, says(tool_calls=[broken], finish="tool_calls"))
    assert answer(stage, says(tool_calls=[broken], finish="length")).content[0]["input"] == {}


def test_a_failed_answer_is_an_error(stage, says):
    """A provider that ends with an error has not answered."""
    with pytest.raises(InternalServerError, match="ended its answer with an error"):
        answer(stage, says("o", finish="error"))


def test_state_comes_back_unchanged(stage, says):
    """A reply's blocks, sent back, bring the provider its signed blocks and the state of its calls again."""
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "abc"}}}
    other = {"type": "reasoning.encrypted", "data": "z"}
    completion = says(
        "See.", thinking_blocks=[SIGNED, other], tool_calls=[signed], provider_specific_fields={"blocks": [1]}
    )
    reply = answer(stage, completion)
    messages = [*HI, {"role": "assistant", "content": reply.content}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "-3"}
    request = ask(stage, says, messages=[*messages, {"role": "user", "content": [result]}])
    assert request.messages[1] == {
        "role": "assistant",
        "content": "See.",
        "reasoning_content": "It is cold.",
        "thinking_blocks": [SIGNED, other],
        "tool_calls": [signed],
        "provider_specific_fields": {"blocks": [1]},
    }


# --- streams ---


@pytest.fixture
def chunks(streams):
    """A stream with everything in it."""
    return streams(
        {"reasoning_content": "It is "},
        {"reasoning_content": "cold."},
        {"thinking_blocks": [SIGNED]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "xyz"}]},
        {"content": "Let me"},
        {"content": " see."},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]},
        finish="tool_calls",
    )


def test_a_stream_is_anthropics_events_in_order(stage, chunks):
    """Every event is one that Anthropic's SDK knows, blocks one after the other, usage at the end."""
    events = list(stage.answers(chunks).messages(model="fake/m", messages=HI, max_tokens=9, stream=True))
    for event in events:
        EVENT.validate_python(dict(event))
    assert [(event.type, event.get("delta", {}).get("type")) for event in events] == [
        ("message_start", None),
        ("content_block_start", None),
        ("content_block_delta", "thinking_delta"),
        ("content_block_delta", "thinking_delta"),
        ("content_block_delta", "signature_delta"),
        ("content_block_stop", None),
        ("content_block_start", None),
        ("content_block_stop", None),
        ("content_block_start", None),
        ("content_block_delta", "text_delta"),
        ("content_block_delta", "text_delta"),
        ("content_block_stop", None),
        ("content_block_start", None),
        ("content_block_delta", "input_json_delta"),
        ("content_block_delta", "input_json_delta"),
        ("content_block_stop", None),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert [event.index for event in events if "index" in event] == sorted(e.index for e in events if "index" in e)
    assert (events[-2].delta.stop_reason, events[-2].usage.output_tokens) == ("tool_use", 5)


def test_the_sdk_puts_a_stream_together(stage, chunks):
    """Anthropic's own accumulator, fed these events over HTTP, gives the message that was meant."""
    stream = stage.answers(chunks).messages(model="fake/m", messages=HI, max_tokens=9, stream=True)
    lines = [f"event: {event.type}\ndata: {msgspec.json.encode(event).decode()}\n\n" for event in stream]
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, text="".join(lines)))
    with (
        httpx2.Client(transport=transport) as http,
        Anthropic(api_key="k", http_client=http).messages.stream(model="m", max_tokens=9, messages=HI) as read,
    ):
        message = read.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    thinking, redacted, text, call = message.content
    assert (thinking.thinking, thinking.signature, redacted.data) == ("It is cold.", "c2ln", "xyz")
    assert (text.text, call.id, call.input) == ("Let me see.", "toolu_1", {"city": "Oslo"})
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 10, 5)


def test_a_failed_stream_is_an_error(stage, streams):
    """A provider that ends a stream with an error has not answered."""
    stream = stage.answers(streams({"content": "o"}, finish="error")).messages(
        model="fake/m", messages=HI, max_tokens=9, stream=True
    )
    with pytest.raises(InternalServerError):
        list(stream)


def test_pieces_of_a_call_that_is_over_are_an_error(stage, streams):
    """What can no longer be put where it belongs is never put elsewhere."""
    call = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{"}}
    late = {"index": 0, "function": {"arguments": "}"}}
    stream = stage.answers(streams({"tool_calls": [call]}, {"content": "x"}, {"tool_calls": [late]})).messages(
        model="fake/m", messages=HI, max_tokens=9, stream=True
    )
    with pytest.raises(InvalidResponseError, match="tool call 0"):
        list(stream)
