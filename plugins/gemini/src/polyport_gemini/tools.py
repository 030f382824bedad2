"""Tools on their way out: functions, the tools that Google runs, and which of them must be called.

https://ai.google.dev/gemini-api/docs/function-calling and /tools
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import Tool, tool_of
from polyport_gemini.door import Door
from polyport_gemini.naming import camel

#: Tool types -> Gemini's name of the tool. Names that OpenAI's and Anthropic's tools have lead there too.
NATIVE: dict[str, str] = {
    "google_search": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "web_search": "googleSearch",
    "web_search_preview": "googleSearch",
    "code_execution": "codeExecution",
    "code_interpreter": "codeExecution",
    "url_context": "urlContext",
    "google_maps": "googleMaps",
    "file_search": "fileSearch",
    "computer_use": "computerUse",
    "enterprise_web_search": "enterpriseWebSearch",
    "retrieval": "retrieval",
    "mcp_servers": "mcpServers",
}
#: Fields of OpenAI's tools that Gemini's have no place for, with the values that say nothing.
FOREIGN: dict[str, tuple[Any, ...]] = {
    "search_context_size": (None, "medium"),
    "user_location": (None,),
    "container": (None, {"type": "auto"}),
    "filters": (None,),
}
MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}


def tools(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the tools on the wire: all functions in one, Google's own each by itself."""
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in toolbox(request):
        if tool.function is not None:
            functions.append(_function(tool, request))
        elif (made := _native(tool, request)) is not None and made not in others:
            others.append(made)
    if request.web_search_options is not None:
        search = {"googleSearch": _fields(request.web_search_options, "web_search_options", request)}
        others += [search] if search not in others else []
    return [*([{"functionDeclarations": functions}] if functions else []), *others]


def toolbox(request: ChatRequest) -> list[Tool]:
    """Return the tools as typed values; one in Gemini's own form (`{"googleSearch": {}}`) needs no type."""
    given = [_typed(tool) for tool in request.tools or []]
    typed = [tool_of(value, f"$.tools[{i}]") for i, value in enumerate(given)]
    return typed + [
        tool_of({"type": "function", "function": f}, f"$.functions[{i}]") for i, f in enumerate(request.functions or [])
    ]


def _typed(tool: dict[str, Any]) -> dict[str, Any]:
    if "type" in tool or "function" in tool or len(tool) != 1:
        return tool
    (name, value) = next(iter(tool.items()))
    return {"type": name, name: value}


def _function(tool: Tool, request: ChatRequest) -> dict[str, Any]:
    function = tool.function
    assert function is not None
    if tool.cache_control is not None:
        request.adapt("tools", "dropped", "cache_control: Gemini caches by prefix without being told")
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters and not _says_nothing(function.parameters):
        made["parametersJsonSchema"] = function.parameters
    return made


def _says_nothing(schema: dict[str, Any]) -> bool:
    """Whether a schema allows no parameters; the API wants none then, not an empty object."""
    plain = schema.keys() <= {"type", "properties", "required", "additionalProperties", "title", "$schema"}
    return plain and not schema.get("properties") and not isinstance(schema.get("additionalProperties"), dict)


def _native(tool: Tool, request: ChatRequest) -> dict[str, Any] | None:
    if tool.type in ("functionDeclarations", "function_declarations"):
        return {"functionDeclarations": tool.value[tool.type]}
    if tool.type == "mcp":
        return _mcp(tool.value)
    name = NATIVE.get(tool.type) or (tool.type if tool.type in NATIVE.values() else None)
    if name is None:
        request.unsupported("tools", f"Gemini knows no tool of type {tool.type!r}; there are {', '.join(NATIVE)}")
        return None
    inner = next((tool.value[key] for key in (tool.type, name) if key in tool.value), None)
    if isinstance(inner, list):
        return {name: inner}
    rest = {key: value for key, value in tool.value.items() if key not in ("type", tool.type, name, "cache_control")}
    return {name: _fields({**rest, **(inner or {})}, "tools", request)}


def _fields(given: dict[str, Any], parameter: str, request: ChatRequest) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name in FOREIGN:
            if value not in FOREIGN[name]:
                request.unsupported(parameter, f"Google's tools have no {name}")
        elif name == "vector_store_ids":
            request.adapt(parameter, "renamed", "vector_store_ids are fileSearchStoreNames here")
            made["fileSearchStoreNames"] = value
        else:
            made[camel(name)] = value
    return made


def _mcp(given: dict[str, Any]) -> dict[str, Any]:
    """Return OpenAI's remote MCP tool as Gemini's. https://ai.google.dev/api/caching#McpServer"""
    headers = dict(given.get("headers") or {})
    if given.get("authorization"):
        headers["Authorization"] = f"Bearer {given['authorization']}"
    transport = {"url": given.get("server_url"), **({"headers": headers} if headers else {})}
    return {"mcpServers": [{"name": given.get("server_label"), "streamableHttpTransport": transport}]}


def tool_config(request: ChatRequest, made: list[dict[str, Any]], door: Door) -> dict[str, Any]:
    """Return the `toolConfig`; empty for the model's free choice among functions."""
    functions = any("functionDeclarations" in tool for tool in made)
    config: dict[str, Any] = {}
    if functions and (choice := _choice(request)) is not None:
        config["functionCallingConfig"] = choice
    if functions and len(made) > 1 and door.shows_server_tools:
        # https://ai.google.dev/gemini-api/docs/tool-combination
        config["includeServerSideToolInvocations"] = True
    if request.parallel_tool_calls is False and functions:
        request.unsupported("parallel_tool_calls", "Gemini cannot be held to one call at a time")
    return config


def _choice(request: ChatRequest) -> dict[str, Any] | None:
    given = request.tool_choice if request.tool_choice is not None else request.function_call
    if given is None or given == "auto":
        # VALIDATED leaves the choice free, and holds a call to its schema.
        strict = any(tool.function and tool.function.strict for tool in toolbox(request))
        return {"mode": "VALIDATED"} if strict else {"mode": "AUTO"} if given else None
    if isinstance(given, str):
        if given not in MODES:
            raise BadRequestError(f"{given!r} is no choice at $.tool_choice; there are {', '.join(MODES)}")
        return {"mode": MODES[given]}
    if given.get("type") == "allowed_tools":
        allowed = given.get("allowed_tools") or given
        names = [(tool.get("function") or tool).get("name") for tool in allowed.get("tools") or []]
        mode = "ANY" if allowed.get("mode") == "required" else "VALIDATED"
        return {"mode": mode, "allowedFunctionNames": names}
    if "mode" in given:
        return {camel(name): value for name, value in given.items()}
    return {"mode": "ANY", "allowedFunctionNames": [(given.get("function") or given).get("name")]}
