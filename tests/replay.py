"""Holds what a chat provider makes of recorded replies against the bodies themselves, read with plain JSON.

For providers that speak OpenAI's wire. What a body calls reasoning is said by the caller's `reasoning` names.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import httpx
from recorded import cut, events, is_stream, payload, status

KEPT_HEADERS = ("content-type", "retry-after", "x-request-id")
REASONING = ("reasoning_content", "reasoning")


def reply_of(record: dict[str, Any], pieces: Callable[[bytes], Any] | None = None) -> httpx.Response:
    """Return the recorded reply, whole or in pieces."""
    content = payload(record)
    headers = {name: v for name, v in (record["response"]["headers"] or {}).items() if name.lower() in KEPT_HEADERS}
    code = 200 if is_stream(record) else status(record)
    return httpx.Response(code, headers=headers, content=pieces(content) if pieces else content)


def cut_at_random(seed: int) -> Callable[[bytes], Any]:
    """Return what cuts a body at places that the seed chooses."""
    return lambda data: cut(data, Random(seed))


def counts(usage: dict[str, Any] | None) -> dict[str, int]:
    """Return the counts of a usage that OpenAI's shape has, flat; null and 0 are not told."""
    usage = usage or {}
    flat = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    for details, names in (
        ("prompt_tokens_details", ("cached_tokens", "audio_tokens")),
        ("completion_tokens_details", ("reasoning_tokens", "audio_tokens")),
    ):
        flat |= {f"{details}.{name}": (usage.get(details) or {}).get(name) for name in names}
    return {name: number for name, number in flat.items() if number}


def said(message: dict[str, Any], reasoning: tuple[str, ...] = REASONING) -> dict[str, Any]:
    """Return what a message says: text, reasoning, and each call's id, name and arguments."""
    calls = [
        (call.get("id"), call["function"].get("name"), call["function"].get("arguments") or "")
        for call in message.get("tool_calls") or []
        if call.get("function")
    ]
    thought = next((message[name] for name in reasoning if message.get(name)), "")
    return {"text": message.get("content") or "", "thought": thought, "calls": calls}


def whole(answer: dict[str, Any], reasoning: tuple[str, ...] = REASONING) -> dict[str, Any]:
    """Return what a completion tells: of each choice what it says and how it ended."""
    return {
        "id": answer.get("id") or "",
        "choices": [
            (choice.get("index", 0), said(choice["message"], reasoning), choice.get("finish_reason"))
            for choice in answer["choices"]
        ],
    }


def story(chunks: list[dict[str, Any]], reasoning: tuple[str, ...] = REASONING) -> dict[str, Any]:
    """Return what the chunks of a stream tell together: by choice text, reasoning, calls, how it ended; usage."""
    told: dict[str, Any] = {"usage": {}}
    for chunk in chunks:
        told["usage"] |= counts(chunk.get("usage"))
        for choice in chunk.get("choices") or []:
            one = told.setdefault(choice.get("index", 0), {"text": "", "thought": "", "calls": {}, "end": None})
            delta = choice.get("delta") or {}
            one["text"] += delta.get("content") or ""
            one["thought"] += next((delta[name] for name in reasoning if delta.get(name)), "")
            one["end"] = choice.get("finish_reason") or one["end"]
            for piece in delta.get("tool_calls") or []:
                call = one["calls"].setdefault(piece.get("index", 0), {"id": None, "name": None, "arguments": ""})
                function = piece.get("function") or {}
                call["id"] = piece.get("id") or call["id"]
                call["name"] = function.get("name") or call["name"]
                call["arguments"] += function.get("arguments") or ""
    return told


def failing(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error that a stream's events hold, None where it holds none."""
    return next((event["error"] for event in events(record) if event.get("error")), None)
