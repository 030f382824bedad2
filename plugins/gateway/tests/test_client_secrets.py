"""Client secrets: made by OpenAI's SDK for whom the key is not for, and good for realtime sessions alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from polyport_gateway import management as manage
from polyport_gateway.client_secrets import ROUTE, ClientSecrets, Secret
from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER as MASTER_OF_ALL, Principal
from polyport_gateway.keeper import Keeper
from polyport_gateway.rows import UserRow
from polyport_gateway.signon import people
from polyport_gateway.store import Store

from .conftest import Gateway
from .waiting import until

pytest.importorskip("polyport_openai")
pytest.importorskip("openai")
import openai

from .test_realtime import (
    MASTER,
    SECRET,
    Provider,
    address,
    call,
    config,
    id_of,
    new_key,
    provider,  # noqa: F401  a fixture
    rows,
    said,
    serving,  # noqa: F401  a fixture
)

BRIEF = {"type": "realtime", "model": "voice", "instructions": "Be brief.", "output_modalities": ["text"]}


@pytest.fixture(scope="module")
def gateway(serving: Provider, start: Callable[..., Any]) -> Any:  # noqa: F811
    """A gateway in front of the provider."""
    return start(config(serving.port))


def mint(gateway: Any, key: str, path: str = "/v1/realtime/client_secrets", **body: Any) -> httpx.Response:
    """Ask for a secret."""
    return httpx.post(gateway.url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=60)


def secret_of(gateway: Any, key: str, **session: Any) -> str:
    """Make a secret."""
    reply = mint(gateway, key, session={**BRIEF, **session})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["value"])


def refused(gateway: Any, secret: str, query: str = "?model=voice") -> int:
    """Return with what status a session is refused; 0 where it begins."""
    try:
        with connect(address(gateway, query), additional_headers={"authorization": f"Bearer {secret}"}) as made:
            made.recv(20)
    except InvalidStatus as error:
        return error.response.status_code
    return 0


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")  # the SDK's own, of its websockets client
def test_the_official_sdk_makes_a_secret_and_holds_a_session_with_it(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """The session begins as it was asked for, and is the key's that made the secret; the provider sees neither."""
    provider.updates = {"own": 1.5}
    key = new_key(gateway, max_budget=5)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key) as server:
        before = time.time()
        made = server.realtime.client_secrets.create(
            session=BRIEF, expires_after={"anchor": "created_at", "seconds": 7200}
        )
        assert before + 7199 <= made.expires_at <= time.time() + 7200
        assert made.session.model == "voice"
        assert made.session.type == "realtime"
        assert made.session.instructions == "Be brief."
    assert made.value.startswith("ek_")
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=made.value) as browser,
        browser.realtime.connect(model="voice") as session,
    ):
        first = session.recv()
        assert first.type == "session.created"
        assert first.session.instructions == "Be brief."
        session.response.create()
        kinds = []
        for event in session:
            kinds.append(event.type)
            if event.type == "response.done":
                break
    assert kinds == ["response.created", "response.output_text.delta", "response.done"]
    assert json.loads(provider.heard[0]) == {
        "type": "session.update", "session": {name: BRIEF[name] for name in BRIEF if name != "model"},
    }  # fmt: skip
    path, headers = provider.asked[0]
    assert path == "/v1/realtime?model=gpt-realtime"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert made.value not in str(headers)
    last, first_row = rows(gateway, 2, key=id_of(gateway, key))
    assert (first_row["operation"], first_row["model"], first_row["completion"]) == ("realtime", "voice", 10)
    assert first_row["spend"] == pytest.approx(30e-6 + 20e-6)
    assert last["status"] == 200


def test_browsers_put_it_into_a_subprotocol(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """Whatever cookies come by themselves; the model is the secret's, and no other."""
    provider.updates = {}
    secret = secret_of(gateway, MASTER)
    offered = ["realtime", f"openai-insecure-api-key.{secret}"]
    for query in ("", "?model=voice"):
        cookies = {"cookie": "polyport_session=ps_nonsense"}
        with connect(address(gateway, query), subprotocols=offered, additional_headers=cookies) as made:
            assert made.subprotocol == "realtime"
            created = json.loads(made.recv(20))
            assert (created["type"], created["session"]["instructions"]) == ("session.created", "Be brief.")
            made.send(json.dumps({"type": "response.create"}))
            said(made, "response.done")
    assert refused(gateway, secret, "?model=other") == 403
    assert all(secret not in path and secret not in str(headers) for path, headers in provider.asked)


def test_the_older_way_to_make_one(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """The session itself is asked for, of the beta's shape, and the provider is spoken to in it."""
    provider.updates = {}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER) as server:
        made = server.beta.realtime.sessions.create(model="voice", instructions="Hush.", modalities=["text"])
        assert (made.instructions, made.modalities) == ("Hush.", ["text"])
    assert abs(made.client_secret.expires_at - time.time() - 60) < 60
    assert refused(gateway, made.client_secret.value) == 0
    assert json.loads(provider.heard[0])["session"] == {"instructions": "Hush.", "modalities": ["text"]}
    assert provider.asked[0][1]["openai-beta"] == "realtime=v1"


def test_a_secret_is_good_for_nothing_else(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """Not for calls, management, the pages, other vendors' sessions, or for more secrets; also an admin's."""
    for key in (MASTER, new_key(gateway, role="admin")):
        secret = secret_of(gateway, key)
        headers = {"authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=60) as client:
            chat = {"model": "voice", "messages": [{"role": "user", "content": "hi"}]}
            statuses = {
                path: client.request("POST" if body is not None else "GET", path, json=body).status_code
                for path, body in {
                    "/v1/chat/completions": chat, "/v1/models": None, "/key/list": None, "/key/generate": {},
                    "/spend/logs": None, "/config": None, "/v1/realtime/client_secrets": {"session": BRIEF},
                    "/auth/login": {"key": secret}, "/v1/files": None, "/v1/vector_stores": None, "/metrics": None,
                }.items()
            }  # fmt: skip
        assert {status for status in statuses.values() if status not in (400, 401, 403)} == set(), statuses
        live = f"{gateway.url.replace('http', 'ws')}/ws/google.ai.generativelanguage.v1beta.GenerativeService"
        with connect(f"{live}.BidiGenerateContent?key={secret}") as made:
            made.send(json.dumps({"setup": {"model": "models/voice"}}))
            with pytest.raises(ConnectionClosed):
                made.recv(20)
            assert made.close_code == 1008
    assert not provider.asked


@pytest.mark.parametrize(
    ("about", "body", "status", "says"),
    [
        ({}, {"session": BRIEF, "expires_after": {"anchor": "created_at", "seconds": 9}}, 400, "seconds"),
        ({}, {"session": BRIEF, "expires_after": {"anchor": "created_at", "seconds": 7201}}, 400, "seconds"),
        ({}, {"session": BRIEF, "expires_after": {"anchor": "now", "seconds": 60}}, 400, "anchor"),
        ({}, {"session": BRIEF, "seconds": 60}, 400, "seconds"),
        ({}, {"session": {"model": "voice"}}, 400, "type"),
        ({}, {"session": {**BRIEF, "type": "transcription"}}, 400, "transcribe"),
        ({}, {"session": {**BRIEF, "model": 7}}, 400, "session.model"),
        ({}, {"session": {**BRIEF, "model": "nope"}}, 404, "nope"),
        ({}, {"session": {**BRIEF, "instructions": "x" * 300_000}}, 413, ""),
        ({}, {"session": {**BRIEF, "odd": [2**90, {"\x90": None}]}}, 200, str(2**90)),
        ({"models": ["other"]}, {"session": BRIEF}, 403, "voice"),
        ({"role": "viewer"}, {"session": BRIEF}, 403, "viewer"),
        ({"allowed_routes": ["/chat/completions"]}, {"session": BRIEF}, 403, "/realtime"),
        ({"allowed_routes": ["/realtime"]}, {"session": BRIEF}, 200, "ek_"),
        ({"aliases": {"mine": "voice"}}, {"session": {**BRIEF, "model": "mine"}}, 200, "ek_"),
        ({}, {}, 200, "ek_"),
    ],
)
def test_who_may_make_what(gateway: Any, about: dict[str, Any], body: dict[str, Any], status: int, says: str) -> None:
    """Within OpenAI's bounds, of what the key itself may use."""
    reply = mint(gateway, new_key(gateway, **about), **body)
    assert reply.status_code == status, reply.text
    assert says in reply.text


def test_what_is_nested_too_deep_is_no_session(gateway: Any) -> None:
    """However deep it is, it is a 400 or a secret, and no fault."""
    headers = {"authorization": f"Bearer {MASTER}", "content-type": "application/json"}
    told = set()
    for deep in (*range(100, 1100, 100), *range(940, 1001, 3), 5000):
        body = '{"session": {"type": "realtime", "model": "voice", "a": %s}}' % ("[" * deep + "]" * deep)
        reply = httpx.post(f"{gateway.url}/v1/realtime/client_secrets", content=body, headers=headers, timeout=60)
        told.add(reply.status_code)
    assert told == {200, 400}


def test_what_else_is_below_says_why_it_is_not_there(gateway: Any) -> None:
    """In OpenAI's shape."""
    for path in ("transcription_sessions", "calls"):
        reply = mint(gateway, MASTER, f"/v1/realtime/{path}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_served")
    assert mint(gateway, MASTER, "/v1/realtime/nowhere").status_code == 404
    assert mint(gateway, MASTER, "/realtime/nowhere").status_code == 404
    assert httpx.get(f"{gateway.url}/v1/realtime/client_secrets", timeout=60).status_code == 405
    assert mint(gateway, "sk-nobodys", session=BRIEF).status_code == 401


def test_a_session_that_the_provider_refuses_does_not_begin(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """With what it said against it."""
    provider.updates = {"type": "error", "error": {"message": "No such voice."}}
    secret = secret_of(gateway, MASTER)
    with pytest.raises(InvalidStatus) as failed, connect(address(gateway, f"?key={secret}")):
        pass
    assert failed.value.response.status_code == 400
    assert "No such voice." in json.loads(failed.value.response.body)["error"]["message"]
    until(lambda: provider.closed, "the provider's side is closed")


def test_any_replica_takes_it_until_its_key_is_blocked_or_renewed(
    provider: Provider,  # noqa: F811
    start: Callable[..., Gateway],
    tmp_path: Path,
) -> None:
    """On all replicas, each of which looks every half a second; with another key in its place it is nobody's."""
    provider.updates = {}
    shared = {"database_url": f"sqlite:///{tmp_path / 'shared.db'}"}
    one, other = (
        start(config(provider.port, general_settings={**shared, "data_dir": str(tmp_path / name)})) for name in "ab"
    )
    key, renewed = new_key(one), new_key(one)
    secret, second = secret_of(one, key), secret_of(other, renewed)
    assert [refused(gateway, held) for gateway in (one, other) for held in (secret, second)] == [0] * 4
    call(one, "POST", "/key/block", json={"key_id": id_of(one, key)})
    until(lambda: refused(other, secret) == 403, "the other refuses it")
    assert refused(one, secret) == 403
    call(one, "POST", "/key/unblock", json={"key_id": id_of(one, key)})
    until(lambda: refused(other, secret) == 0, "it is taken again")
    call(other, "POST", "/key/rotate", json={"key_id": id_of(one, renewed)})
    until(lambda: {refused(gateway, second) for gateway in (one, other)} == {401}, "its key is another one")


def test_limits_are_those_of_the_key(gateway: Any, provider: Provider) -> None:  # noqa: F811
    """One session at a time is one, whoever holds it; and customers are those that it was made for."""
    provider.updates = {}
    key = new_key(gateway, max_parallel_requests=1)
    reply = mint(gateway, key, "/v1/realtime/client_secrets?user=ann&metadata.project=x", session=BRIEF)
    secret = reply.json()["value"]
    headers = {"authorization": f"Bearer {secret}"}
    with connect(address(gateway, "?user=ben"), additional_headers=headers) as made:
        made.recv(20)
        assert refused(gateway, secret) == 429
    by = {"key": id_of(gateway, key), "status": "200"}
    logs = until(lambda: call(gateway, "GET", "/spend/logs", params=by)["results"], "it is written down")
    assert logs[0]["customer_id"] == "ann"


def test_without_accounts_there_are_none(provider: Provider, start: Callable[..., Gateway]) -> None:  # noqa: F811
    """And it is said why."""
    given = config(provider.port)
    given["general_settings"] = {}
    reply = mint(start(given), "x", session=BRIEF)
    assert (reply.status_code, reply.json()["error"]["code"]) == (501, "no_accounts")


# --- what is kept ---


def run(folder: Path, test: Callable[[Keeper, ClientSecrets, list[float]], Awaitable[None]]) -> None:
    """Run a test on an empty store, at a time that the test says."""
    now = [time.time()]

    async def main() -> None:
        store = Store(f"sqlite:///{folder / 'gateway.db'}")
        keeper = Keeper(store, folder / "journal", master_key=MASTER, clock=lambda: now[0])
        await keeper.start()
        made = ClientSecrets(keeper)
        keeper.identity.bearers.append(made)
        await test(keeper, made, now)
        await keeper.aclose()

    asyncio.run(main())


def test_a_secret_begins_sessions_until_it_expires_and_those_go_on(tmp_path: Path) -> None:
    """What has expired is dropped when another is made, once no session may go on with it."""

    async def test(keeper: Keeper, made: ClientSecrets, now: list[float]) -> None:
        def count() -> int:
            with sqlite3.connect(tmp_path / "gateway.db") as database:
                return int(database.execute("select count(*) from client_secrets").fetchone()[0])

        secret = Secret(begun=(), expires=now[0] + 600)
        token = await made.make(MASTER_OF_ALL, secret, 3600)
        now[0] += 599
        assert (await made.read(token)).expires == secret.expires
        now[0] += 1
        with pytest.raises(GateError, match="begins no session"):
            await made.read(token)
        assert (await keeper.identity.identify(token)).routes == (ROUTE,)
        now[0] += 3600
        await made.make(MASTER_OF_ALL, secret, 3600)
        assert count() == 2
        now[0] += 120
        await made.make(MASTER_OF_ALL, msgspec.structs.replace(secret, expires=now[0] + 600), 3600)
        assert count() == 1
        for wrong in (token[:-1], token + "x", "ek_gw_"):
            with pytest.raises(GateError, match="begins no session"):
                await made.read(wrong)

    run(tmp_path, test)


def test_the_database_tells_nothing_of_it(tmp_path: Path) -> None:
    """Neither the secret, nor what its session says: tools may have credentials in them."""

    async def test(keeper: Keeper, made: ClientSecrets, now: list[float]) -> None:
        tools = [{"type": "mcp", "server_label": "s", "authorization": "Bearer of-the-tools"}]
        session = {"type": "realtime", "instructions": "Never say plum.", "tools": tools}
        secret = Secret(begun=(), expires=now[0] + 600, model="voice-of-plums", session=session)
        token = await made.make(MASTER_OF_ALL, secret, 3600)
        assert (await made.read(token)).session == session
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
        for text in (token, token[6:], "plum", "of-the-tools", MASTER):
            assert text.encode() not in kept

    run(tmp_path, test)


def test_people_who_are_signed_in_make_them_too(tmp_path: Path) -> None:
    """For themselves and their team; who is not known again without a token makes none."""

    async def test(keeper: Keeper, made: ClientSecrets, now: list[float]) -> None:
        store, secret = keeper.store, Secret(begun=(), expires=now[0] + 600)
        await manage.create(store, MASTER_OF_ALL, "user", {"user_id": "ada"})
        await manage.create(store, MASTER_OF_ALL, "team", {"team_id": "t", "members": {"ada": "admin"}, "rpm_limit": 7})
        async with store.reading() as connection:
            row = await connection.get(UserRow, "ada")
            assert row is not None
            who = await people.principal_of(connection, row)
        found = await keeper.identity.identify(await made.make(who, secret, 60))
        assert (found.user_id, found.team_id, found.key_id, found.role) == ("ada", "t", "", "")
        assert [(one.kind, one.limit.rpm) for one in found.parties] == [("user", None), ("team", 7)]
        for stranger in (
            Principal(id="jwt:x", key_id="jwt:x", user_id="ada"),
            Principal(id="custom:x", key_id="custom:x"),
        ):
            with pytest.raises(GateError, match="made with keys that this gateway made"):
                await made.make(stranger, secret, 60)
        await manage.block(store, MASTER_OF_ALL, "user", {"user_id": "ada"})
        token = await made.make(who, secret, 60)
        with pytest.raises(GateError, match="blocked"):
            await keeper.identity.identify(token)
        keeper.follow("sk-another-master", "allow")
        with pytest.raises(GateError, match="blocked"):
            await keeper.identity.identify(token)

    run(tmp_path, test)
