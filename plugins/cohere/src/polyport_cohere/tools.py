"""Tools on their way out, and which of them must be called. https://docs.cohere.com/docs/tool-use-overview"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import Tool

#: OpenAI's choices -> Cohere's; None is Cohere's default, the model's free choice.
CHOICES: dict[str, str | None] = {"auto": None, "required": "REQUIRED", "none": "NONE"}


def tools(request: ChatRequest) -> dict[str, Any]:
    """Return the fields `tools`, `tool_choice` and `strict_tools`; none where there are no tools."""
    known = [tool for tool in request.toolbox if _is_function(tool, request)]
    choice, allowed = _choice(request)
    if allowed is not None:
        known = [tool for tool in known if _name(tool) in allowed]
        if not known:
            raise BadRequestError(f"None of the tools is called {' or '.join(sorted(allowed))} at $.tool_choice")
    if not known:
        return {}
    made: dict[str, Any] = {"tools": [_tool(tool, request) for tool in known]}
    if choice is not None:
        made["tool_choice"] = choice
    if request.parallel_tool_calls is False and choice != "NONE":
        request.unsupported("parallel_tool_calls", "Cohere's models may always call several tools at once")
    return {**made, **_strict(known, request)}


def _is_function(tool: Tool, request: ChatRequest) -> bool:
    if tool.function is None:
        request.unsupported("tools", f"{tool.type!r}: Cohere's models call functions only")
    return tool.function is not None


def _name(tool: Tool) -> str:
    return tool.function.name if tool.function is not None else ""


def _tool(tool: Tool, request: ChatRequest) -> dict[str, Any]:
    function = tool.function
    assert function is not None
    if tool.cache_control is not None:
        request.adapt("tools", "dropped", "cache_control: Cohere caches by itself")
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    schema = function.parameters or {}
    made["parameters"] = {"type": "object", "properties": {}, **schema} if "properties" not in schema else schema
    return {"type": "function", "function": made}


def _strict(known: list[Tool], request: ChatRequest) -> dict[str, Any]:
    """Return `strict_tools`, which is for all tools or none."""
    strict = [tool.function.strict for tool in known if tool.function is not None]
    if not any(strict):
        return {}
    if not all(strict):
        request.adapt("tools", "emulated", "Cohere holds all tools to their schemas or none: all, as one is strict")
    return {"strict_tools": True}


def _choice(request: ChatRequest) -> tuple[str | None, set[str] | None]:
    """Return (the choice on the wire, the names of the only tools to offer)."""
    given = request.tool_choice if request.tool_choice is not None else request.function_call
    if given is None:
        return None, None
    if isinstance(given, str):
        if given not in CHOICES:
            raise BadRequestError(f"{given!r} is no choice at $.tool_choice; there are {', '.join(CHOICES)}")
        return CHOICES[given], None
    if given.get("type") == "allowed_tools":
        return _allowed(given.get("allowed_tools") or given, request)
    name = str(given.get("function", given).get("name"))
    request.adapt("tool_choice", "emulated", f"Cohere cannot name a tool: {name!r} alone is offered, and one required")
    return "REQUIRED", {name}


def _allowed(given: dict[str, Any], request: ChatRequest) -> tuple[str | None, set[str]]:
    request.adapt("tool_choice", "emulated", "only the allowed tools are offered")
    tools = given.get("tools") or []
    return CHOICES.get(given.get("mode", "auto")), {str(tool.get("function", tool).get("name")) for tool in tools}
