"""A conversation as Anthropic's `system` and `messages`: turns that alternate, tool results inside user turns.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import (
    AssistantMessage,
    Call,
    DeveloperMessage,
    FunctionMessage,
    SystemMessage,
    ToolMessage,
    Turn,
    UserMessage,
)
from polyport_anthropic.blocks import Block
from polyport_anthropic.media import blocks

#: Where a completion keeps the blocks that its other fields cannot hold; see `polyport_anthropic.reply`.
KEPT = "anthropic_content"


class Turns:
    """Collects turns: instructions apart, the rest merged so that user and assistant alternate."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.system: list[Block] = []
        self.messages: list[dict[str, Any]] = []
        self._function_calls = 0

    def add(self, turn: Turn) -> None:
        """Take the next turn."""
        ADD[type(turn)](self, turn)

    def instruct(self, turn: SystemMessage | DeveloperMessage) -> None:
        """Take instructions; later ones join those at the front, where Anthropic keeps them."""
        made = self._marked(turn, blocks(turn.parts, self.request))
        if made and self.messages:
            self.request.adapt("messages", "emulated", "instructions in mid-conversation are sent at its beginning")
        self.system += made

    def ask(self, turn: UserMessage) -> None:
        """Take what the user says."""
        if turn.name is not None:
            self.request.adapt("messages", "dropped", "a user's `name` has no place in Anthropic's messages")
        self._append("user", self._marked(turn, blocks(turn.parts, self.request)))

    def answer(self, turn: AssistantMessage) -> None:
        """Take what the model said, its own blocks unchanged and in order."""
        made = kept_blocks(turn)
        if made is None:
            made = [*self._thinking(turn), *blocks(turn.parts, self.request), *self._calls(turn)]
            if turn.refusal:
                made.append({"type": "text", "text": turn.refusal})
            if turn.audio is not None:
                self.request.adapt("messages", "dropped", "audio that a model spoke before")
        self._append("assistant", self._marked(turn, made))

    def result(self, turn: ToolMessage) -> None:
        """Take the result of a tool call."""
        self._append("user", [self._result(turn, turn.tool_call_id, turn.is_error)])

    def function_result(self, turn: FunctionMessage) -> None:
        """Take the result of a function call in the shape before tools: it answers the latest call."""
        self._append("user", [self._result(turn, f"function_call_{self._function_calls}", None)])

    def _append(self, role: str, made: list[Block]) -> None:
        if not made:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += made
        else:
            self.messages.append({"role": role, "content": made})

    def _marked(self, turn: Turn, made: list[Block]) -> list[Block]:
        """Put a message's own cache marker on its last block."""
        if turn.cache_control is not None and made:
            made[-1] = {**made[-1], "cache_control": turn.cache_control}
        return made

    def _result(self, turn: ToolMessage | FunctionMessage, id: str, is_error: bool | None) -> Block:
        made: Block = {"type": "tool_result", "tool_use_id": id}
        content = turn.content if isinstance(turn.content, str) else blocks(turn.parts, self.request)
        if content:
            made["content"] = content
        if is_error is not None:
            made["is_error"] = is_error
        if turn.cache_control is not None:
            made["cache_control"] = turn.cache_control
        return made

    def _thinking(self, turn: AssistantMessage) -> list[Block]:
        given = turn.thinking_blocks or []
        signed = [block for block in given if block.get("signature") or block.get("data")]
        if len(signed) < len(given) or (turn.reasoning_content and not given):
            self.request.adapt("messages", "dropped", "reasoning without Anthropic's signature cannot be sent back")
        return signed

    def _calls(self, turn: AssistantMessage) -> list[Block]:
        calls = list(turn.tool_calls or [])
        if turn.function_call is not None:
            self._function_calls += 1
            calls.append(Call(f"function_call_{self._function_calls}", turn.function_call))
        return [_call(call) for call in calls]


ADD: dict[type, Callable[[Turns, Any], None]] = {
    SystemMessage: Turns.instruct,
    DeveloperMessage: Turns.instruct,
    UserMessage: Turns.ask,
    AssistantMessage: Turns.answer,
    ToolMessage: Turns.result,
    FunctionMessage: Turns.function_result,
}


def _call(call: Call) -> Block:
    if call.function is None:
        raise BadRequestError(f"Tool call {call.id!r} has no function; Anthropic knows no other calls.")
    made: Block = {"type": "tool_use", "id": call.id, "name": call.function.name, "input": call.arguments}
    if call.cache_control is not None:
        made["cache_control"] = call.cache_control
    return made


def kept_blocks(turn: AssistantMessage) -> list[Block] | None:
    """Return the blocks a completion of ours kept, None where there are none or the message was changed since."""
    kept = (turn.provider_specific_fields or {}).get(KEPT)
    if not isinstance(kept, list) or not all(isinstance(block, dict) for block in kept):
        return None
    said = "".join(block.get("text", "") for block in kept if block.get("type") == "text")
    called = [(block.get("id"), block.get("input")) for block in kept if block.get("type") == "tool_use"]
    calls = [(call.id, call.arguments) for call in turn.tool_calls or []]
    return [dict(block) for block in kept] if said == turn.text and called == calls else None


def compact(content: list[Block]) -> str | list[Block]:
    """Return plain text where the content is one block that is nothing more."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text: str = content[0]["text"]
        return text
    return content


def as_text(value: Any) -> str:
    """Return JSON text for a tool's input."""
    return msgspec.json.encode(value).decode()
