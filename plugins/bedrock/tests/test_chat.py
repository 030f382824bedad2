"""Chat: a literal request beside the literal JSON it becomes, feature by feature."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from matrix import ASKED, NOW, PDF, PNG, WEATHER, call, called, image, result, say, show, text

from polyport.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
    UnsupportedParamsError,
)
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import frame

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OLD = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
TOWN = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SHAPE = {"type": "json_schema", "json_schema": {"name": "town", "schema": TOWN}}


def test_every_parameter_has_its_place(ask):
    """Sampling and limits go into inferenceConfig; what is Converse's own goes where Converse has it."""
    body, adapted, _ = ask(
        temperature=0.2, top_p=0.9, max_completion_tokens=50, stop="END", metadata={"job": "1"},
        service_tier="priority",
        guardrail_config={"guardrailIdentifier": "abc", "guardrailVersion": "1", "trace": "enabled",
                          "streamProcessingMode": "async"},
        performanceConfig={"latency": "optimized"}, request_metadata={"team": "a"},
        prompt_variables={"x": {"text": "y"}},
        additional_model_response_field_paths=["/stop_sequence"], additionalModelRequestFields={"a": 1}, repetition=0.5,
    )  # fmt: skip
    assert body == {
        "messages": HELLO,
        "inferenceConfig": {"temperature": 0.2, "topP": 0.9, "maxTokens": 50, "stopSequences": ["END"]},
        "requestMetadata": {"job": "1", "team": "a"},
        "serviceTier": {"type": "priority"},
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1", "trace": "enabled"},
        "performanceConfig": {"latency": "optimized"},
        "promptVariables": {"x": {"text": "y"}},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "additionalModelRequestFields": {"a": 1, "repetition": 0.5},
    }
    assert adapted == []


def test_a_stream_may_say_how_its_guardrail_reads_it(connect):
    """The mode is part of a streamed request only."""
    wire = Wire(frame("messageStart", {"role": "assistant"}) + frame("messageStop", {"stopReason": "end_turn"}))
    config = {"guardrailIdentifier": "abc", "guardrailVersion": "1", "streamProcessingMode": "async"}
    with connect(wire) as asked:
        list(asked.completion(f"bedrock/{NOVA}", [say("Hello")], stream=True, guardrailConfig=config))
    assert wire.requests[0].path.endswith("/converse-stream")
    assert wire.requests[0].json["guardrailConfig"] == config


@pytest.mark.parametrize(
    ("model", "fields"),
    [(NOVA, {"inferenceConfig": {"topK": 5}}), (CLAUDE, {"top_k": 5}), ("cohere.command-r-v1:0", {"k": 5})],
)
def test_top_k_has_a_name_of_its_own_with_each_vendor(sent, model, fields):
    """It is a field of the model's."""
    assert sent(model, top_k=5)["additionalModelRequestFields"] == fields


@pytest.mark.parametrize("name", ["n", "seed", "logprobs", "logit_bias", "presence_penalty", "prediction", "verbosity"])
def test_what_converse_lacks_is_refused_or_dropped(ask, name):
    """What changes the answer is an error, and with drop_params it is left out and recorded."""
    value = {"logprobs": True, "logit_bias": {"1": 5}, "verbosity": "low"}.get(name, 2)
    value = {"type": "content", "content": "x"} if name == "prediction" else value
    with pytest.raises(UnsupportedParamsError, match=name):
        ask(**{name: value})
    body, adapted, _ = ask(**{name: value}, drop_params=True)
    assert (body, adapted) == ({"messages": HELLO}, [(name, "dropped")])


def test_what_is_too_hot_is_clamped_and_what_nobody_takes_is_refused(ask):
    """Converse goes to 1; the newest Claude samples as it likes."""
    body, adapted, _ = ask(temperature=1.5)
    assert (body["inferenceConfig"], adapted) == ({"temperature": 1}, [("temperature", "clamped")])
    with pytest.raises(UnsupportedParamsError, match="no sampling"):
        ask("global.anthropic.claude-opus-5-5", temperature=0.5)


# --- thinking ---


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        (CLAUDE, {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 1024}},
         {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (NOVA, {"reasoning_effort": "high"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA, {"reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        (NOVA, {"reasoning_effort": "xhigh"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "medium"}, {"reasoning_effort": "medium"}),
        ("qwen.qwen3-32b-v1:0", {"reasoning_effort": "high"}, {"reasoning_config": "high"}),
    ],
)  # fmt: skip
def test_an_effort_is_said_in_each_vendors_words(sent, model, params, expected):
    """Budgets, efforts and configs are fields of the model's."""
    assert sent(model, **params)["additionalModelRequestFields"] == expected


def test_an_effort_of_the_newer_claudes_is_converses_own(sent):
    """Adaptive thinking is Anthropic's field, the effort is in outputConfig."""
    body = sent("us.anthropic.claude-opus-4-8", reasoning_effort="high")
    assert body["outputConfig"] == {"effort": "high"}
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"


def test_models_that_do_not_reason(ask):
    """An effort they do not take is refused, "none" is as they do."""
    assert ask(LLAMA, reasoning_effort="none")[0] == {"messages": HELLO}
    for params in ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}):
        with pytest.raises(UnsupportedParamsError):
            ask(LLAMA, **params)
    with pytest.raises(BadRequestError, match="no effort"):
        ask(NOVA, reasoning_effort="huge")


def test_redacted_thoughts_are_the_same_at_each_door_to_claude(ask):
    """The wire's base64 holds the text that Anthropic's own API gives; what is not text stays as it is."""
    inner = base64.b64encode(b"EuYBCk").decode()
    content = [
        {"reasoningContent": {"redactedContent": inner}},
        {"reasoningContent": {"redactedContent": "/w=="}},
        {"text": "Hi"},
    ]
    reply = {"output": {"message": {"content": content}}, "stopReason": "end_turn"}
    message = ask(CLAUDE, reply=reply)[2].choices[0].message
    assert message.thinking_blocks == [
        {"type": "redacted_thinking", "data": "EuYBCk"},
        {"type": "redacted_thinking", "data": "/w==", "encoding": "base64"},
    ]
    back = ask(CLAUDE, [say("x"), message.to_dict(), say("y")])[0]["messages"][1]["content"]
    assert back == content


# --- tools ---


def test_functions_and_tools_of_others(ask):
    """Functions, Amazon's own tools in OpenAI's words, Converse's own, and Claude's own."""
    tools = [WEATHER, {"type": "web_search"}, {"type": "cachePoint", "cachePoint": {"type": "default"}}]
    body, _, _ = ask(NOVA, tools=tools, tool_choice="required")
    assert body["toolConfig"]["tools"][1:] == [
        {"systemTool": {"name": "nova_grounding"}},
        {"cachePoint": {"type": "default"}},
    ]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    body, _, _ = ask(CLAUDE, tools=[{"type": "bash_20250124", "name": "bash"}], betas=["computer-use-2025-01-24"])
    assert body["additionalModelRequestFields"] == {
        "tools": [{"type": "bash_20250124", "name": "bash"}],
        "anthropic_beta": ["computer-use-2025-01-24"],
    }
    with pytest.raises(UnsupportedParamsError, match="web_search"):
        ask(CLAUDE, web_search_options={})
    with pytest.raises(UnsupportedParamsError, match="no tool 'bash'"):
        ask(LLAMA, tools=[{"type": "bash"}])


def test_who_must_be_called(ask):
    """A choice of Converse's; none means no tools at all."""
    one = {"type": "function", "function": {"name": "now"}}
    assert ask(tools=[NOW], tool_choice=one)[0]["toolConfig"]["toolChoice"] == {"tool": {"name": "now"}}
    assert "toolConfig" not in ask(tools=[NOW], tool_choice="none")[0]
    body, adapted, _ = ask(messages=[*ASKED, result("call_1", "Rain")], tools=[WEATHER], tool_choice="none")
    assert (len(body["toolConfig"]["tools"]), adapted) == (1, [("tool_choice", "emulated")])
    with pytest.raises(BadRequestError, match="no choice"):
        ask(tools=[NOW], tool_choice="perhaps")


def test_one_call_at_a_time(ask):
    """Claude is asked in Anthropic's words, and then Converse's choice is left out."""
    body, _, _ = ask(CLAUDE, tools=[NOW], parallel_tool_calls=False, tool_choice="required")
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert "toolChoice" not in body["toolConfig"]
    with pytest.raises(UnsupportedParamsError, match="one call at a time"):
        ask(NOVA, tools=[NOW], parallel_tool_calls=False)


def test_ids_of_other_providers_calls_are_made_to_fit(sent):
    """Too long, or with characters that Converse refuses: the call and its result still agree."""
    odd = "fc|" + "x" * 80
    body = sent(messages=[say("x"), called(call(odd, "now")), result(odd, "12:00")])
    use, answer = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert use["toolUse"]["toolUseId"] == answer["toolResult"]["toolUseId"]
    assert len(use["toolUse"]["toolUseId"]) <= 64


# --- content ---


def test_pictures_documents_and_videos(sent):
    """Data goes along, S3's addresses stay; documents have names that Bedrock takes, each its own."""
    parts = [
        image(PNG),
        image("s3://b1234/cat.webp?bucketOwner=1"),
        {"type": "file", "file": {"filename": "Q3: report_final.pdf", "file_data": PDF}},
        {"type": "file", "file": {"filename": "Q3 report final.pdf", "file_data": PDF}, "citations": {"enabled": True}},
        {"type": "file", "file": {"file_id": "s3://b1234/a%20b.csv"}},
        {"type": "video_url", "video_url": {"url": "s3://b1234/film.mov"}},
        {"type": "guardContent", "guardContent": {"text": {"text": "check me"}}},
        text("What is it?", cache_control={"type": "ephemeral"}),
    ]
    assert sent(messages=show(*parts))["messages"][0]["content"] == [
        {"image": {"format": "png", "source": {"bytes": PNG.partition(",")[2]}}},
        {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://b1234/cat.webp"}}}},
        {"document": {"format": "pdf", "name": "Q3 report final", "source": {"bytes": PDF.partition(",")[2]}}},
        {"document": {"format": "pdf", "name": "Q3 report final 2", "source": {"bytes": PDF.partition(",")[2]},
                      "citations": {"enabled": True}}},
        {"document": {"format": "csv", "name": "a 20b", "source": {"s3Location": {"uri": "s3://b1234/a%20b.csv"}}}},
        {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://b1234/film.mov"}}}},
        {"guardContent": {"text": {"text": "check me"}}},
        {"text": "What is it?"},
        {"cachePoint": {"type": "default"}},
    ]  # fmt: skip


def test_what_stands_at_an_address_is_fetched_once_and_without_the_key(connect):
    """Bedrock cannot fetch; the server of a picture sees nothing of the key."""
    hi = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"}
    picture = Reply(content=base64.b64decode(PNG.partition(",")[2]), headers={"content-type": "image/png"})
    wire = Wire(lambda request: picture if "images.example" in request.url else hi)
    with connect(wire) as asked:
        asked.completion(f"bedrock/{NOVA}", show(image("https://images.example/a"), image("https://images.example/a")))
    fetched, sent = wire.requests
    assert "authorization" not in fetched.headers
    one = {"image": {"format": "png", "source": {"bytes": PNG.partition(",")[2]}}}
    assert sent.json["messages"][0]["content"] == [one, one]


def test_content_that_bedrock_cannot_take(ask):
    """Files of others, media of no format, addresses of other kinds."""
    for part, kind in (
        ({"type": "file", "file": {"file_id": "file-1"}}, UnsupportedParamsError),
        ({"type": "file", "file": {"filename": "a.zip", "file_data": "UEs="}}, UnsupportedParamsError),
        ({"type": "file", "file": {}}, BadRequestError),
        (image("ftp://x/y.png"), BadRequestError),
        ({"type": "unknown", "a": 1}, UnsupportedParamsError),
    ):
        with pytest.raises(kind):
            ask(messages=show(part, text("x")))
    with pytest.raises(BadRequestError, match="besides the instructions"):
        ask(messages=[{"role": "system", "content": "Be brief."}])
    _, adapted, _ = ask(messages=[*show(text(" ")), say("Hello")])
    assert adapted == [("messages", "dropped")]


# --- answers in JSON ---


def test_a_schema_is_enforced_natively_where_a_model_can(ask):
    """By Claude from 4.5 on, and open models; the schema is text on the wire."""
    for model in (CLAUDE, "google.gemma-3-27b-it", "qwen.qwen3-32b-v1:0", "openai.gpt-oss-20b-1:0"):
        body, adapted, _ = ask(model, response_format=SHAPE)
        inner = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        assert inner["name"] == "town"
        assert json.loads(inner["schema"])["properties"] == TOWN["properties"]
        assert adapted == []


def test_a_schema_is_a_tools_where_a_model_cannot(ask, connect):
    """The answer given through the tool is the text of the completion, whole and streamed."""

    class Town(msgspec.Struct):
        name: str

    use = {"toolUseId": "t1", "name": "polyport_json_answer", "input": {"name": "Bath"}}
    reply = {"output": {"message": {"content": [{"toolUse": use}]}}, "stopReason": "tool_use"}
    body, adapted, got = ask(OLD, response_format=Town, reply=reply)
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "polyport_json_answer"}}
    assert adapted == [("response_format", "emulated")]
    assert (got.parsed, got.choices[0].finish_reason, got.choices[0].message.tool_calls) == (Town("Bath"), "stop", None)
    stream = (
        frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {**use, "input": None}}})
        + frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"name":"Bath"}'}}})
        + frame("contentBlockStop", {"contentBlockIndex": 0})
        + frame("messageStop", {"stopReason": "tool_use"})
    )
    with connect(Wire(stream)) as asked:
        chunks = list(asked.completion(f"bedrock/{OLD}", [say("x")], response_format=SHAPE, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == '{"name":"Bath"}'
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_json_is_asked_for_where_nothing_enforces_it(ask):
    """An instruction, with the schema in it where there is one."""
    body, adapted, _ = ask(LLAMA, response_format=SHAPE)
    assert '"name":{"type":"string"}' in body["system"][0]["text"]
    body, _, _ = ask(NOVA, response_format={"type": "json_object"})
    assert body["system"][0]["text"].startswith("Answer with one JSON object")
    assert adapted == [("response_format", "emulated")]


# --- replies and errors ---


def test_a_guardrails_trace_and_the_models_own_fields_are_kept(ask):
    """And the tier that served, the latency's mode, the reason where OpenAI has no word for it."""
    reply = {
        "output": {"message": {"content": [{"text": "{ADDRESS}"}]}},
        "stopReason": "guardrail_intervened",
        "trace": {"guardrail": {"actionReason": "masked"}},
        "additionalModelResponseFields": {"stop_sequence": "END"},
        "performanceConfig": {"latency": "optimized"},
        "serviceTier": {"type": "flex"},
    }
    got = ask(reply=reply)[2]
    assert (got.choices[0].finish_reason, got.service_tier) == ("content_filter", "flex")
    assert got.choices[0].message.provider_specific_fields == {
        "trace": {"guardrail": {"actionReason": "masked"}},
        "additional_model_response_fields": {"stop_sequence": "END"},
        "performance_config": {"latency": "optimized"},
        "stop_reason": "guardrail_intervened",
    }


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (
            400,
            "ValidationException:http://internal",
            "Input is too long for requested model.",
            ContextWindowExceededError,
        ),
        (400, "ValidationException", "prompt is too long: 210000 tokens > 200000 maximum", ContextWindowExceededError),
        (
            400,
            "ValidationException",
            "This request has been blocked by our content filters.",
            ContentPolicyViolationError,
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", BadRequestError),
        (400, "ServiceQuotaExceededException", "Too many jobs", RateLimitError),
        (400, "ConflictException", "busy", ConflictError),
        (403, "AccessDeniedException", "You don't have access to the model", PermissionDeniedError),
        (403, "ExpiredTokenException", "The security token is expired", AuthenticationError),
        (403, "UnrecognizedClientException", "The security token is invalid", AuthenticationError),
        (404, "ResourceNotFoundException", "end of life", NotFoundError),
        (408, "ModelTimeoutException", "too long", Timeout),
        (424, "ModelErrorException", "broke", InternalServerError),
        (429, "ThrottlingException", "Too many requests, please wait", RateLimitError),
        (429, "ModelNotReadyException", "not ready", RateLimitError),
        (503, "ServiceUnavailableException", "later", ServiceUnavailableError),
    ],
)
def test_errors_are_what_aws_calls_them(connect, status, kind, message, expected):
    """By the header, or by the body's __type; the message is passed on, under whichever letter it stands."""
    for reply in (
        Reply.of({"message": message}, status=status, headers={"x-amzn-errortype": kind}),
        Reply.of({"__type": f"com.amazon.bedrock#{kind.partition(':')[0]}", "Message": message}, status=status),
    ):
        with connect(Wire(reply)) as asked, pytest.raises(expected) as raised:
            asked.completion(f"bedrock/{NOVA}", [say("x")])
        assert (raised.value.status_code, raised.value.message) == (status, message)
        assert type(raised.value) is expected


def test_a_model_that_is_called_by_profile_only(connect):
    """The error says what to write instead."""
    said = "Invocation of model ID x with on-demand throughput isn't supported. Retry with an inference profile."
    reply = Reply.of({"message": said}, status=400, headers={"x-amzn-errortype": "ValidationException"})
    with connect(Wire(reply)) as asked, pytest.raises(BadRequestError, match=r"us\., eu\., apac\., global\."):
        asked.completion(f"bedrock/{NOVA}", [say("x")])


def test_messages_of_other_models_are_answered_over_converse(connect):
    """Anthropic's shape, for a model that is not Anthropic's; settings stay out of the body."""
    hi = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"}
    wire = Wire(hi)
    with connect(wire) as asked:
        made = asked.messages(f"bedrock/{NOVA}", [say("x")], max_tokens=9, aws_region_name="us-west-2")
        assert made.text == "Hi"
        asked.messages(f"bedrock/{CLAUDE}", [say("x")], aws_region_name="us-west-2", betas=["b-1"], max_tokens=9)
    assert wire.requests[0].url.startswith("https://bedrock-runtime.us-west-2.")
    assert wire.requests[0].json == {
        "messages": [{"role": "user", "content": [{"text": "x"}]}],
        "inferenceConfig": {"maxTokens": 9},
    }
    assert wire.requests[1].json == {
        "anthropic_version": "bedrock-2023-05-31",
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 9,
        "anthropic_beta": ["b-1"],
    }


def test_tokens_of_claude_are_counted_as_its_own_api_would(connect, check_body):
    """The body that InvokeModel would have, of the model behind a profile; other models' as Converse has it."""
    wire = Wire({"inputTokens": 9})
    with connect(wire) as asked:
        assert asked.count_tokens(f"bedrock/{CLAUDE}", [say("x")], system="s").input_tokens == 9
        asked.count_tokens(f"bedrock/{NOVA}", [say("x")], max_tokens=9)
    first, second = wire.requests
    assert first.path.endswith("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens")
    inner = json.loads(base64.b64decode(first.json["input"]["invokeModel"]["body"]))
    assert (inner["system"], inner["anthropic_version"]) == ("s", "bedrock-2023-05-31")
    assert second.json == {"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "x"}]}]}}}
    for request in wire.requests:
        check_body("bedrock-runtime", "CountTokens", request.json)
