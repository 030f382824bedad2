"""What OpenAI answers, for the contract of `polyport.testing` and `polyport conformance openai`.

The shapes are those of https://platform.openai.com/docs/api-reference, read 2026-11-22; the contents are made up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange, Reply

SAY = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PNG = b"\x89PNG\r\n\x1a\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
LINE = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'

encode = msgspec.json.encode


def events(*values: Any, done: bool = True, named: bool = False) -> bytes:
    """Write values as an event stream, each under its type's name where `named`."""
    lines = [
        (b"event: %s\n" % value["type"].encode() if named else b"") + b"data: " + encode(value) for value in values
    ]
    return b"\n\n".join([*lines, b"data: [DONE]"] if done else lines) + b"\n\n"


USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
}


def chat(message: dict[str, Any], finish: str) -> bytes:
    """A chat reply."""
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1760000000, "model": "gpt-4o-2024-08-06"}
    return encode({**head, "choices": [choice], "usage": USAGE, "service_tier": "default"})


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece of a streamed chat reply; the last has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "gpt-4o-2024-08-06"}
    return {**head, "choices": choices, **more}


def call_piece(**fields: Any) -> dict[str, Any]:
    """A piece of a streamed tool call."""
    return chunk({"tool_calls": [{"index": 0, **fields}]})


CHAT_STREAM = events(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Sunny, "}),
    chunk({"content": "21 °C."}),
    chunk({}, "stop"),
    chunk(None, usage=USAGE),
)
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
CALL_STREAM = events(
    chunk({"role": "assistant", "content": None}),
    call_piece(id="call_1", type="function", function={"name": "weather", "arguments": ""}),
    call_piece(function={"arguments": '{"city": '}),
    call_piece(function={"arguments": '"Paris"}'}),
    chunk({}, "tool_calls"),
    chunk(None, usage=USAGE),
)

TEXT = {"id": "cmpl-1", "object": "text_completion", "created": 1760000000, "model": "gpt-3.5-turbo-instruct"}


def text(value: str, finish: str | None) -> dict[str, Any]:
    """A text completion, or a piece of one."""
    return {**TEXT, "choices": [{"index": 0, "text": value, "finish_reason": finish, "logprobs": None}]}


PART = {"type": "output_text", "text": "Sunny.", "annotations": []}
SAID = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1760000000,
    "status": "completed",
    "model": "gpt-4o-2024-08-06",
    "output": [SAID],
    "usage": {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 17,
    },
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
OPEN = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
RESPONSE_STREAM = events(
    {"type": "response.created", "sequence_number": 0, "response": OPEN},
    {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "delta": "Sun"},
    {"type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "delta": "ny."},
    {"type": "response.completed", "sequence_number": 3, "response": RESPONSE},
    done=False,
    named=True,
)

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
VERDICT = {
    "id": "modr-1",
    "model": "omni-moderation-latest",
    "results": [{"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}],
}
IMAGE_USAGE = {"input_tokens": 5, "output_tokens": 10, "total_tokens": 15}
IMAGES = encode({"created": 1760000000, "data": [{"b64_json": "iVBORw0KGgo="}], "usage": IMAGE_USAGE})


def image_stream(kind: str) -> bytes:
    """A partial image and the finished one."""
    partial = {"type": f"{kind}.partial_image", "b64_json": "iVBO", "partial_image_index": 0, "created_at": 1760000000}
    whole = {"type": f"{kind}.completed", "b64_json": "iVBORw0KGgo=", "created_at": 1760000000, "usage": IMAGE_USAGE}
    return events(partial, whole, done=False, named=True)


HEARD = {"text": "Hello there.", "usage": {"type": "duration", "seconds": 2}}
HEARD_STREAM = events(
    {"type": "transcript.text.delta", "delta": "Hello "},
    {"type": "transcript.text.delta", "delta": "there."},
    {"type": "transcript.text.done", "text": "Hello there."},
    done=False,
)
VIDEO = {
    "id": "video_1", "object": "video", "status": "queued", "progress": 0, "model": "sora-2", "created_at": 1760000000,
    "seconds": "4", "size": "720x1280",
}  # fmt: skip
FILE = {
    "id": "file-1", "object": "file", "bytes": 81, "created_at": 1760000000, "filename": "lines.jsonl",
    "purpose": "batch", "status": "processed",
}  # fmt: skip
BATCH = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "status": "in_progress",
    "input_file_id": "file-1", "completion_window": "24h", "created_at": 1760000000,
    "request_counts": {"total": 1, "completed": 0, "failed": 0},
}  # fmt: skip
MODEL = {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}


def page(*values: dict[str, Any]) -> bytes:
    """A list."""
    return encode({"object": "list", "data": values, "has_more": False})


def deleted(id: str, kind: str) -> bytes:
    """What a deletion answers."""
    return encode({"id": id, "object": kind, "deleted": True})


def binary(content: bytes, kind: str) -> Reply:
    """A reply of bytes."""
    return Reply.of(content, headers={"content-type": kind})


EXCHANGES = [
    Exchange("chat", {"model": "gpt-4o", "messages": SAY}, reply=chat({"content": "Sunny, 21 °C."}, "stop"),
             stream=CHAT_STREAM, text="Sunny, 21 °C."),
    Exchange("chat", {"model": "gpt-4o", "messages": SAY, "tools": [WEATHER]}, label="chat_with_tools",
             reply=chat({"content": None, "tool_calls": [CALL]}, "tool_calls"), stream=CALL_STREAM),
    Exchange("complete_text", {"model": "gpt-3.5-turbo-instruct", "prompt": "The sea"},
             reply=encode({**text(" is blue.", "stop"), "usage": USAGE}),
             stream=events(text(" is", None), text(" blue.", "stop"))),
    Exchange("respond", {"model": "gpt-4o", "input": "Weather?"}, reply=encode(RESPONSE), stream=RESPONSE_STREAM),
    Exchange("retrieve_response", {"response_id": "resp_1"}, reply=encode(RESPONSE), stream=RESPONSE_STREAM),
    Exchange("cancel_response", {"response_id": "resp_1"}, reply=encode({**RESPONSE, "status": "cancelled"})),
    Exchange("delete_response", {"response_id": "resp_1"}, reply=deleted("resp_1", "response")),
    Exchange("embed", {"model": "text-embedding-3-small", "input": "Hello"}, reply=encode(VECTORS)),
    Exchange("moderate", {"input": "I will hurt you"}, reply=encode(VERDICT)),
    Exchange("generate_image", {"model": "gpt-image-1", "prompt": "A cat"}, reply=IMAGES,
             stream=image_stream("image_generation")),
    Exchange("edit_image", {"model": "gpt-image-1", "prompt": "A hat", "image": [PNG, PNG], "mask": PNG}, reply=IMAGES,
             stream=image_stream("image_edit")),
    Exchange("vary_image", {"model": "dall-e-2", "image": PNG}, reply=IMAGES),
    Exchange("transcribe", {"model": "gpt-4o-transcribe", "file": WAV}, reply=encode(HEARD), stream=HEARD_STREAM),
    Exchange("translate", {"model": "whisper-1", "file": WAV}, reply=encode({"text": "Hello there."})),
    Exchange("speak", {"model": "tts-1", "input": "Hello"}, reply=binary(b"ID3\x04audio", "audio/mpeg"),
             stream=binary(b"ID3\x04audio", "audio/mpeg")),
    Exchange("create_video", {"model": "sora-2", "prompt": "A cat", "input_reference": PNG}, reply=encode(VIDEO)),
    Exchange("retrieve_video", {"video_id": "video_1"}, reply=encode({**VIDEO, "status": "completed"})),
    Exchange("download_video", {"video_id": "video_1"}, reply=binary(b"\0\0\0\x18ftypmp42", "video/mp4"),
             stream=binary(b"\0\0\0\x18ftypmp42", "video/mp4")),
    Exchange("remix_video", {"video_id": "video_1", "prompt": "A dog"}, reply=encode({**VIDEO, "id": "video_2"})),
    Exchange("list_videos", {}, reply=page(VIDEO)),
    Exchange("delete_video", {"video_id": "video_1"}, reply=deleted("video_1", "video.deleted")),
    Exchange("create_file", {"file": LINE, "purpose": "batch"}, reply=encode(FILE)),
    Exchange("retrieve_file", {"file_id": "file-1"}, reply=encode(FILE)),
    Exchange("list_files", {"purpose": "batch"}, reply=page(FILE)),
    Exchange("delete_file", {"file_id": "file-1"}, reply=deleted("file-1", "file")),
    Exchange("download_file", {"file_id": "file-1"}, reply=binary(b"a;b\n1;2\n", "text/csv"),
             stream=binary(b"a;b\n1;2\n", "text/csv")),
    Exchange("create_batch", {"input_file_id": "file-1"}, reply=encode(BATCH)),
    Exchange("retrieve_batch", {"batch_id": "batch_1"}, reply=encode(BATCH)),
    Exchange("cancel_batch", {"batch_id": "batch_1"}, reply=encode({**BATCH, "status": "cancelling"})),
    Exchange("list_batches", {"limit": 1}, reply=page(BATCH)),
    Exchange("list_models", {}, reply=page(MODEL)),
]  # fmt: skip
