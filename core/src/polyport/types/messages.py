"""Anthropic's Messages API, as a shape that any provider can answer. https://docs.anthropic.com/en/api/messages

Content blocks stay plain dicts (`Item` gives attribute access): the family is open-ended, and signatures and
markers in it must round-trip unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import CallParams, Fields, Request, Result, empty, null, zero
from polyport.types.usage import Usage, usage


class MessageUsage(Fields):
    """Tokens of one message, in Anthropic's words: here `input_tokens` excludes what the cache served or took."""

    input_tokens: int = zero()
    output_tokens: int = zero()
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: dict[str, int] | None = None
    server_tool_use: dict[str, Any] | None = None
    service_tier: str | None = None
    output_tokens_details: dict[str, Any] | None = None

    def to_usage(self) -> Usage:
        """Return the same tokens as a Usage, whose prompt includes the cache's share."""
        read, written = self.cache_read_input_tokens, self.cache_creation_input_tokens
        counted = usage(
            self.input_tokens + (read or 0) + (written or 0),
            self.output_tokens,
            cached=read,
            cache_write=written,
            cache_write_1h=(self.cache_creation or {}).get("ephemeral_1h_input_tokens") or None,
            reasoning=(self.output_tokens_details or {}).get("thinking_tokens"),
        )
        requests = {k: v for k, v in (self.server_tool_use or {}).items() if isinstance(v, int)}
        counted.server_tool_use = requests or None
        return counted

    def buckets(self) -> dict[str, int]:
        """Return the tokens as disjoint buckets, as `Usage.buckets` does."""
        return self.to_usage().buckets()


class AnthropicMessage(Result):
    """What `messages()` returns. `stop_reason`: end_turn, max_tokens, stop_sequence, tool_use, pause_turn, refusal."""

    id: str = ""
    type: str = msgspec.field(default_factory=lambda: "message")
    role: str = msgspec.field(default_factory=lambda: "assistant")
    model: str = ""
    content: list[dict[str, Any]] = empty()
    stop_reason: str | None = null()
    stop_sequence: str | None = null()
    usage: MessageUsage = msgspec.field(default_factory=MessageUsage)
    container: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return "".join(block.get("text", "") for block in self.content if block.get("type") == "text")


class MessagesRequest(Request):
    """A request in Anthropic's shape. Where `max_tokens` is left out, the provider's rule holds."""

    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    container: Any = None
    mcp_servers: list[dict[str, Any]] | None = None
    context_management: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    betas: list[str] | None = None

    def check(self) -> None:
        """Validate each message's frame: a role and content."""
        for index, message in enumerate(self.messages):
            if not isinstance(message.get("role"), str):
                raise BadRequestError(f"A message needs a `role` at $.messages[{index}]")
            if not isinstance(message.get("content"), str | list):
                raise BadRequestError(f"Expected text or a list of blocks at $.messages[{index}].content")


class MessagesParams(CallParams, total=False):
    """The optional parameters of `messages` and `count_tokens`."""

    max_tokens: int | None
    system: str | Sequence[Mapping[str, Any]] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop_sequences: list[str] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: Mapping[str, Any] | None
    thinking: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    service_tier: str | None
    container: Any
    mcp_servers: Sequence[Mapping[str, Any]] | None
    context_management: Mapping[str, Any] | None
    output_config: Mapping[str, Any] | None
    betas: list[str] | None


class TokenCount(Result):
    """How many input tokens a request would use."""

    input_tokens: int = zero()
