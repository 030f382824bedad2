"""Tools on their way out: functions, tools of Bedrock's and of Claude's own, and which of them must be called.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import Tool
from polyport_bedrock import facts
from polyport_bedrock.media import cache_point
from polyport_bedrock.names import Name

#: OpenAI's tools -> those that Amazon runs for Nova 2. https://docs.aws.amazon.com/nova/latest/nova2-userguide/using-tools.html
SYSTEM = {
    "web_search": "nova_grounding",
    "web_search_preview": "nova_grounding",
    "code_interpreter": "nova_code_interpreter",
}
CHOICES: dict[str, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}, "any": {"any": {}}}
#: A choice of Converse's -> Anthropic's word for it.
ANTHROPIC = {"auto": "auto", "any": "any", "tool": "tool"}


class Toolbox:
    """What a request's tools come to: `config` for Converse, `fields` that are the model's own."""

    def __init__(self, request: ChatRequest, name: Name, called: list[str]) -> None:
        self.request, self.name, self.called = request, name, called
        self.tools: list[dict[str, Any]] = []
        self.fields: dict[str, Any] = {}
        self.choice: dict[str, Any] | None = None
        for tool in request.toolbox:
            self._add(tool)
        if request.web_search_options is not None:
            self._system("web_search", "web_search_options")
        self._choose()

    @property
    def config(self) -> dict[str, Any]:
        """`toolConfig`; empty where there is none to send."""
        if not self.tools:
            return {}
        return {"tools": self.tools, **({"toolChoice": self.choice} if self.choice else {})}

    def _add(self, tool: Tool) -> None:
        if tool.function is not None:
            self.tools.append(self._function(tool))
            if tool.cache_control is not None:
                self.tools.append(cache_point(tool.cache_control))
        elif tool.type in tool.value:
            self.tools.append({tool.type: tool.value[tool.type]})  # one of Converse's own
        elif tool.type in SYSTEM:
            self._system(tool.type, "tools")
        elif facts.is_claude(self.name):
            self.fields.setdefault("tools", []).append(tool.value)
        else:
            self.request.unsupported("tools", f"{self.name.base or self.name.id} has no tool {tool.type!r}")

    def _system(self, kind: str, parameter: str) -> None:
        if not facts.is_nova(self.name):
            self.request.unsupported(parameter, f"Bedrock runs no {kind} for {self.name.base or self.name.id}")
            return
        self.tools.append({"systemTool": {"name": SYSTEM[kind]}})

    def _function(self, tool: Tool) -> dict[str, Any]:
        function = tool.function
        assert function is not None
        schema = function.parameters or {"type": "object", "properties": {}}
        made: dict[str, Any] = {"name": function.name}
        if function.description:
            made["description"] = function.description
        made["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
        if function.strict and facts.structured(self.name):
            made["strict"] = True
        elif function.strict:
            self.request.adapt(
                "tools", "dropped", f"{self.name.id} cannot hold {function.name!r} to its schema (strict)"
            )
        return {"toolSpec": made}

    def _choose(self) -> None:
        given = self.request.tool_choice if self.request.tool_choice is not None else self.request.function_call
        if given == "none":
            self._without()
        elif given is not None and self.tools:
            self.choice = self._chosen(given)
        if self.called and not self.tools:
            self._recall()
        if self.request.parallel_tool_calls is False and self.tools:
            self._one_by_one()

    def _chosen(self, given: Any) -> dict[str, Any] | None:
        if isinstance(given, str):
            if given not in CHOICES:
                raise BadRequestError(f"{given!r} is no choice at $.tool_choice; there are none, {', '.join(CHOICES)}")
            return self._forced(CHOICES[given]) if given != "auto" else CHOICES[given]
        if given.get("type") == "allowed_tools":
            self.request.unsupported("tool_choice", "Bedrock has no allowed_tools; pass only those that may be called")
            return None
        function = given.get("function", given)
        return self._forced({"tool": {"name": function.get("name")}}) if "name" in function else dict(given)

    def _forced(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        if facts.is_claude(self.name) and "forced_tools" not in facts.of_claude(self.name).supports:
            self.request.unsupported("tool_choice", f"{self.name.id} cannot be forced to call a tool")
            return None
        return choice

    def _without(self) -> None:
        """Offer no tools: Converse has no choice of none. A history with calls in it must be told what they were."""
        if self.called:
            self.request.adapt("tool_choice", "emulated", "tools in the history must be declared; they may be called")
        else:
            self.tools = []

    def _recall(self) -> None:
        """Declare the tools that the history calls: Converse refuses calls of what is not declared."""
        self.request.adapt("tools", "emulated", "tools that the history calls are declared, as Bedrock demands")
        for name in dict.fromkeys(self.called):
            self.tools.append({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})

    def _one_by_one(self) -> None:
        """Ask for one call at a time, in Anthropic's words: Converse has none. Claude 4.5 and later hear them.

        Both ways to say a choice at once are refused. https://github.com/BerriAI/litellm/issues/36536
        """
        if not (facts.is_claude(self.name) and facts.structured(self.name)):
            self.request.unsupported("parallel_tool_calls", "Converse cannot ask for one call at a time")
            return
        kind, value = next(iter((self.choice or CHOICES["auto"]).items()))
        self.fields["tool_choice"] = {"type": ANTHROPIC[kind], **value, "disable_parallel_tool_use": True}
        self.choice = None
