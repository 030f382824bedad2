"""Services call with JWTs of an issuer that the gateway trusts, and fall under the limits of whom they stand for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport_gateway import config, management as manage
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper

pytest.importorskip("jwt")
pytest.importorskip("signing_on")
import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signing_on import HELLO, MASTER_KEY, Provider, run

from polyport_gateway.signon import jwks


@pytest.fixture(scope="module")
def served() -> Iterator[Provider]:
    """The issuer."""
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def issuer(served: Provider) -> Provider:
    """The issuer, well."""
    served.down = False
    served.asked.clear()
    return served


def trusting(issuer: Provider, /, **rules: Any) -> dict[str, Any]:
    """Return the setting of a gateway that takes the issuer's tokens."""
    return {"jwt_auth": [{"id": "cloud", "issuer": issuer.issuer, "audience": "polyport"} | rules]}


def token_of(issuer: Provider, **claims: Any) -> str:
    """Return a token, for an hour."""
    honest = {"iss": issuer.issuer, "aud": "polyport", "sub": "job", "exp": int(time.time()) + 3600}
    return issuer.sign({name: value for name, value in (honest | claims).items() if value is not None})


def bearing(token: str) -> dict[str, str]:
    """Return the header that a token is sent in."""
    return {"authorization": f"Bearer {token}"}


async def call(client: httpx.AsyncClient, token: str, **fields: Any) -> tuple[int, str | None]:
    """Ask a model, and return the status and the code of the refusal."""
    reply = await client.post("/v1/chat/completions", json=HELLO | fields, headers=bearing(token))
    return reply.status_code, reply.json().get("error", {}).get("code")


def test_a_service_calls_for_its_user_team_and_project(
    tmp_path: Path, well: Any, issuer: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under their limits, and in the ledger by their names; keys go on to work beside it."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    rules = trusting(issuer, user_claim="act.user", team_claim="team", project_claim="project", role_claim="roles")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        store = keeper.store
        await manage.create(store, MASTER, "user", {"user_id": "anna"})
        await manage.create(store, MASTER, "team", {"team_id": "ml", "rpm_limit": 2, "tags": ["lab"]})
        await manage.create(store, MASTER, "project", {"project_id": "p", "team_id": "ml"})
        token = token_of(issuer, act={"user": "anna"}, project="p")
        assert [await call(client, token) for _ in range(3)] == [(200, None)] * 2 + [(429, "rate_limit_exceeded")]
        assert (await call(client, MASTER_KEY))[0] == 200
        assert issuer.asked.count("/jwks") == 1
        await keeper.ledger.drain()
        logs = await client.get("/spend/logs", params={"team": "ml"}, headers=bearing(MASTER_KEY))
        names = {(one["key_id"], one["user_id"], one["team_id"], one["project_id"]) for one in logs.json()["results"]}
        assert names == {("jwt:cloud:job", "anna", "ml", "p")}
        assert (await client.get("/key/list", headers=bearing(token))).json() == {"keys": []}
        viewer = bearing(token_of(issuer, roles=["viewer", "unknown"]))
        assert (await client.get("/team/list", headers=viewer)).json()["teams"][0]["team_id"] == "ml"
        await manage.update(store, MASTER, "team", {"team_id": "ml", "blocked": True})
        assert await call(client, token) == (403, "team_blocked")

    run(tmp_path, test, url=well.url, **rules)


def test_a_service_says_which_of_its_users_teams_spends(
    tmp_path: Path, well: Any, issuer: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its token names none; one that does stays with it."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    rules = trusting(issuer, user_claim="act.user", team_claim="team")

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "user", {"user_id": "anna"})
        for team in ("a", "b"):
            await manage.create(keeper.store, MASTER, "team", {"team_id": team, "members": {"anna": "member"}})
        free, bound = (token_of(issuer, act={"user": "anna"}, **more) for more in ({}, {"team": "a"}))
        codes = []
        for token, team in ((free, "b"), (free, "c"), (bound, "a"), (bound, "b")):
            headers = {**bearing(token), "x-polyport-team": team}
            codes.append((await client.post("/v1/chat/completions", json=HELLO, headers=headers)).status_code)
        assert codes == [200, 403, 200, 403]
        await keeper.ledger.drain()
        logs = (await client.get("/spend/logs", headers=bearing(MASTER_KEY))).json()["results"]
        assert sorted(one["team_id"] for one in logs) == ["a", "b"]

    run(tmp_path, test, url=well.url, **rules)


def test_models_limits_and_routes_come_from_claims(
    tmp_path: Path, well: Any, issuer: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only these models, so many requests, and what the token's scopes open: in management, too."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    scopes = {"chat": ["/chat/*"], "teams": ["/v1/team/*"]}
    rules = trusting(
        issuer, models_claim="models", limits_claim="limits", scopes=scopes, role_claim="role", roles={"boss": "admin"}
    )

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert await call(client, token_of(issuer, models=["gpt-*"], scope="chat")) == (403, "model_not_allowed")
        limited = token_of(issuer, sub="other", models="gpt", scope="x chat", limits={"rpm_limit": 1})
        assert [await call(client, limited) for _ in range(2)] == [(200, None), (429, "rate_limit_exceeded")]
        assert await call(client, token_of(issuer, scope="teams")) == (403, "route_not_allowed")
        for scope in ("nothing", "", None, 7, ["chats"]):
            assert await call(client, token_of(issuer, scope=scope)) == (403, "insufficient_scope")
        boss = bearing(token_of(issuer, scope=["teams"], role="boss"))
        assert (await client.post("/team/new", json={"team_id": "t"}, headers=boss)).status_code == 200
        assert (await client.post("/key/generate", json={}, headers=boss)).status_code == 403
        for limits in ([], "many", {"rpm_limit": "many"}, {"rpm": 1}, {"max_budget": -1}):
            assert await call(client, token_of(issuer, scope="chat", limits=limits)) == (401, "invalid_token")
        changes = (await manage.audit_log(keeper.store, MASTER, {}))["changes"]
        assert [(one["by"], one["action"]) for one in changes] == [("jwt:cloud:job", "create")]

    run(tmp_path, test, url=well.url, **rules)


@pytest.mark.parametrize("unknown", ["refuse", "create", "ignore"])
def test_who_is_unknown_is_refused_made_or_let_be(
    tmp_path: Path, well: Any, issuer: Provider, unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the configuration says, and again after somebody deleted them."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    rules = trusting(issuer, user_claim="sub", team_claim="team", unknown=unknown)
    rules["default_user_params"] = {"tpm_limit": 10_000}

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        token = token_of(issuer, team="new team")
        for _ in range(2):
            expected = (403, "unknown_user") if unknown == "refuse" else (200, None)
            assert await call(client, token) == expected
            users = (await manage.list_all(keeper.store, MASTER, "user", {}))["users"]
            assert [one["user_id"] for one in users] == (["job"] if unknown == "create" else [])
            if unknown == "create":
                assert users[0]["tpm_limit"] == 10_000
                await manage.delete(keeper.store, MASTER, "user", {"user_id": "job"})
        teams = (await manage.list_all(keeper.store, MASTER, "team", {}))["teams"]
        assert len(teams) == (1 if unknown == "create" else 0)

    run(tmp_path, test, url=well.url, **rules)


def test_forged_tokens_are_refused(tmp_path: Path, issuer: Provider) -> None:
    """Each in its way wrong; the refusal quotes nothing of it."""
    now = int(time.time())
    good = token_of(issuer)
    head, body, signature = good.split(".")
    public = issuer.jwks()["keys"][0]["n"]
    key = issuer.keys[issuer.kid]
    claims = {"iss": issuer.issuer, "aud": "polyport", "sub": "job", "exp": now + 60}
    forged = {
        "another issuer": token_of(issuer, iss="https://evil.example"),
        "another audience": token_of(issuer, aud="other"),
        "no audience": token_of(issuer, aud=None),
        "expired": token_of(issuer, exp=now - 60),
        "never expires": token_of(issuer, exp=None),
        "expires never": token_of(issuer, exp="never"),
        "not yet": token_of(issuer, nbf=now + 3600),
        "no subject": token_of(issuer, sub=None),
        "a subject of control characters": token_of(issuer, sub="a\nb"),
        "a long subject": token_of(issuer, sub="x" * 300),
        "none": jwt.encode(claims, None, algorithm="none"),
        "HS256": jwt.encode(claims, public, algorithm="HS256"),
        "RS512": jwt.encode(claims, key, algorithm="RS512"),
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{body[:-4]}AAAA.{signature}",
        "another head": f"{head[:-2]}AA.{body}.{signature}",
        "dots": "..",
    }

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for name, token in forged.items():
            reply = await client.get("/key/list", headers=bearing(token))
            assert reply.status_code == 401, name
            assert len(token) < 3 or token not in reply.text
        assert (await client.get("/key/list", headers=bearing(good))).status_code == 200

    run(tmp_path, test, **trusting(issuer))


def test_no_garbage_makes_it_fail_or_lets_anybody_in(tmp_path: Path, issuer: Provider) -> None:
    """Changed at any place, cut, or made of anything: 401, never 500."""
    good = token_of(issuer)
    tokens: list[str] = []
    letters = st.text("ab.eyJ_-0=", max_size=40)
    places = st.integers(0, len(good) - 1)
    said = st.dictionaries(st.text(max_size=5), st.integers() | st.none())

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(places, st.characters(codec="ascii"), places, letters, said)
    def collect(at: int, letter: str, cut: int, text: str, claims: dict[str, Any]) -> None:
        tokens.extend([good[:at] + letter + good[at + 1 :], good[:cut], good[cut:], text, f"{text}.{text}.{text}"])
        tokens.append(jwt.encode({**claims, "iss": issuer.issuer}, issuer.keys[issuer.kid], algorithm="RS256"))

    collect()

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for token in tokens:
            sent = token.encode().translate(None, b"\r\n\0").strip()
            if sent != good.encode():
                reply = await client.get("/key/list", headers=[(b"authorization", b"Bearer " + sent)])
                assert reply.status_code == 401 or sent.rstrip(b"=") == good.encode(), (sent, reply.text)

    run(tmp_path, test, **trusting(issuer))


def test_a_token_that_was_proved_is_taken_until_it_expires(tmp_path: Path, issuer: Provider) -> None:
    """Although its issuer is away; one that was not seen before cannot be proved then."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        issuer.down = True
        token = token_of(issuer)
        assert (await client.get("/key/list", headers=bearing(token))).status_code in (502, 503)
        issuer.down = False
        end = time.monotonic() + 60 * jwks.PAUSE
        while (status := (await client.get("/key/list", headers=bearing(token))).status_code) != 200:
            assert (status in (502, 503), time.monotonic() < end) == (True, True)
        issuer.down = True
        assert (await client.get("/key/list", headers=bearing(token))).status_code == 200
        for seconds in (4, 25):
            end = time.monotonic() + 60 + seconds
            soon = token_of(issuer, exp=int(time.time()) - jwks.LEEWAY + seconds)
            statuses = set()
            while 401 not in statuses and time.monotonic() < end:
                statuses.add((await client.get("/key/list", headers=bearing(soon))).status_code)
                await asyncio.sleep(0.05)
            if 200 in statuses:  # else it was over before it was first seen, on a machine that stood still
                break
        assert statuses == {200, 401}

    run(tmp_path, test, **trusting(issuer))


def test_a_signing_key_that_was_withdrawn_is_not_believed_for_long(tmp_path: Path, issuer: Provider) -> None:
    """Also of a token that was proved before; one of the new key is taken instead."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        old = bearing(token_of(issuer))
        assert (await client.get("/key/list", headers=old)).status_code == 200
        issuer.new_key("k2")
        new = bearing(token_of(issuer))
        assert await becomes(client, new, 200)
        assert await becomes(client, old, 401)
        assert (await client.get("/key/list", headers=new)).status_code == 200

    run(tmp_path, test, **trusting(issuer, keys_seconds=0.2))


def test_keys_of_an_issuer_that_is_away_are_believed_so_long_and_no_longer(tmp_path: Path, issuer: Provider) -> None:
    """Then it has to be asked, and it is once it is back. Nobody waits for it in vain again and again."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        token = bearing(token_of(issuer))
        assert (await client.get("/key/list", headers=token)).status_code == 200
        issuer.down = True
        begun, asked = time.monotonic(), len(issuer.asked)
        while time.monotonic() - begun < 1:
            status = (await client.get("/key/list", headers=token)).status_code
            assert status == 200 or time.monotonic() - begun > 1
        assert len(issuer.asked) <= asked + 2
        assert await becomes(client, token, 503)
        issuer.down = False
        assert await becomes(client, token, 200)

    run(tmp_path, test, **trusting(issuer, keys_seconds=0.1, keys_stale_seconds=3))


async def becomes(client: httpx.AsyncClient, headers: dict[str, str], status: int, within: float = 60) -> bool:
    """Whether a token is answered so after a while."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if (await client.get("/key/list", headers=headers)).status_code == status:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize("kind", ["public_key", "jwks_url"])
def test_keys_may_be_given_or_have_an_address(tmp_path: Path, issuer: Provider, kind: str) -> None:
    """Ed25519 as PEM, without asking anybody; or a JWK set, without a document about the issuer."""
    own = ed25519.Ed25519PrivateKey.generate()
    if kind == "public_key":
        pem = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        rules = trusting(issuer, issuer="https://offline.example", public_key=pem, algorithms=["EdDSA"])
        claims = {"iss": "https://offline.example", "aud": "polyport", "sub": "job", "exp": int(time.time()) + 60}
        token = jwt.encode(claims, own, algorithm="EdDSA")
    else:
        rules = trusting(issuer, jwks_url=f"{issuer.issuer}/jwks")
        token = token_of(issuer)

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await client.get("/key/list", headers=bearing(token))).status_code == 200
        assert issuer.asked == ([] if kind == "public_key" else ["/jwks"])

    run(tmp_path, test, **rules)


def test_without_the_setting_a_jwt_is_an_unknown_key(tmp_path: Path, issuer: Provider) -> None:
    """And nobody signs in to the pages with one."""

    async def without(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.get("/key/list", headers=bearing(token_of(issuer)))
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")

    async def with_it(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await client.post("/auth/login", json={"key": token_of(issuer)})).status_code == 401

    run(tmp_path, without)
    run(tmp_path, with_it, **trusting(issuer))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"keys_seconds": 0}, "keys_seconds"),
        ({"audiense": "x"}, "did you mean 'audience'"),
        ({"audience": ""}, "audience is empty"),
        ({"audience": None}, r"jwt_auth\[0\].audience"),
        ({"jwks_url": "http://keys.example.com"}, r"jwt_auth\[0\].jwks_url begins with https"),
        ({"issuer": "login"}, r"jwt_auth\[0\].issuer begins with https"),
        ({"algorithms": ["HS256"]}, "algorithms has 'HS256'"),
        ({"public_key": "not one"}, r"jwt_auth\[0\].public_key is no public key"),
        ({"unknown": "maybe"}, r"jwt_auth\[0\].unknown"),
        ({"roles": {"x": "boss"}}, "'boss' for a role"),
    ],
)
def test_an_issuer_that_cannot_be_used_is_refused_by_its_place(wrong: dict[str, Any], said: str) -> None:
    """When the configuration is read."""
    rules = {"id": "a", "issuer": "https://login.example.com", "audience": "polyport"}
    models = [{"model_name": "gpt", "params": {"model": "openai/gpt-4o"}}]
    with pytest.raises(BadRequestError, match=said):
        config.read({"model_list": models, "general_settings": {"jwt_auth": [rules | wrong]}})
