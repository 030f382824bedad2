"""What batches and service tiers cost by the prices that plugins ship, each sum worked out by hand.

In nano-dollars: $2.50 per million tokens are 2500 each. The tier that answered decides, not the one asked for.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from recorded import needs_recordings, records
from replay import reply_of

import polyport
from polyport.audit import audit
from polyport.batchcost import batch_cost
from polyport.prices import Used, rates_of
from polyport.types.batch import Batch

SAY = [{"role": "user", "content": "Hello"}]

#: (provider, model, tier, tokens by bucket, the sum). Cached tokens in a batch are among them.
CASES = [
    # Half of $5 and $30; what is cached at half of $0.50.
    ("openai", "gpt-5.5", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 2500 + 400 * 250 + 100 * 15_000),
    # Batches of older models give no discount on what is cached: half of $2, both times, and of $8.
    ("openai", "gpt-4.1", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 1000 + 400 * 1000 + 100 * 4000),
    ("openai", "o3", "flex", {"input": 1000, "cached_input": 400, "output": 60, "reasoning": 40},
     1000 * 1000 + 400 * 250 + 100 * 4000),
    ("openai", "gpt-4o", "priority", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 4250 + 400 * 2125 + 100 * 17_000),
    ("openai", "text-embedding-3-small", "batch", {"input": 1000}, 1000 * 10),
    # Everything at half: $3 in, $3.75 and $6 written, $0.30 read, $15 out.
    ("anthropic", "claude-sonnet-4-6", "batch",
     {"input": 100, "cache_write": 200, "cache_write_1h": 300, "cached_input": 400, "output": 50},
     100 * 1500 + 200 * 1875 + 300 * 3000 + 400 * 150 + 50 * 7500),
    # $0.625 and $5, where what is cached keeps its $0.125 ...
    ("gemini", "gemini-2.5-pro", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 625 + 400 * 125 + 100 * 5000),
    # ... and where it is halved, too, from $0.075.
    ("gemini", "gemini-3.8-flash", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     375_000 + 15_000 + 187_500),
    ("gemini", "gemini-3.8-flash", "flex", {"input": 1000, "output": 100}, 375_000 + 187_500),
    ("gemini", "gemini-3.8-flash", "priority", {"input": 1000, "output": 100}, 1000 * 1350 + 100 * 6750),
    ("vertex_ai", "gemini-2.5-flash", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 150 + 400 * 30 + 100 * 1250),
    ("vertex_ai", "gemini-2.5-flash", "flex", {"input": 1000, "output": 100}, 1000 * 150 + 100 * 1250),
    # Half price, and none on top for what is cached: $0.075 for all of the prompt.
    ("groq", "openai/gpt-oss-120b", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1400 * 75 + 100 * 300),
    ("groq", "openai/gpt-oss-120b", "flex", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 150 + 400 * 75 + 100 * 600),
    ("mistral", "mistral-medium-3-5", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 750 + 400 * 75 + 100 * 3750),
    # Half of the regions' $3.30 and $16.50.
    ("bedrock", "us.anthropic.claude-sonnet-4-6", "batch", {"input": 1000, "output": 100},
     1000 * 1650 + 100 * 8250),
    ("bedrock", "amazon.nova-lite-v1:0", "batch", {"input": 1000, "output": 100}, 1000 * 30 + 100 * 120),
    ("azure", "o4-mini", "batch", {"input": 1000, "output": 100}, 1000 * 550 + 100 * 2200),
    # 20 % off $1.25, $0.20 and $2.50.
    ("xai", "grok-4.3", "batch", {"input": 1000, "cached_input": 400, "output": 100},
     1000 * 1000 + 400 * 160 + 100 * 2000),
    ("moonshot", "kimi-k2.5", "batch", {"input": 1000, "output": 100}, 1000 * 360 + 100 * 1800),
    ("fireworks_ai", "accounts/fireworks/models/glm-5p1", "batch", {"input": 1000, "output": 100},
     1000 * 700 + 100 * 2200),
]  # fmt: skip


def bill(provider: str, model: str, tier: str | None, tokens: dict[str, int], prompt: int = 0) -> Any:
    """What the shipped prices make of it."""
    rates = rates_of(provider, model)
    assert rates is not None
    return rates.bill(Used(tokens=tokens, prompt=prompt, service_tier=tier))


@pytest.mark.parametrize(
    ("provider", "model", "tier", "tokens", "nano"), CASES, ids=[f"{case[0]}-{case[1]}-{case[2]}" for case in CASES]
)
def test_a_tier_costs_what_the_sum_by_hand_says(provider, model, tier, tokens, nano):
    """And says which tier it was."""
    found = bill(provider, model, tier, tokens)
    assert (found.nano, found.service_tier) == (nano, tier)


@pytest.mark.parametrize(
    ("provider", "model", "tier", "tokens"),
    [
        ("anthropic", "claude-sonnet-4-6", "priority", {"input": 1}),
        ("mistral", "mistral-medium-3-5", "priority", {"input": 1}),
        ("openai", "gpt-5.5", "ultrafast", {"input": 1}),
        ("azure", "o4-mini", "batch", {"input": 1, "cached_input": 1}),
        ("gemini", "gemini-3.8-flash", "flex", {"input": 1, "cached_input": 1}),
        ("mistral", "voxtral-small-2507", "batch", {"input": 1, "unattributed": 1}),
        ("bedrock", "amazon.nova-lite-v1:0", "flex", {"input": 1}),
    ],
)
def test_what_no_page_says_is_unknown(provider, model, tier, tokens):
    """A tier without public prices, a bucket without one in a tier."""
    assert bill(provider, model, tier, tokens) is None


def test_a_long_prompt_has_its_tiers_price_or_none():
    """$5 above 272 000 in a batch; priority does not take such prompts, so no price is known."""
    tokens = {"input": 300_000, "output": 10}
    assert bill("openai", "gpt-5.5", "batch", tokens, 300_000).nano == 300_000 * 5000 + 10 * 22_500
    assert bill("openai", "gpt-5.5", "priority", tokens, 300_000) is None
    assert bill("openai", "gpt-5.5", "priority", {"input": 1000}, 1000).nano == 1000 * 12_500


# --- what the answer says decides ---

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
OPENAI = {"id": "c", "object": "chat.completion", "created": 0, "model": "gpt-4o", "choices": [], "usage": USAGE}
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP"}],
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
}
PLAIN_4O, PRIORITY_4O = 1000 * 2500 + 100 * 10_000, 1000 * 4250 + 100 * 17_000
PLAIN_FLASH, FLEX_FLASH = 1000 * 300 + 100 * 2500, 1000 * 150 + 100 * 1250


def answered(model: str, reply: dict[str, Any], tier: str | None, **options: Any) -> int | None:
    """What a call costs that asked for a tier and got this reply, in nano-dollars."""
    wire = httpx.MockTransport(lambda request: httpx.Response(200, json=reply))
    with polyport.Client(http=wire, api_key="key") as client:
        found = client.completion(model, SAY, service_tier=tier, **options).meta.bill
    return None if found is None else int(found.nano)


@pytest.mark.parametrize(
    ("asked", "told", "nano"),
    [
        ("priority", "priority", PRIORITY_4O),
        ("fast", "priority", PRIORITY_4O),
        ("priority", "default", PLAIN_4O),
        ("auto", "priority", PRIORITY_4O),
        ("priority", None, PRIORITY_4O),
        ("fast", None, PRIORITY_4O),
        ("auto", None, PLAIN_4O),
        ("default", None, PLAIN_4O),
        (None, "scale", None),
        (None, None, PLAIN_4O),
    ],
)
def test_the_tier_that_answered_decides(asked, told, nano):
    """The one asked for holds only where the answer tells none; scale is paid for in advance."""
    reply = OPENAI if told is None else {**OPENAI, "service_tier": told}
    assert answered("openai/gpt-4o", reply, asked) == nano


@pytest.mark.parametrize(
    ("traffic", "nano"),
    [
        ("ON_DEMAND_FLEX", FLEX_FLASH),
        ("ON_DEMAND", PLAIN_FLASH),
        ("PROVISIONED_THROUGHPUT", None),
        ("ON_DEMAND_OFFPEAK", None),
    ],
)
def test_vertex_tells_its_tier_as_traffic(traffic, nano):
    """Flex that was asked for and not given costs what the standard does."""
    reply = {**GEMINI, "usageMetadata": {**GEMINI["usageMetadata"], "trafficType": traffic}}
    options = {"vertex_project": "p", "vertex_location": "global"}
    assert answered("vertex_ai/gemini-2.5-flash", reply, "flex", **options) == nano


@pytest.mark.parametrize(("told", "nano"), [("standard", 1000 * 1500 + 100 * 7500), ("priority", None)])
def test_mistral_tells_its_tier_with_the_usage(told, nano):
    """Priority has no public price."""
    usage = {**USAGE, "service_tier": told}
    reply = {**OPENAI, "model": "mistral-medium-3-5", "usage": usage}
    assert answered("mistral/mistral-medium-3-5", reply, None) == nano


# --- batches ---


def test_a_batch_is_priced_by_its_own_usage():
    """OpenAI tells it with the batch: 2000, of which 500 cached, and 300."""
    usage = {
        "input_tokens": 2000,
        "input_tokens_details": {"cached_tokens": 500},
        "output_tokens": 300,
        "output_tokens_details": {"reasoning_tokens": 100},
        "total_tokens": 2300,
    }
    found = Batch(id="batch_1", status="completed", model="gpt-5-mini", usage=usage)
    assert batch_cost(found) == pytest.approx((1500 * 125 + 500 * 12.5 + 300 * 1000) / 1e9)


def test_results_are_at_batch_prices_though_they_say_default():
    """Line by line; what failed was not billed."""
    details = {"prompt_tokens_details": {"cached_tokens": 400}}
    body = {**OPENAI, "model": "gpt-5.5-2026-04-23", "service_tier": "default", "usage": {**USAGE, **details}}
    lines = [
        {"id": "batch_req_x", "custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None},
        {"id": "batch_req_y", "custom_id": "b", "response": {"status_code": 400, "body": {"error": {}}}},
        {"id": "batch_req_z", "custom_id": "c", "response": None, "error": {"code": "batch_expired"}},
    ]
    content = "\n".join(json.dumps(line) for line in lines)
    nano = 600 * 2500 + 400 * 250 + 100 * 15_000
    assert batch_cost(content) == nano / 1e9
    (row,) = audit(content.splitlines())
    assert (row.provider, row.operation, row.verdict, row.computed) == ("openai", "batch", "new", nano / 1e9)


@needs_recordings
def test_a_recorded_result_of_anthropics_batch_is_at_half():
    """20 at $0.50 and 5 at $2.50; its usage says `batch`."""
    record = records("anthropic")[153]
    message = record["response"]["body"]["json"]["result"]["message"]
    assert polyport.completion_cost(message) == (20 * 500 + 5 * 2500) / 1e9


@needs_recordings
@pytest.mark.parametrize(
    ("number", "model", "tier", "nano"),
    [
        # 53 at half of $1.25, 469 of answer and reasoning at half of $10.
        (254, "gpt-5", "flex", 53 * 625 + 469 * 5000),
        # 13 at $5, 5 at $30.
        (1101, "gpt-5.4", "priority", 13 * 5000 + 5 * 30_000),
    ],
)
def test_recorded_streams_of_other_tiers(number, model, tier, nano):
    """Whatever was asked: their events tell the tier."""
    wire = httpx.MockTransport(lambda request: reply_of(records("openai")[number]))
    with polyport.Client(http=wire, api_key="key") as client:
        stream = client.responses("Hello", model=model, stream=True)
        list(stream)
    assert (stream.meta.bill.nano, stream.meta.bill.service_tier) == (nano, tier)
