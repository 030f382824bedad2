"""Tools on their way out: functions, native tools, web search, and which of them must be called.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import Tool
from polyport_anthropic.facts import facts
from polyport_anthropic.schema import constrain

#: The tool that stands in for structured output where a model has none; replies turn its calls into text.
ANSWER_TOOL = "polyport_json_answer"
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
#: Tool types of OpenAI's that are not Anthropic's under the same name.
FOREIGN = {
    "file_search": "Anthropic has no hosted vector stores",
    "image_generation": "Claude does not make images",
    "local_shell": "Anthropic's own is `{'type': 'bash_20250124', 'name': 'bash'}`",
    "code_interpreter": "Anthropic's own is `{'type': 'code_execution_20250825', 'name': 'code_execution'}`",
    "mcp": "Anthropic takes `mcp_servers=[...]` and `{'type': 'mcp_toolset', ...}`",
}
CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def tools(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the tools on the wire: functions translated, Anthropic's own as they were given, web search added."""
    made = [tool for given in request.toolbox if (tool := _tool(given, request)) is not None]
    if request.web_search_options is not None:
        made.append(_web_search(request))
    return made


def _tool(tool: Tool, request: ChatRequest) -> dict[str, Any] | None:
    if tool.function is not None:
        return _function(tool, request)
    if tool.type in FOREIGN:
        request.unsupported("tools", f"{tool.type!r}: {FOREIGN[tool.type]}")
        return None
    if tool.type == "custom" and "custom" in tool.value:
        request.unsupported("tools", "tools of free text with a grammar are OpenAI's alone; declare a function")
        return None
    if tool.type in ("web_search", "web_search_preview"):
        return _web_search_tool(tool.value, request)
    return tool.value


def _function(tool: Tool, request: ChatRequest) -> dict[str, Any]:
    function = tool.function
    assert function is not None
    schema = function.parameters or {"type": "object", "properties": {}}
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    made["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if function.strict:
        _strict(made, request)
    if tool.cache_control is not None:
        made["cache_control"] = tool.cache_control
    return made


def _strict(made: dict[str, Any], request: ChatRequest) -> None:
    if "structured_output" not in facts(request.model).supports:
        request.adapt("tools", "dropped", f"{request.model} cannot hold {made['name']!r} to its schema (strict)")
        return
    made["strict"] = True
    made["input_schema"], told = constrain(made["input_schema"])
    if told:
        request.adapt("tools", "emulated", f"{made['name']!r}: {', '.join(told)} are told to the model, not enforced")


def _web_search(request: ChatRequest) -> dict[str, Any]:
    return _web_search_tool({"type": "web_search", **(request.web_search_options or {})}, request, "web_search_options")


def _web_search_tool(value: dict[str, Any], request: ChatRequest, parameter: str = "tools") -> dict[str, Any]:
    """Return Anthropic's web search for OpenAI's; a location is flat here, and there is no context size.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
    """
    made: dict[str, Any] = dict(WEB_SEARCH)
    rest = {name: inner for name, inner in value.items() if name != "type"}
    size = rest.pop("search_context_size", None)
    if size not in (None, "medium"):
        request.unsupported(parameter, "Anthropic's web search has no search_context_size; limit it with max_uses")
    location = rest.pop("user_location", None)
    if location:
        made["user_location"] = {"type": "approximate", **(location.get("approximate") or location)}
    filters = rest.pop("filters", None) or {}
    return {**made, **filters, **rest}


def tool_choice(request: ChatRequest, made: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return `tool_choice` on the wire, None for the model's free choice. Without tools it means nothing."""
    if not made:
        return None
    choice = _choice(request)
    if choice is not None and choice["type"] in ("any", "tool") and not _may_force(request, choice):
        choice = None
    if request.parallel_tool_calls is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def _choice(request: ChatRequest) -> dict[str, Any] | None:
    given = request.tool_choice if request.tool_choice is not None else request.function_call
    if given is None:
        return None
    if isinstance(given, str):
        if given not in CHOICES:
            raise BadRequestError(f"{given!r} is no choice at $.tool_choice; there are {', '.join(CHOICES)}")
        return {"type": CHOICES[given]}
    if given.get("type") == "allowed_tools":
        request.unsupported("tool_choice", "Anthropic has no allowed_tools; pass only the tools that may be called")
        return None
    function = given.get("function", given) if given.get("type") in (None, "function") else None
    if function is not None:
        return {"type": "tool", "name": function.get("name")}
    return dict(given)


def _may_force(request: ChatRequest, choice: dict[str, Any]) -> bool:
    if "forced_tools" in facts(request.model).supports:
        return True
    request.unsupported("tool_choice", f"{request.model} cannot be forced to call a tool ({choice['type']!r})")
    return False
