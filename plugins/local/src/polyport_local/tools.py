"""Tool calls for models whose chat template knows none: described in words, enforced by a grammar.

The model is told of the functions in the system message, and what it may write is constrained: a call must be
exactly `<tool_call>{"name": "...", "arguments": ...}</tool_call>` with arguments of the function's own schema.
With `tool_choice="auto"` the grammar also lets it answer in plain words, and the model chooses by what it writes
first; "required" or a named function leaves it no such choice. One call is made per reply.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from polyport.errors import BadRequestError

Json = dict[str, Any]

OPEN, CLOSE = "<tool_call>", "}</tool_call>"

INSTRUCTION = (
    "You can call these functions:\n<tools>{tools}</tools>\n"
    'To call one, answer with <tool_call>{{"name": ..., "arguments": {{...}}}}</tool_call> and nothing else. '
    "If none is needed, answer in plain words."
)


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call: `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Json

    @property
    def opening(self) -> str:
        """The text before the arguments of a call of this function."""
        return f'{OPEN}{{"name": {json.dumps(self.name)}, "arguments": '


class Plan(msgspec.Struct, frozen=True):
    """The tools on offer, and whether one of them must be called."""

    tools: tuple[Tool, ...]
    forced: bool

    def messages(self, messages: list[Json]) -> list[Json]:
        """Return the conversation with the functions described and earlier calls and results put into words."""
        described = json.dumps(
            [{"name": t.name, "description": t.description, "parameters": t.schema} for t in self.tools],
            ensure_ascii=False,
        )
        return with_system(in_words(messages), INSTRUCTION.format(tools=described))

    def grammar(self, answer_schema: Json | None = None) -> str:
        """Return the grammar of a reply (LLGuidance's Lark). `answer_schema` constrains a plain answer too.

        https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
        """
        calls = [f"{json.dumps(t.opening)} a{i} {json.dumps(CLOSE)}" for i, t in enumerate(self.tools)]
        rules = [f"a{i}: %json {json.dumps(tight(t.schema))}" for i, t in enumerate(self.tools)]
        if not self.forced:
            calls.append("answer")
            free = r"/[^<](.|\n)*/"
            rules.append(f"answer: %json {json.dumps(tight(answer_schema))}" if answer_schema else f"answer: {free}")
        return "\n".join(["%llguidance {}", f"start: {' | '.join(calls)}", *rules]) + "\n"


def json_grammar(schema: Json) -> str:
    """Return the grammar of an answer that is JSON of the given schema."""
    return f"%llguidance {{}}\nstart: %json {json.dumps(tight(schema))}\n"


def plan(tools: list[Json] | None, choice: Any) -> Plan | None:
    """Read OpenAI's `tools` and `tool_choice`; None when there is nothing to call. Raises BadRequestError.

    https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
    """
    offered = tuple(_tool(tool) for tool in tools or ())
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        offered = tuple(_named(offered, _name(tool)) for tool in allowed.get("tools", ()))
        choice = allowed.get("mode")
    if isinstance(choice, dict):
        return Plan((_named(offered, _name(choice)),), forced=True)
    if choice not in (None, "auto", "required", "none"):
        raise BadRequestError(f"tool_choice must be auto, required, none or a function, not {choice!r}")
    if not offered and choice == "required":
        raise BadRequestError("tool_choice is 'required', but there are no tools to call")
    return None if not offered or choice == "none" else Plan(offered, forced=choice == "required")


def _tool(tool: Json) -> Tool:
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict) or not function.get("name"):
        raise BadRequestError(f"A local model can only call functions; not a tool of this form: {json.dumps(tool)}")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(function["name"], function.get("description") or "", schema)


def _name(choice: Json) -> Any:
    return (choice.get("function") or choice).get("name")


def _named(offered: tuple[Tool, ...], name: Any) -> Tool:
    for tool in offered:
        if tool.name == name:
            return tool
    names = ", ".join(tool.name for tool in offered) or "none"
    raise BadRequestError(f"tool_choice names '{name}', which is not among the tools: {names}")


#: Keywords with which closing an object could make the schema impossible to meet.
_OPEN_ENDED = ("allOf", "patternProperties", "unevaluatedProperties", "if", "dependentSchemas")


def tight(schema: Json) -> Json:
    """Return the schema for LLGuidance: JSON without spaces, objects without properties that nobody declared.

    What fits the result fits the schema. A small model left free to invent further properties does so for ever.
    """
    written = json.dumps(schema)
    closed = schema if any(f'"{word}"' in written for word in _OPEN_ENDED) else _close(schema)
    return {**closed, "x-guidance": {"whitespace_flexible": False}}


def _close(schema: Any) -> Any:
    """Say `additionalProperties: false` wherever an object lists its properties and says nothing of others."""
    if isinstance(schema, list):
        return [_close(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: value if key in ("enum", "const", "default", "examples") else _close(value)
        for key, value in schema.items()
    }
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def with_system(messages: list[Json], text: str) -> list[Json]:
    """Return the conversation with `text` at the end of its system message, or as one."""
    if messages and messages[0].get("role") in ("system", "developer"):
        first, *rest = messages
        content = first.get("content")
        joined: Any = (
            [*content, {"type": "text", "text": text}] if isinstance(content, list) else f"{content}\n\n{text}"
        )
        return [{**first, "content": joined}, *rest]
    return [{"role": "system", "content": text}, *messages]


def in_words(messages: list[Json]) -> list[Json]:
    """Return the conversation with calls and their results as text, for a template that knows neither."""
    return [_in_words(message) for message in messages]


def _in_words(message: Json) -> Json:
    if message.get("role") == "tool":
        return {"role": "user", "content": f"<tool_response>{_plain(message.get('content'))}</tool_response>"}
    calls = message.get("tool_calls")
    if not calls:
        return message
    written = "".join(
        f'{OPEN}{{"name": {json.dumps(call["function"]["name"])}, "arguments": {call["function"]["arguments"]}{CLOSE}'
        for call in calls
    )
    return {"role": message["role"], "content": _plain(message.get("content")) + written}


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


class Splitter:
    """Splits a constrained reply into plain text, or the name and arguments of a call, as it is written.

    `feed` gives deltas in OpenAI's form; the name comes once, arguments in pieces. Feeding it all at once works too.
    """

    def __init__(self, plan: Plan, call_id: str) -> None:
        self.plan = plan
        self.call_id = call_id
        self.called = False
        self._plain = False
        self._held = ""

    def feed(self, text: str) -> list[Json]:
        """Take the next piece of the reply and return the deltas it completes."""
        self._held += text
        if not self.called and not self._plain:
            return self._decide()
        return self._release(len(CLOSE) if self.called else 0)

    def close(self) -> list[Json]:
        """Return what was held back. A reply that was cut off by its length stays cut off."""
        if self.called:
            self._held = self._held.removesuffix(CLOSE)
        return self._release(0)

    def _decide(self) -> list[Json]:
        for tool in self.plan.tools:
            if self._held.startswith(tool.opening):
                self.called = True
                self._held = self._held[len(tool.opening) :]
                return [
                    self._call(id=self.call_id, type="function", name=tool.name),
                    *self._release(len(CLOSE)),
                ]
        if any(tool.opening.startswith(self._held) for tool in self.plan.tools):
            return []
        self._plain = True
        return self._release(0)

    def _release(self, hold: int) -> list[Json]:
        cut = max(0, len(self._held) - hold)
        ready, self._held = self._held[:cut], self._held[cut:]
        if not ready:
            return []
        return [self._call(arguments=ready) if self.called else {"content": ready}]

    def _call(self, *, arguments: str = "", name: str | None = None, **head: str) -> Json:
        function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
        return {"tool_calls": [{"index": 0, **head, "function": function}]}
