"""A chat's messages and tools in the shape of Anthropic's token counting, which every provider that counts answers in.

https://platform.claude.com/docs/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.chat import plain_messages
from polyport.types.upload import split_data_url


def to_count(messages: Sequence[Any], tools: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return the fields of `count_tokens`. Messages that are in that shape already stay as they are."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for number, message in enumerate(plain_messages(messages)):
        blocks = _blocks(message, f"$.messages[{number}]")
        if message["role"] in ("system", "developer"):
            system += blocks
        else:
            turns.append({"role": "assistant" if message["role"] == "assistant" else "user", "content": blocks})
    fields: dict[str, Any] = {"messages": turns}
    if system:
        fields["system"] = system
    if tools:
        fields["tools"] = [_tool(tool) for tool in tools]
    return fields


def _blocks(message: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    blocks = [_block(part, f"{path}.content[{number}]") for number, part in enumerate(parts) if part.get("text") != ""]
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": blocks}]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        given = msgspec.json.decode(function.get("arguments") or "{}")
        blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": given})
    return blocks


def _block(part: Mapping[str, Any], path: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        image = part["image_url"]
        url = image["url"] if isinstance(image, Mapping) else image
        return {"type": "image", "source": _source(url)}
    if kind in ("input_audio", "video_url", "file"):
        raise BadRequestError(f"A {kind} cannot be counted in this shape at {path}; leave exact=True out.")
    return dict(part)


def _source(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    split_data_url(url)  # raises for one that is none
    head, _, data = url.partition(",")
    return {"type": "base64", "media_type": head[5:].partition(";")[0], "data": data}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)
    made = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    return {**made, **({"description": function["description"]} if function.get("description") else {})}
