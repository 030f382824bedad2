"""Usage in the shared words: some endpoints tell prompt tokens, some input tokens, some the total only."""

from __future__ import annotations

import msgspec

from polyport.types.usage import PromptTokensDetails, Usage


class Used(msgspec.Struct):
    """What Jina says a call used."""

    total_tokens: int | None = None
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    image_tokens: int | None = None

    def to_usage(self) -> Usage:
        """Return it in the shared words."""
        told = (self.prompt_tokens, self.input_tokens, self.total_tokens)
        read = next((tokens for tokens in told if tokens is not None), 0)
        details = PromptTokensDetails(image_tokens=self.image_tokens) if self.image_tokens else None
        return Usage(
            prompt_tokens=read,
            total_tokens=read if self.total_tokens is None else self.total_tokens,
            prompt_tokens_details=details,
        )
