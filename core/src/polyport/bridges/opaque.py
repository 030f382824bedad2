"""Opaque provider state inside another dialect's opaque field.

Thinking signatures, redacted blocks and the state of tool calls must come back unchanged with the next request. The
Responses API has `encrypted_content` for such things, Anthropic's messages `redacted_thinking`; clients keep both
without looking inside. What is sealed here is neither secret nor signed: it is what chat shows anyway.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from polyport.types.record import learn

PREFIX = "polyport.1."


class State(msgspec.Struct, omit_defaults=True):
    """What travels: thinking blocks, what came with tool calls (by call id), and with the message itself."""

    thinking_blocks: list[dict[str, Any]] = []
    tool_calls: dict[str, dict[str, Any]] = {}
    message: dict[str, Any] = {}


def seal(state: State) -> str:
    """Return the state as text."""
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(state)).decode()


def unseal(text: Any) -> State | None:
    """Return the state that `seal` wrote; None for anything else, such as another provider's ciphertext."""
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.removeprefix(PREFIX)), type=learn(State))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return None
