"""Chat with DeepSeek: thinking, what of it goes back, and messages to be continued.

https://api-docs.deepseek.com/guides/thinking_mode
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from polyport.dialects.openai import Chat, History
from polyport.types.chat import ChatRequest
from polyport_deepseek.beta import below_beta


class DeepSeekChat(Chat):
    """POST /chat/completions. https://api-docs.deepseek.com/api/create-chat-completion"""

    def history(self, request: ChatRequest) -> History:
        """Return the messages without the reasoning that DeepSeek does not want back."""
        messages = without_idle_reasoning(request)
        return History(msgspec.structs.replace(request, messages=messages), self.quirks)

    def chat_path(self, request: ChatRequest) -> str:
        """Return where a chat is answered: messages to be continued and strict tools are in beta."""
        return below_beta(request, "/chat/completions") if is_beta(request) else "/chat/completions"

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body; no effort at all is thinking switched off."""
        body = super().chat_body(request, history)
        if body.get("reasoning_effort") == "none":
            del body["reasoning_effort"]
            body["thinking"] = {"type": "disabled"}
            request.adapt("reasoning_effort", "renamed", "none is thinking={'type': 'disabled'} here")
        return body


def is_beta(request: ChatRequest) -> bool:
    """Whether the last message is to be continued, or a tool's arguments must fit its schema."""
    functions = [tool.get("function") for tool in request.tools or []]
    strict = any(isinstance(function, dict) and function.get("strict") is True for function in functions)
    return strict or request.messages[-1].get("prefix") is True


def without_idle_reasoning(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages; reasoning stays in turns that called tools, where DeepSeek asks for it, and only there.

    A turn is what stands between two messages of the user's.
    """
    made: list[dict[str, Any]] = []
    for turn in _turns(request.messages):
        if any(message.get("tool_calls") for message in turn):
            made += turn
            continue
        for message in turn:
            if message.get("reasoning_content"):
                request.adapt(
                    "messages.reasoning_content", "dropped", "DeepSeek wants it in turns with tool calls only"
                )
                message = {name: value for name, value in message.items() if name != "reasoning_content"}
            made.append(message)
    return made


def _turns(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    turn: list[dict[str, Any]] = []
    for message in messages:
        if message.get("role") == "user" and turn:
            yield turn
            turn = []
        turn.append(message)
    yield turn
