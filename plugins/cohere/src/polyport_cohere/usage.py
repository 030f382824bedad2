"""Cohere's counts as a Usage. https://docs.cohere.com/reference/chat and /docs/how-does-cohere-pricing-work

`tokens` is what the model read and wrote, with the instructions that Cohere adds; `billed_units` what is charged, which
is less. The Usage counts the first and keeps the second, as `usage.billed_units`.
"""

from __future__ import annotations

import msgspec

from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

#: Names of what is charged by the token -> the bucket that has its price.
CHARGED = {"input_tokens": "input", "output_tokens": "output", "image_tokens": "image_input"}


class CohereUsage(Usage):
    """A Usage that also says what is charged: `billed_units["input_tokens"]`, `["output_tokens"]`, `["images"]` ..."""

    billed_units: dict[str, float] | None = None

    def charged(self) -> dict[str, int]:
        """Return what is charged as buckets; of replies that do not say, what was counted."""
        told = {bucket: int((self.billed_units or {}).get(name, 0)) for name, bucket in CHARGED.items()}
        return {bucket: count for bucket, count in told.items() if count} or super().charged()


class Tokens(msgspec.Struct):
    """What the model read and wrote. Images are not among the input's tokens, reasoning is among the output's."""

    input_tokens: float | None = None
    output_tokens: float | None = None
    image_tokens: float | None = None
    reasoning_tokens: float | None = None


class Counts(msgspec.Struct):
    """The `usage` of a chat, or the `meta` of any other reply. Cached tokens are among the input's."""

    tokens: Tokens | None = None
    billed_units: dict[str, float | None] | None = None
    cached_tokens: float | None = None

    @property
    def billed(self) -> dict[str, float]:
        """What is charged, by unit; a unit that is null is left out."""
        units = {name: count for name, count in (self.billed_units or {}).items() if count is not None}
        return {name: int(count) if count == int(count) else count for name, count in units.items()}

    def to_usage(self) -> CohereUsage | None:
        """Return the same as a Usage; None where nothing is counted."""
        billed = self.billed
        counted = self.tokens or _as_tokens(billed)
        image = _whole(counted.image_tokens)
        prompt, completion = _whole(counted.input_tokens) + image, _whole(counted.output_tokens)
        if not billed and not prompt + completion:
            return None
        return CohereUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=self._given(prompt, image),
            completion_tokens_details=_made(counted, completion),
            search_units=_whole(billed["search_units"]) if "search_units" in billed else None,
            billed_units=billed or None,
        )

    def _given(self, prompt: int, image: int) -> PromptTokensDetails | None:
        if self.cached_tokens is None and not image:
            return None
        cached = None if self.cached_tokens is None else min(_whole(self.cached_tokens), prompt)
        # Both are parts of the prompt, and a cached picture would be counted twice.
        return PromptTokensDetails(cached_tokens=cached, image_tokens=min(image, prompt - (cached or 0)) or None)


def _made(counted: Tokens, completion: int) -> CompletionTokensDetails | None:
    if counted.reasoning_tokens is None:
        return None
    return CompletionTokensDetails(reasoning_tokens=min(_whole(counted.reasoning_tokens), completion))


def _as_tokens(billed: dict[str, float]) -> Tokens:
    """Read what is charged as tokens, for replies that tell nothing else: those of Embed."""
    text = billed.get("text_tokens", billed.get("input_tokens"))
    return Tokens(text, billed.get("output_tokens"), billed.get("image_tokens"))


def _whole(count: float | None) -> int:
    return max(int(count or 0), 0)


def total(counts: list[Counts | None]) -> CohereUsage | None:
    """Return the sum of several replies' counts: of a request that was sent in pieces."""
    billed: dict[str, float | None] = {}
    tokens: dict[str, float] = {}
    cached = [count.cached_tokens for count in counts if count is not None and count.cached_tokens is not None]
    for count in filter(None, counts):
        for name, number in count.billed.items():
            billed[name] = (billed.get(name) or 0) + number
        for name in Tokens.__struct_fields__ if count.tokens is not None else ():
            if (found := getattr(count.tokens, name)) is not None:
                tokens[name] = tokens.get(name, 0) + found
    return Counts(Tokens(**tokens) if tokens else None, billed, sum(cached) if cached else None).to_usage()
