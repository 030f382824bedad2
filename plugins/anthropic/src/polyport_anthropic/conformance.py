"""What Anthropic answers, for the contract of `polyport.testing` and `polyport conformance anthropic`.

The shapes are those of https://platform.claude.com/docs/en/api, read 2026-11-22; the contents are made up.
"""

from __future__ import annotations

import json
from typing import Any

from polyport.testing import Exchange

SAY = [{"role": "user", "content": "Hello"}]
USAGE = {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "UTC"}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hi, ünïcode"}, CALL],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": USAGE,
}


def events(*made: dict[str, Any]) -> bytes:
    """Write events as an event stream."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in made)


def delta(index: int, **fields: Any) -> dict[str, Any]:
    """A block's delta."""
    return {"type": "content_block_delta", "index": index, "delta": fields}


STREAM = events(
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    delta(0, type="text_delta", text="Hi, "),
    delta(0, type="text_delta", text="ünïcode"),
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {**CALL, "input": {}}},
    delta(1, type="input_json_delta", partial_json='{"zone": '),
    delta(1, type="input_json_delta", partial_json='"UTC"}'),
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
)
BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-08-19T14:47:10.487960+00:00",
    "expires_at": "2026-08-20T14:47:10.487960+00:00",
    "ended_at": None,
    "cancel_initiated_at": None,
    "results_url": None,
}
FILE = {
    "id": "file_1",
    "type": "file",
    "filename": "a.pdf",
    "mime_type": "application/pdf",
    "size_bytes": 9,
    "created_at": "2026-07-28T02:01:23.266000Z",
    "downloadable": False,
}
MODEL = {"type": "model", "id": "claude-x", "display_name": "Claude X", "created_at": "2026-09-22T00:00:00Z"}
LINE = {"custom_id": "r1", "url": "/v1/chat/completions", "body": {"model": "claude-sonnet-4-5", "messages": SAY}}
RESULT = {"custom_id": "r1", "result": {"type": "succeeded", "message": MESSAGE}}


def body(value: Any) -> bytes:
    """Write a reply's body."""
    return json.dumps(value).encode()


EXCHANGES = [
    Exchange(
        "chat",
        {"model": "claude-sonnet-4-5", "messages": SAY},
        reply=body(MESSAGE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
    Exchange("create_message", {"model": "claude-sonnet-4-5", "messages": SAY}, reply=body(MESSAGE), stream=STREAM),
    Exchange("count_tokens", {"model": "claude-sonnet-4-5", "messages": SAY}, reply=b'{"input_tokens": 8}'),
    Exchange("list_models", {}, reply=body({"data": [MODEL], "has_more": False})),
    Exchange("create_file", {"file": ("a.pdf", b"%PDF-1.4\n"), "purpose": "user_data"}, reply=body(FILE)),
    Exchange("retrieve_file", {"file_id": "file_1"}, reply=body(FILE)),
    Exchange("list_files", {}, reply=body({"data": [FILE], "has_more": False})),
    Exchange("delete_file", {"file_id": "file_1"}, reply=b'{"id": "file_1", "type": "file_deleted"}'),
    Exchange("download_file", {"file_id": "msgbatch_1_output"}, reply=body(RESULT), stream=body(RESULT) + b"\n"),
    Exchange("download_file", {"file_id": "file_2"}, reply=b"png", label="download_made_file"),
    Exchange("create_batch", {"input_file_id": "file_3"}, before=[body(LINE)], reply=body(BATCH)),
    Exchange("retrieve_batch", {"batch_id": "msgbatch_1"}, reply=body(BATCH)),
    Exchange("cancel_batch", {"batch_id": "msgbatch_1"}, reply=body({**BATCH, "processing_status": "canceling"})),
    Exchange("list_batches", {}, reply=body({"data": [BATCH], "has_more": False})),
    Exchange(
        "delete_batch", {"batch_id": "msgbatch_1"}, reply=b'{"id": "msgbatch_1", "type": "message_batch_deleted"}'
    ),
]
