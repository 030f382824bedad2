"""What a call used: OpenAI's field names outside, disjoint buckets inside.

The invariant: `buckets()` are disjoint and sum to `total_tokens` (or, where a provider's total is missing or too
small, to its prompt and completion tokens). Property tests hold every plugin to it.
"""

from __future__ import annotations

from polyport.types.record import Fields, zero


class PromptTokensDetails(Fields):
    """Parts of `prompt_tokens`: each is contained in it. `cache_write_tokens` were written to the cache."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    text_tokens: int | None = None


class CompletionTokensDetails(Fields):
    """Parts of `completion_tokens`: each is contained in it."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Fields):
    """Tokens of one call. `prompt_tokens` includes cached and cache-written ones, whatever the provider's habit.

    `cost` is what the provider itself says it charged, in USD, where it says so. `search_units`, `seconds` and
    `characters` are for operations that are not billed by token; `requests` counts server-side tool use.
    """

    prompt_tokens: int = zero()
    completion_tokens: int = zero()
    total_tokens: int = zero()
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    cost: float | None = None
    search_units: int | None = None
    seconds: float | None = None
    characters: int | None = None
    server_tool_use: dict[str, int] | None = None

    @property
    def input_tokens(self) -> int:
        """`prompt_tokens`, under the name Anthropic's and the Responses API use."""
        return self.prompt_tokens

    @property
    def output_tokens(self) -> int:
        """`completion_tokens`, under the name Anthropic's and the Responses API use."""
        return self.completion_tokens

    def buckets(self) -> dict[str, int]:
        """Return the tokens as disjoint buckets that sum to `total_tokens`; empty buckets are left out.

        input, cached_input, cache_write, audio_input, image_input, video_input, output, reasoning, audio_output,
        image_output; `unattributed` for what a provider counts in its total and nowhere else.
        """
        given = self.prompt_tokens_details or PromptTokensDetails()
        made = self.completion_tokens_details or CompletionTokensDetails()
        found = _split(
            self.prompt_tokens,
            "input",
            cached_input=given.cached_tokens,
            cache_write=given.cache_write_tokens,
            audio_input=given.audio_tokens,
            image_input=given.image_tokens,
            video_input=given.video_tokens,
        )
        found |= _split(
            self.completion_tokens,
            "output",
            reasoning=made.reasoning_tokens,
            audio_output=made.audio_tokens,
            image_output=made.image_tokens,
        )
        rest = self.total_tokens - sum(found.values())
        if rest > 0:
            found["unattributed"] = rest
        return {name: count for name, count in found.items() if count}


def _split(whole: int, remainder: str, **parts: int | None) -> dict[str, int]:
    """Cut `whole` into `parts`, never more than it holds; what is left is `remainder`."""
    left, found = whole, {}
    for name, count in parts.items():
        found[name] = min(count or 0, left)
        left -= found[name]
    return {remainder: left, **found}


def usage(
    prompt: int = 0,
    completion: int = 0,
    total: int | None = None,
    *,
    cached: int | None = None,
    cache_write: int | None = None,
    cache_write_1h: int | None = None,
    reasoning: int | None = None,
) -> Usage:
    """Build a Usage from counts; `prompt` includes `cached` and `cache_write`, `completion` includes `reasoning`."""
    details = None
    if cached is not None or cache_write is not None:
        details = PromptTokensDetails(
            cached_tokens=cached or 0, cache_write_tokens=cache_write, cache_write_1h_tokens=cache_write_1h
        )
    made = None if reasoning is None else CompletionTokensDetails(reasoning_tokens=reasoning)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion if total is None else total,
        prompt_tokens_details=details,
        completion_tokens_details=made,
    )
