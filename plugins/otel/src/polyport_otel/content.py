"""What was said, as the GenAI conventions write it: messages of parts, as JSON text.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md#capturing-instructions-inputs-and-outputs
Operations that have no messages (vectors, images, speech) keep their own shapes, as `polyport.input` and
`polyport.output`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.observing import Event

TEXTS = frozenset({"text", "input_text", "output_text"})


def of_content(event: Event) -> dict[str, str]:
    """Return the attributes that hold what was asked and answered."""
    request, response = event.request, event.response or {}
    found: dict[str, Any] = {
        "gen_ai.input.messages": _asked(request),
        "gen_ai.output.messages": _answered(response),
        "gen_ai.system_instructions": _parts(request.get("instructions") or request.get("system")),
        "gen_ai.tool.definitions": request.get("tools"),
    }
    if not found["gen_ai.input.messages"]:
        own = {name: request[name] for name in ("input", "query", "documents", "file") if name in request}
        found["polyport.input"] = own
    if not found["gen_ai.output.messages"]:
        found["polyport.output"] = response
    return {name: msgspec.json.encode(value).decode() for name, value in found.items() if value}


def _asked(request: dict[str, Any]) -> list[dict[str, Any]]:
    messages = request.get("messages")
    if isinstance(messages, list):
        return [_message(message) for message in messages if isinstance(message, dict)]
    asked = request.get("prompt")
    if asked is None and "instructions" in request:
        asked = request.get("input")
    return [{"role": "user", "parts": _parts(asked)}] if asked else []


def _answered(response: dict[str, Any]) -> list[dict[str, Any]]:
    choices = response.get("choices")
    if isinstance(choices, list):
        return [_choice(choice) for choice in choices]
    if response.get("type") == "message":
        return [_finished("assistant", _parts(response.get("content")), response.get("stop_reason"))]
    output = response.get("output")
    if isinstance(output, list):
        parts = [part for item in output if isinstance(item, dict) for part in _item(item)]
        return [_finished("assistant", parts, response.get("status"))]
    return []


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message") or {"role": "assistant", "content": choice.get("text")}
    made = _message(message)
    return _finished(made["role"], made["parts"], choice.get("finish_reason"))


def _finished(role: str, parts: list[dict[str, Any]], reason: Any) -> dict[str, Any]:
    return {"role": role, "parts": parts, "finish_reason": reason or "unknown"}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    role, content = str(message.get("role") or "user"), message.get("content")
    if role == "tool":
        part = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [part]}
    parts = []
    if message.get("reasoning_content"):
        parts.append({"type": "reasoning", "content": message["reasoning_content"]})
    parts += _parts(content)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        parts.append(_tool_call(call.get("id"), function.get("name"), function.get("arguments")))
    return {"role": role, "parts": parts}


def _tool_call(identity: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": identity, "name": name, "arguments": arguments}


def _parts(content: Any) -> list[dict[str, Any]]:
    if not content:
        return []
    if not isinstance(content, list):
        return [{"type": "text", "content": content}]
    return [_part(part) for part in content]


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "text", "content": part}
    kind = part.get("type")
    if kind in TEXTS:
        return {"type": "text", "content": part.get("text")}
    if kind == "thinking":
        return {"type": "reasoning", "content": part.get("thinking")}
    if kind == "tool_use":
        return _tool_call(part.get("id"), part.get("name"), part.get("input"))
    if kind == "tool_result":
        return {"type": "tool_call_response", "id": part.get("tool_use_id"), "response": part.get("content")}
    return part


def _item(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts that an item of a response brings."""
    if item.get("type") == "message":
        return _parts(item.get("content"))
    if item.get("type") == "function_call":
        return [_tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))]
    return [item]
