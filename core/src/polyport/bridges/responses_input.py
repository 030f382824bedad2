"""The Responses API's input items, as a chat's messages.

Consecutive items of the model's (reasoning, text, calls) are one assistant message. Items that stand for state on
OpenAI's servers, or for work that they did, are named when they cannot come along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.bridges.inner import need, refuse
from polyport.bridges.opaque import unseal
from polyport.bridges.responses_parts import Parts
from polyport.bridges.responses_tools import CUSTOM_INPUT, Toolset
from polyport.bridges.turns import AssistantTurn, content_of
from polyport.errors import BadRequestError
from polyport.types.responses import ResponsesRequest

#: What OpenAI's servers did before. The answer that came of it is in the history; the trace is not needed.
TRACES = {
    "web_search_call": "the search is over, its answer is in the history",
    "file_search_call": "the search is over, its answer is in the history",
    "mcp_list_tools": "a chat does not call MCP servers",
    "compaction_trigger": "a chat provider does not compact histories",
}
#: What holds content of its own, in a form that no chat takes.
NOT_CHAT = {
    "code_interpreter_call": "a chat has no such item; pass the code and its output as text",
    "image_generation_call": "a chat has no such item; pass the image as input_image",
    "computer_call": "only OpenAI's computer-use models were taught this item",
    "computer_call_output": "only OpenAI's computer-use models were taught this item",
    "mcp_call": "a chat has no such item; pass the tool's output as text",
}


def to_messages(request: ResponsesRequest, tools: Toolset) -> list[dict[str, Any]]:
    """Return the messages; tools that items bring are added to `tools`. Raises BadRequestError naming the item."""
    history = History(request, tools)
    if request.instructions:
        history.messages.append({"role": "system", "content": request.instructions})
    if isinstance(request.input, str):
        history.messages.append({"role": "user", "content": request.input})
    elif request.input is None:
        raise BadRequestError("Expected text or a list of items at $.input")
    else:
        for index, item in enumerate(request.input):
            history.read(item, f"$.input[{index}]")
    history.end_turn()
    return history.messages


class History:
    """Reads items in order; `messages` is what came of them."""

    def __init__(self, request: ResponsesRequest, tools: Toolset) -> None:
        self.messages: list[dict[str, Any]] = []
        self.request = request
        self.tools = tools
        self.parts = Parts(request)
        self._turn: AssistantTurn | None = None

    @property
    def turn(self) -> AssistantTurn:
        """The assistant's turn that is open, or a new one."""
        if self._turn is None:
            self._turn = AssistantTurn()
        return self._turn

    def end_turn(self) -> None:
        """Put the open turn, if any, into the messages."""
        if self._turn:
            self.messages.append(self._turn.to_message())
        self._turn = None

    def read(self, item: Any, path: str) -> None:
        """Take one item."""
        if not isinstance(item, dict):
            raise BadRequestError(f"Expected an item (a dict) at {path}")
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        reader = READERS.get(kind)
        if reader is not None:
            reader(self, item, path)
        elif kind in TRACES:
            self.request.adapt(f"input.{kind}", "dropped", TRACES[kind])
        else:
            self.request.unsupported(f"input.{kind}", NOT_CHAT.get(kind, "a chat has no such item"))

    # --- readers, one a type ---

    def _message(self, item: dict[str, Any], path: str) -> None:
        role = need(item, "role", path)
        content = need(item, "content", path, (str, list))
        if item.get("phase"):
            self.request.adapt("input.phase", "dropped", "a chat's messages have no phase")
        if role == "assistant":
            self._said(content, path)
            return
        if role not in ("user", "system", "developer"):
            raise BadRequestError(
                f"Unknown role {role!r} at {path}.role; expected user, assistant, system or developer"
            )
        self.end_turn()
        if isinstance(content, list):
            content = content_of(self.parts.read(content, f"{path}.content"))
        self.messages.append({"role": role, "content": content})

    def _said(self, content: str | list[Any], path: str) -> None:
        turn = self.turn
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
        for index, part in enumerate(parts):
            place = f"{path}.content[{index}]"
            if need(part, "type", place) == "refusal":
                turn.refusals.append(need(part, "refusal", place))
            else:
                turn.parts += self.parts.read([part], f"{path}.content", index)

    def _reasoning(self, item: dict[str, Any], path: str) -> None:
        sealed = item.get("encrypted_content")
        state = unseal(sealed)
        if state is not None:
            self.turn.recall(state)
            if state.thinking_blocks:
                return  # the text beside them is theirs
        elif sealed:
            self.request.adapt("input.reasoning.encrypted_content", "dropped", "only its own provider can read it")
        texts = [part.get("text") for part in item.get("content") or item.get("summary") or []]
        self.turn.reasoning += [text for text in texts if text]

    def _function_call(self, item: dict[str, Any], path: str) -> None:
        name = self.tools.outward(need(item, "name", path), item.get("namespace"))
        self._call(need(item, "call_id", path), name, need(item, "arguments", path))

    def _custom_tool_call(self, item: dict[str, Any], path: str) -> None:
        name = self.tools.outward(need(item, "name", path), item.get("namespace"))
        self._call(need(item, "call_id", path), name, _json({CUSTOM_INPUT: need(item, "input", path)}))

    def _call(self, call_id: str, name: str, arguments: str) -> None:
        function = {"name": name, "arguments": arguments}
        self.turn.tool_calls.append({"id": call_id, "type": "function", "function": function})

    def _output(self, item: dict[str, Any], path: str) -> None:
        output = need(item, "output", path, (str, list))
        if isinstance(output, list):
            output = content_of(self.parts.read(output, f"{path}.output"))
        self._answer(need(item, "call_id", path), output)

    def _answer(self, call_id: str, content: Any) -> None:
        self.end_turn()
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _tool_search_call(self, item: dict[str, Any], path: str) -> None:
        if item.get("execution") == "client":
            arguments = item.get("arguments")
            text = arguments if isinstance(arguments, str) else _json(arguments or {})
            self._call(need(item, "call_id", path), "tool_search", text)
        else:
            self.request.adapt("input.tool_search_call", "emulated", "every tool is offered from the start")

    def _tool_search_output(self, item: dict[str, Any], path: str) -> None:
        found = self._add_tools(item, path)
        if item.get("execution") == "client":
            self._answer(need(item, "call_id", path), _json({"tools": [tool.get("name") for tool in found]}))

    def _additional_tools(self, item: dict[str, Any], path: str) -> None:
        self._add_tools(item, path)

    def _add_tools(self, item: dict[str, Any], path: str) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = need(item, "tools", path, list)
        for index, tool in enumerate(tools):
            self.tools.add(tool, f"{path}.tools[{index}]")
        self.request.adapt(f"input.{item['type']}", "emulated", "its tools are offered from the start")
        return tools

    def _item_reference(self, item: dict[str, Any], path: str) -> None:
        refuse(f"{path} (item_reference)", "a chat provider keeps no items; pass the item itself")

    def _compaction(self, item: dict[str, Any], path: str) -> None:
        refuse(f"{path} (compaction)", "only OpenAI can read it; pass the history itself")


READERS: dict[str, Callable[[History, dict[str, Any], str], None]] = {
    "message": History._message,
    "reasoning": History._reasoning,
    "function_call": History._function_call,
    "function_call_output": History._output,
    "custom_tool_call": History._custom_tool_call,
    "custom_tool_call_output": History._output,
    "tool_search_call": History._tool_search_call,
    "tool_search_output": History._tool_search_output,
    "additional_tools": History._additional_tools,
    "item_reference": History._item_reference,
    "compaction": History._compaction,
}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
