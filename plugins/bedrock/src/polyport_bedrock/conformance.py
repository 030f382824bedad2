"""What Bedrock answered, for the contract of `polyport.testing` and `polyport conformance bedrock`."""

from __future__ import annotations

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

EXCHANGES = [
    Exchange(
        "chat",
        {"model": CLAUDE, "messages": SAY, "tools": [NOW], "max_tokens": 50},
        reply=msgspec.json.encode(WHOLE),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
]
