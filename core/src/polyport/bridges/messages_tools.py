"""Anthropic's tools, as tools of a chat. https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview

Tools of one's own are functions, and searching the web is an option of a chat. What Anthropic's servers run, and what
only its models were taught, has no place in a chat.
"""

from __future__ import annotations

from typing import Any

from polyport.bridges.inner import need
from polyport.types.messages import MessagesRequest

#: Begin of a tool's type -> what a chat lacks for it.
NOT_CHAT = {
    "bash_": "only Anthropic's models were taught this tool; offer a function instead",
    "text_editor_": "only Anthropic's models were taught this tool; offer a function instead",
    "computer_": "only Anthropic's models were taught this tool",
    "browser_": "only Anthropic's models were taught this tool",
    "memory_": "only Anthropic's models were taught this tool; offer a function instead",
    "code_execution_": "a chat has no container to run code in",
    "web_fetch_": "a chat does not fetch pages; fetch them yourself and pass their text",
    "advisor_": "a chat has no second model to ask",
    "mcp_": "a chat does not call MCP servers; offer the server's tools as functions and call them yourself",
}
#: Keys of a tool that a chat has no place for, and that change nothing of what the tool is.
HINTS = {
    "allowed_callers": "a chat's tools are called by the model only",
    "eager_input_streaming": "how arguments are streamed is for the chat provider to decide",
    "input_examples": "a chat's functions have no examples",
}
SEARCH_LIMITS = ("allowed_domains", "blocked_domains", "max_uses")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def to_tools(request: MessagesRequest) -> dict[str, Any]:
    """Return `tools`, `web_search_options`, `tool_choice` and `parallel_tool_calls`, as far as they are given."""
    made: dict[str, Any] = {}
    functions: list[dict[str, Any]] = []
    for index, tool in enumerate(request.tools or []):
        kind = tool.get("type") or "custom"
        if kind == "custom":
            functions.append(_function(request, tool, f"$.tools[{index}]"))
        elif kind.startswith("web_search_"):
            made["web_search_options"] = _web_search(request, tool)
        elif kind.startswith("tool_search_tool_"):
            request.adapt("tools.tool_search", "emulated", "every tool is offered from the start")
        else:
            why = next((why for begin, why in NOT_CHAT.items() if kind.startswith(begin)), "a chat has no such tool")
            request.unsupported(f"tools.{kind}", why)
    if functions:
        made |= {"tools": functions, **_choice(request.tool_choice)}
    return made


def _choice(choice: dict[str, Any] | None) -> dict[str, Any]:
    if choice is None:
        return {}
    kind = need(choice, "type", "$.tool_choice")
    made: dict[str, Any] = {}
    if choice.get("disable_parallel_tool_use") is not None:
        made["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    if kind == "tool":
        name = need(choice, "name", "$.tool_choice")
        return {"tool_choice": {"type": "function", "function": {"name": name}}, **made}
    return {"tool_choice": CHOICES.get(kind, kind), **made}


def _function(request: MessagesRequest, tool: dict[str, Any], path: str) -> dict[str, Any]:
    if tool.get("defer_loading"):
        request.adapt("tools.defer_loading", "emulated", "every tool is offered from the start")
    _hints(request, tool)
    function = {"name": need(tool, "name", path), "parameters": need(tool, "input_schema", path, dict)}
    function |= {key: tool[key] for key in ("description", "strict") if tool.get(key) is not None}
    made = {"type": "function", "function": function}
    return made | ({"cache_control": tool["cache_control"]} if tool.get("cache_control") else {})


def _web_search(request: MessagesRequest, tool: dict[str, Any]) -> dict[str, Any]:
    for key in SEARCH_LIMITS:
        if tool.get(key):
            request.unsupported(f"tools.web_search.{key}", "a chat's web_search_options have no such limit")
    if tool.get("cache_control"):
        request.adapt("tools.web_search.cache_control", "dropped", "a chat's web_search_options have no cache mark")
    _hints(request, tool)
    place = {k: v for k, v in (tool.get("user_location") or {}).items() if k != "type" and v}
    return {"user_location": {"type": "approximate", "approximate": place}} if place else {}


def _hints(request: MessagesRequest, tool: dict[str, Any]) -> None:
    for key, why in HINTS.items():
        if tool.get(key):
            request.adapt(f"tools.{key}", "dropped", why)
