"""A chat request and the literal body it becomes, feature by feature. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

import msgspec
import pytest

from polyport import errors
from polyport.types.chat import ChatRequest
from polyport_anthropic.chat import RENDER, UNSUPPORTED

PNG = "iVBORw0KGgo="
MARK = {"type": "ephemeral"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
WEATHER_SENT = {
    "name": "weather",
    "description": "Tells the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def user(*content):
    """One user message with these parts."""
    return [{"role": "user", "content": list(content)}]


def content_of(body, turn=0):
    """The content of a turn of a sent body."""
    return body["messages"][turn]["content"]


# --- turns --------------------------------------------------------------------------------------------------


def test_the_least_request_is_model_limit_and_text(sent):
    """A limit is required; the most that the model can answer stands in."""
    assert sent() == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64000,
        "messages": [{"role": "user", "content": "Hello"}],
    }


def test_instructions_go_to_system_wherever_they_stand(sent, adapted):
    """System and developer messages join in `system`; one that came later says so."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "No jokes."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": "In French."},
    ]
    body = sent(messages=messages)
    texts = ["Be brief.", "No jokes.", "In French."]
    assert body["system"] == [{"type": "text", "text": text} for text in texts]
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert adapted(messages=messages) == [("messages", "emulated")]
    assert adapted(messages=messages[:3]) == []


def test_one_instruction_is_plain_text(sent):
    """A single system message without a cache marker is sent as text."""
    assert (
        sent(messages=[{"role": "system", "content": "Be brief."}, *user({"type": "text", "text": "Hi"})])["system"]
        == "Be brief."
    )


def test_instructions_alone_are_refused_before_anything_is_sent(ask):
    """Anthropic needs a user's message; the error says so."""
    with pytest.raises(errors.BadRequestError, match="needs a message of the user's"):
        ask(messages=[{"role": "system", "content": "Be brief."}])


def test_turns_of_one_role_are_merged(sent):
    """Consecutive messages of a role become one turn, in order."""
    body = sent(
        messages=[
            {"role": "user", "content": "One"},
            {"role": "user", "content": "Two"},
            {"role": "assistant", "content": "Three"},
            {"role": "assistant", "content": "Four"},
            {"role": "user", "content": ""},
            {"role": "user", "content": "Five"},
        ]
    )
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Three"}, {"type": "text", "text": "Four"}]},
        {"role": "user", "content": "Five"},
    ]


def test_a_users_name_is_left_out_and_recorded(adapted):
    """Anthropic's messages have no participant names."""
    assert adapted(messages=[{"role": "user", "content": "Hi", "name": "ann"}]) == [("messages", "dropped")]


# --- media --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "source"),
    [
        ("https://x.test/a.png", {"type": "url", "url": "https://x.test/a.png"}),
        (f"data:image/png;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        ("data:image/svg+xml,%3Csvg%2F%3E", {"type": "base64", "media_type": "image/svg+xml", "data": "PHN2Zy8+"}),
    ],
)
def test_images_go_by_address_or_as_base64(sent, image, source):
    """http(s) addresses are Anthropic's to fetch; data: URLs are taken apart."""
    body = sent(messages=user({"type": "image_url", "image_url": {"url": image}}))
    assert content_of(body) == [{"type": "image", "source": source}]


def test_an_images_detail_is_recorded_as_dropped(adapted):
    """Claude has no detail levels; auto asks for none."""
    low = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
    auto = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "auto"}}
    assert adapted(messages=user(low)) == [("messages", "dropped")]
    assert adapted(messages=user(auto)) == []


def test_an_address_that_nobody_can_read_is_refused(ask):
    """gs:// and the like are named in the error."""
    with pytest.raises(errors.BadRequestError, match=r"gs://bucket/a\.png"):
        ask(messages=user({"type": "image_url", "image_url": "gs://bucket/a.png"}))


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (
            {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
            },
        ),
        (
            {"file_data": "JVBERi0="},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        ),
        (
            {"file_data": "data:text/plain;base64,SGVsbG8="},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hello"}},
        ),
        (
            {"file_url": "https://x.test/a.pdf"},
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        ({"file_id": "file_1"}, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            {"file_id": "file_2", "format": "image/png"},
            {"type": "image", "source": {"type": "file", "file_id": "file_2"}},
        ),
    ],
)
def test_files_become_documents(sent, file, block):
    """PDFs and text, by data, by address, by file id."""
    assert content_of(sent(messages=user({"type": "file", "file": file}))) == [block]


def test_a_documents_citations_title_and_context_pass(sent):
    """What Anthropic's documents have besides is kept."""
    part = {
        "type": "file",
        "file": {"file_id": "file_1"},
        "citations": {"enabled": True},
        "title": "Report",
        "context": "From 2020",
    }
    assert content_of(sent(messages=user(part))) == [
        {
            "type": "document",
            "source": {"type": "file", "file_id": "file_1"},
            "title": "Report",
            "context": "From 2020",
            "citations": {"enabled": True},
        }
    ]


def test_blocks_of_anthropics_own_pass_as_they_are(sent):
    """A part that is Anthropic's already is not touched."""
    block = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}
    assert content_of(sent(messages=user(block))) == [block]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
    ],
)
def test_what_claude_cannot_take_in_is_refused_or_dropped(ask, adapted, part):
    """Audio and video: an error, or under drop_params a recorded adaptation."""
    messages = user({"type": "text", "text": "Hi"}, part)
    with pytest.raises(errors.UnsupportedParamsError, match="Claude cannot"):
        ask(messages=messages)
    assert adapted(messages=messages, drop_params=True) == [("messages", "dropped")]


# --- cache markers ------------------------------------------------------------------------------------------


def test_cache_markers_stay_where_they_were_put(sent):
    """On instructions, parts, messages, tools, calls and results."""
    body = sent(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": MARK}]},
            {"role": "user", "content": [{"type": "text", "text": "A", "cache_control": {**MARK, "ttl": "1h"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{**CALL, "cache_control": MARK}]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Rain", "cache_control": MARK},
            {"role": "user", "content": "Thanks", "cache_control": MARK},
        ],
        tools=[{**WEATHER, "cache_control": MARK}],
    )
    assert body["system"] == [{"type": "text", "text": "Long.", "cache_control": MARK}]
    assert content_of(body, 0) == [{"type": "text", "text": "A", "cache_control": {**MARK, "ttl": "1h"}}]
    assert content_of(body, 1)[0]["cache_control"] == MARK
    assert [block["cache_control"] for block in content_of(body, 2)] == [MARK, MARK]
    assert body["tools"] == [{**WEATHER_SENT, "cache_control": MARK}]


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 5}, {"temperature": 0.5, "top_p": 0.9, "top_k": 5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"max_tokens": 10}, {"max_tokens": 10}),
        ({"max_tokens": 10, "max_completion_tokens": 20}, {"max_tokens": 20}),
        ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
        ({"safety_identifier": "u2"}, {"metadata": {"user_id": "u2"}}),
        ({"metadata": {"user_id": "u3"}}, {"metadata": {"user_id": "u3"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"stream_options": {"include_usage": True}}, {}),
        ({"container": "c1", "mcp_servers": [{"type": "url"}]}, {"container": "c1", "mcp_servers": [{"type": "url"}]}),
        ({"betas": ["b1"]}, {}),
        ({"n": 1, "presence_penalty": 0.0, "logprobs": False, "modalities": ["text"], "store": False}, {}),
    ],
)
def test_parameters_are_renamed_or_passed(sent, ask, given, body):
    """Each parameter with a counterpart, and what is Anthropic's own; nothing of it is an adaptation."""
    plain = {"model": "claude-sonnet-4-5", "max_tokens": 64000, "messages": [{"role": "user", "content": "Hello"}]}
    got, adaptations, _ = ask(**given)
    assert got == {**plain, **body}
    assert adaptations == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("seed", 1),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 2.0}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("store", True),
        ("verbosity", "low"),
        ("prompt_cache_key", "k"),
        ("metadata", {"topic": "x"}),
        ("service_tier", "flex"),
    ],
)
def test_what_anthropic_lacks_is_refused_or_dropped(ask, name, value):
    """An error that names the parameter, or under drop_params a recorded adaptation and a body without it."""
    with pytest.raises(errors.UnsupportedParamsError, match=f"{name} is not supported"):
        ask(**{name: value})
    body, adaptations, _ = ask(**{name: value}, drop_params=True)
    assert adaptations == [(name, "dropped")]
    assert body.keys() == {"model", "max_tokens", "messages"}


def test_every_parameter_of_chat_is_accounted_for():
    """A parameter that core learns must be rendered, refused, or translated with a whole."""
    wholes = {
        "messages", "stream_options", "max_tokens", "max_completion_tokens", "tools", "tool_choice",
        "parallel_tool_calls", "functions", "function_call", "response_format", "reasoning_effort", "thinking",
        "web_search_options",
    }  # fmt: skip
    fields = {field.name for field in msgspec.structs.fields(ChatRequest)} - ChatRequest.FRAME
    assert fields == wholes | RENDER.keys() | UNSUPPORTED.keys()


def test_temperature_above_one_is_clamped(ask):
    """Anthropic's scale ends at 1."""
    body, adaptations, _ = ask(temperature=1.5)
    assert body["temperature"] == 1
    assert adaptations == [("temperature", "clamped")]
    with pytest.raises(errors.BadRequestError, match="temperature would be clamped"):
        ask(temperature=1.5, strict=True)


def test_models_without_sampling_refuse_it(ask):
    """From 4.7 on there is none; the value that changes nothing may stand."""
    with pytest.raises(errors.UnsupportedParamsError, match="claude-opus-5-5 has no sampling parameters"):
        ask("claude-opus-5-5", temperature=0.5)
    body, adaptations, _ = ask("claude-opus-5-5", temperature=1.0, top_p=1.0)
    assert "temperature" not in body
    assert adaptations == []


def test_an_unknown_models_limit_is_recorded(ask):
    """Nothing is known of it, so the limit is one that every model grants, and the result says so."""
    body, adaptations, _ = ask("claude-future-9")
    assert body["max_tokens"] == 4096
    assert adaptations == [("max_tokens", "emulated")]
    assert ask("claude-future-9", max_tokens=5)[1] == []


def test_names_of_dated_models_and_of_other_hosts_are_understood(sent):
    """A date, "-latest" or a host's prefix does not hide what is known of a model."""
    limits = {
        "claude-3-5-haiku-latest": 8192,
        "claude-opus-4-20250514": 32000,
        "claude-sonnet-4-5@20250929": 64000,
        "us.anthropic.claude-haiku-4-5-20251001-v1:0": 64000,
    }
    assert {model: sent(model)["max_tokens"] for model in limits} == limits
