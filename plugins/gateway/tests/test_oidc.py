"""People sign in by OpenID Connect, at a provider that is real HTTP on this machine, honest or not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from polyport.errors import BadRequestError
from polyport_gateway import config, management as manage
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper

pytest.importorskip("jwt")
pytest.importorskip("signing_on")
import jwt
from signing_on import CLIENT, SECRET, Provider, run

from polyport_gateway.signon import jwks

START = "/auth/oidc/company/start"


@pytest.fixture(scope="module")
def served() -> Iterator[Provider]:
    """The provider."""
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def provider(served: Provider) -> Provider:
    """The provider, honest and well."""
    served.claims, served.about, served.userinfo, served.forge = {}, {}, {}, served.sign
    served.ways, served.down = ["client_secret_basic"], False
    served.asked.clear()
    return served


def sso(provider: Provider, **rules: Any) -> dict[str, Any]:
    """Return the setting of a gateway whose people sign in there."""
    known = {
        "id": "company",
        "title": "Company",
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
    }
    return {"sso": [{**known, **rules}]}


async def go(client: httpx.AsyncClient, start: str = START) -> httpx.Response:
    """Go where a browser goes: to the provider, and back to the gateway. Returns the gateway's last answer."""
    reply = await client.get(start)
    assert reply.status_code == 303, reply.text
    back = await at_provider(reply.headers["location"])
    return await client.get(back)


async def at_provider(url: str) -> str:
    """Sign in at the provider, and return where it sends the browser."""
    async with httpx.AsyncClient(timeout=60) as browser:
        reply = await browser.get(url)
        assert reply.status_code == 302, reply.text
        return str(reply.headers["location"])


async def audited(keeper: Keeper) -> list[tuple[str, str]]:
    """Return what the audit log has: actions and about whom, the oldest first."""
    changes = (await manage.audit_log(keeper.store, MASTER, {}))["changes"]
    return [(one["action"], one["entity_id"]) for one in reversed(changes)]


def test_somebody_signs_in_and_becomes_a_user(tmp_path: Path, provider: Provider) -> None:
    """From the button to a session, on the page that was asked for; the provider's words never reach a log or page."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        told = (await client.get("/auth/session")).json()
        assert told["providers"] == [{"id": "company", "kind": "oidc", "title": "Company"}]
        reply = await go(client, f"{START}?next=/ui/keys%3Fpage=2")
        assert (reply.status_code, reply.headers["location"]) == (303, "/ui/keys?page=2")
        cookies = reply.headers.get_list("set-cookie")
        assert any(one.startswith("polyport_session=ps_") and "SameSite=Lax" in one for one in cookies)
        assert [name for name in client.cookies if name != "polyport_session"] == []
        told = (await client.get("/auth/session")).json()
        assert (told["name"], told["role"], told["user_id"]) == ("Anna", "member", "s-1")
        shown = await manage.info(keeper.store, MASTER, "user", {"user_id": "s-1"})
        assert (shown["user_email"], shown["user_alias"]) == ("anna@example.com", "Anna")
        assert await audited(keeper) == [("create", "s-1"), ("sign_in", "user:s-1")]
        await go(client)
        assert [action for action, _ in await audited(keeper)] == ["create", "sign_in", "sign_in"]

    run(tmp_path, test, **sso(provider))


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_new_keys_of_the_provider_are_fetched_when_they_are_needed(
    tmp_path: Path, provider: Provider, kind: str
) -> None:
    """A token that names an unknown key makes the gateway look again; a token of the old key is then refused."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await go(client)).status_code == 303
        old, old_kid = provider.keys[provider.kid], provider.kid
        asked = provider.asked.count("/jwks")
        provider.new_key(f"new-{kind}", kind)
        end = time.monotonic() + 60 * jwks.PAUSE
        while (reply := await go(client)).status_code != 303 and time.monotonic() < end:
            assert reply.status_code == 401
        assert reply.status_code == 303
        assert provider.asked.count("/jwks") == asked + 1
        provider.forge = lambda claims: jwt.encode(claims, old, algorithm="RS256", headers={"kid": old_kid})
        if kind == "EC":
            assert (await go(client)).status_code == 401
            provider.new_key("k1")

    run(tmp_path, test, **sso(provider))


def tampered(provider: Provider, claims: dict[str, Any]) -> str:
    """Return a token whose subject was changed after it was signed."""
    head, _, signature = provider.sign(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "root"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def with_public_key_as_secret(provider: Provider, claims: dict[str, Any]) -> str:
    """Return a token signed by HS256 with what everybody may know (algorithm confusion)."""
    import hashlib
    import hmac

    public = json.dumps(provider.jwks()["keys"][0]).encode()
    parts = [json.dumps({"alg": "HS256", "kid": provider.kid}).encode(), json.dumps(claims).encode()]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + mac).decode()


def of_another_key(provider: Provider, claims: dict[str, Any], **head: Any) -> str:
    """Return a token signed by a key of one's own, which its header offers."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    own = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    return jwt.encode(claims, own, algorithm="RS256", headers={"kid": provider.kid, "jwk": public, **head})


def now(ahead: float = 0) -> int:
    """Return what the time is, or will be: tests are collected long before they run."""
    return int(time.time() + ahead)


FORGED: dict[str, Callable[[Provider, dict[str, Any]], str]] = {
    "another issuer": lambda provider, claims: provider.sign({**claims, "iss": "https://evil.example"}),
    "another audience": lambda provider, claims: provider.sign({**claims, "aud": "other"}),
    "several audiences, for another party": lambda provider, claims: provider.sign({**claims, "aud": [CLIENT, "x"]}),
    "another authorized party": lambda provider, claims: provider.sign({**claims, "azp": "x"}),
    "another nonce": lambda provider, claims: provider.sign({**claims, "nonce": "x"}),
    "no nonce": lambda provider, claims: provider.sign({k: v for k, v in claims.items() if k != "nonce"}),
    "expired": lambda provider, claims: provider.sign({**claims, "exp": now(-60), "iat": now(-100)}),
    "never expires": lambda provider, claims: provider.sign({k: v for k, v in claims.items() if k != "exp"}),
    "not yet": lambda provider, claims: provider.sign({**claims, "nbf": now(3600)}),
    "made in the future": lambda provider, claims: provider.sign({**claims, "iat": now(3600)}),
    "no subject": lambda provider, claims: provider.sign({k: v for k, v in claims.items() if k != "sub"}),
    "none": lambda provider, claims: jwt.encode(claims, None, algorithm="none", headers={"kid": provider.kid}),
    "HS256 with the public key": with_public_key_as_secret,
    "HS256 with the client's secret": lambda provider, claims: jwt.encode(claims, SECRET * 4, algorithm="HS256"),
    "RS512, not allowed here": lambda provider, claims: provider.sign(claims, algorithm="RS512"),
    "tampered": tampered,
    "a key of one's own": of_another_key,
    "a key of one's own, elsewhere": lambda p, claims: of_another_key(p, claims, jku="http://127.0.0.1:9/jwks"),
    "extensions": lambda provider, claims: of_another_key(provider, claims, crit=["x"]),
    "no token": lambda provider, claims: "",
    "garbage": lambda provider, claims: "a.b.c",
    "no signature": lambda provider, claims: provider.sign(claims).rpartition(".")[0] + ".",
    "too long": lambda provider, claims: provider.sign({**claims, "x": "y" * 20_000}),
}


def test_no_forged_token_signs_anybody_in(tmp_path: Path, provider: Provider) -> None:
    """Each kind of forgery: a page that says so, no session, no user, and a line in the audit log."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for name, forge in FORGED.items():
            provider.forge = lambda claims, forge=forge: forge(provider, claims)  # type: ignore[misc]
            reply = await go(client)
            assert reply.status_code == 401, (name, reply.text)
            assert "polyport_session" not in client.cookies, name
            assert "Not signed in" in reply.text
            assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert [action for action, _ in await audited(keeper)] == ["sign_in_failed"] * len(FORGED)
        assert (await manage.list_all(keeper.store, MASTER, "user", {}))["users"] == []
        provider.forge = provider.sign
        assert (await go(client)).status_code == 303

    run(tmp_path, test, **sso(provider))


def test_a_state_counts_once_and_only_for_who_began(tmp_path: Path, provider: Provider) -> None:
    """Replayed with all its cookies, made up, of another browser, of another provider, without a code, late."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        url = (await client.get(START)).headers["location"]
        cookies = dict(client.cookies)
        back = await at_provider(url)
        client.cookies.clear()
        assert (await client.get(back)).status_code == 401  # somebody else's browser: login CSRF
        client.cookies.update(cookies)
        assert (await client.get(back.replace("/company/", "/second/"))).status_code == 401
        forged = back.replace("state=", "state=x")
        assert (await client.get(forged)).status_code == 401
        assert (await client.get(back + "&iss=https%3A%2F%2Fevil.example")).status_code == 401  # and it is used up now
        assert (await client.get(back)).status_code == 401
        assert "/token" not in provider.asked

        url = (await client.get(START)).headers["location"]
        cookies = dict(client.cookies)
        back = await at_provider(url)
        assert (await client.get(back)).status_code == 303
        signed_in = client.cookies["polyport_session"]
        client.cookies.clear()
        client.cookies.update({name: value for name, value in cookies.items() if name != "polyport_session"})
        assert (await client.get(back)).status_code == 401
        assert "polyport_session" not in client.cookies
        assert signed_in

        url = (await client.get(START)).headers["location"]
        state = parse_qs(urlsplit(url).query)["state"][0]
        reply = await client.get(f"/auth/oidc/company/callback?state={state}&error=%3Cb%3Eaccess_denied")
        assert (reply.status_code, "<b>" in reply.text) == (401, False)
        codes = [why["why"] for why in await failures(keeper)]
        assert codes == ["sign_in_over"] * 3 + ["wrong_issuer"] + ["sign_in_over"] * 2 + ["not_signed_in"]

    two = sso(provider)["sso"]
    run(tmp_path, test, sso=[*two, {**two[0], "id": "second"}])


async def failures(keeper: Keeper) -> list[dict[str, Any]]:
    """Return what the audit log says of failures, the oldest first."""
    changes = (await manage.audit_log(keeper.store, MASTER, {}))["changes"]
    return [one["after"] for one in reversed(changes) if one["action"] == "sign_in_failed"]


def test_a_code_is_bound_to_its_attempt(tmp_path: Path, provider: Provider) -> None:
    """A code that was stolen from another attempt fails by its verifier; one that was used fails at the provider."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        stolen = parse_qs(urlsplit(await at_provider((await client.get(START)).headers["location"])).query)["code"][0]
        url = (await client.get(START)).headers["location"]
        state = parse_qs(urlsplit(url).query)["state"][0]
        reply = await client.get(f"/auth/oidc/company/callback?state={state}&code={stolen}")
        assert reply.status_code == 401
        assert [why["why"] for why in await failures(keeper)] == ["code_refused"]

    run(tmp_path, test, **sso(provider))


@pytest.mark.parametrize(
    "next",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "ui", "/ui\r\nx: y", "/%0d\n",
     "http:///evil.example", "/\t/evil.example", "/ /evil", "///evil.example", "\\/evil.example", "/" + "x" * 600],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(tmp_path: Path, provider: Provider, next: str) -> None:
    """`next` is a path of the gateway, or an error."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.get(START, params={"next": next})
        assert (reply.status_code, "location" in reply.headers) == (400, False)

    run(tmp_path, test, **sso(provider))


CLAIMED: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | int]] = [
    ({}, {}, {"user_id": "s-1", "role": "member"}),
    ({"user_id_claim": "email"}, {}, {"user_id": "anna@example.com"}),
    ({"user_id_claim": "email"}, {"email_verified": False}, 403),
    ({"user_id_claim": "email"}, {"email_verified": None}, 403),
    ({"user_id_claim": "email", "require_verified_email": False}, {"email_verified": None}, {}),
    ({"user_id_claim": "oid"}, {}, 403),
    ({"user_id_claim": "sub"}, {"sub": "a\u0000b"}, 403),
    ({"user_id_claim": "sub"}, {"sub": "x" * 300}, 403),
    ({"allowed_domains": ["Example.com"]}, {}, {}),
    ({"allowed_domains": ["example.org"]}, {}, 403),
    ({"allowed_domains": ["example.com"]}, {"email": "a@evil.example"}, 403),
    ({"allowed_domains": ["example.com"]}, {"email": "a@notexample.com"}, 403),
    ({"allowed_domains": ["example.com"]}, {"email_verified": False}, 403),
    ({"allowed_domains": ["example.com"]}, {"email": None}, 403),
    ({"create_users": False}, {}, 403),
    ({"role_claim": "realm.roles"}, {"realm": {"roles": ["viewer", "admin", 3]}}, {"role": "admin"}),
    ({"role_claim": "groups", "roles": {"ops": "team_admin"}}, {"groups": ["ops", "admin"]}, {"role": "team_admin"}),
    ({"role_claim": "groups", "roles": {"ops": "admin"}}, {"groups": "dev ops"}, {"role": "admin"}),
    ({"role_claim": "groups", "roles": {"ops": "admin"}}, {"groups": ["dev"]}, {"role": "member"}),
    ({"role_claim": "groups", "roles": {"ops": "admin"}, "default_role": None}, {"groups": ["dev"]}, 403),
    ({"role_claim": "groups", "roles": {"ops": "admin"}, "default_role": None}, {}, 403),
    ({"teams_claim": "groups", "create_teams": True}, {"groups": ["My team"]}, {"team_id": "My team"}),
    ({"teams_claim": "groups"}, {"groups": ["unknown"]}, {"team_id": ""}),
    ({"teams_claim": "groups", "team_admins": {"leads": "ml"}, "create_teams": True}, {"groups": ["leads"]},
     {"team_id": "ml", "role": "team_admin", "teams_led": ["ml"]}),
]  # fmt: skip


def test_what_the_provider_says_becomes_user_role_and_team(tmp_path: Path, provider: Provider) -> None:
    """A table of rules, claims, and what comes of them."""
    for place, (rules, claims, said) in enumerate(CLAIMED):
        provider.claims = claims

        async def test(
            client: httpx.AsyncClient,
            keeper: Keeper,
            rules: Any = rules,
            claims: Any = claims,
            expected: Any = said,
        ) -> None:
            reply = await go(client)
            assert reply.status_code == (expected if isinstance(expected, int) else 303), (rules, claims, reply.text)
            if isinstance(expected, dict):
                told = (await client.get("/auth/session")).json()
                assert told == {**told, **expected}, (rules, claims)

        folder = tmp_path / str(place)
        folder.mkdir()
        run(folder, test, **sso(provider, **rules))


def test_role_and_teams_follow_the_provider_and_leave_what_was_done_by_hand(tmp_path: Path, provider: Provider) -> None:
    """Out of the group, out of the team; a team that an admin gave stays."""
    rules = {"role_claim": "roles", "teams_claim": "teams"}

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        for team, members in (("a", {}), ("b", {}), ("hand", {"s-1": "admin", "other": "member"})):
            await manage.create(keeper.store, MASTER, "team", {"team_id": team, "members": members})

        async def members() -> dict[str, Any]:
            teams = (await manage.list_all(keeper.store, MASTER, "team", {}))["teams"]
            return {one["team_id"]: one["members"] for one in teams}

        hand = {"s-1": "admin", "other": "member"}
        provider.claims = {"roles": ["admin"], "teams": ["a", "hand"]}
        await go(client)
        assert await members() == {"a": {"s-1": "member"}, "b": {}, "hand": hand}
        assert (await client.get("/auth/session")).json()["role"] == "admin"
        provider.claims = {"roles": [], "teams": ["b"]}
        await go(client)
        assert await members() == {"a": {}, "b": {"s-1": "member"}, "hand": hand}
        assert (await client.get("/auth/session")).json()["role"] == "team_admin"
        provider.claims = {}
        await go(client)
        assert await members() == {"a": {}, "b": {}, "hand": hand}

    run(tmp_path, test, **sso(provider, **rules))


def test_nobody_takes_the_place_of_a_user_by_its_name(tmp_path: Path, provider: Provider) -> None:
    """A user who was there, and one of another subject; with `link_users`, or users made by hand alone, it is so."""

    async def refused(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "user", {"user_id": "root", "user_role": "admin"})
        provider.claims = {"preferred_username": "root"}
        assert (await go(client)).status_code == 403
        provider.claims = {"preferred_username": "anna"}
        assert (await go(client)).status_code == 303
        provider.claims = {"preferred_username": "anna", "sub": "s-2"}
        assert (await go(client)).status_code == 403
        provider.claims = {"preferred_username": "renamed"}
        assert (await go(client)).status_code == 303
        assert (await client.get("/auth/session")).json()["user_id"] == "anna"
        await manage.delete(keeper.store, MASTER, "user", {"user_id": "anna"})
        await manage.create(keeper.store, MASTER, "user", {"user_id": "anna", "user_role": "admin"})
        assert (await go(client)).status_code == 303  # the one who left is somebody new: "renamed"
        assert (await client.get("/auth/session")).json()["user_id"] == "renamed"

    async def linked(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await manage.create(keeper.store, MASTER, "user", {"user_id": "root", "user_role": "admin"})
        provider.claims = {"preferred_username": "root"}
        assert (await go(client)).status_code == 303
        assert (await client.get("/auth/session")).json()["role"] == "admin"

    for place, (rules, test) in enumerate(
        [({}, refused), ({"link_users": True}, linked), ({"create_users": False}, linked)]
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        run(folder, test, **sso(provider, user_id_claim="preferred_username", **rules))


def test_who_is_made_by_signing_in_begins_with_the_defaults(tmp_path: Path, provider: Provider) -> None:
    """Users and teams, as those that are made by hand."""
    provider.claims = {"teams": ["lab"]}

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await go(client)).status_code == 303
        user = await manage.info(keeper.store, MASTER, "user", {"user_id": "s-1"})
        assert (user["max_budget"], user["budget_duration"], user["user_role"]) == (5, "1mo", "member")
        team = await manage.info(keeper.store, MASTER, "team", {"team_id": "lab"})
        assert (team["rpm_limit"], team["members"]) == (7, {"s-1": "member"})

    defaults = {"max_budget": 5, "budget_duration": "1mo", "user_role": "viewer"}
    rules = sso(provider, teams_claim="teams", create_teams=True)
    run(tmp_path, test, default_user_params=defaults, default_team_params={"rpm_limit": 7}, **rules)


def test_a_blocked_user_does_not_sign_in(tmp_path: Path, provider: Provider) -> None:
    """Whatever the provider says."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        await go(client)
        await manage.update(keeper.store, MASTER, "user", {"user_id": "s-1", "blocked": True})
        assert (await go(client)).status_code == 403
        assert (await client.get("/auth/session")).status_code == 401

    run(tmp_path, test, **sso(provider))


@pytest.mark.parametrize(
    "about",
    [{"issuer": "https://evil.example"}, {"jwks_uri": "http://evil.example/jwks"}, {"token_endpoint": None},
     {"authorization_endpoint": "javascript:alert(1)"}],
)  # fmt: skip
def test_a_provider_that_says_wrong_things_of_itself_is_refused(
    tmp_path: Path, provider: Provider, about: dict[str, Any]
) -> None:
    """Another issuer's document, addresses that anybody on the way could answer for."""
    provider.about = about

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.get(START)
        if reply.status_code == 303:
            reply = await client.get(await at_provider(reply.headers["location"]))
        assert reply.status_code == 502
        assert "polyport_session" not in client.cookies

    run(tmp_path, test, **sso(provider))


def test_a_provider_that_is_away_is_said_and_found_again(tmp_path: Path, provider: Provider) -> None:
    """502 while it is; what was learned of it before goes on to be used."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        provider.down = True
        assert (await client.get(START)).status_code == 502
        provider.down = False
        assert (await go(client)).status_code == 303
        provider.down = True
        assert (await client.get(START)).status_code == 303

    run(tmp_path, test, **sso(provider))


def test_secrets_may_be_posted_and_claims_come_from_userinfo(tmp_path: Path, provider: Provider) -> None:
    """As the provider's document and the configuration say; userinfo of somebody else is refused."""
    provider.ways, provider.claims = ["client_secret_post"], {"email": None, "groups": None}
    provider.userinfo = {"groups": ["admin"], "email": "u@example.com"}

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await go(client)).status_code == 303
        assert (await client.get("/auth/session")).json()["role"] == "admin"
        provider.userinfo["sub"] = "s-2"
        assert (await go(client)).status_code == 502

    run(tmp_path, test, **sso(provider, userinfo=True, role_claim="groups"))


def test_the_gateways_own_address_is_what_the_configuration_says(tmp_path: Path, provider: Provider) -> None:
    """Not what a request's Host says."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        reply = await client.get(START, headers={"host": "evil.example"})
        query = parse_qs(urlsplit(reply.headers["location"]).query)
        assert query["redirect_uri"] == ["https://gateway.example.com/auth/oidc/company/callback"]

    run(tmp_path, test, public_url="https://gateway.example.com/", **sso(provider))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"isuer": "x"}, r"sso\[0\] has 'isuer'.*did you mean 'issuer'"),
        ({"issuer": "http://login.example.com"}, r"sso\[0\].issuer begins with https"),
        ({"algorithms": ["HS256"]}, r"sso\[0\].algorithms has 'HS256'"),
        ({"algorithms": ["none"]}, r"sso\[0\].algorithms has 'none'"),
        ({"roles": {"x": "boss"}}, "'boss' for a role"),
        ({"default_role": None}, "role_claim must say"),
        ({"id": "Our Company"}, "short name"),
        ({"scopes": ["email"]}, "openid"),
        ({"client_id": 7}, r"sso\[0\].client_id"),
    ],
)
def test_a_provider_that_cannot_be_used_is_refused_by_its_place(wrong: dict[str, Any], said: str) -> None:
    """When the configuration is read, without the client's secret."""
    rules = {
        "id": "a",
        "issuer": "https://login.example.com",
        "client_id": "x",
        "client_secret": "very-secret",
        **wrong,
    }
    models = [{"model_name": "gpt", "params": {"model": "openai/gpt-4o"}}]
    with pytest.raises(BadRequestError, match=said) as error:
        config.read({"model_list": models, "general_settings": {"sso": [rules | wrong]}})
    assert "very-secret" not in str(error.value)
