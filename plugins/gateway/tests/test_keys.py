"""Virtual keys: made once, kept as digests, refused by every process within a second of a change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from polyport.errors import BadRequestError, ConflictError, NotFoundError, PermissionDeniedError
from polyport_gateway import management as manage, spending
from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER, Identity, Names, allows_address, allows_route, digest
from polyport_gateway.limits import Limit
from polyport_gateway.store import Store

from .waiting import until_refused

Test = Callable[[Store, Identity], Awaitable[None]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where a database is."""
    return tmp_path / "gateway.db"


def run(database: Path, test: Test) -> None:
    """Run a test on a store with its tables."""

    async def main() -> None:
        store = Store(f"sqlite:///{database}")
        await store.migrate()
        await test(store, Identity(store, master_key="sk-master"))
        await store.aclose()

    asyncio.run(main())


async def refused(identity: Identity, token: str | None) -> tuple[int | None, str]:
    """Return how a key is refused."""
    with pytest.raises(GateError) as error:
        await identity.identify(token)
    assert token is None or token not in str(error.value)
    return error.value.status_code, error.value.code


def test_a_key_is_let_in_and_only_its_digest_is_kept(database: Path) -> None:
    """The text is in the answer that makes it; not in the database, the audit log, or a list."""

    async def test(store: Store, identity: Identity) -> None:
        made = await manage.generate_key(store, MASTER, {"key_alias": "mine", "models": ["gpt-4o"], "tags": ["a"]})
        found = await identity.identify(made["key"])
        assert (found.key_id, found.models, found.tags) == (made["key_id"], Names(["gpt-4o"]), ("a",))
        listed = await manage.list_all(store, MASTER, "key", {})
        audited = await manage.audit_log(store, MASTER, {})
        assert listed["keys"][0]["key_alias"] == "mine"
        assert made["key"] not in json.dumps([listed, audited])
        assert digest(made["key"]) not in json.dumps([listed, audited])
        for file in database.parent.iterdir():
            assert made["key"].encode() not in file.read_bytes()

    run(database, test)


def test_who_has_no_key_of_ours_is_refused(database: Path) -> None:
    """None, an unknown one, nearly the master key; the master key is let in."""

    async def test(store: Store, identity: Identity) -> None:
        assert await refused(identity, None) == (401, "missing_api_key")
        assert await refused(identity, "sk-unknown") == (401, "invalid_api_key")
        assert await refused(identity, "sk-maste\ud800") == (401, "invalid_api_key")
        assert await identity.identify("sk-master") is MASTER

    run(database, test)


def test_a_key_blocked_by_one_process_is_refused_by_another_within_a_second(database: Path) -> None:
    """And let in again; deleting and rotating are seen as soon."""

    async def test(store: Store, identity: Identity) -> None:
        other_store = Store(f"sqlite:///{database}")
        other = Identity(other_store)
        made = await manage.generate_key(store, MASTER, {})
        await other.identify(made["key"])

        async def until(code: str) -> None:
            assert (await until_refused(lambda: other.identify(made["key"]))).code == code

        await manage.block_key(store, MASTER, {"key_id": made["key_id"]})
        assert await refused(identity, made["key"]) == (403, "key_blocked")
        await until("key_blocked")
        await manage.block_key(store, MASTER, {"key": made["key"]}, blocked=False)
        await asyncio.sleep(0.5)
        await other.identify(made["key"])
        rotated = await manage.rotate_key(store, MASTER, {"key_id": made["key_id"]})
        await until("invalid_api_key")
        assert (await identity.identify(rotated["key"])).key_id == made["key_id"]
        await manage.delete(store, MASTER, "key", {"key_id": made["key_id"]})
        assert await refused(identity, rotated["key"]) == (401, "invalid_api_key")
        await other_store.aclose()

    run(database, test)


def test_an_expired_key_is_refused_without_a_look_at_the_database(database: Path) -> None:
    """By the clock, although it is remembered."""

    async def test(store: Store, identity: Identity) -> None:
        clock = [time.time()]
        mine = Identity(store, clock=lambda: clock[0])
        made = await manage.generate_key(store, MASTER, {"duration": "30s"})
        assert 29 < made["expires"] - clock[0] <= 31 + time.time() - clock[0]
        await mine.identify(made["key"])
        clock[0] = made["expires"] + 1
        assert await refused(mine, made["key"]) == (401, "expired_api_key")

    run(database, test)


def test_known_keys_go_on_while_the_database_is_away_and_others_are_refused(database: Path) -> None:
    """Unless the operator says that nobody goes on."""

    async def test(store: Store, identity: Identity) -> None:
        made = await manage.generate_key(store, MASTER, {})
        strict = Identity(store, known_while_away=False)
        for one in (identity, strict):
            await one.identify(made["key"])
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.executescript("DROP TABLE revision; DROP TABLE keys;")
        await asyncio.sleep(0.5)
        assert (await identity.identify(made["key"])).key_id == made["key_id"]
        assert await refused(identity, "sk-unknown") == (503, "store_unavailable")
        assert await refused(strict, made["key"]) == (503, "store_unavailable")

    run(database, test)


def test_a_key_has_the_limits_of_all_it_belongs_to(database: Path) -> None:
    """Its own, its user's, its team's and its project's; a named budget fills in what they do not say."""

    async def test(store: Store, identity: Identity) -> None:
        await manage.create(store, MASTER, "budget", {"budget_id": "b", "max_budget": 2, "budget_duration": "1d"})
        await manage.create(store, MASTER, "user", {"user_id": "u", "budget_id": "b", "rpm_limit": 5})
        limits = {"gpt-4o": {"tpm_limit": 10, "max_budget": 0.5}}
        await manage.create(store, MASTER, "team", {"team_id": "t", "model_limits": limits, "models": ["gpt-*"]})
        await manage.create(store, MASTER, "project", {"project_id": "p", "team_id": "t", "models": ["gpt-4o", "o3"]})
        made = await manage.generate_key(store, MASTER, {"user_id": "u", "project_id": "p", "max_budget": 1.5})
        found = await identity.identify(made["key"])
        key, user, team, project = found.parties
        assert key.limit == Limit(about=(("key", found.key_id),), budget=1_500_000_000)
        assert user.limit == Limit(about=(("user", "u"),), rpm=5, budget=2_000_000_000, duration="1d")
        assert team.by_model == {
            "gpt-4o": Limit(about=(("team", "t"), ("model", "gpt-4o")), tpm=10, budget=500_000_000)
        }
        assert (project.id, found.team_id, found.models) == ("p", "t", Names(["gpt-4o"]))
        shown = await manage.info(store, MASTER, "team", {"team_id": "t"})
        assert shown["model_limits"] == limits
        assert shown["spend"] == 0

    run(database, test)


def test_every_change_is_in_the_audit_log_with_before_and_after(database: Path) -> None:
    """Who, what, and only what was given is changed."""

    async def test(store: Store, identity: Identity) -> None:
        await manage.create(store, MASTER, "team", {"team_id": "t", "rpm_limit": 5, "max_budget": 1})
        await manage.update(store, MASTER, "team", {"team_id": "t", "rpm_limit": None})
        await manage.delete(store, MASTER, "team", {"team_id": "t"})
        deleted, updated, created = (await manage.audit_log(store, MASTER, {"kind": "team"}))["changes"]
        assert (created["by"], created["action"], created["before"]) == ("master", "create", {})
        assert (updated["before"]["rpm_limit"], updated["after"]["rpm_limit"]) == (5, None)
        assert updated["after"]["max_budget"] == 1.0
        assert (deleted["action"], deleted["before"]["team_id"], deleted["after"]) == ("delete", "t", {})

    run(database, test)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"max_buget": 1}, "did you mean 'max_budget'"),
        ({"max_budget": -1}, "max_budget"),
        ({"max_budget": float("nan")}, "max_budget"),
        ({"rpm_limit": 1.5}, "rpm_limit"),
        ({"rpm_limit": True}, "rpm_limit"),
        ({"budget_duration": "soon"}, "budget_duration"),
        ({"allowed_ips": ["10.0.0.0/99"]}, "allowed_ips"),
        ({"role": "god"}, "admin, team_admin"),
        ({"models": "gpt-4o"}, "models"),
        ({"key_alias": "a\x00b"}, "key_alias"),
        ({"model_limits": {"m": {"rpm": 1}}}, "model_limits.m has no 'rpm'"),
        ({"blocked": "yes"}, "blocked"),
    ],
)
def test_what_a_key_cannot_have_is_named(database: Path, body: dict, words: str) -> None:
    """Nothing is ignored in silence."""

    async def test(store: Store, identity: Identity) -> None:
        with pytest.raises(BadRequestError) as error:
            await manage.generate_key(store, MASTER, body)
        assert words in str(error.value)

    run(database, test)


def test_owners_must_be_there_and_are_not_removed_under_their_keys(database: Path) -> None:
    """No key belongs to nobody."""

    async def test(store: Store, identity: Identity) -> None:
        with pytest.raises(NotFoundError, match="no team 't'"):
            await manage.generate_key(store, MASTER, {"team_id": "t"})
        await manage.create(store, MASTER, "team", {"team_id": "t"})
        with pytest.raises(ConflictError):
            await manage.create(store, MASTER, "team", {"team_id": "t"})
        await manage.generate_key(store, MASTER, {"team_id": "t"})
        with pytest.raises(ConflictError, match="has keys"):
            await manage.delete(store, MASTER, "team", {"team_id": "t"})

    run(database, test)


def test_roles_reach_as_far_as_they_say(database: Path) -> None:
    """A team's admin manages its keys, a member its own, a viewer reads, a plain key asks about itself."""

    async def test(store: Store, identity: Identity) -> None:
        await manage.create(store, MASTER, "user", {"user_id": "lead"})
        await manage.create(store, MASTER, "user", {"user_id": "other"})
        for team in ("mine", "theirs"):
            members = {"lead": "admin"} if team == "mine" else {}
            await manage.create(store, MASTER, "team", {"team_id": team, "members": members})

        async def caller(**body: str):
            return await identity.identify((await manage.generate_key(store, MASTER, body))["key"])

        lead = await caller(user_id="lead", role="team_admin")
        member = await caller(user_id="other", team_id="theirs", role="member")
        viewer, plain = await caller(role="viewer"), await caller(user_id="lead")

        theirs = await manage.generate_key(store, lead, {"team_id": "mine", "user_id": "other"})
        own = await manage.generate_key(store, member, {})
        assert (own["user_id"], own["team_id"]) == ("other", "theirs")
        denied = [
            manage.generate_key(store, lead, {"team_id": "theirs"}),
            manage.generate_key(store, lead, {}),
            manage.generate_key(store, lead, {"team_id": "mine", "role": "admin"}),
            manage.update(store, lead, "key", {"key_id": theirs["key_id"], "team_id": "theirs"}),
            manage.update(store, lead, "team", {"team_id": "mine", "max_budget": None}),
            manage.generate_key(store, member, {"team_id": ""}),
            manage.update(store, member, "key", {"key_id": own["key_id"], "blocked": False}),
            manage.update(store, member, "key", {"key_id": member.key_id, "role": "admin"}),
            manage.rotate_key(store, member, {"key_id": theirs["key_id"]}),
            manage.generate_key(store, viewer, {}),
            manage.create(store, viewer, "budget", {}),
            manage.generate_key(store, plain, {"user_id": "lead"}),
            manage.info(store, plain, "key", {"key_id": theirs["key_id"]}),
            manage.audit_log(store, member, {}),
        ]
        for one in denied:
            with pytest.raises(PermissionDeniedError):
                await one
        assert (await manage.info(store, plain, "key", {}))["key_id"] == plain.key_id
        seen = [
            len((await manage.list_all(store, by, "key", {}))["keys"]) for by in (MASTER, viewer, lead, member, plain)
        ]
        assert seen == [6, 6, 3, 3, 1]

    run(database, test)


def test_routes_and_addresses_of_a_key_are_kept() -> None:
    """Patterns of paths, networks of both kinds; an address nobody knows is outside."""
    from polyport_gateway.identity import Principal

    bound = Principal(id="k", routes=("/v1/chat/*", "/embeddings"), ips=("10.0.0.0/8", "::1"))
    assert allows_route(bound, "/chat/completions")
    assert allows_route(bound, "/embeddings")
    assert not allows_route(bound, "/images/generations")
    for client, allowed in (("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("::1", True), ("11.0.0.1", False)):
        assert allows_address(bound, client) is allowed
    assert not allows_address(bound, None)
    assert not allows_address(bound, "unix:socket")
    assert "gpt-4o" in Names(["gpt-*"])
    assert "o3" not in Names(["gpt-*"])


def test_csv_holds_no_formula() -> None:
    """A name that a spreadsheet would run is made a text."""
    assert spending.to_csv([{"a": "=1+1", "b": -2}]) == "a,b\n'=1+1,-2\n"
    assert spending.to_csv([]) == ""
