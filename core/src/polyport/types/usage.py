"""What a call used: OpenAI's field names outside, disjoint buckets inside.

The invariant: `buckets()` are disjoint and sum to `total_tokens` (or, where a provider's total is missing or too
small, to its prompt and completion tokens). Property tests hold every plugin to it.
"""

from __future__ import annotations

from operator import attrgetter

from polyport.types.record import Fields, zero


class CachedTokensDetails(Fields):
    """Parts of `cached_tokens`, where a provider tells them apart; its audio and image tokens include them."""

    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class PromptTokensDetails(Fields):
    """Parts of `prompt_tokens`: each is contained in it. `cache_write_tokens` were written to the cache."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    text_tokens: int | None = None
    cached_tokens_details: CachedTokensDetails | None = None


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

    def charged(self) -> dict[str, int]:
        """Return the buckets that are charged: all, where a provider's own Usage does not know better."""
        return self.buckets()

    def buckets(self) -> dict[str, int]:
        """Return the tokens as disjoint buckets that sum to `total_tokens`; empty buckets are left out.

        input, cached_input, cache_write, audio_input, image_input, video_input, output, reasoning, audio_output,
        image_output; cached_audio_input and cached_image_input where a provider tells them apart; `unattributed` for
        what a provider counts in its total and nowhere else.
        """
        given, made = self.prompt_tokens_details, self.completion_tokens_details
        found: dict[str, int] = {}
        _split(found, self.prompt_tokens, "input", GIVEN, NONE if given is None else _given(given))
        if given is not None and given.cached_tokens_details is not None:
            _tell_apart(found, self.prompt_tokens, given, given.cached_tokens_details)
        _split(found, self.completion_tokens, "output", MADE, NONE if made is None else _made(made))
        rest = self.total_tokens - sum(found.values())
        if rest > 0:
            found["unattributed"] = rest
        return found


#: Buckets, the first taken out of the whole first, and the fields that hold them.
GIVEN = ("cached_input", "cache_write", "audio_input", "image_input", "video_input")
MADE = ("reasoning", "audio_output", "image_output")
_given = attrgetter("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "video_tokens")
_made = attrgetter("reasoning_tokens", "audio_tokens", "image_tokens")
NONE: tuple[int | None, ...] = ()


def _split(
    found: dict[str, int], whole: int, remainder: str, names: tuple[str, ...], counts: tuple[int | None, ...]
) -> None:
    """Cut `whole` into parts, never more than it holds; what is left is `remainder`. Empty ones are left out."""
    if any(counts):
        for name, count in zip(names, counts, strict=True):
            if count:
                count = min(count, whole)
                whole -= count
                if count:
                    found[name] = count
    if whole:
        found[remainder] = whole


def _tell_apart(found: dict[str, int], whole: int, given: PromptTokensDetails, cached: CachedTokensDetails) -> None:
    """Count cached sound and pictures in buckets of their own, and as sound and pictures no longer."""
    left = found.pop("cached_input", 0)
    for kind, count, all_of_it in (
        ("audio", cached.audio_tokens, given.audio_tokens),
        ("image", cached.image_tokens, given.image_tokens),
    ):
        count = min(count or 0, left)
        if count:
            found[f"cached_{kind}_input"] = count
            found[f"{kind}_input"] = max((all_of_it or 0) - count, 0)
            left -= count
    found["cached_input"] = left
    found["input"] = 0
    rest = whole - sum(found.values())
    if rest < 0:  # the parts overlap in a way that nobody told: the cached ones stand
        for kind in ("video_input", "image_input", "audio_input", "cache_write"):
            less = min(found.get(kind, 0), -rest)
            if less:
                found[kind] -= less
                rest += less
    found["input"] = max(rest, 0)
    for name in [name for name, count in found.items() if not count]:
        del found[name]


def split_writes(buckets: dict[str, int], usage: Usage) -> dict[str, int]:
    """Return the buckets with what is kept in the cache for an hour in one of its own."""
    details = usage.prompt_tokens_details
    hour = details.cache_write_1h_tokens if details is not None else None
    if not hour:
        return buckets
    written = buckets.get("cache_write", 0)
    if not written:
        return buckets
    hour = min(hour, written)
    kept = {name: count for name, count in buckets.items() if name != "cache_write"}
    return {**kept, **({"cache_write": written - hour} if written > hour else {}), "cache_write_1h": hour}


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
