"""An assistant's turn, put together from another dialect's pieces."""

from __future__ import annotations

from typing import Any

from polyport.bridges.opaque import State


class AssistantTurn:
    """An assistant's message in the making: the items or blocks of one turn become one chat message."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.tool_calls: list[dict[str, Any]] = []
        self.thinking_blocks: list[dict[str, Any]] = []
        self.reasoning: list[str] = []
        self.refusals: list[str] = []
        self._state = State()

    def think(self, block: dict[str, Any]) -> None:
        """Take a thinking block; its text is readable reasoning too, for providers that take only that."""
        self.thinking_blocks.append(block)
        if block.get("type") == "thinking" and block.get("thinking"):
            self.reasoning.append(block["thinking"])

    def recall(self, state: State) -> None:
        """Take back what was sealed."""
        for block in state.thinking_blocks:
            self.think(block)
        self._state.tool_calls.update(state.tool_calls)
        self._state.message.update(state.message)

    def __bool__(self) -> bool:
        return bool(self.parts or self.tool_calls or self.thinking_blocks or self.reasoning or self.refusals)

    def to_message(self) -> dict[str, Any]:
        """Return the chat message."""
        for call in self.tool_calls:
            if call["id"] in self._state.tool_calls:
                call["extra_content"] = self._state.tool_calls[call["id"]]
        optional = {
            "refusal": "".join(self.refusals),
            "reasoning_content": "\n\n".join(self.reasoning),
            "thinking_blocks": self.thinking_blocks,
            "tool_calls": self.tool_calls,
            "provider_specific_fields": self._state.message,
        }
        message: dict[str, Any] = {"role": "assistant", "content": content_of(self.parts) if self.parts else None}
        return message | {name: value for name, value in optional.items() if value}


def content_of(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return parts as a message's content: no or one plain text as a string, which every provider takes."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts
