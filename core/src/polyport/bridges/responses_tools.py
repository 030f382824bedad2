"""The Responses API's tools, as tools of a chat. https://platform.openai.com/docs/api-reference/responses/create

A chat knows functions. What is only called differently (custom tools, namespaces, a search that the client runs)
becomes a function, and its calls turn back into the items that the user expects; what OpenAI's servers would run
has no place to run here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.bridges.inner import need
from polyport.errors import BadRequestError
from polyport.types.responses import ResponsesRequest

#: Tools that OpenAI's servers run, or that only OpenAI's models were taught -> what a chat lacks for them.
NOT_CHAT = {
    "file_search": "a chat has no vector stores to search; search them yourself and pass what you find as input",
    "code_interpreter": "a chat has no container to run code in",
    "mcp": "a chat does not call MCP servers; offer the server's tools as functions and call them yourself",
    "image_generation": "a chat does not make images on the side; call image_generation",
    "computer": "only OpenAI's computer-use models were taught this tool",
    "computer_use_preview": "only OpenAI's computer-use models were taught this tool",
    "local_shell": "only OpenAI's models were taught this tool; offer a function instead",
    "shell": "only OpenAI's models were taught this tool; offer a function instead",
    "apply_patch": "only OpenAI's models were taught this tool; offer a function instead",
    "programmatic_tool_calling": "a chat has no container to run code in",
}
#: Keys of a function tool that a chat's function has no place for.
FUNCTION_EXTRAS = {
    "allowed_callers": "a chat's functions are called by the model only",
    "output_schema": "a chat's functions declare no output",
}
SEARCH_EXTRAS = ("filters", "external_web_access", "search_content_types", "return_token_budget")
CUSTOM_INPUT = "input"


class Called(msgspec.Struct, frozen=True):
    """What a function of the chat is to the user: `kind` function, custom or tool_search."""

    kind: str
    name: str
    namespace: str | None = None


class Toolset:
    """The tools of one request: `functions` for the chat, and what each name stands for."""

    def __init__(self, request: ResponsesRequest) -> None:
        self.functions: list[dict[str, Any]] = []
        self.web_search: dict[str, Any] | None = None
        self._called: dict[str, Called] = {}
        self._request = request
        for index, tool in enumerate(request.tools or []):
            self.add(tool, f"$.tools[{index}]")

    def add(self, tool: dict[str, Any], path: str) -> None:
        """Offer a tool. Raises BadRequestError naming `path`, UnsupportedParamsError for what no chat can run."""
        kind: str = need(tool, "type", path)
        adder = ADDERS.get("web_search" if kind.startswith("web_search") else kind)
        if adder is not None:
            adder(self, tool, path)
        else:
            self._request.unsupported(f"tools.{kind}", NOT_CHAT.get(kind, "a chat has no such tool"))

    def called(self, name: str) -> Called:
        """Return what a function that the model called stands for."""
        return self._called.get(name) or Called("function", name)

    def outward(self, name: str, namespace: str | None) -> str:
        """Return the chat's name of a function."""
        return f"{namespace}__{name}" if namespace else name

    def choice(self, choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        """Return `tool_choice` for the chat; an allowed subset is made by offering no others."""
        if choice is None or isinstance(choice, str):
            return choice if self.functions or choice not in ("auto", "none") else None
        kind = choice.get("type")
        if kind in ("function", "custom"):
            inner = choice.get(kind) if isinstance(choice.get(kind), dict) else choice
            name = need(inner, "name", "$.tool_choice")
            return {"type": "function", "function": {"name": self.outward(name, choice.get("namespace"))}}
        if kind == "allowed_tools":
            return self._allow(choice)
        self._request.unsupported(f"tool_choice.{kind}", "a chat can be made to call functions only")
        return None

    def _allow(self, choice: dict[str, Any]) -> str:
        names, searches = set(), False
        for index, tool in enumerate(need(choice, "tools", "$.tool_choice", list)):
            kind = need(tool, "type", f"$.tool_choice.tools[{index}]")
            if kind in ("function", "custom"):
                names.add(self.outward(need(tool, "name", f"$.tool_choice.tools[{index}]"), tool.get("namespace")))
            elif kind.startswith("web_search"):
                searches = True
            else:
                self._request.unsupported(f"tool_choice.tools.{kind}", NOT_CHAT.get(kind, "a chat has no such tool"))
        self.functions = [tool for tool in self.functions if tool["function"]["name"] in names]
        self.web_search = self.web_search if searches else None
        self._request.adapt("tool_choice.allowed_tools", "emulated", "only the allowed tools are offered")
        mode: str = need(choice, "mode", "$.tool_choice")
        return mode

    # --- adders, one a type ---

    def _function(self, tool: dict[str, Any], path: str, namespace: str | None = None) -> None:
        name = need(tool, "name", path)
        if tool.get("defer_loading"):
            self._request.adapt("tools.defer_loading", "emulated", "every tool is offered from the start")
        for key, why in FUNCTION_EXTRAS.items():
            if tool.get(key):
                self._request.adapt(f"tools.{key}", "dropped", why)
        function = {"name": self.outward(name, namespace)}
        function |= {k: tool[k] for k in ("description", "parameters", "strict") if tool.get(k) is not None}
        self._offer(function, Called("function", name, namespace), tool.get("cache_control"))

    def _custom(self, tool: dict[str, Any], path: str, namespace: str | None = None) -> None:
        name = need(tool, "name", path)
        description = tool.get("description") or ""
        grammar = tool.get("format") or {}
        why = f"called as a function with its text in {CUSTOM_INPUT!r}"
        if grammar.get("type") == "grammar":
            syntax, definition = grammar.get("syntax", ""), grammar.get("definition", "")
            description = f"{description}\n\nThe input must match this {syntax} grammar:\n{definition}".strip()
            why += "; the model is told the grammar, nothing enforces it"
        self._request.adapt("tools.custom", "emulated", why)
        schema = {
            "type": "object",
            "properties": {CUSTOM_INPUT: {"type": "string", "description": "The whole input, as plain text."}},
            "required": [CUSTOM_INPUT],
            "additionalProperties": False,
        }
        function = {"name": self.outward(name, namespace), "description": description, "parameters": schema}
        self._offer(function, Called("custom", name, namespace), tool.get("cache_control"))

    def _namespace(self, tool: dict[str, Any], path: str) -> None:
        name = need(tool, "name", path)
        self._request.adapt("tools.namespace", "emulated", f"its tools are offered under names such as {name}__...")
        for index, inner in enumerate(need(tool, "tools", path, list)):
            place = f"{path}.tools[{index}]"
            adder = {"function": self._function, "custom": self._custom}.get(need(inner, "type", place))
            if adder is None:
                raise BadRequestError(f"A namespace holds function and custom tools, not {inner['type']!r}, at {place}")
            described = " ".join(text for text in (tool.get("description"), inner.get("description")) if text)
            adder({**inner, "description": described}, place, name)

    def _tool_search(self, tool: dict[str, Any], path: str) -> None:
        if tool.get("execution") != "client":
            self._request.adapt("tools.tool_search", "emulated", "every tool is offered from the start")
            return
        self._request.adapt("tools.tool_search", "emulated", "called as a function named tool_search")
        function = {"name": "tool_search"}
        function |= {k: tool[k] for k in ("description", "parameters") if tool.get(k) is not None}
        self._offer(function, Called("tool_search", "tool_search"), None)

    def _web_search(self, tool: dict[str, Any], path: str) -> None:
        options: dict[str, Any] = {}
        if tool.get("search_context_size"):
            options["search_context_size"] = tool["search_context_size"]
        if tool.get("user_location"):
            place = {k: v for k, v in tool["user_location"].items() if k not in ("type", "approximate") and v}
            options["user_location"] = {"type": "approximate", "approximate": place}
        for key in SEARCH_EXTRAS:
            if tool.get(key) is not None:
                self._request.unsupported(f"tools.{tool['type']}.{key}", "a chat's web_search_options have no such key")
        self.web_search = options

    def _offer(self, function: dict[str, Any], called: Called, cache_control: Any) -> None:
        if function["name"] in self._called:
            return  # a search may find a tool that is on offer already
        self._called[function["name"]] = called
        tool: dict[str, Any] = {"type": "function", "function": function}
        self.functions.append(tool if cache_control is None else {**tool, "cache_control": cache_control})


ADDERS: dict[str, Callable[[Toolset, dict[str, Any], str], None]] = {
    "function": Toolset._function,
    "custom": Toolset._custom,
    "namespace": Toolset._namespace,
    "tool_search": Toolset._tool_search,
    "web_search": Toolset._web_search,
}


def custom_input(arguments: str) -> str:
    """Return the text that the arguments of a custom tool's function hold; the arguments where they hold none."""
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = found.get(CUSTOM_INPUT) if isinstance(found, dict) else None
    return text if isinstance(text, str) else arguments
