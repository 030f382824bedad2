"""Tokens as Converse counts them: `inputTokens` excludes what the cache served or took.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.types.usage import Usage, usage


class _Detail(msgspec.Struct, rename="camel"):
    ttl: str = ""
    input_tokens: int = 0


class TokenUsage(msgspec.Struct, rename="camel"):
    """A reply's usage."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_Detail] | None = None
    server_tool_usage: dict[str, Any] | None = None

    def to_usage(self) -> Usage:
        """Return the same tokens as a Usage, whose prompt includes the cache's share."""
        read, written = self.cache_read_input_tokens, self.cache_write_input_tokens
        long = sum(detail.input_tokens for detail in self.cache_details or [] if detail.ttl == "1h")
        prompt = self.input_tokens + (read or 0) + (written or 0)
        made = usage(
            prompt,
            self.output_tokens,
            max(self.total_tokens, prompt + self.output_tokens),
            cached=read,
            cache_write=written,
            cache_write_1h=long or None,
        )
        requests = {name: n for name, n in (self.server_tool_usage or {}).items() if type(n) is int}
        made.server_tool_use = requests or None
        return made
