"""Prices: units, fallbacks, tiers, hours, service tiers, and sums that are exact; what is unknown is None, never 0."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport.prices import FALLBACKS, Rates, Used, nano_of, problem

CHAT = {"input": 2.5, "cached_input": 1.25, "output": 10.0}


def nano(prices, clock=lambda: 0.0, **used):
    """What something costs, in nano-dollars; None where that is unknown."""
    bill = Rates(prices).bill(Used(**used), clock)
    return None if bill is None else bill.nano


def test_tokens_are_billed_by_bucket():
    """A dollar per million tokens is a thousand nano-dollars each."""
    tokens = {"input": 600, "cached_input": 400, "output": 200}
    assert nano(CHAT, tokens=tokens) == 600 * 2500 + 400 * 1250 + 200 * 10_000


def test_a_bill_says_what_it_is_made_of():
    """And where its prices were read."""
    bill = Rates(CHAT, "https://prices.example", "2026-11-22").bill(Used(tokens={"input": 3, "output": 2}))
    assert [(line.unit, line.quantity, line.price) for line in bill.lines] == [("input", 3, 2.5), ("output", 2, 10.0)]
    assert (bill.source, bill.read, bill.cost) == ("https://prices.example", "2026-11-22", 0.0000275)


@pytest.mark.parametrize(
    ("bucket", "per_million"),
    [("reasoning", 10.0), ("cached_input", 2.5), ("audio_input", 2.5), ("video_input", 2.5), ("image_output", 10.0)],
)
def test_a_sub_price_that_is_missing_is_billed_as_its_vendor_does(bucket, per_million):
    """Cached tokens are not free where no discount is listed."""
    assert nano({"input": 2.5, "output": 10.0}, tokens={bucket: 1000}) == per_million * 1_000_000


@pytest.mark.parametrize("bucket", ["cache_write", "cache_write_1h", "unattributed"])
def test_what_nothing_stands_in_for_makes_the_cost_unknown(bucket):
    """Writing to the cache is dearer than reading, by as much as its vendor says."""
    assert nano(CHAT, tokens={"input": 1, bucket: 1}) is None


def test_cached_sound_is_billed_as_sound_where_that_has_a_price():
    """And as cached text where it has none, as sound is then billed as text."""
    assert (
        nano({"input": 1.0, "cached_input": 0.1, "audio_input": 3.0}, tokens={"cached_audio_input": 1000}) == 3_000_000
    )
    assert nano({"input": 1.0, "cached_input": 0.1}, tokens={"cached_audio_input": 1000}) == 100_000


@pytest.mark.parametrize(("prompt", "per_token", "above"), [(200_000, 1250, None), (200_001, 2500, 200_000)])
def test_a_long_prompt_has_a_tier_of_its_own(prompt, per_token, above):
    """Above, not at, the limit; the whole prompt is billed by it, and what it does not name stays."""
    prices = {"input": 1.25, "output": 10.0, "tiers": [{"above": 200_000, "input": 2.5}]}
    bill = Rates(prices).bill(Used(tokens={"input": prompt, "output": 1}, prompt=prompt))
    assert bill.nano == prompt * per_token + 10_000
    assert bill.above == above


def test_the_highest_tier_that_is_passed_holds():
    """In whatever order they are listed."""
    prices = {"input": 1.0, "tiers": [{"above": 100, "input": 2.0}, {"above": 1000, "input": 3.0}]}
    assert [nano(prices, tokens={"input": n}, prompt=n) for n in (100, 101, 1000, 1001)] == [
        100 * 1000, 101 * 2000, 1000 * 2000, 1001 * 3000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hour", "per_token"),
    [("04:00", 150), ("05:59", 150), ("06:00", 300), ("23:30", 100), ("00:30", 100), ("01:00", 300)],
)
def test_an_hour_has_prices_of_its_own(hour, per_token):
    """From its beginning to before its end, over midnight too."""
    hours = [{"from": "04:00", "to": "06:00", "input": 0.15}, {"from": "23:00", "to": "01:00", "input": 0.1}]
    hours_, minutes = map(int, hour.split(":"))
    now = 86_400 * 20_000 + hours_ * 3600 + minutes * 60
    assert nano({"input": 0.3, "hours": hours}, clock=lambda: now, tokens={"input": 1}) == per_token


@pytest.mark.parametrize("tier", [None, "auto", "default", "standard"])
def test_the_standard_service_tier_costs_what_the_list_says(tier):
    """By whatever name."""
    assert nano(CHAT, tokens={"input": 1}, service_tier=tier) == 2500


def test_another_service_tier_costs_what_is_listed_for_it():
    """What it does not name costs what it does otherwise; a tier without prices makes the cost unknown."""
    prices = {**CHAT, "flex": {"input": 1.25, "output": 5.0}, "priority": {}}
    tokens = {"input": 1, "cached_input": 1, "output": 1}
    assert nano(prices, tokens=tokens, service_tier="flex") == 1250 + 1250 + 5000
    assert nano(prices, tokens=tokens, service_tier="priority") == 2500 + 1250 + 10_000
    assert nano(prices, tokens=tokens, service_tier="batch") is None


def test_null_says_that_a_price_is_not_known_then():
    """Nothing stands in for it, and it is known otherwise."""
    prices = {**CHAT, "batch": {"input": 1.25, "cached_input": None, "tiers": [{"above": 10, "input": None}]}}
    assert nano(prices, tokens={"input": 1, "output": 1}, service_tier="batch") == 1250 + 10_000
    assert nano(prices, tokens={"cached_input": 1}, service_tier="batch") is None
    assert nano(prices, tokens={"cached_audio_input": 1}, service_tier="batch") is None
    assert nano(prices, tokens={"cached_input": 1}) == 1250
    held = {**prices, "tiers": [{"above": 10, "input": 5.0}]}
    assert nano(held, tokens={"input": 11}, prompt=11, service_tier="batch") is None
    assert nano(held, tokens={"input": 11}, prompt=11) == 11 * 5000


def test_fast_is_another_name_of_priority():
    """Asked for by one name, answered by the other; a unit's name is no tier's."""
    prices = {**CHAT, "priority": {"input": 4.0}}
    assert nano(prices, tokens={"input": 1}, service_tier="fast") == 4000
    assert nano(prices, tokens={"input": 1}, service_tier="input") is None


@pytest.mark.parametrize(
    ("prices", "units", "kinds", "expected"),
    [
        ({"image": 0.04}, {"image": 2}, (), 80_000_000),
        ({"image": {"1024x1024": 0.04, "hd/1024x1024": 0.08}}, {"image": 1}, ("hd/1024x1024", "1024x1024"), 80_000_000),
        ({"image": {"1024x1024": 0.04}}, {"image": 1}, ("hd/1024x1024", "1024x1024"), 40_000_000),
        ({"image": {"1024x1024": 0.04, "*": 0.03}}, {"image": 1}, ("512x512",), 30_000_000),
        ({"image": {"1024x1024": 0.04}}, {"image": 1}, ("512x512",), None),
        ({"megapixel": 0.02}, {"megapixel": 1.048576}, (), 20_971_520),
        ({"minute": 0.006}, {"minute": 0.5}, (), 3_000_000),
        ({"minute": 0.006}, {}, (), None),
        ({"character": 1.5e-05}, {"character": 1000}, (), 15_000_000),
        ({"search": 0.002}, {"search": 3}, (), 6_000_000),
        ({"video_second": {"1280x720": 0.1, "*": 0.3}}, {"video_second": 4.0}, ("1280x720",), 400_000_000),
        ({"request": 0.005}, {}, (), 5_000_000),
    ],
)
def test_what_is_not_billed_by_token_is_billed_by_its_unit(prices, units, kinds, expected):
    """A quantity, or a kind, that nobody told is unknown."""
    assert nano(prices, units=units, kinds=kinds) == expected


def test_a_request_and_the_tools_it_used_come_on_top():
    """A tool that was used and has no price makes the cost unknown."""
    prices = {**CHAT, "request": 0.005, "web_search": 0.01}
    assert nano(prices, tokens={"input": 1}, units={"web_search": 2}) == 2500 + 5_000_000 + 20_000_000
    assert nano(CHAT, tokens={"input": 1}, units={"web_search": 2}) is None
    assert nano(CHAT, tokens={"input": 1}, units={"web_search": 0}) == 2500


def test_what_a_cache_keeps_comes_on_top():
    """By millions of tokens and hours, fractions of them too: 30 000 tokens for 90 minutes at 4.5 USD."""
    used = Used(tokens={"input": 30_000}, units={"cache_storage": 0.03 * 1.5})
    assert Rates({"input": 1.25, "cache_storage": 4.5}).bill(used).nano == 37_500_000 + 202_500_000
    assert Rates({"input": 1.25}).bill(used) is None


def test_sound_may_be_billed_by_time_beside_tokens():
    """Tokens that are in the total alone are then the sound's, and not billed twice."""
    prices = {"input": 0.1, "output": 0.4, "minute": 0.004}
    tokens = {"input": 4, "output": 9, "unattributed": 25}
    assert nano(prices, tokens=tokens, units={"minute": 0.5, "second": 30}) == 4 * 100 + 9 * 400 + 2_000_000
    assert nano(prices, tokens=tokens) is None


def test_a_price_of_nothing_is_known_and_no_price_is_not():
    """A local model costs 0; an unknown one costs nobody knows what."""
    assert nano({"input": 0, "output": 0}, tokens={"input": 10, "output": 10}) == 0
    assert nano({}, tokens={"input": 10}) is None


PRICE = st.integers(0, 10_000_000).map(lambda number: number / 10_000)


@settings(deadline=None)
@given(
    prices=st.fixed_dictionaries(
        {"input": PRICE, "output": PRICE}, optional={"cached_input": PRICE, "reasoning": PRICE}
    ),
    tokens=st.dictionaries(
        st.sampled_from(["input", "cached_input", "reasoning", "output"]), st.integers(1, 10**7), min_size=1
    ),
)
def test_a_sum_is_exact_and_rounded_once(prices, tokens):
    """Whatever floats would make of it."""
    rates = {**prices}
    for bucket in tokens:
        if bucket not in rates:
            rates[bucket] = prices[FALLBACKS[bucket][0]]
    exact = sum(count * Fraction(repr(rates[bucket])) * 1000 for bucket, count in tokens.items())
    bill = Rates(prices).bill(Used(tokens=tokens))
    assert bill.nano == int(exact + Fraction(1, 2))
    assert abs(sum(nano_of(line) for line in bill.lines) - bill.nano) <= len(bill.lines)


@pytest.mark.parametrize(
    ("prices", "names"),
    [
        ({"inputs": 1.0}, "inputs"),
        ({"input": -1}, "input"),
        ({"input": "2.5"}, "input"),
        ({"input": True}, "input"),
        ({"input": float("nan")}, "input"),
        ({"tiers": [{"input": 1.0}]}, "above"),
        ({"tiers": [{"above": 1, "inputs": 1.0}]}, "inputs"),
        ({"hours": [{"from": "1:00", "input": 1.0}]}, "to"),
        ({"batch": 0.5}, "batch"),
        ({"input": None}, "input"),
        ({"batch": {"image": {"*": None}}}, "image"),
        ({"input": {"*": 1.0}}, "input"),
        ({"image": {"*": "dear"}}, "image"),
    ],
)
def test_what_is_not_of_the_vocabulary_is_named(prices, names):
    """Where prices are made, and in the check that plugins are held to."""
    assert names in problem(prices)
    with pytest.raises(BadRequestError, match=names):
        Rates(prices)
