"""How budgets stand: of whom, in which window, and who may see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from polyport.errors import BadRequestError
from polyport_gateway import management as manage, spending, standing, terms
from polyport_gateway.identity import MASTER, Principal
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.limits import Limit, period
from polyport_gateway.lines import Entry
from polyport_gateway.store import Store

from .services import postgres

pytestmark = pytest.mark.usefixtures("amid_an_hour")

USD = 1_000_000_000
DAY = 86_400


def run(folder: Path, test: Callable[[Store, Ledger], Awaitable[None]], url: str = "") -> None:
    """Run a test on an empty store and its ledger."""

    async def main() -> None:
        store = Store(url or f"sqlite:///{folder / 'gateway.db'}")
        await store.migrate()
        ledger = Ledger(store, Journal(folder / "journal"))
        await test(store, ledger)
        await ledger.aclose()
        await store.aclose()

    asyncio.run(main())


async def spend(ledger: Ledger, *entries: dict[str, Any]) -> None:
    """Put entries of so many USD into the ledger."""
    for place, one in enumerate(entries):
        usd = one.pop("usd")
        ledger.record(Entry(id=f"{time.monotonic_ns()}-{place}", nano=round(usd * USD), **one))
    await ledger.drain()


def by_id(told: dict[str, Any]) -> dict[tuple[str, str | None], Any]:
    """Return budgets by whose they are and their model."""
    return {(one["id"], one["model"]): one for one in told["results"]}


def test_a_shared_budgets_window_is_whoever_goes_by_it_s(tmp_path: Path) -> None:
    """When it begins anew is told, wherever somebody is shown; one's own window goes before it."""

    async def test(store: Store, ledger: Ledger) -> None:
        await manage.create(store, MASTER, "budget", {"budget_id": "daily", "max_budget": 5, "budget_duration": "1d"})
        made = await manage.generate_key(store, MASTER, {"budget_id": "daily"})
        midnight = (time.time() // DAY + 1) * DAY
        info = await manage.info(store, MASTER, "key", {"key_id": made["key_id"]})
        listed = (await manage.list_all(store, MASTER, "key", {}))["keys"]
        updated = await manage.update(store, MASTER, "key", {"key_id": made["key_id"], "key_alias": "a"})
        for one in (made, info, *listed, updated):
            assert one["budget_reset_at"] in (midnight, midnight + DAY)
        own = await manage.update(store, MASTER, "key", {"key_id": made["key_id"], "budget_duration": "1h"})
        assert own["budget_reset_at"] <= time.time() + 3600

    run(tmp_path, test)


@pytest.mark.parametrize("length", ["36h", "7h", "25h"])
def test_budgets_of_providers_deployments_and_tags_are_counted_in_their_windows(tmp_path: Path, length: str) -> None:
    """Of everybody's requests, a day that is over from its roll-up, this one's beginning request by request."""
    bot = {"max_budget": 9, "budget_duration": length}
    given = terms.read({"tag_budgets": {"bot": bot, "day": {"max_budget": 9}}})
    purses = [
        Limit(about=(("provider", "openai"),), budget=8 * USD, duration=length),
        Limit(about=(("deployment", "east"),), budget=7 * USD),
    ]
    windows: list[Any] = []

    async def test(store: Store, ledger: Ledger) -> None:
        begun, ends = window = period(length, time.time())
        assert begun is not None
        assert ends is not None
        in_it = {"at": begun + 1, "provider": "openai", "deployment": "east", "tags": ["bot", "day"]}
        before = {**in_it, "at": begun - 1}
        await spend(ledger, {**in_it, "usd": 1}, {**before, "usd": 2}, {**in_it, "at": ends - 1, "usd": 4})
        await spend(ledger, {"at": begun + 1, "provider": "groq", "deployment": "west", "tags": ["day"], "usd": 8})
        told = (await standing.usage(store, MASTER, {}, terms=given, purses=purses))["results"]
        windows.append(period(length, time.time()) == window)
        found = {(one["kind"], one["id"]): (one["spend"], one["began_at"], one["resets_at"]) for one in told}
        assert not windows[-1] or found == {
            ("provider", "openai"): (5, begun, ends), ("deployment", "east"): (7, None, None),
            ("tag", "bot"): (5, begun, ends), ("tag", "day"): (15, None, None),
        }  # fmt: skip
        for kind, name, names in (("tag", None, {"bot", "day"}), ("tag", "bot", {"bot"}), (None, "east", {"east"})):
            body = {"kind": kind, "id": name}
            some = (await standing.usage(store, MASTER, body, terms=given, purses=purses))["results"]
            assert {one["id"] for one in some} == names
        member = Principal(id="m", role="member", team_id="t")
        assert (await standing.usage(store, member, {}, terms=given, purses=purses))["results"] == []

    while not any(windows):  # the window begins anew once in some hours: then it is looked at again
        folder = tmp_path / str(len(windows))
        folder.mkdir()
        run(folder, test)


def test_the_whole_gateway_has_a_budget_too(tmp_path: Path) -> None:
    """What everybody spent, in its window, and of one model; for who sees everybody."""
    limits = {"max_budget": 50, "budget_duration": "1d", "rpm_limit": 9, "model_max_budget": {"gpt": 5}}
    given = terms.read({"global_limits": limits})

    async def test(store: Store, ledger: Ledger) -> None:
        await manage.create(store, MASTER, "team", {"team_id": "t", "max_budget": 10})
        now = time.time()
        await spend(
            ledger,
            {"team_id": "t", "at": now, "usd": 1.5, "model": "gpt"},
            {"at": now, "usd": 2, "model": "other"},
            {"at": now - 2 * DAY, "usd": 4, "model": "gpt"},
        )
        told = await standing.usage(store, MASTER, {}, terms=given)
        found = {(one["kind"], one["id"], one["model"]): (one["spend"], one["max_budget"]) for one in told["results"]}
        assert found == {
            ("gateway", "", None): (3.5, 50), ("gateway", "", "gpt"): (5.5, 5), ("team", "t", None): (1.5, 10),
        }  # fmt: skip
        assert told["gateway"] == limits
        of_kind = await standing.usage(store, MASTER, {"kind": "gateway"}, terms=given)
        assert {one["kind"] for one in of_kind["results"]} == {"gateway"}
        member = Principal(id="m", role="member", team_id="t")
        theirs = await standing.usage(store, member, {}, terms=given)
        assert ("gateway" in {one["kind"] for one in theirs["results"]}, theirs["gateway"]) == (False, {})
        assert (await standing.usage(store, MASTER, {"id": "t"}, terms=given))["gateway"] == {}
        assert (await standing.usage(store, MASTER, {"kind": "gateway"}))["results"] == []

    run(tmp_path, test)


def test_each_budget_counts_in_its_own_window(tmp_path: Path) -> None:
    """For ever, an hour that is not over, one model alone, a shared one; what has none is not there."""

    async def test(store: Store, ledger: Ledger) -> None:
        await manage.create(store, MASTER, "budget", {"budget_id": "trial", "max_budget": 5, "budget_duration": "1d"})
        await manage.create(store, MASTER, "team", {"team_id": "ever", "max_budget": 100, "soft_budget": 50})
        await manage.create(store, MASTER, "team", {"team_id": "hour", "max_budget": 1, "budget_duration": "1h"})
        await manage.create(store, MASTER, "team", {"team_id": "shared", "budget_id": "trial"})
        single = {"gpt": {"max_budget": 3, "budget_duration": "1mo"}, "other": {"rpm_limit": 1}}
        await manage.create(store, MASTER, "team", {"team_id": "single", "model_limits": single})
        await manage.create(store, MASTER, "team", {"team_id": "none", "rpm_limit": 5})
        now = time.time()
        await spend(
            ledger,
            {"team_id": "ever", "at": now - 400 * DAY, "usd": 7},
            {"team_id": "ever", "at": now, "usd": 1.5},
            {"team_id": "hour", "at": now - 2 * 3600, "usd": 9},
            {"team_id": "hour", "at": now, "usd": 0.25},
            {"team_id": "shared", "at": now, "usd": 6},
            {"team_id": "shared", "at": now - 2 * DAY, "usd": 1},
            {"team_id": "single", "at": now, "usd": 2, "model": "gpt"},
            {"team_id": "single", "at": now, "usd": 8, "model": "other"},
        )
        found = by_id(await standing.usage(store, MASTER, {}))
        assert {mark: one["spend"] for mark, one in found.items()} == {
            ("ever", None): 8.5, ("hour", None): 0.25, ("shared", None): 6.0, ("single", "gpt"): 2.0,
        }  # fmt: skip
        assert (found["ever", None]["resets_at"], found["ever", None]["soft_budget"]) == (None, 50)
        hour = found["hour", None]
        assert hour["began_at"] <= now < hour["resets_at"] == hour["began_at"] + 3600
        assert (found["shared", None]["budget_id"], found["shared", None]["max_budget"]) == ("trial", 5)

    run(tmp_path, test)


def test_members_of_a_team_have_budgets_of_their_own(tmp_path: Path) -> None:
    """What a team lets each of its members spend, counted in that team alone."""

    async def test(store: Store, ledger: Ledger) -> None:
        for name in ("ann", "bob"):
            await manage.create(store, MASTER, "user", {"user_id": name})
        body = {"team_id": "red", "members": {"ann": "admin", "bob": "member"}, "team_member_budget": 4,
                "team_member_budget_duration": "1d"}  # fmt: skip
        await manage.create(store, MASTER, "team", body)
        now = time.time()
        await spend(
            ledger,
            {"team_id": "red", "user_id": "ann", "at": now, "usd": 3},
            {"team_id": "blue", "user_id": "ann", "at": now, "usd": 50},
            {"team_id": "red", "user_id": "bob", "at": now, "usd": 1},
        )
        told = (await standing.usage(store, MASTER, {"kind": "team", "id": "red"}))["results"]
        assert {one["user_id"]: (one["spend"], one["max_budget"]) for one in told} == {"ann": (3, 4), "bob": (1, 4)}

    run(tmp_path, test)


def test_budgets_are_seen_by_those_whom_they_concern(tmp_path: Path) -> None:
    """A key sees its own, whoever leads a team the team's; one can be asked for alone."""

    async def test(store: Store, ledger: Ledger) -> None:
        for name in ("red", "blue"):
            await manage.create(store, MASTER, "team", {"team_id": name, "max_budget": 1})
        keys = [await manage.generate_key(store, MASTER, {"max_budget": n, "team_id": "red"}) for n in (1, 2)]
        plain = Principal(id="key", key_id=keys[0]["key_id"], team_id="red")
        told = await standing.usage(store, plain, {})
        assert {(one["kind"], one["id"]) for one in told["results"]} == {("key", keys[0]["key_id"]), ("team", "red")}
        lead = Principal(id="lead", role="team_admin", user_id="ann", teams_led=frozenset({"blue"}))
        assert [one["id"] for one in (await standing.usage(store, lead, {}))["results"]] == ["blue"]
        single = await standing.usage(store, MASTER, {"kind": "key", "id": keys[1]["key_id"]})
        assert [one["max_budget"] for one in single["results"]] == [2]
        for wrong in ({"kind": "budget"}, {"whose": "red"}):
            with pytest.raises(BadRequestError):
                await standing.usage(store, MASTER, wrong)

    run(tmp_path, test)


def test_a_span_is_summed_up_whole(tmp_path: Path) -> None:
    """`step=all` gives one row, or one a group, with the latencies of the whole span; nothing for an empty one."""

    async def test(store: Store, ledger: Ledger) -> None:
        now = time.time()
        assert (await spending.series(store, MASTER, {"step": "all"}))["results"] == []
        old = {"team_id": "red", "at": now - 40 * DAY, "usd": 9}
        await spend(ledger, old, *({"team_id": team, "at": now - n * 3600, "usd": 1, "seconds": 2.0}
                                   for n in range(3) for team in ("red", "blue")))  # fmt: skip
        asked = {"step": "all", "start": now - 10 * DAY}
        (one,) = (await spending.series(store, MASTER, asked))["results"]
        assert (one["requests"], one["cost"]) == (6, 6.0)
        assert "at" not in one
        assert 1.2 < one["p50"] < 3.2
        groups = (await spending.series(store, MASTER, {**asked, "group_by": "team"}))["results"]
        assert {row["team"]: row["cost"] for row in groups} == {"red": 3.0, "blue": 3.0}

    run(tmp_path, test)


def test_postgresql_says_the_same(tmp_path: Path) -> None:
    """Of a model alone in its hour, of members, and of a whole span."""

    async def test(store: Store, ledger: Ledger) -> None:
        await manage.create(store, MASTER, "user", {"user_id": "ann"})
        body = {"team_id": "red", "members": {"ann": "admin"}, "team_member_budget": 4,
                "model_limits": {"gpt": {"max_budget": 3, "budget_duration": "1h"}}}  # fmt: skip
        await manage.create(store, MASTER, "team", body)
        await manage.create(store, MASTER, "team", {"team_id": "none", "rpm_limit": 5})
        now = time.time()
        await spend(
            ledger,
            {"team_id": "red", "user_id": "ann", "at": now, "usd": 2, "model": "gpt", "seconds": 1.0},
            {"team_id": "red", "user_id": "ann", "at": now - 7200, "usd": 1, "model": "gpt", "seconds": 1.0},
        )
        told = (await standing.usage(store, MASTER, {}))["results"]
        assert {(one["user_id"], one["model"]): one["spend"] for one in told} == {("ann", None): 3, (None, "gpt"): 2}
        asked = {"step": "all", "start": now - DAY, "group_by": ["team"]}
        (one,) = (await spending.series(store, MASTER, asked))["results"]
        assert (one["team"], one["requests"], one["cost"]) == ("red", 2, 3.0)

    with postgres() as server:
        run(tmp_path, test, server.url)
