"""The texts of every operation: all of them are seen, and a masked one is written back where it was."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from core.tests.conftest import completion
from core.tests.guarding.conftest import entry, masks, passes
from hypothesis import given, settings, strategies as st

from polyport.errors import GuardrailError
from polyport.guarding import texts
from polyport.guarding.escapes import shown, tokens, written
from polyport.guarding.verdicts import Edit
from polyport.testing import Reply, Wire
from polyport.types.chat import ChatCompletion
from polyport.types.guard import for_logs
from polyport.types.responses import Response

A = "to amy@example.com now"
B = "to [EMAIL] now"
VECTORS = {"data": [{"index": 0, "embedding": [1.0]}], "model": "m", "object": "list"}
TOOL = {"type": "function", "function": {"name": "f", "description": A, "parameters": {
    "type": "object", "properties": {"name": {"type": "string", "description": A, "enum": ["x"]}}}}}  # fmt: skip
CALL = {"id": "amy@example.com", "type": "function", "function": {
    "name": "f", "arguments": '{"to": "amy\\u0040example.com", "n": 1}'}}  # fmt: skip
MASKED_CALL = {**CALL, "function": {"name": "f", "arguments": '{"to": "[EMAIL]", "n": 1}'}}
X = [{"role": "user", "content": "x"}]
MESSAGES = [
    {"role": "system", "content": A},
    {"role": "user", "name": "amy", "content": [{"type": "text", "text": A, "cache_control": {"type": "ephemeral"}},
                                 {"type": "image_url", "image_url": {"url": "https://x/amy@example.com"}}]},
    {"role": "assistant", "content": None, "reasoning_content": A, "tool_calls": [CALL],
     "thinking_blocks": [{"type": "thinking", "thinking": A, "signature": "amy@example.com"}]},
    {"role": "tool", "tool_call_id": "amy@example.com", "content": A},
]  # fmt: skip
BLOCKS = [
    {"role": "user", "content": [
        {"type": "text", "text": A},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": A}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUFB"}}]},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": A, "signature": "s"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"id": A, "deep": [{"url": A}], "n": 3}}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": A}]}]},
]  # fmt: skip
ITEMS = [
    {"role": "user", "content": [{"type": "input_text", "text": A}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"to":"amy@example.com"}'},
    {"type": "function_call_output", "call_id": "c", "output": A},
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": A}], "encrypted_content": "e"},
]


def everywhere(value: Any) -> Any:
    """Return what must be sent: the same, with the address masked where it is text."""
    return msgspec.json.decode(msgspec.json.encode(value).replace(A.encode(), B.encode()))


@pytest.mark.parametrize(
    ("function", "fields", "path"),
    [
        ("completion", {"messages": [*MESSAGES[:2], MESSAGES[3]], "tools": [TOOL]}, "/chat/completions"),
        ("completion", {"messages": X, "documents": [{"id": "1", "text": A}]}, ""),
        ("completion", {"messages": X, "prediction": {"type": "content", "content": A}}, ""),
        ("text_completion", {"prompt": [A, "other"], "suffix": A}, "/completions"),
        ("responses", {"input": A, "instructions": A}, "/responses"),
        ("responses", {"input": [ITEMS[0], *ITEMS[2:]]}, "/responses"),
        ("embedding", {"input": [A, "b"]}, "/embeddings"),
        ("moderation", {"input": [A, {"type": "text", "text": A}]}, "/moderations"),
        ("rerank", {"query": A, "documents": [A, {"text": A}]}, "/rerank"),
        ("image_generation", {"prompt": A}, "/images/generations"),
        ("speech", {"input": A, "voice": "v", "instructions": A}, "/audio/speech"),
    ],
)  # fmt: skip
def test_a_masked_request_is_sent_masked(guarded, function, fields, path):
    """Whatever the operation; parts, tools' descriptions, tools' results and unknown parameters included."""
    body: Any = {
        "/embeddings": VECTORS, "/rerank": {"results": []}, "/images/generations": {"data": []}, "/audio/speech": b"x",
        "/responses": {"id": "r", "object": "response", "status": "completed", "output": []},
        "/completions": {"id": "c", "choices": [{"index": 0, "text": "x"}]}, "/moderations": {"results": []},
    }.get(path, completion())  # fmt: skip
    plain, masked = Wire(body), Wire(body)
    getattr(guarded(plain), function)(model="fake/m", **fields)
    getattr(guarded(masked, entry(masks)), function)(model="fake/m", **fields)
    assert A.encode() in plain.requests[0].content
    assert masked.requests[0].content == plain.requests[0].content.replace(A.encode(), B.encode())


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]], ["text", [1]]])
@pytest.mark.parametrize("mode", ["pre_call", "during_call", "logging_only"])
def test_tokens_in_place_of_text_are_not_sent_past_a_guardrail(guarded, given, mode):
    """Nobody can read them: the call is blocked, and where only logs are guarded, they are withheld there."""
    for function, name, answer in (
        ("embedding", "input", VECTORS),
        ("text_completion", "prompt", {"id": "c", "choices": [{"index": 0, "text": "x"}]}),
    ):
        wire, calls = Wire(answer), []

        def watch(call, proceed, calls=calls):
            calls.append(call)
            return proceed(call)

        client = guarded(wire, entry(passes, mode))
        client.middleware.insert(0, watch)
        if mode == "logging_only":
            getattr(client, function)(model="fake/m", **{name: given})
            assert for_logs(calls[0].request).withheld
        else:
            with pytest.raises(GuardrailError, match=rf"tokens cannot be judged; give \$\.{name} as text"):
                getattr(client, function)(model="fake/m", **{name: given})
        assert len(wire.requests) == (mode == "logging_only")
        may = Wire(answer)
        getattr(guarded(may, entry(passes, mode, on_failure="allow")), function)(model="fake/m", **{name: given})
        assert len(may.requests) == 1


def test_a_prompt_of_a_transcription_is_masked(guarded):
    """It goes out in a form."""
    wire = Wire({"text": "x"})
    guarded(wire, entry(masks)).transcription("fake/m", ("a.wav", b"RIFF"), prompt=A)
    assert B.encode() in wire.requests[0].content
    assert A.encode() not in wire.requests[0].content


def test_bridged_calls_are_sent_masked(guarded):
    """What a bridge translates is the masked request."""
    wire = Wire(completion())
    guarded(wire, entry(masks)).messages("fake/m", BLOCKS, max_tokens=9, system=A)
    assert A.encode() not in wire.requests[0].content
    assert wire.requests[0].content.count(b"[EMAIL]") >= 4


def test_the_typed_view_is_of_the_masked_messages(guarded):
    """Translators read it, and not the messages."""
    seen = []

    def look(call, proceed):
        seen.append([call.request.conversation[0].text, call.request.toolbox[0].function.description])
        return proceed(call)

    client = guarded(completion(), entry(masks))
    client.middleware.append(look)
    client.completion("fake/m", MESSAGES, tools=[TOOL])
    assert seen == [[B, B]]


def test_what_is_asked_has_paths_roles_and_kinds(guarded):
    """Ids, names, addresses and signatures are not shown."""
    seen = []
    guarded(completion(), entry(seen.append, name="see")).completion("fake/m", MESSAGES)
    assert [(one.where, one.role, one.kind) for one in seen[0].texts] == [
        ("$.messages[0].content", "system", "content"),
        ("$.messages[1].content[0].text", "user", "content"),
        ("$.messages[2].reasoning_content", "assistant", "reasoning"),
        ("$.messages[2].tool_calls[0].function.arguments", "assistant", "arguments"),
        ("$.messages[2].thinking_blocks[0].thinking", "assistant", "reasoning"),
        ("$.messages[3].content", "tool", "tool_result"),
    ]
    assert (seen[0].operation, seen[0].provider, seen[0].model, seen[0].side) == ("completion", "fake", "m", "request")


def test_arguments_are_seen_without_their_escapes_and_stay_json(guarded):
    """Also numbers in the input of a tool; what is not masked stays as it was written."""
    wire = Wire(completion())
    guarded(wire, entry(masks)).completion("fake/m", MESSAGES)
    assert wire.requests[0].json["messages"][2]["tool_calls"] == [MASKED_CALL]
    wire = Wire(completion())
    guarded(wire, entry(passes)).completion("fake/m", MESSAGES)
    assert wire.requests[0].json["messages"][2]["tool_calls"] == [CALL]


@pytest.mark.parametrize(
    ("hook", "result"),
    [
        ("create_message", {"content": BLOCKS[1]["content"]}),
        ("respond", {"output": ITEMS}),
    ],
)
def test_answers_of_every_shape_are_masked(hook, result):
    """Blocks and items with all that is in them."""
    holder = Response(output=result["output"]) if "output" in result else msgspec.convert(
        {"id": "m", **result}, texts_of_messages())  # fmt: skip
    found = texts.of_result(hook, holder)
    changed = {one.path: one.text.replace("amy@example.com", "[EMAIL]") for one in found}
    made = texts.with_result(holder, changed)
    assert b"amy@" not in msgspec.json.encode(made)
    assert b"amy@" in msgspec.json.encode(holder)


def texts_of_messages() -> Any:
    """The type of an Anthropic message."""
    from polyport.types.messages import AnthropicMessage

    return AnthropicMessage


def test_fields_that_are_not_modelled_are_judged_too(guarded):
    """What a look-alike adds at the top of its answer."""
    result = guarded(completion("x", citations=[A]), entry(masks, "post_call")).completion("fake/m", X)
    assert result.extra["citations"] == [B]
    assert result.to_dict()["citations"] == [B]


def test_tokens_of_a_masked_answer_are_not_told(guarded):
    """Its `logprobs` would say the text again."""
    body = completion(A)
    body["choices"][0]["logprobs"] = {"content": [{"token": "amy@example.com", "logprob": -1.0}]}
    result = guarded(body, entry(masks, "post_call")).completion("fake/m", MESSAGES)
    assert result.choices[0].logprobs is None


def test_subtitles_are_masked(guarded):
    """A result that is text itself."""
    wire = Wire(Reply.of(f"1\n00:00 --> 00:01\n{A}\n", headers={"content-type": "text/plain"}))
    client = guarded(wire, entry(masks, "post_call"))
    assert B in client.transcription("fake/m", ("a.wav", b"RIFF"), response_format="srt")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.booleans())
def test_json_is_shown_as_it_reads_and_stays_as_it_was(value, ascii):
    """However it was written; each character has its token."""
    text = json.dumps(value, ensure_ascii=ascii)
    parts = tokens(text)
    assert "".join(parts) == text == written(parts, [])
    assert len(shown(parts)) == len(parts)
    if isinstance(value, str):
        assert shown(parts) == f'"{value}"'


@settings(deadline=None)
@given(st.text(max_size=12), st.text(max_size=4), st.booleans())
def test_an_edit_of_json_stays_json(value, new, ascii):
    """In a string it is written as one; what was a number becomes a string."""
    text = json.dumps({"a": value, "n": 12}, ensure_ascii=ascii)
    parts = tokens(text)
    start = len('{"a": "')
    number = len(parts) - 3
    edits = [Edit(0, start, start + len(value), new)] if value else []
    made = json.loads(written(parts, [*edits, Edit(0, number, number + 2, new)]))
    assert made == {"a": new if value else "", "n": new}


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["text", "content", "id", "type", "url"]), JSON, max_size=4), max_size=4)
)
def test_masking_keeps_everything_else(value):
    """Byte for byte: what is put back differs at the paths that are changed and nowhere else."""
    before = msgspec.json.encode(value)
    found = texts.below(value, ())
    made = texts.put(value, {one.path: "§" for one in found}) if found else value
    assert msgspec.json.encode(value) == before
    back = texts.put(made, {one.path: one.text for one in found}) if found else made
    assert msgspec.json.encode(back) == before


def test_a_result_that_passes_is_the_same_object():
    """Nothing is made anew for nothing."""
    completion = ChatCompletion()
    assert texts.put(completion, {}) == completion
