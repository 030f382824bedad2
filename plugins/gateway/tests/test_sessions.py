"""People sign in with a key, stay signed in by a cookie, and are out when they say so, or when somebody blocks them."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import text as sql

from polyport.errors import BadRequestError
from polyport_gateway import config, management as manage
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper
from polyport_gateway.rows import UserRow
from polyport_gateway.signon import credential, door, people
from polyport_gateway.signon.sessions import Session, Sessions
from polyport_gateway.store import Store

pytest.importorskip("signing_on")
from signing_on import HELLO, MASTER_KEY, run


async def sign_in(client: httpx.AsyncClient, key: str = MASTER_KEY) -> dict[str, str]:
    """Sign in with a key, and return the header that changing calls need."""
    reply = await client.post("/auth/login", json={"key": key})
    assert reply.status_code == 200, reply.text
    return {"x-polyport-csrf": reply.json()["csrf"]}


def sessions_of(keeper: Keeper) -> Sessions:
    """Return the sessions of a gateway."""
    found = keeper.identity.bearers[0]
    assert isinstance(found, Sessions)
    return found


async def user_session(client: httpx.AsyncClient, keeper: Keeper, id: str, **fields: Any) -> dict[str, str]:
    """Let a user in, as a provider of identities would, and return the header that changing calls need."""
    row = await manage.create(keeper.store, MASTER, "user", {"user_id": id, **fields})
    async with keeper.store.reading() as database:
        found = await database.get(UserRow, row["user_id"])
        assert found is not None
        session = Session(kind="user", subject=id, name=id, mark=people.mark_of(found))
    text, _ = sessions_of(keeper).issue(session, 1)
    client.cookies.set(credential.COOKIE, text)
    return {"x-polyport-csrf": credential.csrf_of(text)}


async def error_of(reply: httpx.Response) -> tuple[int, str]:
    """Return how a request was refused."""
    return reply.status_code, reply.json()["error"]["code"]


def test_from_signing_in_to_signing_out(tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cookie stands for the key, in management and in calls; after signing out, a copy of it is worth nothing."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        nobody = await client.get("/auth/session")
        assert (nobody.status_code, nobody.json()["providers"]) == (401, [])
        reply = await client.post("/auth/login", json={"key": MASTER_KEY})
        told = reply.json()
        assert (told["name"], told["role"]) == ("master key", "admin")
        assert "; HttpOnly; SameSite=Strict" in reply.headers["set-cookie"]
        assert "Secure" not in reply.headers["set-cookie"]
        assert MASTER_KEY not in reply.text + reply.headers["set-cookie"]
        session = (await client.get("/auth/session")).json()
        assert {**session, "providers": []} == told
        csrf = {"x-polyport-csrf": told["csrf"]}
        made = await client.post("/key/generate", json={"key_alias": "mine"}, headers=csrf)
        assert made.status_code == 200
        assert len((await client.get("/key/list")).json()["keys"]) == 1
        assert (await client.post("/v1/chat/completions", json=HELLO, headers=csrf)).status_code == 200
        copy = dict(client.cookies)
        assert (await client.post("/auth/logout", headers=csrf)).status_code == 200
        assert not dict(client.cookies)
        client.cookies.update(copy)
        assert await error_of(await client.get("/key/list")) == (401, "invalid_session")
        changes = (await manage.audit_log(keeper.store, MASTER, {}))["changes"]
        assert [one["action"] for one in changes] == ["sign_out", "generate", "sign_in"]
        assert MASTER_KEY not in json.dumps(changes)

    run(tmp_path, test, url=well.url)


def test_with_https_the_cookie_is_bound_to_host_and_encryption(tmp_path: Path) -> None:
    """By its name and Secure; what http could have set under the plain name counts for nothing."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.post("/auth/login", json={"key": MASTER_KEY})
        assert reply.headers["set-cookie"].startswith("__Host-polyport_session=ps_")
        assert reply.headers["set-cookie"].endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure")
        value = client.cookies["__Host-polyport_session"]
        client.cookies.clear()
        client.cookies.set("polyport_session", value)
        assert (await client.get("/auth/session")).status_code == 401

    run(tmp_path, test, base="https://gateway")


def test_a_change_with_a_cookie_needs_the_header_that_only_our_pages_know(tmp_path: Path) -> None:
    """None, a wrong one, that of another session: 403, and nothing is changed. With a key no such header is needed."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        other = await sign_in(client)
        csrf = await sign_in(client)
        assert csrf != other
        for headers in ({}, {"x-polyport-csrf": ""}, {"x-polyport-csrf": b"\xc3\xbc"}, other):
            for path in ("/key/generate", "/auth/logout", "/v1/chat/completions", "/v1/files"):
                assert await error_of(await client.post(path, json=HELLO, headers=headers)) == (403, "csrf")
        assert (await client.get("/key/list")).json()["keys"] == []
        key = {"authorization": f"Bearer {MASTER_KEY}"}
        assert (await client.post("/key/generate", json={}, headers=key)).status_code == 200

    run(tmp_path, test)


def test_another_sites_page_signs_nobody_in(tmp_path: Path) -> None:
    """Forms cannot send JSON, and browsers say where a request comes from."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        body = json.dumps({"key": MASTER_KEY})
        form = await client.post("/auth/login", content=body, headers={"content-type": "text/plain"})
        assert await error_of(form) == (415, "unsupported_media_type")
        script = await client.post("/auth/login", json={"key": MASTER_KEY}, headers={"sec-fetch-site": "cross-site"})
        assert await error_of(script) == (403, "cross_site")
        assert not dict(client.cookies)

    run(tmp_path, test)


def test_a_session_that_was_there_before_is_not_taken_over(tmp_path: Path) -> None:
    """Whoever planted a cookie is not signed in with its victim (session fixation)."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {})
        await sign_in(client, made["key"])
        planted = client.cookies[credential.COOKIE]
        await sign_in(client)
        assert client.cookies[credential.COOKIE] != planted
        client.cookies.clear()
        client.cookies.set(credential.COOKIE, planted)
        assert (await client.get("/auth/session")).json()["role"] == ""

    run(tmp_path, test)


def test_a_user_acts_with_its_role_its_teams_and_its_limits(
    tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leads a team manages it; calls count on the user and on the team that is not blocked."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        store = keeper.store
        await manage.create(store, MASTER, "team", {"team_id": "a", "members": {"anna": "member"}, "blocked": True})
        await manage.create(store, MASTER, "team", {"team_id": "b", "members": {"anna": "admin"}, "rpm_limit": 2})
        await manage.create(store, MASTER, "team", {"team_id": "c"})
        csrf = await user_session(client, keeper, "anna", models=["gpt"])
        told = (await client.get("/auth/session")).json()
        assert (told["role"], told["user_id"], told["team_id"], told["teams_led"]) == ("team_admin", "anna", "b", ["b"])
        assert (await client.post("/key/generate", json={"team_id": "b"}, headers=csrf)).status_code == 200
        assert (await client.post("/key/generate", json={"team_id": "c"}, headers=csrf)).status_code == 403
        replies = [await client.post("/v1/chat/completions", json=HELLO, headers=csrf) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        await keeper.ledger.drain()
        logs = (await client.get("/spend/logs", headers={"authorization": f"Bearer {MASTER_KEY}"})).json()["results"]
        assert [(one["user_id"], one["team_id"], one["key_id"]) for one in logs] == [("anna", "b", "")] * 2

    run(tmp_path, test, url=well.url)


def test_somebody_in_several_teams_says_which_one_spends(
    tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a header, of those that the session tells; without it, it is the first by id."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for team in ("b", "a", "c"):
            await manage.create(keeper.store, MASTER, "team", {"team_id": team, "members": {"anna": "member"}})
        await manage.create(keeper.store, MASTER, "team", {"team_id": "other"})
        csrf = await user_session(client, keeper, "anna")
        assert (await client.get("/auth/session")).json()["teams"] == ["a", "b", "c"]
        for team in ({}, {"x-polyport-team": "c"}, {"x-polyport-team": "a"}):
            reply = await client.post("/v1/chat/completions", json=HELLO, headers={**csrf, **team})
            assert reply.status_code == 200, team
        strange = await client.post("/v1/chat/completions", json=HELLO, headers={**csrf, "x-polyport-team": "other"})
        assert await error_of(strange) == (403, "team_not_allowed")
        await keeper.ledger.drain()
        logs = (await client.get("/spend/logs", headers={"authorization": f"Bearer {MASTER_KEY}"})).json()["results"]
        assert sorted(one["team_id"] for one in logs) == ["a", "a", "c"]

    run(tmp_path, test, url=well.url)


def test_a_blocked_team_keeps_no_admin_from_managing(tmp_path: Path) -> None:
    """But its members from calling."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        members = {"root": "member", "anna": "member"}
        await manage.create(keeper.store, MASTER, "team", {"team_id": "a", "members": members, "blocked": True})
        await user_session(client, keeper, "root", user_role="admin")
        assert (await client.get("/key/list")).status_code == 200
        await user_session(client, keeper, "anna")
        assert await error_of(await client.get("/key/list")) == (403, "team_blocked")

    run(tmp_path, test)


def test_a_session_that_cannot_be_ended_is_not_said_to_be(tmp_path: Path) -> None:
    """While the database is away, signing out fails; who was blocked can sign out, and is out when let in again."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        csrf = await user_session(client, keeper, "anna")
        async with keeper.store.transaction() as connection:
            await connection.execute(sql("ALTER TABLE revoked RENAME TO away"))
        assert (await client.post("/auth/logout", headers=csrf)).status_code == 503
        async with keeper.store.transaction() as connection:
            await connection.execute(sql("ALTER TABLE away RENAME TO revoked"))
        await manage.update(keeper.store, MASTER, "user", {"user_id": "anna", "blocked": True})
        cookies = dict(client.cookies)
        assert (await client.post("/auth/logout", headers=csrf)).status_code == 200
        await manage.update(keeper.store, MASTER, "user", {"user_id": "anna", "blocked": False})
        client.cookies.update(cookies)
        assert (await client.get("/auth/session")).status_code == 401

    run(tmp_path, test)


@pytest.mark.parametrize("change", ["blocked", "deleted", "another"])
def test_a_user_that_was_blocked_or_deleted_is_out_within_a_second(tmp_path: Path, change: str) -> None:
    """Although another process did it; nor does a new user by the same id get the old one's session."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await user_session(client, keeper, "anna")
        assert (await client.get("/auth/session")).status_code == 200
        other = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        if change == "blocked":
            await manage.update(other, MASTER, "user", {"user_id": "anna", "blocked": True})
        else:
            await manage.delete(other, MASTER, "user", {"user_id": "anna"})
        if change == "another":
            await manage.create(other, MASTER, "user", {"user_id": "anna", "user_role": "admin"})
        start = time.monotonic()
        begun = start
        while (reply := await client.get("/key/list")).status_code == 200 and begun - start < 1:
            await asyncio.sleep(0.02)
            begun = time.monotonic()
        refused = (403, "user_blocked") if change == "blocked" else (401, "invalid_session")
        assert await error_of(reply) == refused
        assert (await client.get("/auth/session")).status_code == 401
        await other.aclose()

    run(tmp_path, test)


@pytest.mark.parametrize("change", ["rotate", "block", "delete"])
def test_a_keys_session_ends_with_the_key(tmp_path: Path, change: str) -> None:
    """Rotated, blocked, deleted."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {"key_alias": "mine", "role": "viewer"})
        await sign_in(client, made["key"])
        told = (await client.get("/auth/session")).json()
        assert (told["name"], told["role"]) == ("mine", "viewer")
        named = {"key_id": made["key_id"]}
        if change == "rotate":
            await manage.rotate_key(keeper.store, MASTER, named)
        elif change == "block":
            await manage.block_key(keeper.store, MASTER, named)
        else:
            await manage.delete(keeper.store, MASTER, "key", named)
        assert (await client.get("/key/list")).status_code in (401, 403)

    run(tmp_path, test)


def test_sessions_end_by_the_clock_and_with_another_master_key_or_secret(tmp_path: Path) -> None:
    """What one gateway signed is worth nothing to another with another secret; with the same secret, it is."""

    async def main() -> None:
        clock = [time.time()]

        def opened(secret: str, master: str = MASTER_KEY) -> tuple[Keeper, Sessions]:
            keeper = Keeper(store, tmp_path / "journal", master_key=master)
            sessions = Sessions(keeper.identity, store, secret, clock=lambda: clock[0])
            return keeper, sessions

        store = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        await store.migrate()
        keeper, mine = opened("a secret of many letters")
        mark = mine.mark(str(keeper.identity.master))
        text, made = mine.issue(Session(kind="master", subject="", name="m", mark=mark), 2)
        assert await mine.principal(text) is MASTER
        assert await opened("a secret of many letters")[1].principal(text) is MASTER
        for other in (opened("another"), opened("a secret of many letters", master="sk-new")):
            with pytest.raises(Exception, match="sign in again"):
                await other[1].principal(text)
        clock[0] += 2 * 3600
        with pytest.raises(Exception, match="sign in again"):
            await mine.principal(text)
        assert made.until <= clock[0]
        await store.aclose()

    asyncio.run(main())


def test_attempts_are_limited_by_address(tmp_path: Path) -> None:
    """After so many a minute even the right key is not looked at; failures say the same, and take their time."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        start = time.monotonic()
        wrong = await client.post("/auth/login", json={"key": "sk-wrong"})
        assert await error_of(wrong) == (401, "invalid_api_key")
        assert time.monotonic() - start >= door.FLOOR
        now = keeper.clock() + 3600
        assert "sk-wrong" not in json.dumps((await manage.audit_log(keeper.store, MASTER, {}))["changes"])
        keeper.clock = lambda: now  # on a slow machine, too, all of it is within a minute
        for _ in range(door.PER_ADDRESS):
            await sign_in(client)
        limited = await client.post("/auth/login", json={"key": MASTER_KEY})
        assert await error_of(limited) == (429, "too_many_attempts")
        assert int(limited.headers["retry-after"]) >= 1

    run(tmp_path, test)


def test_no_cookie_that_was_tampered_with_lets_anybody_in(tmp_path: Path) -> None:
    """Every character changed, signatures cut, payloads of one's own: 401 each time."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await user_session(client, keeper, "anna")
        good = client.cookies[credential.COOKIE]
        payload, _, signature = good.removeprefix("ps_").partition(".")
        admin = Session(kind="master", subject="", name="m", mark="x", id="y", until=2**40)
        own = base64.urlsafe_b64encode(msgspec.msgpack.encode(admin)).rstrip(b"=").decode()
        bad = [f"ps_{own}.{signature}", f"ps_{own}.", f"ps_{payload}", f"ps_{payload}.", good[:-1], good + "=",
               f"ps_{signature}.{payload}", "ps_", "ps_.", f"{payload}.{signature}", good.upper()]  # fmt: skip
        bad += [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(len(good))]
        for text in bad:
            headers = {"cookie": f"{credential.COOKIE}={text}"}
            client.cookies.clear()
            assert (await client.get("/key/list", headers=headers)).status_code == 401, text
            bearer = {"authorization": f"Bearer {text}"}
            assert (await client.get("/key/list", headers=bearer)).status_code == 401, text

    run(tmp_path, test)


def test_no_garbage_makes_the_door_fail_or_lets_anybody_in(tmp_path: Path) -> None:
    """Cookies, bearers, bodies: 4xx, never 500."""
    asked: list[tuple[bytes, Any]] = []
    leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    bodies = st.dictionaries(st.sampled_from(["key", "username", "password", "provider", "x"]), leaf) | leaf

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=60), bodies)
    def collect(header: bytes, body: Any) -> None:
        asked.append((header, body))

    collect()

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for header, _ in asked:
            for name, value in (
                (b"cookie", b"polyport_session=ps_" + header),
                (b"cookie", header),
                (b"authorization", b"Bearer ps_" + header),
            ):
                safe = value.replace(b"\n", b"").replace(b"\r", b"").replace(b"\0", b"")
                for path in ("/auth/session", "/key/list", "/v1/models"):
                    reply = await client.get(path, headers=[(name, safe)])
                    assert reply.status_code == 401, (safe, reply.text)
        for _, body in asked[:50]:
            reply = await client.post("/auth/login", json=body)
            assert 400 <= reply.status_code < 500, (body, reply.text)

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/auth/login", 405), ("POST", "/auth/session", 405), ("GET", "/auth", 404), ("GET", "/auth/x", 404)],
)
def test_what_is_not_at_the_door_is_said(tmp_path: Path, method: str, path: str, status: int) -> None:
    """In the shape of all errors."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.request(method, path)
        assert (reply.status_code, bool(reply.json()["error"]["message"])) == (status, True)

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"session_secret": "short"}, "session_secret"),
        ({"session_hours": 0}, "session_hours"),
        ({"session_hours": "long"}, "session_hours"),
        ({"public_url": "gateway.example.com"}, "public_url"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "trusted_proxies"),
        ({"sesion_hours": 1}, "did you mean 'session_hours'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong: dict[str, Any], place: str) -> None:
    """By their place, when the configuration is read."""
    models = [{"model_name": "gpt", "params": {"model": "openai/gpt-4o"}}]
    with pytest.raises(BadRequestError, match=place):
        config.read({"model_list": models, "general_settings": wrong})


@pytest.mark.parametrize("trusted", [[], ["127.0.0.0/8"]])
def test_only_a_trusted_proxy_says_that_the_browser_speaks_https(upstream: Any, start: Any, trusted: list[str]) -> None:
    """From whom else X-Forwarded-Proto comes, it changes nothing; in a process of its own, as people run it."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-upstream-secret"}
    general = {"master_key": MASTER_KEY, "trusted_proxies": trusted}
    gateway = start({"model_list": [{"model_name": "gpt", "params": params}], "general_settings": general})
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
    with httpx.Client(base_url=gateway.url, headers=forwarded, timeout=60) as client:
        reply = client.post("/auth/login", json={"key": MASTER_KEY})
        assert reply.status_code == 200
        assert reply.headers["set-cookie"].startswith("__Host-" if trusted else "polyport_session=")
        cookie = reply.headers["set-cookie"].partition(";")[0]
        assert client.get("/auth/session", headers={"cookie": cookie}).json()["role"] == "admin"
        allowed = client.post(
            "/key/generate",
            json={"allowed_ips": ["203.0.113.0/24"]},
            headers={"cookie": cookie, "x-polyport-csrf": reply.json()["csrf"]},
        ).json()["key"]
        own = client.get("/key/info", headers={"authorization": f"Bearer {allowed}"})
        assert own.status_code == (200 if trusted else 403)


#: What must be compared in a time that tells nothing of where two of them differ.
GUESSED = ("signature", "csrf", "nonce", "state", "verifier", "mark", "expected")


def test_what_could_be_guessed_is_compared_in_constant_time() -> None:
    """By hmac.compare_digest, nowhere by ==."""
    compared = 0
    for file in Path(str(door.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            compared += isinstance(node, ast.Attribute) and node.attr == "compare_digest"
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = [ast.unparse(side).rpartition(".")[2] for side in (node.left, *node.comparators)]
                assert not set(sides) & set(GUESSED), f"{file.name}:{node.lineno}"
    assert compared >= 5


def test_without_any_secret_sessions_last_as_long_as_the_process_which_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway with a database alone: another process, or the next one, does not know its sessions."""
    texts = []

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        made = await manage.generate_key(keeper.store, MASTER, {})
        await sign_in(client, made["key"])
        texts.append(client.cookies[credential.COOKIE])

    async def again(client: httpx.AsyncClient, keeper: Keeper) -> None:
        client.cookies.set(credential.COOKIE, texts[0])
        assert (await client.get("/auth/session")).status_code == 401

    run(tmp_path, test, master_key=None)
    run(tmp_path, again, master_key=None)
    assert "set general_settings.session_secret" in caplog.text
