"""Replies as completions: citations, stop reasons, usage, what is kept. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from polyport import errors
from polyport.types.messages import MessageUsage
from polyport_anthropic import to_completion
from polyport_anthropic.turns import KEPT

WEB = {"type": "web_search_result_location", "url": "https://a.test", "title": "A", "cited_text": "x"}
PAGE = {"type": "page_location", "document_index": 0, "document_title": "D", "start_page_number": 1, "cited_text": "y"}
SEARCH = [
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "url": "u"}]},
]


@pytest.fixture
def answer(ask, message):
    """Read a message with these fields: `answer(content=..., stop_reason=...)`."""
    return lambda **fields: ask(reply={**message, **fields})[2]


def test_a_message_becomes_a_completion(answer):
    """Id, model, time, text and usage; nothing of the other shape leaks into the plain data."""
    assert answer().to_dict() == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 1795341600,
        "model": "claude-sonnet-4-5-20250929",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    assert answer().raw["stop_reason"] == "end_turn"


def test_citations_are_annotations_at_their_place(answer):
    """The web's are OpenAI's url_citation, a document's keep their own fields; the blocks are kept whole."""
    content = [
        {"type": "text", "text": "Well: "},
        {"type": "text", "text": "it rains", "citations": [{**WEB, "encrypted_index": "e"}]},
        {"type": "text", "text": " hard", "citations": [PAGE]},
    ]
    message = answer(content=content).choices[0].message
    assert message.content == "Well: it rains hard"
    assert message.annotations == [
        {
            "type": "url_citation",
            "url_citation": {
                "url": "https://a.test",
                "title": "A",
                "cited_text": "x",
                "start_index": 6,
                "end_index": 14,
            },
        },
        {
            "type": "document_citation",
            "document_citation": {
                **{name: value for name, value in PAGE.items() if name != "type"},
                "start_index": 14,
                "end_index": 19,
            },
        },
    ]
    assert message.provider_specific_fields == {KEPT: content}


def test_server_tools_blocks_are_kept_and_are_no_calls(answer):
    """What Anthropic ran itself is nothing to run again, and goes back with the message."""
    content = [*SEARCH, {"type": "text", "text": "Found."}]
    choice = answer(content=content).choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("Found.", None, "stop")
    assert choice.message.provider_specific_fields == {KEPT: content}


@pytest.mark.parametrize(
    ("reason", "finish", "said"),
    [
        ("end_turn", "stop", None),
        ("max_tokens", "length", None),
        ("stop_sequence", "stop", {"stop_reason": "stop_sequence", "stop_sequence": "END"}),
        ("pause_turn", "stop", {"stop_reason": "pause_turn"}),
        ("model_context_window_exceeded", "length", {"stop_reason": "model_context_window_exceeded"}),
        ("something_new", "stop", {"stop_reason": "something_new"}),
    ],
)
def test_stop_reasons(answer, reason, finish, said):
    """OpenAI's words, and Anthropic's own where they say more."""
    choice = answer(stop_reason=reason, stop_sequence=(said or {}).get("stop_sequence")).choices[0]
    assert choice.finish_reason == finish
    assert choice.message.provider_specific_fields == said


def test_a_refusal_says_why(answer):
    """The classifier's explanation is the message's refusal."""
    details = {"type": "refusal", "category": "cyber", "explanation": "No malware."}
    choice = answer(content=[], stop_reason="refusal", stop_details=details).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("content_filter", None)
    assert choice.message.refusal == "No malware."
    assert choice.message.provider_specific_fields == {"stop_details": details, "stop_reason": "refusal"}


def test_a_container_is_kept(answer):
    """The next turn needs its id."""
    box = {"id": "container_1", "expires_at": "2026-11-22T10:00:00Z"}
    assert answer(container=box).choices[0].message.provider_specific_fields == {"container": box}


def test_a_reply_that_is_none_is_an_error():
    """Not JSON, or not a message."""
    with pytest.raises(errors.InvalidResponseError, match="not JSON"):
        to_completion(b"<html>")
    with pytest.raises(errors.InvalidResponseError, match=r"\$\.content"):
        to_completion(b'{"content": 1}')


count = st.integers(min_value=0, max_value=10**6)
maybe = st.none() | count


@settings(deadline=None)
@given(fresh=count, read=maybe, written=maybe, out=count, share=st.floats(0, 1), hour=st.floats(0, 1))
def test_usage_sums_up(fresh, read, written, out, share, hour):
    """The prompt is fresh + read + written; the buckets are disjoint and sum to the total, whatever is missing."""
    usage = MessageUsage(
        input_tokens=fresh,
        output_tokens=out,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        cache_creation={"ephemeral_1h_input_tokens": int((written or 0) * hour)},
        output_tokens_details={"thinking_tokens": int(out * share)},
    ).to_usage()
    assert usage.prompt_tokens == fresh + (read or 0) + (written or 0)
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens == usage.prompt_tokens + out
    assert all(count > 0 for count in buckets.values())
    assert buckets.get("input", 0) == fresh
    assert buckets.get("reasoning", 0) == int(out * share)
