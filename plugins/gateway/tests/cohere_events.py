"""Cohere's events, put together."""

from __future__ import annotations

from typing import Any


def assembled(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the events of a stream together, as an application does, to the reply that they make, without its id."""
    message: dict[str, Any] = {}
    content: list[dict[str, Any]] = []
    calls: dict[int, Any] = {}
    running: set[tuple[str, int]] = set()
    tokens: list[Any] = []
    for event in events:
        kind, added = event["type"], (event.get("delta") or {}).get("message") or {}
        if kind == "message-start":
            message["role"] = added["role"]
        elif kind == "content-start":
            assert event["index"] == len(content)
            content.append({**added["content"]})
            running.add(("content", event["index"]))
        elif kind == "content-delta":
            assert ("content", event["index"]) in running
            block = content[event["index"]]
            for name, value in added["content"].items():
                block[name] = block.get(name, "") + value if name in ("text", "thinking") else value
            tokens += [event["logprobs"]] if "logprobs" in event else []
        elif kind == "tool-plan-delta":
            message["tool_plan"] = message.get("tool_plan", "") + added["tool_plan"]
        elif kind == "tool-call-start":
            calls[event["index"]] = {**added["tool_calls"], "function": {**added["tool_calls"]["function"]}}
            running.add(("tool-call", event["index"]))
        elif kind == "tool-call-delta":
            calls[event["index"]]["function"]["arguments"] += added["tool_calls"]["function"]["arguments"]
        elif kind == "citation-start":
            message.setdefault("citations", []).append(added["citations"])
        elif kind in ("content-end", "tool-call-end"):
            running.remove((kind.removesuffix("-end"), event["index"]))
    assert events[-1]["type"] == "message-end"
    assert not running
    if content:
        message["content"] = content
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    end = events[-1]["delta"]
    told = {"finish_reason": end["finish_reason"], "message": message, **({"logprobs": tokens} if tokens else {})}
    return {**told, "usage": end["usage"]} if "usage" in end else told
