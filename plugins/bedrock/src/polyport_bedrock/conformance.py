"""What Bedrock answered, for the contract of `polyport.testing` and `polyport conformance bedrock`."""

from __future__ import annotations

import base64
import struct
from typing import Any
from zlib import crc32

import msgspec

from polyport.testing import Exchange, Reply

SAY = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What time is it?"}]
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
SIGNATURE = "Ev8BCkgIDRABGAIqQA94zfb4uEVoCu7i"
USAGE: dict[str, Any] = {
    "inputTokens": 20,
    "outputTokens": 9,
    "totalTokens": 40,
    "cacheReadInputTokens": 8,
    "cacheWriteInputTokens": 3,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 3}],
    "serverToolUsage": {},
}
CONTENT: list[dict[str, Any]] = [
    {"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": SIGNATURE}}},
    {"text": "Hi, ünïcode"},
    {"toolUse": {"toolUseId": "tooluse_1", "name": "now", "input": {"zone": "UTC"}, "type": "tool_use"}},
]
WHOLE = {
    "output": {"message": {"role": "assistant", "content": CONTENT}},
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 820},
    "serviceTier": {"type": "default"},
}


def frame(kind: str, payload: Any, *, message: str = "event") -> bytes:
    """Return a frame of an event stream, as AWS writes it; `kind` is the type of the event or of the exception."""
    names = {f":{message}-type": kind, ":content-type": "application/json", ":message-type": message}
    head = b"".join(_header(name, value) for name, value in names.items())
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    rest = prelude + struct.pack(">I", crc32(prelude)) + head + body
    return rest + struct.pack(">I", crc32(rest))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def _delta(index: int, **delta: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcd"})


def _stopped(index: int) -> bytes:
    return frame("contentBlockStop", {"contentBlockIndex": index, "p": "abc"})


STREAM = Reply(
    headers={"content-type": "application/vnd.amazon.eventstream"},
    content=b"".join(
        [
            frame("messageStart", {"role": "assistant", "p": "abcdef"}),
            _delta(0, reasoningContent={"text": "Let me "}),
            _delta(0, reasoningContent={"text": "look."}),
            _delta(0, reasoningContent={"signature": SIGNATURE}),
            _stopped(0),
            _delta(1, text="Hi, "),
            _delta(1, text="ünïcode"),
            _stopped(1),
            frame(
                "contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "now"}}}
            ),
            _delta(2, toolUse={"input": '{"zone":'}),
            _delta(2, toolUse={"input": '"UTC"}'}),
            _stopped(2),
            frame("messageStop", {"stopReason": "tool_use"}),
            frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 820}}),
        ]
    ),
)

MESSAGE: dict[str, Any] = {
    "id": "msg_bdrk_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hi, ünïcode"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 5, "cache_read_input_tokens": 3},
}


def _chunk(event: Any) -> bytes:
    return frame("chunk", {"bytes": base64.b64encode(msgspec.json.encode(event)).decode(), "p": "abc"})


MESSAGE_STREAM = Reply(
    headers={"content-type": "application/vnd.amazon.eventstream"},
    content=b"".join(map(_chunk, [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi, "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ünïcode"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 12}},
    ])),
)  # fmt: skip

#: S3 knows no keys of Bedrock's.
SECRETS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"}
BUCKET = {"s3_bucket_name": "my-bucket"}
TOKENS = {"x-amzn-bedrock-input-token-count": "7", "content-type": "application/json"}
COHERE = Reply(
    headers=TOKENS,
    content=b'{"id": "1", "embeddings": {"float": [[0.25, -0.5, 0.125], [0.5, 0.25, -1.0]]}, "texts": ["one", "two"]}',
)
TITAN = Reply(headers=TOKENS, content=b'{"embedding": [0.25, -0.5, 0.125], "inputTextTokenCount": 7}')
RANKED = msgspec.json.encode({
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
})  # fmt: skip
API_RANKED = msgspec.json.encode(
    {"results": [{"index": 1, "relevanceScore": 0.9}, {"index": 0, "relevanceScore": 0.2}]}
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DRAWN = msgspec.json.encode({"images": [PNG], "error": None})
STABLE = msgspec.json.encode({"seeds": [7], "finish_reasons": [None], "images": [PNG]})
ARN = "arn:aws:bedrock:us-east-1:123456789012"
FILM = f"{ARN}:async-invoke/abc123def456"
RUNNING = {
    "invocationArn": FILM,
    "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-reel-v1:1",
    "status": "InProgress",
    "submitTime": "2026-11-20T10:00:00Z",
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://my-bucket/polyport/video/abc123def456"}},
}
FILMED = {**RUNNING, "status": "Completed", "endTime": "2026-11-20T10:02:00Z"}
MP4 = Reply(content=b"\x00\x00\x00 ftypisom", headers={"content-type": "video/mp4"})
LINE = {"custom_id": "r1", "url": "/v1/chat/completions", "body": {"model": NOVA, "messages": SAY}}
LINES = "s3://my-bucket/polyport/batch/chat/amazon.nova-lite-v1!3A0/0f0f/a.jsonl"
JOB_ARN = f"{ARN}:model-invocation-job/ofyvwkznt2rs"
RESULTS = "s3://my-bucket/polyport/output/chat/ofyvwkznt2rs/"
JOB = {
    "jobArn": JOB_ARN,
    "jobName": "polyport-0f0f",
    "modelId": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
    "roleArn": "arn:aws:iam::123456789012:role/batch",
    "status": "InProgress",
    "submitTime": "2026-11-20T10:00:00Z",
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": LINES}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://my-bucket/polyport/output/chat/"}},
    "totalRecordCount": 1,
    "successRecordCount": 0,
    "errorRecordCount": 0,
}
RESULT = msgspec.json.encode({"recordId": "r1", "modelInput": {}, "modelOutput": WHOLE})
LISTED = Reply(
    headers={"content-type": "application/xml"},
    content=(
        f"<?xml version='1.0'?><ListBucketResult><Contents><Key>{RESULTS[15:]}a.jsonl.out</Key><Size>9</Size>"
        "<LastModified>2026-11-20T10:00:00.000Z</LastModified></Contents></ListBucketResult>"
    ).encode(),
)
FIRST_BYTE = Reply(
    status=206,
    content=b"%",
    headers={"content-range": "bytes 0-0/9", "content-type": "application/pdf",
             "last-modified": "Fri, 20 Nov 2026 10:00:00 GMT"},
)  # fmt: skip
PROFILES = {
    "inferenceProfileSummaries": [
        {"inferenceProfileId": "us.amazon.nova-lite-v1:0", "inferenceProfileName": "US Nova Lite", "status": "ACTIVE"}
    ]
}
MODELS = {
    "modelSummaries": [
        {"modelId": "amazon.nova-lite-v1:0", "modelName": "Nova Lite", "providerName": "Amazon", "modelArn": "arn:1"}
    ]
}
VERDICT = {
    "action": "GUARDRAIL_INTERVENED",
    "assessments": [
        {
            "contentPolicy": {
                "filters": [{"type": "HATE", "confidence": "HIGH", "action": "BLOCKED", "detected": True}]
            },
            "topicPolicy": {"topics": [{"name": "finance", "type": "DENY", "action": "NONE", "detected": False}]},
        }
    ],
}

EXCHANGES = [
    Exchange(
        "chat",
        {"model": CLAUDE, "messages": SAY, "tools": [NOW], "max_tokens": 50},
        reply=msgspec.json.encode(WHOLE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
    Exchange(
        "create_message",
        {"model": CLAUDE, "messages": SAY[1:], "max_tokens": 50},
        reply=msgspec.json.encode(MESSAGE),
        stream=MESSAGE_STREAM,
        text="Hi, ünïcode",
    ),
    Exchange("count_tokens", {"model": NOVA, "messages": SAY[1:], "max_tokens": 50}, reply=b'{"inputTokens": 61}'),
    Exchange(
        "embed",
        {"model": "cohere.embed-v4:0", "input": ["one", "two"], "input_type": "search_query", "dimensions": 256},
        reply=COHERE,
    ),
    Exchange(
        "embed",
        {"model": "amazon.titan-embed-text-v2:0", "input": "one", "dimensions": 256},
        reply=TITAN,
        label="titan",
    ),
    Exchange(
        "rerank", {"model": "cohere.rerank-v3-5:0", "query": "q", "documents": ["a", "b"], "top_n": 2}, reply=RANKED
    ),
    Exchange(
        "rerank",
        {
            "model": "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0",
            "query": "q",
            "documents": ["a", "b"],
        },
        reply=API_RANKED,
        label="rerank_api",
    ),
    Exchange("generate_image", {"model": "amazon.nova-canvas-v1:0", "prompt": "A cat", "n": 1}, reply=DRAWN),
    Exchange(
        "generate_image", {"model": "stability.sd3-5-large-v1:0", "prompt": "A cat"}, reply=STABLE, label="stability"
    ),
    Exchange(
        "edit_image",
        {"model": "amazon.nova-canvas-v1:0", "image": b"\x89PNG\r\n\x1a\n", "prompt": "Bigger"},
        reply=DRAWN,
    ),
    Exchange("vary_image", {"model": "amazon.nova-canvas-v1:0", "image": b"\x89PNG\r\n\x1a\n"}, reply=DRAWN),
    Exchange(
        "create_video",
        {"model": "amazon.nova-reel-v1:1", "prompt": "Waves", "seconds": 6, **BUCKET},
        reply=msgspec.json.encode({"invocationArn": FILM}),
    ),
    Exchange("retrieve_video", {"video_id": FILM}, reply=msgspec.json.encode(FILMED)),
    Exchange("download_video", {"video_id": FILM}, before=[FILMED], reply=MP4, stream=MP4, env=SECRETS),
    Exchange("list_videos", {}, reply=msgspec.json.encode({"asyncInvokeSummaries": [RUNNING]})),
    Exchange(
        "create_file",
        {"file": ("a.pdf", b"%PDF-1.4\n"), "purpose": "user_data", **BUCKET},
        reply=Reply(headers={"etag": '"1"'}),
        env=SECRETS,
    ),
    Exchange(
        "create_file",
        {"file": ("a.jsonl", msgspec.json.encode(LINE)), "purpose": "batch", **BUCKET},
        reply=Reply(headers={"etag": '"1"'}),
        env=SECRETS,
        label="create_file_of_lines",
    ),
    Exchange("retrieve_file", {"file_id": "s3://my-bucket/polyport/user_data/1/a.pdf"}, reply=FIRST_BYTE, env=SECRETS),
    Exchange("list_files", BUCKET, reply=LISTED, env=SECRETS),
    Exchange("delete_file", {"file_id": LINES}, reply=Reply(status=204), env=SECRETS),
    Exchange(
        "download_file", {"file_id": f"{RESULTS}#output"}, before=[LISTED], reply=RESULT, stream=RESULT, env=SECRETS
    ),
    Exchange(
        "create_batch",
        {"input_file_id": LINES, "aws_batch_role_arn": JOB["roleArn"]},
        reply=msgspec.json.encode({"jobArn": JOB_ARN}),
    ),
    Exchange("retrieve_batch", {"batch_id": JOB_ARN}, reply=msgspec.json.encode(JOB)),
    Exchange("cancel_batch", {"batch_id": JOB_ARN}, before=[b"{}"], reply=msgspec.json.encode(JOB)),
    Exchange("list_batches", {}, reply=msgspec.json.encode({"invocationJobSummaries": [JOB]})),
    Exchange("moderate", {"model": "abc123:1", "input": "text"}, reply=msgspec.json.encode(VERDICT)),
    Exchange("list_models", {}, before=[PROFILES], reply=msgspec.json.encode(MODELS)),
]
