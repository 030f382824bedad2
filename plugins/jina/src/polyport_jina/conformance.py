"""What Jina answers, for the contract of `polyport.testing` and `polyport conformance jina_ai`.

The shapes are those of https://api.jina.ai/openapi.json, read 2026-11-23; the contents are made up.
"""

from __future__ import annotations

import json
from typing import Any

from polyport.testing import Exchange

PNG = "data:image/png;base64,iVBORw0KGgo="
READ = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]
HEAD = {"id": "o1", "created": 1767225600, "model": "jina-ocr-v1"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
REPLY = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "# Bill, ünïcode"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
}
EMBEDDED = {
    "model": "jina-embeddings-v4",
    "object": "list",
    "usage": {"total_tokens": 20, "prompt_tokens": 20, "image_tokens": 18},
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
        {"object": "embedding", "index": 1, "embedding": [0.125, 1.0]},
    ],
}
RANKED = {
    "model": "jina-reranker-v3",
    "object": "list",
    "usage": {"total_tokens": 9},
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
}
MODEL = {"id": "jina-ai/jina-embeddings-v4", "object": "model", "created": 1767225600, "owned_by": "jina-ai"}


def body(value: Any) -> bytes:
    """Write a reply's body."""
    return json.dumps(value).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **beside: Any) -> bytes:
    """Write an event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + body({**HEAD, "object": "chat.completion.chunk", "choices": [choice], **beside}) + b"\n\n"


STREAM = b"".join(
    (
        chunk({"role": "assistant", "content": "# Bill, "}),
        chunk({"content": "ünïcode"}),
        chunk({}, "stop", usage=USAGE),
        b"data: [DONE]\n\n",
    )
)
EXCHANGES = [
    Exchange(
        "chat", {"model": "jina-ocr-v1", "messages": READ}, reply=body(REPLY), stream=STREAM, text="# Bill, ünïcode"
    ),
    Exchange(
        "embed",
        {"model": "jina-embeddings-v4", "input": ["a", PNG], "input_type": "search_query"},
        reply=body(EMBEDDED),
    ),
    Exchange(
        "rerank", {"model": "jina-reranker-v3", "query": "b", "documents": ["a", {"text": "b"}]}, reply=body(RANKED)
    ),
    Exchange("list_models", {}, reply=body({"object": "list", "data": [MODEL]})),
]
