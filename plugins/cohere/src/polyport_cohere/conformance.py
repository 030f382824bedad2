"""What Cohere answers, for the contract of `polyport.testing` and `polyport conformance cohere`.

The shapes are those of https://docs.cohere.com/reference, read 2026-11-23; the contents are made up.
"""

from __future__ import annotations

import json
from typing import Any

from polyport.testing import Exchange

SAY = [{"role": "user", "content": "Hello"}]
USAGE = {
    "billed_units": {"input_tokens": 3, "output_tokens": 7},
    "tokens": {"input_tokens": 100, "output_tokens": 12, "reasoning_tokens": 4},
    "cached_tokens": 64,
}
CALL = {"id": "now_1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
CITATION = {
    "start": 0,
    "end": 2,
    "text": "Hi",
    "sources": [{"type": "document", "id": "doc-0", "document": {"id": "doc-0", "title": "A", "text": "Hi"}}],
    "type": "TEXT_CONTENT",
}
MESSAGE = {
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "A greeting."}, {"type": "text", "text": "Hi, ünïcode"}],
    "tool_plan": "I will look at the clock.",
    "tool_calls": [CALL],
    "citations": [CITATION],
}
REPLY = {
    "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
    "message": MESSAGE,
    "finish_reason": "TOOL_CALL",
    "usage": USAGE,
    "logprobs": [{"text": "Hi", "token_ids": [1], "logprobs": [-0.25]}],
}


def event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    """An event of a stream."""
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, **({"delta": {"message": message}} if message else {})}


def events(*made: dict[str, Any]) -> bytes:
    """Write events as an event stream."""
    told = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in made)
    return told + b"data: [DONE]\n\n"


BEGIN = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
STREAM = events(
    {"id": "c14c80c3", "type": "message-start", "delta": {"message": BEGIN}},
    event("content-start", 0, content={"type": "thinking", "thinking": ""}),
    event("content-delta", 0, content={"thinking": "A greeting."}),
    event("content-end", 0),
    event("content-start", 1, content={"type": "text", "text": ""}),
    {**event("content-delta", 1, content={"text": "Hi, "}), "logprobs": REPLY["logprobs"][0]},  # type: ignore[index]
    event("content-delta", 1, content={"text": "ünïcode"}),
    event("citation-start", 0, citations=CITATION),
    event("citation-end", 0),
    event("content-end", 1),
    event("tool-plan-delta", tool_plan="I will look at the clock."),
    event("tool-call-start", 0, tool_calls={**CALL, "function": {"name": "now", "arguments": ""}}),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"zone": '}}),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '"UTC"}'}}),
    event("tool-call-end", 0),
    {"type": "message-end", "id": "c14c80c3", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
)
EMBEDDED = {
    "id": "e1",
    "texts": ["a", "b"],
    "embeddings": {"float": [[0.5, -0.25], [0.125, 1.0]]},
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2, "image_tokens": 0}},
    "response_type": "embeddings_by_type",
}
RANKED = {
    "id": "r1",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}
MODEL = {"name": "command-a-03-2025", "endpoints": ["chat"], "finetuned": False, "context_length": 288000}


def body(value: Any) -> bytes:
    """Write a reply's body."""
    return json.dumps(value).encode()


EXCHANGES = [
    Exchange(
        "chat",
        {"model": "command-a-reasoning-08-2025", "messages": SAY},
        reply=body(REPLY),
        stream=STREAM,
        text="Hi, ünïcode",
    ),
    Exchange("embed", {"model": "embed-v4.0", "input": ["a", "b"], "input_type": "search_query"}, reply=body(EMBEDDED)),
    Exchange("rerank", {"model": "rerank-v3.5", "query": "b", "documents": ["a", {"text": "b"}]}, reply=body(RANKED)),
    Exchange(
        "transcribe",
        {"model": "cohere-transcribe-03-2026", "file": ("a.wav", b"RIFF\0\0\0\0WAVE"), "language": "en"},
        reply=b'{"text": "Hello"}',
        text="Hello",
    ),
    Exchange("list_models", {}, reply=body({"models": [MODEL], "next_page_token": "p2"})),
]

#: The first version's reply, and its stream: https://docs.cohere.com/v1/reference/chat
FIRST_REPLY: dict[str, Any] = {
    "response_id": "r-1",
    "generation_id": "g-1",
    "text": "Hi, ünïcode",
    "finish_reason": "COMPLETE",
    "tool_calls": [{"name": "now", "parameters": {"zone": "UTC"}}],
    "citations": [{"start": 0, "end": 2, "text": "Hi", "document_ids": ["doc_0"]}],
    "documents": [{"id": "doc_0", "title": "A", "snippet": "Hi is said."}],
    "meta": {"api_version": {"version": "1"}, **USAGE, "warnings": ["old"]},
}
FIRST_STREAM = b"".join(
    json.dumps(one, ensure_ascii=False).encode() + b"\n"
    for one in (
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
        {"is_finished": False, "event_type": "search-results", "documents": FIRST_REPLY["documents"]},
        {"is_finished": False, "event_type": "text-generation", "text": "Hi, "},
        {"is_finished": False, "event_type": "text-generation", "text": "ünïcode"},
        {"is_finished": False, "event_type": "tool-calls-chunk", "tool_call_delta": {"index": 0, "name": "now"}},
        {
            "is_finished": False,
            "event_type": "tool-calls-chunk",
            "tool_call_delta": {"index": 0, "parameters": '{"zone":"UTC"}'},
        },
        {"is_finished": False, "event_type": "tool-calls-generation", "tool_calls": FIRST_REPLY["tool_calls"]},
        {"is_finished": False, "event_type": "citation-generation", "citations": FIRST_REPLY["citations"]},
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": FIRST_REPLY},
    )
)
