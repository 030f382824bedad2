"""The strict reading of SDK types finds what the SDKs themselves let through."""

from __future__ import annotations

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming as Anthropic
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as OpenAI
from openai.types.image_edit_params import ImageEditParamsNonStreaming as ImageEdit
from sdk_types import check

SAY = [{"role": "user", "content": "hi"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (OpenAI, {"model": "gpt-4o", "messages": SAY, "temperature": 1, "stop": None}),
        (OpenAI, {"model": "x", "messages": [*SAY, {"role": "assistant", "content": None, "tool_calls": [CALL]}]}),
        (Anthropic, {"model": "claude-sonnet-4-0", "max_tokens": 5, "messages": SAY}),
        (ImageEdit, {"image": [b"png"], "prompt": "a hat"}),
    ],
)
def test_right_bodies_pass(kind, body):
    """A body the service takes has no complaints."""
    assert check(kind, body) == []


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        (OpenAI, {"messages": SAY}, "$.model"),
        (OpenAI, {"model": "gpt-4o", "messages": SAY, "max_token": 5}, "$.max_token"),
        (OpenAI, {"model": "gpt-4o", "messages": SAY, "temperature": "0.5"}, "$.temperature"),
        (OpenAI, {"model": "gpt-4o", "messages": [{"role": "usr", "content": "hi"}]}, "$.messages[0].role"),
        (OpenAI, {"model": "gpt-4o", "messages": [{**SAY[0], "cache_control": {}}]}, "$.messages[0].cache_control"),
        (
            OpenAI,
            {"model": "x", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://x"}]}]},
            "$.messages[0].content[0].image_url",
        ),
        (Anthropic, {"model": "claude-sonnet-4-0", "messages": SAY}, "$.max_tokens"),
        (Anthropic, {"model": "x", "max_tokens": 5, "messages": SAY, "stop": ["x"]}, "$.stop"),
        (ImageEdit, {"image": "a path", "prompt": "a hat"}, "$.image"),
    ],
)
def test_wrong_bodies_are_named_by_place(kind, body, where):
    """A missing, unknown or ill-typed field is reported with its path."""
    errors = check(kind, body)
    assert errors
    assert all(error.startswith(where) for error in errors), errors
