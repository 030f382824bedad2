"""What `models.json` says of OpenAI's models."""

from __future__ import annotations

import re

import pytest

from polyport import catalog, model_info

UNITS = {
    *("input", "cached_input", "cache_write", "output", "audio_input", "audio_output"),
    *("image_input", "cached_image_input", "image_output", "character", "minute", "web_search", "file_search"),
}
MODELS = catalog.of_provider("openai")


@pytest.mark.parametrize("name", MODELS)
def test_entry_is_sound(name):
    """Modes are operations', prices are positive in known units and dearer above a limit, dates are dates."""
    info = MODELS[name]
    assert info.mode is None or info.mode in catalog.MODES
    prices = dict(info.prices or {})
    for tier in prices.pop("tiers", []):
        assert all(tier[unit] > prices[unit] for unit in tier if unit != "above")
    cheaper = {"batch": True, "flex": True, "priority": False}
    for tier, less in cheaper.items():
        for unit, price in prices.pop(tier, {}).items():
            if unit == "tiers":
                assert all(row["above"] > 0 and row.keys() - {"above"} <= UNITS for row in price)
            elif unit != "cached_input":
                assert (price < prices[unit]) is less, (tier, unit)
    assert prices.keys() <= UNITS
    assert all(price > 0 for price in prices.values())
    assert prices.get("cached_input", 0) <= prices.get("input", 1)
    assert info.source.startswith("https://")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in (info.read, info.deprecated) if date)


def test_prices_are_those_of_the_page():
    """A few that were read twice."""
    assert MODELS["gpt-4o-mini"].prices["input"] == 0.15
    assert MODELS["gpt-5"].prices["cached_input"] == 0.125
    assert MODELS["whisper-1"].prices == {"minute": 0.006}
    assert MODELS["text-embedding-3-large"].dimensions == 3072


def test_dated_names_are_known():
    """A snapshot is its model; a name of its own is its own."""
    assert model_info("gpt-4o-mini-2024-07-18").prices == MODELS["gpt-4o-mini"].prices
    assert model_info("openai/gpt-4o-2024-05-13").prices["input"] == 5.0
    assert model_info("sora/sora-2").mode == "video_generation"
