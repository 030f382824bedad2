"""Usage as look-alikes tell it: null counts, counts at other places, a price, reasoning beside the completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from polyport.types.record import zero
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

if TYPE_CHECKING:
    Count: TypeAlias = int
    Price: TypeAlias = float | None
else:
    Count = int | None  # what may come; __post_init__ makes it what it seems
    Price = Any

#: xAI tells its price in ticks; an image of $0.07 is 700000000 of them (recorded traffic, 2026-08-10).
TICKS = 10_000_000_000


class LookAlikeUsage(Usage):
    """Usage whose fields stand where OpenAI's do, whatever the look-alike's habit."""

    prompt_tokens: Count = zero()
    completion_tokens: Count = zero()
    total_tokens: Count = zero()
    cost: Price = None
    cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    prompt_token_details: PromptTokensDetails | None = None
    completion_token_details: CompletionTokensDetails | None = None
    cost_in_usd_ticks: float | None = None

    def __post_init__(self) -> None:
        self.prompt_tokens = self.prompt_tokens or 0
        self.completion_tokens = self.completion_tokens or 0
        self.total_tokens = self.total_tokens or self.prompt_tokens + self.completion_tokens
        self.prompt_tokens_details = self.prompt_tokens_details or self.prompt_token_details
        self.completion_tokens_details = self.completion_tokens_details or self.completion_token_details
        cached = self.cached_tokens or self.prompt_cache_hit_tokens or self.cache_read_input_tokens
        if cached is not None and self.prompt_tokens_details is None:
            self.prompt_tokens_details = PromptTokensDetails(cached_tokens=cached)
        self._include_reasoning()
        self._read_price()

    def _include_reasoning(self) -> None:
        """Count reasoning into the completion, where it stands beside it (xAI) and only the total holds both."""
        details = self.completion_tokens_details
        reasoning = details.reasoning_tokens if details is not None else None
        if reasoning and self.total_tokens == self.prompt_tokens + self.completion_tokens + reasoning:
            self.completion_tokens += reasoning

    def _read_price(self) -> None:
        """Read the price of a call in USD: a number, Perplexity's sum, or xAI's ticks."""
        given: Any = self.cost
        if isinstance(given, dict):
            given = given.get("total_cost")
        if self.cost_in_usd_ticks is not None:
            given = self.cost_in_usd_ticks / TICKS
        self.cost = float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
