"""Recorded calls with cached tokens, priced, and each sum worked out by hand: whole replies and streams.

Prices are those of the plugins' models.json, in nano-dollars a token: $2.50 per million tokens are 2500 each. The wire
is replayed as it was recorded; where it is absent these tests are skipped.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, records
from replay import reply_of

import polyport
from polyport.middleware.cost import cost

pytestmark = needs_recordings

SAY = [{"role": "user", "content": "Hello"}]
ASK: dict[str, dict[str, Any]] = {
    "completion": {"messages": SAY},
    "messages": {"messages": SAY, "max_tokens": 100},
    "responses": {"input": "Hello"},
}
#: A web search, in nano-dollars: $10 per thousand.
SEARCH = 10_000_000

#: (provider, record, function, model, what the recorded usage says, the sum in nano-dollars).
CASES = [
    # input 1220, of which 1152 cached: 68 at $2.50, 1152 at $1.25, 100 at $10.
    ("openai", 1205, "completion", "gpt-4o",
     {"prompt_tokens": 1220, "cached_tokens": 1152, "completion_tokens": 100},
     68 * 2500 + 1152 * 1250 + 100 * 10_000),
    # 1370, of which 1280 cached: 90 at $0.15, 1280 at $0.075, 155 at $0.60.
    ("openai", 677, "completion", "gpt-4o-mini",
     {"prompt_tokens": 1370, "cached_tokens": 1280, "completion_tokens": 155},
     90 * 150 + 1280 * 75 + 155 * 600),
    # 2973, of which 1920 cached; reasoning is billed as the output that it is a part of.
    ("openai", 204, "responses", "gpt-5",
     {"input_tokens": 2973, "cached_tokens": 1920, "output_tokens": 707, "reasoning_tokens": 512},
     1053 * 1250 + 1920 * 125 + 707 * 10_000),
    # Streamed: 1515, of which 1390 cached.
    ("openai", 1230, "responses", "gpt-4o",
     {"input_tokens": 1515, "cached_tokens": 1390, "output_tokens": 8},
     125 * 2500 + 1390 * 1250 + 8 * 10_000),
    # Streamed, with one web search: 9463, of which 8320 cached.
    ("openai", 241, "responses", "gpt-5",
     {"input_tokens": 9463, "cached_tokens": 8320, "output_tokens": 582},
     1143 * 1250 + 8320 * 125 + 582 * 10_000 + 1 * SEARCH),
    # Anthropic counts beside the cache: 6 at $2, 20 443 read at $0.20, 574 written at $2.50, 489 at $10.
    ("anthropic", 7, "messages", "claude-sonnet-5",
     {"input_tokens": 6, "cache_read_input_tokens": 20443, "cache_creation_input_tokens": 574, "output_tokens": 489},
     6 * 2000 + 20443 * 200 + 574 * 2500 + 489 * 10_000),
    # The same conversation's first turn, streamed, writes the cache ...
    ("anthropic", 209, "messages", "claude-3-5-sonnet-20240620",
     {"cache_creation_input_tokens": 1165, "output_tokens": 201},
     4 * 3000 + 1165 * 3750 + 201 * 15_000),
    # ... and the second one reads it.
    ("anthropic", 210, "messages", "claude-3-5-sonnet-20240620",
     {"cache_read_input_tokens": 1165, "output_tokens": 221},
     4 * 3000 + 1165 * 300 + 221 * 15_000),
    # Gemini tells modalities: 3297, of which 2918 cached; 37 of sound at $1, 332 of video and 10 of text at $0.30.
    ("gemini", 129, "completion", "gemini-2.5-flash",
     {"promptTokenCount": 3297, "cachedContentTokenCount": 2918, "candidatesTokenCount": 55, "thoughtsTokenCount": 95},
     2918 * 30 + 37 * 1000 + (332 + 10) * 300 + (55 + 95) * 2500),
    # DeepSeek, streamed, at the full price (05:59 UTC is a cheaper hour, 06:00 is not).
    ("deepseek", 20, "completion", "deepseek-v4-flash",
     {"prompt_tokens": 451, "prompt_cache_hit_tokens": 384, "completion_tokens": 21},
     67 * 300 + 384 * 6 + 21 * 1200),
    # OpenRouter says what it charged: $0.00219855 for 3 at $3, 3211 read at $0.30, 115 written at $3.75, 53 at $15.
    ("openrouter", 32, "completion", "anthropic/claude-sonnet-4.6",
     {"prompt_tokens": 3329, "cached_tokens": 3211, "cache_write_tokens": 115, "completion_tokens": 53},
     3 * 3000 + 3211 * 300 + 115 * 3750 + 53 * 15_000),
    # xAI, streamed, says it in ticks: 12, of which 11 cached; 290 of reasoning stand beside the 1 of the answer.
    ("xai", 34, "completion", "grok-3-mini",
     {"prompt_tokens": 12, "cached_tokens": 11, "completion_tokens": 1, "reasoning_tokens": 290},
     1 * 300 + 11 * 75 + (1 + 290) * 500),
]  # fmt: skip
#: What providers themselves said they charged, in USD.
CHARGED = {("openrouter", 32): 0.00219855, ("xai", 34): 0.000146625}
SIX_O_CLOCK = 6 * 3600.0


def layer(call, proceed):
    """The layer, at six o'clock UTC."""
    return cost(call, proceed, clock=lambda: SIX_O_CLOCK)


def told(record):
    """Every number of the record's usage, flat; of a stream, the last that was told."""
    found = {}

    def walk(value):
        for name, inner in value.items() if isinstance(value, dict) else ():
            if isinstance(inner, dict):
                walk(inner)
            elif isinstance(inner, int):
                found[name] = inner

    for body in events(record) if is_stream(record) else [record["response"]["body"]["json"]]:
        for holder in (body, body.get("response"), body.get("message")):
            if isinstance(holder, dict):
                walk(holder.get("usage") or holder.get("usageMetadata") or {})
    return found


@pytest.mark.parametrize(
    ("provider", "number", "function", "model", "usage", "nano"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_a_recorded_call_costs_what_the_sum_by_hand_says(provider, number, function, model, usage, nano):
    """To the nano-dollar; and what a provider charged is beside it."""
    record = records(provider)[number]
    assert usage.items() <= told(record).items()
    wire = httpx.MockTransport(lambda request: reply_of(record))
    with polyport.Client(http=wire, api_key="key", middleware=[layer]) as client:
        fields = {"model": model, "provider": provider, "stream": is_stream(record) or None, **ASK[function]}
        result = getattr(client, function)(**fields)
        if is_stream(record):
            list(result)
    assert result.meta.bill.nano == nano
    assert result.meta.cost == pytest.approx(nano / 1e9, abs=1e-15)
    assert result.meta.provider_cost == CHARGED.get((provider, number))
    if result.meta.provider_cost is not None:
        assert result.meta.cost == pytest.approx(result.meta.provider_cost, abs=1e-12)


def test_half_of_the_cases_are_streams():
    """Both are held to it."""
    streamed = [case for case in CASES if is_stream(records(case[0])[case[1]])]
    assert len(streamed) >= 5
    assert len(CASES) - len(streamed) >= 5


def test_a_cheaper_hour_is_cheaper():
    """The same call a minute before six costs half."""
    record = records("deepseek")[20]
    wire = httpx.MockTransport(lambda request: reply_of(record))
    early = lambda call, proceed: cost(call, proceed, clock=lambda: SIX_O_CLOCK - 60)  # noqa: E731
    with polyport.Client(http=wire, api_key="key", middleware=[early]) as client:
        stream = client.completion("deepseek/deepseek-v4-flash", SAY, stream=True)
        list(stream)
    assert stream.meta.bill.nano == 67 * 150 + 384 * 3 + 21 * 600
