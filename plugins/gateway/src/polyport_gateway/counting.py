"""About how many tokens a message has, where its model's provider does not count: agents ask before they call.

https://docs.anthropic.com/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport import tokens
from polyport.types.messages import TokenCount

#: What a reply that was counted here says of it.
EMULATED = (b"x-polyport-adaptations", b"count_tokens emulated")


def about(model: str, fields: Mapping[str, Any]) -> TokenCount:
    """Return the input tokens of a request in Anthropic's shape, by the model's tokenizer if it is known here."""
    system, messages = fields.get("system"), fields.get("messages") or []
    asked = [*([{"role": "system", "content": system}] if system else []), *messages]
    tools = [{"type": "function", "function": _function(one)} for one in fields.get("tools") or ()]
    return TokenCount(input_tokens=int(tokens.of_messages(model, asked, tools or None)))


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool as a function; one that the provider itself has brings no schema."""
    return {
        "name": tool.get("name") or tool.get("type") or "",
        "description": tool.get("description") or "",
        "parameters": tool.get("input_schema") or {"type": "object", "properties": {}},
    }
