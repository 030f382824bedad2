"""Budgets of providers, deployments and tags: what is spent is left out, here and in other replicas, on every way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from polyport_gateway import config
from polyport_gateway.config import ConfigError
from polyport_gateway.keeper import Keeper
from polyport_gateway.lines import Entry
from polyport_gateway.rollups import DAY
from polyport_gateway.store import Store

from .conftest import AUTHORIZED, KEY, USAGE, Gateway, Upstream
from .services import redis
from .waiting import until

pytestmark = pytest.mark.usefixtures("amid_an_hour")

pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_groq")

#: What one call costs in USD: three tokens of answer.
PRICE = 0.004
COST = USAGE["completion_tokens"] * PRICE
#: Until 2070: no window begins anew within a test.
LONG = "600mo"
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 3}
PRICES = {"input_cost_per_token": 0.0, "output_cost_per_token": PRICE, "api_key": "sk-upstream-secret"}


def entry(upstream: Upstream, model: str, id: str, name: str = "gpt", **params: Any) -> dict[str, Any]:
    """A deployment."""
    own = {"model": model, "api_base": upstream.url, **PRICES, **params}
    return {"model_name": name, "litellm_params": own, "model_info": {"id": id}}


def client(begun: Gateway) -> httpx.Client:
    """The master's way to a gateway."""
    return httpx.Client(base_url=begun.url, headers=AUTHORIZED, timeout=60)


def asked(one: httpx.Client, many: int, tags: str = "", **fields: Any) -> list[httpx.Response]:
    """Ask so many times, one after another."""
    headers = {"x-polyport-tags": tags} if tags else {}
    return [one.post("/v1/chat/completions", json={**HELLO, **fields}, headers=headers) for _ in range(many)]


def where(replies: list[httpx.Response]) -> Counter[str]:
    """Which deployments answered."""
    return Counter(reply.headers.get("x-polyport-deployment", str(reply.status_code)) for reply in replies)


def test_a_provider_whose_budget_is_spent_is_left_out(
    start: Callable[..., Gateway], well: Upstream, tmp_path: Path
) -> None:
    """Others go on; where there is none, the error says why; another process goes on counting; files of it, too."""
    given = {
        "model_list": [
            entry(well, "openai/gpt-4o", "dear"),
            entry(well, "groq/llama", "spare", order=1),
            entry(well, "openai/gpt-4o", "lone", "only"),
            entry(well, "openai/gpt-4o", "falls", "falling"),
            entry(well, "groq/llama", "spare-2", "caught"),
        ],
        "router_settings": {
            "num_retries": 2, "fallbacks": [{"falling": ["caught"]}],
            "provider_budget_config": {"openai": {"budget_limit": 2.5 * COST, "time_period": "1mo"}},
        },
        "general_settings": {"master_key": KEY, "data_dir": str(tmp_path / "data"),
                             "passthrough": {"providers": ["openai"]}},
    }  # fmt: skip
    first = start(given)
    with client(first) as one:
        assert where(asked(one, 4)) == {"dear": 2, "spare": 2}
        refused = asked(one, 1, model="only")[0]
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
        assert "the budget of provider openai, $0.03 in 1mo, is spent" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) > 0
        assert where(asked(one, 1, model="falling")) == {"spare-2": 1}
        raw = one.post("/passthrough/openai/v1/chat/completions", json={**HELLO, "model": "gpt-4o"})
        assert (raw.status_code, raw.json()["error"]["code"]) == (429, "budget_exceeded")
        assert len(well.asked) == 5
        until(lambda: len(one.get("/spend/logs", params={"status": "200"}).json()["results"]) == 5, "all are kept")
    first.stop()
    with client(start(given)) as one:
        assert asked(one, 1, model="only")[0].status_code == 429


def test_a_deployment_has_a_budget_of_its_own(start: Callable[..., Gateway], well: Upstream) -> None:
    """Streams count, too, and what failed costs nothing; a reload with a larger one lets it answer again."""
    budget = {"max_budget": 2.5 * COST, "budget_duration": "1mo"}
    models = [entry(well, "openai/gpt-4o", "east", **budget)]
    path = {"model_list": models, "router_settings": {"num_retries": 0}, "general_settings": {"master_key": KEY}}
    with client(start(path)) as one:
        well.failing = (500, {}, {"error": {"message": "no"}})
        assert {reply.status_code for reply in asked(one, 3)} == {500}
        well.failing = None
        streamed = one.post("/v1/chat/completions", json={**HELLO, "stream": True})
        assert "[DONE]" in streamed.text
        assert [reply.status_code for reply in asked(one, 2)] == [200, 429]
        told = asked(one, 1)[0].json()["error"]["message"]
        assert "east" in told
        assert "the budget of deployment east" in told
        many = one.post("/v1/chat/completions", json={**HELLO, "max_tokens": 0})
        assert many.status_code == 200  # it asks for no token, and so may cost nothing


def test_no_more_is_spent_at_once_than_there_is(start: Callable[..., Gateway], well: Upstream) -> None:
    """By many callers at a time: what is on its way is set aside."""
    models = [entry(well, "openai/gpt-4o", "east", max_budget=5.5 * COST)]
    begun = start({"model_list": models, "general_settings": {"master_key": KEY}})
    well.slow = 0.2

    async def main() -> Counter[int]:
        async with httpx.AsyncClient(base_url=begun.url, headers=AUTHORIZED, timeout=60) as one:
            replies = await asyncio.gather(*(one.post("/v1/chat/completions", json=HELLO) for _ in range(20)))
            return Counter(reply.status_code for reply in replies)

    assert asyncio.run(main()) == {200: 5, 429: 15}


def test_replicas_share_a_providers_budget(start: Callable[..., Gateway], well: Upstream, tmp_path: Path) -> None:
    """Through Redis: what one has spent, the other has not."""
    pytest.importorskip("redis", reason="pip install polyport-gateway[redis]")
    (tmp_path / "redis").mkdir()
    with redis(tmp_path / "redis") as memory:
        given = {
            "model_list": [entry(well, "openai/gpt-4o", "east")],
            "router_settings": {"provider_budget_config": {"openai": {"budget_limit": 3.5 * COST}}},
            "general_settings": {"master_key": KEY, "redis_url": memory.url},
        }
        pair = [start(given), start(given)]
        told = []
        for place in range(6):
            with client(pair[place % 2]) as one:
                told += [reply.status_code for reply in asked(one, 1)]
        assert told == [200, 200, 200, 429, 429, 429]
        for one_of in pair:
            one_of.stop()


def test_budgets_hold_without_accounts_too(start: Callable[..., Gateway], well: Upstream) -> None:
    """As far as this process knows."""
    given = {
        "model_list": [entry(well, "openai/gpt-4o", "east")],
        "router_settings": {"provider_budget_config": {"openai": {"max_budget": 1.5 * COST}}},
    }
    with httpx.Client(base_url=start(given).url, timeout=60) as one:
        assert [reply.status_code for reply in asked(one, 2)] == [200, 429]


def test_calls_with_a_tag_have_a_budget_together(start: Callable[..., Gateway], well: Upstream) -> None:
    """Whoever makes them; others go on."""
    given = {
        "model_list": [entry(well, "openai/gpt-4o", "east")],
        "litellm_settings": {
            "tag_budget_config": {"product:bot": {"max_budget": 1.5 * COST, "budget_duration": "1mo"}}
        },
        "general_settings": {"master_key": KEY},
    }
    with client(start(given)) as one:
        key = one.post("/key/generate", json={"tags": ["product:bot"]}).json()["key"]
        tagged = {"metadata": {"tags": ["x", "product:bot"]}}
        assert [reply.status_code for reply in asked(one, 2, **tagged)] == [200, 400]
        assert asked(one, 1)[0].status_code == 200
        theirs = one.post("/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {key}"})
        assert (theirs.status_code, theirs.json()["error"]["code"]) == (400, "budget_exceeded")
        assert "The budget of the tag product:bot" in theirs.json()["error"]["message"]


MODELS = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"router_settings": {"provider_budget_config": {"opnai": {"budget_limit": 1}}}}, "did you mean 'openai'?"),
        ({"router_settings": {"provider_budget_config": {"openai": {"buget_limit": 1}}}},
         "did you mean 'budget_limit'?"),
        ({"router_settings": {"provider_budget_config": {"openai": {"time_period": "1d"}}}}, "needs an amount of USD"),
        ({"router_settings": {"provider_budget_config": {"openai": {"budget_limit": 1, "time_period": "1 day"}}}},
         "is no budget_duration"),
        ({"router_settings": {"provider_budget_config": [1]}}, "must be {provider:"),
        ({"model_list": [{"model_name": "a", "params": {"model": "openai/x", "max_budget": "1"}}]},
         "$.model_list[0].params needs an amount"),
        ({"litellm_settings": {"tag_budget_config": {"t": {"max": 1}}}}, "tag_budgets.t has 'max'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_budget_is_named(given: dict[str, Any], says: str) -> None:
    """Its place, and the nearest right key."""
    with pytest.raises(ConfigError) as error:
        config.read({"model_list": MODELS, **given})
    assert says in error.value.message


def test_a_budget_that_nothing_goes_by_is_named() -> None:
    """As the documentation's example has several providers, and a file models of one."""
    budgets = {"openai": {"budget_limit": 1}, "some_cloud": {"budget_limit": 1, "time_period": "2mo"}}
    found = config.read({"model_list": MODELS, "router_settings": {"provider_budget_config": budgets}})
    assert [one.account for one in found.budgets.values()] == ["provider:openai", "provider:some_cloud"]
    assert "$.router_settings.provider_budget_config.some_cloud holds for nothing" in found.notes[0]


def test_what_was_spent_before_is_asked_of_the_ledger(tmp_path: Path) -> None:
    """Of a provider, a deployment and a tag; whole days from the days, what is younger from single requests."""
    today = time.time() // DAY * DAY
    entries = [
        Entry(id="1", at=today - DAY, provider="openai", deployment="east", tags=["a", "b"], nano=1),
        Entry(id="2", at=today + 1, provider="openai", deployment="west", tags=["a"], nano=10),
        Entry(id="3", at=today + 2, provider="groq", deployment="spare", nano=100),
    ]

    async def main() -> None:
        keeper = Keeper(Store(f"sqlite:///{tmp_path / 'gateway.db'}"), tmp_path / "journal", master_key=KEY)
        await keeper.start()
        for one in entries:
            keeper.ledger.record(one)
        for about, since, wanted in (
            ({"provider": "openai"}, None, 11),
            ({"provider": "openai"}, today, 10),
            ({"provider": "openai"}, today - DAY - 1, 11),
            ({"deployment": "east"}, None, 1),
            ({"deployment": "spare"}, today + 2, 100),
            ({"tag": "a"}, None, 11),
            ({"tag": "a"}, today, 10),
            ({"tag": "a"}, today + 1, 10),
            ({"tag": "b"}, today + 1, 0),
            ({"tag": "c"}, None, 0),
        ):
            assert await keeper.ledger.spent(about, since) == wanted, (about, since)
        await keeper.aclose()

    asyncio.run(main())


def test_what_is_told_of_budgets_is_what_reports_say(start: Callable[..., Gateway], well: Upstream) -> None:
    """Of providers, deployments and tags, whole, streamed, raw and after a fallback; for who sees everybody."""
    given = {
        "model_list": [
            entry(well, "openai/gpt-4o", "east", max_budget=90 * COST, budget_duration=LONG),
            entry(well, "groq/llama", "west", "other", max_budget=80 * COST),
            {**entry(well, "openai/gpt-4o", "broken", "falling"), "litellm_params": {
                "model": "openai/gpt-4o", **PRICES, "api_base": "http://127.0.0.1:1/v1", "max_budget": 70 * COST}},
        ],
        "router_settings": {
            "num_retries": 0, "fallbacks": [{"falling": ["other"]}],
            "provider_budget_config": {"openai": {"budget_limit": 60 * COST, "time_period": LONG}},
        },
        "general_settings": {
            "master_key": KEY, "passthrough": {"providers": ["openai"]},
            "tag_budgets": {
                "bot": {"max_budget": 50 * COST, "budget_duration": LONG}, "none": {"max_budget": 40 * COST},
            },
        },
    }  # fmt: skip
    with client(start(given)) as one:
        replies = [
            *asked(one, 2, tags="bot, night"),
            *asked(one, 1, model="other", tags="bot"),
            *asked(one, 1, model="falling"),
            *asked(one, 1, stream=True, stream_options={"include_usage": True}),
            one.post("/passthrough/openai/v1/chat/completions", json={**HELLO, "model": "gpt-4o"}),
        ]
        assert [reply.status_code for reply in replies] == [200] * 6
        assert where(replies[3:4]) == {"west": 1}

        def spent(by: str) -> dict[str, float]:
            rows = one.get("/spend/report", params={"group_by": by}).json()["results"]
            return {row[by]: row["spend"] for row in rows if row["spend"]}

        until(lambda: sum(spent("provider").values()) >= 5.5 * COST, "all are in the ledger")
        raw = sum(spent("provider").values()) - 5 * COST  # a price of its own: it goes to no deployment of the list
        told = {(row["kind"], row["id"]): row for row in one.get("/budget/usage").json()["results"]}
        assert {name: round(row["max_budget"] / COST) for name, row in told.items()} == {
            ("provider", "openai"): 60, ("deployment", "east"): 90, ("deployment", "west"): 80,
            ("deployment", "broken"): 70, ("tag", "bot"): 50, ("tag", "none"): 40,
        }  # fmt: skip
        assert spent("provider") == pytest.approx({"openai": 3 * COST + raw, "groq": 2 * COST})
        for kind in ("provider", "deployment", "tag"):
            reported = spent(kind)
            for (whose, name), row in told.items():
                assert whose != kind or row["spend"] == pytest.approx(reported.get(name, 0.0)), (whose, name)
        assert told["deployment", "broken"]["spend"] == told["tag", "none"]["spend"] == 0
        ends = {name: row["resets_at"] for name, row in told.items()}
        assert ends["deployment", "west"] is None
        for name in (("provider", "openai"), ("deployment", "east"), ("tag", "bot")):
            assert told[name]["began_at"] <= time.time()
            assert ends[name] > told[name]["began_at"]
        only = one.get("/budget/usage", params={"kind": "deployment", "id": "east"}).json()["results"]
        assert [row["id"] for row in only] == ["east"]
        for role, sees in (("viewer", True), ("member", False)):
            key = one.post("/key/generate", json={"role": role}).json()["key"]
            theirs = one.get("/budget/usage", headers={"authorization": f"Bearer {key}"}).json()["results"]
            assert ("provider" in {row["kind"] for row in theirs}) is sees
