"""What a cache costs: what it took in, and the time that it is kept; no budget is overspent by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from .google import BEGAN, FIRST, Google
from .services import listening
from .waiting import until

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_gemini")

MASTER = "sk-master-1234"
ADMIN = {"authorization": f"Bearer {MASTER}"}
#: USD a million tokens that are read, and a million kept for an hour. A cache of the vendor's has 1000 tokens.
PRICES = {"input": 1.0, "output": 2.0, "cache_storage": 4.5}
READ = 1_000_000  # nano-dollars
HOUR = 4_500_000


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """The vendor."""
    with listening(Google()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(google: Google, start: Callable[..., Any]) -> Any:
    """A gateway in front of one account: models with prices, and without one of storage."""
    params = {"model": "gemini/gemini-2.5-pro", "api_key": FIRST, "api_base": google.address}
    models = [
        {"model_name": "gem", "litellm_params": {**params, "prices": PRICES}},
        {"model_name": "no-storage", "litellm_params": {
            **params, "model": "gemini/gemini-2.5-flash", "prices": {"input": 1.0, "output": 2.0}}},
    ]  # fmt: skip
    general = {"master_key": MASTER}
    return start({"model_list": models, "general_settings": general, "router_settings": {"num_retries": 0}})


def asking(gateway: Any, **fields: Any) -> tuple[Any, Callable[[int], list[dict[str, Any]]]]:
    """Return the SDK with a key of its own, and what returns the ledger's rows of it, once there are so many."""
    made = httpx.post(f"{gateway.url}/key/generate", json=fields, headers=ADMIN, timeout=60).json()
    client = genai.Client(api_key=made["key"], http_options={"base_url": gateway.url})

    def rows(count: int) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            told = httpx.get(f"{gateway.url}/spend/logs", params={"key": made["key_id"]}, headers=ADMIN, timeout=60)
            listed = sorted(told.json()["results"], key=lambda row: row["at"])
            return listed if len(listed) >= count else []

        listed: list[dict[str, Any]] = until(found, "the rows are in the ledger")
        return listed

    return client, rows


def nano(row: dict[str, Any]) -> int:
    """Return what a row says was spent."""
    return round(row["spend"] * 1e9)


def after(hours: float) -> str:
    """Return an instant so long after a cache's beginning."""
    return (BEGAN + timedelta(hours=hours)).isoformat()


def test_storage_is_paid_for_the_time_that_is_asked_for(google: Google, gateway: Any) -> None:
    """When the cache is made, and again when it is to be there for longer; not when it is to be there for less."""
    client, rows = asking(gateway)
    made = client.caches.create(model="gem", config={"contents": "Long ago", "ttl": "7200s"})
    client.caches.update(name=made.name, config={"ttl": "10800s"})
    client.caches.update(name=made.name, config={"ttl": "60s"})
    client.caches.delete(name=made.name)
    found = rows(4)
    assert [(row["operation"], nano(row), row["estimated"]) for row in found] == [
        ("caches.create", READ + 2 * HOUR, True), ("caches.update", HOUR, True), ("caches.update", 0, False),
        ("caches.delete", 0, False),
    ]  # fmt: skip
    assert (found[0]["prompt"], found[1]["prompt"]) == (1000, 0)


def test_without_a_price_of_storage_it_counts_nothing(gateway: Any) -> None:
    """What was read is known all the same."""
    client, rows = asking(gateway)
    made = client.caches.create(model="no-storage", config={"contents": "Long ago", "ttl": "7200s"})
    client.caches.update(name=made.name, config={"ttl": "10800s"})
    assert [(nano(row), row["estimated"]) for row in rows(2)] == [(READ, False), (0, False)]


def test_a_cache_that_no_budget_has_room_for_is_not_kept(google: Google, gateway: Any) -> None:
    """It is deleted again at the vendor; what it took in is paid, as the vendor bills that. Nor is one lengthened."""
    client, rows = asking(gateway, max_budget=0.02)
    before = {*google.kept[FIRST]}
    with pytest.raises(genai.errors.ClientError) as error:
        client.caches.create(model="gem", config={"contents": "Long ago", "ttl": "36000s"})
    assert (error.value.code, "budget" in str(error.value).lower()) == (400, True)
    assert {*google.kept[FIRST]} == before
    made = client.caches.create(model="gem", config={"contents": "Long ago", "ttl": "7200s"})
    with pytest.raises(genai.errors.ClientError) as error:
        client.caches.update(name=made.name, config={"expire_time": after(5)})
    assert (error.value.code, "budget" in str(error.value).lower()) == (400, True)
    assert google.kept[FIRST][made.name]["expireTime"].startswith("2100-01-01T02:00")
    client.caches.update(name=made.name, config={"expire_time": after(3.5)})
    found = rows(4)
    assert [nano(row) for row in found] == [READ, READ + 2 * HOUR, 0, HOUR * 3 // 2]
    assert sum(map(nano, found)) <= 20_000_000
    client.caches.delete(name=made.name)


@settings(deadline=None, max_examples=25)
@given(first=st.integers(1, 200_000), more=st.lists(st.integers(1, 200_000), max_size=4))
def test_what_was_paid_is_all_the_time_that_was_added(gateway: Any, first: int, more: list[int]) -> None:
    """Whatever is asked for, in whatever order: never less than the longest time."""
    client, rows = asking(gateway)
    made = client.caches.create(model="gem", config={"contents": "x", "ttl": f"{first}s"})
    for seconds in more:
        client.caches.update(name=made.name, config={"ttl": f"{seconds}s"})
    added = [first, *(max(0, after - before) for before, after in zip([first, *more], more, strict=False))]
    found = [nano(row) for row in rows(1 + len(more))]
    wanted = [READ * (not place) + seconds * HOUR / 3600 for place, seconds in enumerate(added)]
    assert all(abs(one - other) <= 1 for one, other in zip(found, wanted, strict=True))
    assert sum(found) >= READ + max(first, *more, 0) * HOUR / 3600 - len(found)
