"""What a request may use, before it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from polyport.prices import Rates
from polyport_gateway import estimate

PLAIN = Rates({"input": 2.5, "output": 10.0, "web_search": 0.01})
TIERED = Rates({"input": 1.0, "output": 2.0, "tiers": [{"above": 100, "input": 3.0, "output": 4.0}]})
URGENT = Rates({"input": 2.0, "output": 4.0, "priority": {"input": 4.0, "output": 8.0}})
PICTURES = Rates({"image": {"1024x1024": 0.04, "hd/1024x1024": 0.08}})


def test_a_prompt_is_counted_by_its_letters_and_an_answer_by_its_limit() -> None:
    """Four ASCII letters are a token, other scripts count more, what is attached counts as a picture does."""
    said = [{"role": "user", "content": "x" * 400}]
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 10**6}}]}]
    assert estimate.tokens("completion", {"messages": said, "max_tokens": 7}) == (105, 7)
    assert estimate.tokens("completion", {"messages": said, "max_tokens": 7, "n": 3}) == (105, 21)
    assert estimate.tokens("embedding", {"input": "日本語" * 10}) == (20, 0)
    assert 1000 < estimate.tokens("completion", {"messages": picture})[0] < 1100


@pytest.mark.parametrize(
    ("prices", "fields", "nano"),
    [
        ([PLAIN], {}, 100 * 2500 + 10 * 10_000),
        ([PLAIN, URGENT], {}, 100 * 2500 + 10 * 10_000),
        ([URGENT], {"service_tier": "priority"}, 100 * 4000 + 10 * 8000),
        ([URGENT], {"service_tier": "auto"}, 100 * 2000 + 10 * 4000),
        ([TIERED], {}, 100 * 1000 + 10 * 2000),
        ([PICTURES], {"n": 2, "size": "1024x1024", "quality": "hd"}, 160_000_000),
        ([], {}, None),
    ],
)
def test_the_dearest_that_may_answer_is_set_aside(
    prices: list[Rates], fields: dict[str, Any], nano: int | None
) -> None:
    """Prices by token, by service tier, by length and by picture; of several deployments the dearest."""
    assert estimate.nano(100, 10, fields, prices) == nano


def test_a_long_prompt_is_set_aside_at_its_price() -> None:
    """Where longer prompts are dearer, a longer one is set aside at that."""
    assert estimate.nano(101, 0, {}, [TIERED]) == 101 * 3000
