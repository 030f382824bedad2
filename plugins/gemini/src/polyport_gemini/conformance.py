"""What the Gemini API answered, for the contract of `polyport.testing` and `polyport conformance gemini`."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange, Reply

SAY = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What time is it?"}]
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
SIGNATURE = "EpwICpkIAXLI2nxlU6gs"
USAGE: dict[str, Any] = {
    "promptTokenCount": 40,
    "cachedContentTokenCount": 8,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 21,
    "toolUsePromptTokenCount": 4,
    "totalTokenCount": 72,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 10}],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}],
    "serviceTier": "standard",
}
GROUNDING: dict[str, Any] = {
    "webSearchQueries": ["time"],
    "groundingChunks": [{"web": {"uri": "https://time.example", "title": "time.example"}}],
    "groundingSupports": [{"segment": {"startIndex": 4, "endIndex": 12}, "groundingChunkIndices": [0]}],
}
PARTS: list[dict[str, Any]] = [
    {"text": "Let me look.", "thought": True},
    {"text": "Hi, ünïcode", "thoughtSignature": SIGNATURE},
    {"functionCall": {"name": "now", "args": {"zone": "UTC"}}, "thoughtSignature": SIGNATURE},
]


def _reply(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **fields}
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-x", "responseId": "LopyaprkJPY"}


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _events(*replies: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + _json(reply) + b"\r\n\r\n" for reply in replies)


WHOLE = _reply(*PARTS, finishReason="STOP", groundingMetadata=GROUNDING)
STREAM = _events(
    _reply({"text": "Let me ", "thought": True}),
    _reply({"text": "look.", "thought": True}),
    _reply({"text": "Hi, "}),
    _reply({"text": "ünïcode", "thoughtSignature": SIGNATURE}),
    _reply(PARTS[2]),
    _reply({"text": ""}, finishReason="STOP", groundingMetadata=GROUNDING),
)

MP4 = Reply(content=b"\x00\x00\x00 ftypisom", headers={"content-type": "video/mp4"})
VECTORS = _json({"embeddings": [{"values": [0.25, -0.5, 0.125]}, {"values": [0.5, 0.25, -1.0]}]})
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = _json(_reply({"text": "Here:"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}, finishReason="STOP"))
IMAGEN = _json({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PNG}]})
SOUND = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "CwALABAADQATABIA"}}
SPOKEN = _json(_reply(SOUND, finishReason="STOP"))
SPOKEN_STREAM = _events(_reply(SOUND), _reply(SOUND, finishReason="STOP"))
HEARD = _json(_reply({"text": "Hello there."}, finishReason="STOP"))
HEARD_STREAM = _events(_reply({"text": "Hello "}), _reply({"text": "there."}, finishReason="STOP"))
SEGMENTS = _json(
    _reply(
        {"text": '{"language": "en", "segments": [{"start": 0, "end": 1.5, "text": "Hello there.", "speaker": "A"}]}'},
        finishReason="STOP",
    )
)
OPERATION = "models/veo-3.1-generate-preview/operations/umz7sqimep69"
RUNNING = _json({"name": OPERATION})
URI = "https://generativelanguage.googleapis.com/v1beta/files/zqw12cp8qc38:download?alt=media"
FILMED = _json(
    {
        "name": OPERATION,
        "done": True,
        "response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": URI}}]}},
    }
)
FILE: dict[str, Any] = {
    "name": "files/ofyvwkznt2rs",
    "displayName": "a.pdf",
    "mimeType": "application/pdf",
    "sizeBytes": "9",
    "createTime": "2026-07-28T03:21:18.604327Z",
    "expirationTime": "2026-07-30T03:21:18.448013188Z",
    "uri": "https://generativelanguage.googleapis.com/v1beta/files/ofyvwkznt2rs",
    "state": "ACTIVE",
}
MARKED = _json({**FILE, "displayName": "polyport-batch:chat:gemini-2.5-flash:a.jsonl"})
BEGUN = Reply(
    headers={"x-goog-upload-url": "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=1"}
)
LINE = {"custom_id": "r1", "url": "/v1/chat/completions", "body": {"model": "gemini-2.5-flash", "messages": SAY}}
BATCH: dict[str, Any] = {
    "name": "batches/31u18uq6dr4ods",
    "metadata": {
        "model": "models/gemini-2.5-flash",
        "displayName": "ofyvwkznt2rs",
        "createTime": "2026-08-19T14:34:12.267870162Z",
        "updateTime": "2026-08-19T14:34:12.267870162Z",
        "batchStats": {"requestCount": "1", "pendingRequestCount": "1"},
        "state": "BATCH_STATE_PENDING",
    },
}
ENDED = {
    **BATCH,
    "metadata": {**BATCH["metadata"], "state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/batch-31u"}},
}
RESULT = _json({"key": "r1", "response": WHOLE})
MODELS = _json({"models": [{"name": "models/gemini-x", "displayName": "Gemini X", "inputTokenLimit": 1048576}]})

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "gemini-2.5-flash", "messages": SAY, "tools": [NOW], "max_tokens": 50},
        reply=_json(WHOLE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
    Exchange("count_tokens", {"model": "gemini-2.5-flash", "messages": SAY[1:]}, reply=b'{"totalTokens": 61}'),
    Exchange(
        "embed",
        {"model": "gemini-embedding-001", "input": ["one", "two"], "input_type": "search_query", "dimensions": 3},
        reply=VECTORS,
    ),
    Exchange("generate_image", {"model": "gemini-2.5-flash-image", "prompt": "A cat"}, reply=PICTURE),
    Exchange("generate_image", {"model": "imagen-4.0-generate-001", "prompt": "A cat"}, reply=IMAGEN, label="imagen"),
    Exchange(
        "edit_image",
        {"model": "gemini-2.5-flash-image", "image": b"\x89PNG\r\n\x1a\n", "prompt": "Bigger"},
        reply=PICTURE,
    ),
    Exchange("speak", {"model": "gemini-2.5-flash-preview-tts", "input": "Hi"}, reply=SPOKEN, stream=SPOKEN_STREAM),
    Exchange(
        "transcribe",
        {"model": "gemini-2.5-flash", "file": ("a.wav", b"RIFF....WAVE")},
        reply=HEARD,
        stream=HEARD_STREAM,
        text="Hello there.",
    ),
    Exchange(
        "transcribe",
        {"model": "gemini-2.5-flash", "file": ("a.wav", b"RIFF....WAVE"), "response_format": "verbose_json"},
        reply=SEGMENTS,
        text="Hello there.",
        label="transcribe_segments",
    ),
    Exchange("translate", {"model": "gemini-2.5-flash", "file": ("a.wav", b"RIFF....WAVE")}, reply=HEARD),
    Exchange("create_video", {"model": "veo-3.1-generate-preview", "prompt": "Waves", "seconds": 4}, reply=RUNNING),
    Exchange("retrieve_video", {"video_id": OPERATION}, reply=FILMED),
    Exchange("download_video", {"video_id": OPERATION}, before=[FILMED], reply=MP4, stream=MP4),
    Exchange(
        "create_file",
        {"file": ("a.pdf", b"%PDF-1.4\n"), "purpose": "user_data"},
        before=[BEGUN],
        reply=_json({"file": FILE}),
    ),
    Exchange(
        "create_file",
        {"file": ("a.jsonl", _json(LINE)), "purpose": "batch"},
        before=[BEGUN],
        reply=_json({"file": FILE}),
        label="create_file_of_lines",
    ),
    Exchange("retrieve_file", {"file_id": "ofyvwkznt2rs"}, reply=_json(FILE)),
    Exchange("list_files", {}, reply=_json({"files": [FILE]})),
    Exchange("delete_file", {"file_id": "ofyvwkznt2rs"}, reply=b"{}"),
    Exchange(
        "download_file",
        {"file_id": "31u18uq6dr4ods_output"},
        before=[_json(ENDED)],
        reply=RESULT,
        stream=RESULT + b"\n",
    ),
    Exchange("create_batch", {"input_file_id": "ofyvwkznt2rs"}, before=[MARKED], reply=_json(BATCH)),
    Exchange("retrieve_batch", {"batch_id": "31u18uq6dr4ods"}, reply=_json(BATCH)),
    Exchange("cancel_batch", {"batch_id": "31u18uq6dr4ods"}, before=[b"{}"], reply=_json(BATCH)),
    Exchange("list_batches", {}, reply=_json({"operations": [BATCH]})),
    Exchange("delete_batch", {"batch_id": "31u18uq6dr4ods"}, reply=b"{}"),
    Exchange("list_models", {}, reply=MODELS),
]
