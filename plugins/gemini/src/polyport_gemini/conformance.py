"""What the Gemini API answered, for the contract of `polyport.testing` and `polyport conformance gemini`."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange

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

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "gemini-2.5-flash", "messages": SAY, "tools": [NOW], "max_tokens": 50},
        reply=_json(WHOLE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
]
