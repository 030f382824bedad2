"""What Vertex AI answered, for the contract of `polyport.testing` and `polyport conformance vertex_ai`."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange, Reply
from polyport_gemini.conformance import HEARD, HEARD_STREAM, IMAGEN, PICTURE, SPOKEN, SPOKEN_STREAM, STREAM, WHOLE

PLACE = {"vertex_project": "p", "vertex_location": "us-central1"}
SAY = [{"role": "user", "content": "What time is it?"}]
WAV = ("a.wav", b"RIFF....WAVE")


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


MESSAGE: dict[str, Any] = {
    "id": "msg_vrtx_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Noon."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 4},
}
CLAUDE_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Noon."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
]
CLAUDE_STREAM = b"".join(f"event: {event['type']}\ndata: ".encode() + _json(event) + b"\n\n" for event in CLAUDE_EVENTS)
COMPLETION: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "created": 1760000000,
    "model": "meta/llama-3.3-70b-instruct-maas",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Noon."}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16},
}
PIECE = {"role": "assistant", "content": "Noon."}
CHUNK = {
    **COMPLETION,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": PIECE, "finish_reason": "stop"}],
}
COMPLETION_STREAM = b"data: " + _json(CHUNK) + b"\n\ndata: [DONE]\n\n"
PREDICTED = _json(
    {
        "predictions": [
            {"embeddings": {"values": [0.25, -0.5], "statistics": {"token_count": 2, "truncated": False}}},
            {"embeddings": {"values": [0.5, 1.0], "statistics": {"token_count": 1, "truncated": False}}},
        ]
    }
)
VECTORS = _json({"embeddings": [{"values": [0.25, -0.5]}, {"values": [0.5, 1.0]}]})
SEEN = _json({"predictions": [{"textEmbedding": [0.25, -0.5]}]})
RANKED = _json({"records": [{"id": "1", "score": 0.9}, {"id": "0", "score": 0.2}]})
OPERATION = "projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/a1b2-c3"
FILMED = _json(
    {"name": OPERATION, "done": True, "response": {"videos": [{"gcsUri": "gs://b/v.mp4", "mimeType": "video/mp4"}]}}
)
MP4 = Reply(content=b"\x00\x00\x00 ftypisom", headers={"content-type": "video/mp4"})
BUCKET = {**PLACE, "gcs_bucket_name": "b"}
OBJECT = _json(
    {
        "name": "polyport/batch/gemini-2.5-flash/0123/a.jsonl",
        "bucket": "b",
        "size": "9",
        "contentType": "application/octet-stream",
        "timeCreated": "2026-08-19T14:34:12.267Z",
    }
)
FILE = "gs://b/polyport/batch/gemini-2.5-flash/0123/a.jsonl"
LINE = {"custom_id": "r1", "url": "/v1/chat/completions", "body": {"model": "gemini-2.5-flash", "messages": SAY}}
JOB: dict[str, Any] = {
    "name": "projects/p/locations/us-central1/batchPredictionJobs/123",
    "displayName": "polyport-a.jsonl",
    "model": "publishers/google/models/gemini-2.5-flash",
    "state": "JOB_STATE_SUCCEEDED",
    "createTime": "2026-08-19T14:34:12.267870Z",
    "endTime": "2026-08-19T15:34:12.267870Z",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [FILE]}},
    "outputInfo": {"gcsOutputDirectory": "gs://b/polyport/output/prediction-model-2026"},
    "completionStats": {"successfulCount": "1", "failedCount": "1"},
}
RESULT = _json({"status": "", "request": {"labels": {"polyport_custom_id": "oiyq"}}, "response": WHOLE})

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "gemini-2.5-flash", "messages": SAY, **PLACE},
        reply=_json(WHOLE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
    Exchange(
        "chat",
        {"model": "claude-sonnet-4-5@20250929", "messages": SAY, **PLACE},
        reply=_json(MESSAGE),
        stream=CLAUDE_STREAM,
        text="Noon.",
        label="claude",
    ),
    Exchange(
        "chat",
        {"model": "meta/llama-3.3-70b-instruct-maas", "messages": SAY, **PLACE},
        reply=_json(COMPLETION),
        stream=COMPLETION_STREAM,
        text="Noon.",
        label="llama",
    ),
    Exchange(
        "create_message",
        {"model": "claude-sonnet-4-5@20250929", "messages": SAY, **PLACE},
        reply=_json(MESSAGE),
        stream=CLAUDE_STREAM,
    ),
    Exchange(
        "create_message",
        {"model": "gemini-2.5-flash", "messages": SAY, "max_tokens": 50, **PLACE},
        reply=_json(WHOLE),
        stream=STREAM,
        label="create_message_of_gemini",
    ),
    Exchange("count_tokens", {"model": "gemini-2.5-flash", "messages": SAY, **PLACE}, reply=b'{"totalTokens": 7}'),
    Exchange(
        "count_tokens",
        {"model": "claude-sonnet-4-5@20250929", "messages": SAY, **PLACE},
        reply=b'{"input_tokens": 8}',
        label="count_tokens_of_claude",
    ),
    Exchange(
        "embed",
        {"model": "text-embedding-005", "input": ["one", "two"], "input_type": "search_query", **PLACE},
        reply=PREDICTED,
    ),
    Exchange(
        "embed", {"model": "gemini-embedding-001", "input": ["one", "two"], **PLACE}, reply=VECTORS, label="vectors"
    ),
    Exchange("embed", {"model": "multimodalembedding@001", "input": "one", **PLACE}, reply=SEEN, label="multimodal"),
    Exchange(
        "rerank",
        {
            "model": "semantic-ranker-default@latest",
            "query": "q",
            "documents": ["a", {"title": "t", "text": "b"}],
            **PLACE,
        },
        reply=RANKED,
    ),
    Exchange("generate_image", {"model": "imagen-4.0-generate-001", "prompt": "A cat", **PLACE}, reply=IMAGEN),
    Exchange(
        "edit_image",
        {"model": "imagen-3.0-capability-001", "image": b"\x89PNG", "mask": b"\x89PNG", "prompt": "A hat", **PLACE},
        reply=IMAGEN,
    ),
    Exchange(
        "edit_image",
        {"model": "gemini-2.5-flash-image", "image": b"\x89PNG", "prompt": "A hat", **PLACE},
        reply=PICTURE,
        label="edit_image_with_gemini",
    ),
    Exchange("speak", {"model": "gemini-2.5-flash-tts", "input": "Hi", **PLACE}, reply=SPOKEN, stream=SPOKEN_STREAM),
    Exchange("transcribe", {"model": "gemini-2.5-flash", "file": WAV, **PLACE}, reply=HEARD, stream=HEARD_STREAM),
    Exchange("translate", {"model": "gemini-2.5-flash", "file": WAV, **PLACE}, reply=HEARD),
    Exchange(
        "create_video", {"model": "veo-3.1-generate-001", "prompt": "Waves", **PLACE}, reply=_json({"name": OPERATION})
    ),
    Exchange("retrieve_video", {"video_id": OPERATION}, reply=FILMED),
    Exchange("download_video", {"video_id": OPERATION}, before=[FILMED], reply=MP4, stream=MP4),
    Exchange("create_file", {"file": ("a.pdf", b"%PDF-1.4\n"), "purpose": "user_data", **BUCKET}, reply=OBJECT),
    Exchange(
        "create_file",
        {"file": ("a.jsonl", _json(LINE)), "purpose": "batch", **BUCKET},
        reply=OBJECT,
        label="create_file_of_lines",
    ),
    Exchange("retrieve_file", {"file_id": FILE, **PLACE}, reply=OBJECT),
    Exchange("list_files", BUCKET, reply=_json({"items": [msgspec.json.decode(OBJECT)]})),
    Exchange("delete_file", {"file_id": FILE, **PLACE}, reply=b""),
    Exchange(
        "download_file", {"file_id": "gs://b/o/predictions.jsonl#output", **PLACE}, reply=RESULT, stream=RESULT + b"\n"
    ),
    Exchange("create_batch", {"input_file_id": FILE, **PLACE}, reply=_json({**JOB, "state": "JOB_STATE_PENDING"})),
    Exchange("retrieve_batch", {"batch_id": "us-central1.123", **PLACE}, reply=_json(JOB)),
    Exchange("cancel_batch", {"batch_id": "us-central1.123", **PLACE}, before=[b"{}"], reply=_json(JOB)),
    Exchange("list_batches", PLACE, reply=_json({"batchPredictionJobs": [JOB]})),
    Exchange("delete_batch", {"batch_id": "us-central1.123", **PLACE}, reply=b'{"name": "operations/1", "done": true}'),
    Exchange(
        "list_models", {}, reply=_json({"publisherModels": [{"name": "publishers/google/models/gemini-2.5-flash"}]})
    ),
]
