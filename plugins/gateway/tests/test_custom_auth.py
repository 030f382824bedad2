"""Who calls, by a function of the operator's: on every way in, with limits, and closed to whoever it does not know."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from polyport_gateway import config
from polyport_gateway.assembly import app_of
from polyport_gateway.config import ConfigError

from .conftest import CHAT, KEY, Gateway, Upstream, config_for
from .waiting import until

pytest.importorskip("polyport_openai")

FUNCTION = """
import asyncio

async def who(request, api_key):
    team = request.headers.get("X-Team")
    if request.query_params.get("key") == "other" or api_key == "locked":
        raise PermissionError(api_key)
    name, dash, _ = api_key.partition("-")
    if dash and name in ("jane", "joan"):
        await asyncio.sleep(0)
        return {"user_id": name, "team_id": team, "key_id": f"{name}s", "rpm_limit": 3, "models": ["gpt", "gpt-4o"]}
    raise Exception(f"no {api_key} here")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the function and the configuration are."""
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def begun(folder: Path, upstream: Upstream, start: Callable[..., Gateway]) -> Gateway:
    """A gateway that asks the function."""
    (folder / "own").mkdir()
    (folder / "own" / "auth.py").write_text(FUNCTION)
    general = {"master_key": KEY, "custom_auth": "own.auth.who", "passthrough": {"providers": ["openai"]},
               "watch_config": True}  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config_for(upstream, general_settings=general)))
    return start(path)


@pytest.fixture
def ask(begun: Gateway) -> Iterator[Callable[..., httpx.Response]]:
    """Ask the gateway with some key."""
    with httpx.Client(base_url=begun.url, timeout=60) as client:

        def asking(key: str | None, method: str, path: str, **more: Any) -> httpx.Response:
            headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
            return client.request(method, path, headers=headers, **more)

        yield asking


def test_the_function_says_who_calls(ask: Callable[..., httpx.Response], well: Upstream) -> None:
    """With limits and models of its own, in the ledger by its own name; whoever it does not know gets 401."""
    made = ask(KEY, "POST", "/key/generate", json={}).json()["key"]
    ask(KEY, "POST", "/team/new", json={"team_id": "ml"})
    for stranger in ("sk-strange", made, "locked", None):
        reply = ask(stranger, "POST", "/v1/chat/completions", json=CHAT)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key"), stranger
        assert not stranger or stranger not in reply.text
    anthropic = ask("sk-strange", "POST", "/v1/messages", json=CHAT, headers={"anthropic-version": "2023-06-01"})
    assert (anthropic.status_code, anthropic.json()["type"]) == (401, "error")
    assert well.asked == []
    team = {"x-team": "ml"}
    assert ask("jane-1", "POST", "/v1/chat/completions", json=CHAT, headers=team).status_code == 200
    assert ask("jane-1", "POST", "/v1/embeddings", json={"model": "embed", "input": "a"}).status_code == 403
    raw = ask("jane-1", "POST", "/passthrough/openai/v1/chat/completions", json={**CHAT, "model": "gpt-4o"})
    assert raw.status_code == 200
    assert ask("jane-1", "POST", "/v1/chat/completions", json=CHAT).status_code == 429
    assert ask("jane-1", "GET", "/key/list").json()["keys"] == []
    assert ask("sk-strange", "GET", "/key/list").status_code == 401

    def rows() -> list[dict[str, Any]]:
        found = ask(KEY, "GET", "/spend/logs", params={"key": "custom:janes", "status": "200"}).json()["results"]
        return list(found) if len(found) == 2 else []

    assert {(row["user_id"], row["team_id"]) for row in until(rows, "both are written down")} == {
        ("jane", "ml"), ("jane", ""),
    }  # fmt: skip


def test_the_function_is_asked_of_websockets_too(begun: Gateway) -> None:
    """Wherever the key stands; what it refuses is refused in the handshake."""
    address = f"{begun.url.replace('http', 'ws')}/v1/realtime?model=nothing"
    for more, status in (("&api-key=sk-strange", 401), ("&key=other", 401), ("&api-key=joan-1", 403)):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{address}{more}")
        assert refused.value.response.status_code == status, more  # 403: nothing is not among joan's models


def test_a_function_that_changes_is_read_again(
    ask: Callable[..., httpx.Response], folder: Path, well: Upstream
) -> None:
    """With its file; one that cannot be read leaves the old one at work."""
    file = folder / "own" / "auth.py"
    assert ask("joe", "GET", "/v1/models").status_code == 401
    file.write_text(FUNCTION.replace("if dash and name in (", "if name in ('joe', "))
    until(lambda: ask("joe", "GET", "/v1/models").status_code == 200, "the new function is asked")
    file.write_text("def who(")
    until(lambda: ask(KEY, "GET", "/config").json()["error"], "what is wrong is told")
    assert ask("joe", "GET", "/v1/models").status_code == 200
    file.write_text(FUNCTION)
    until(lambda: ask("joe", "GET", "/v1/models").status_code == 401, "the first one is asked again")


# --- what it may say ---

Ask = Callable[..., Awaitable[httpx.Response]]


def run(folder: Path, source: str, test: Callable[[Ask], Awaitable[None]], **settings: Any) -> None:
    """Run a test on a gateway in this process, whose function is `who` of a source."""
    name = f"auth_{os.urandom(4).hex()}"
    (folder / f"{name}.py").write_text(source)
    general = {"master_key": KEY, "custom_auth": f"{name}.who", "custom_auth_settings": settings}
    models = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]

    async def main() -> None:
        app = app_of(config.read({"model_list": models, "general_settings": general}, folder), data=folder)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:

            async def ask(key: str, path: str = "/v1/models", body: Any = None) -> httpx.Response:
                headers = {"authorization": f"Bearer {key}"}
                return await client.request("POST" if body is not None else "GET", path, json=body, headers=headers)

            await test(ask)
        await app.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return {'user_id': 'u'}", 200),
        ("return {}", 200),
        ("return {'max_buget': 1}", 500),
        ("return {'rpm_limit': 'many'}", 500),
        ("return {'rpm_limit': 0}", 200),
        ("return {'team_rpm_limit': 7}", 500),
        ("return {'team_id': 't', 'team_rpm_limit': 7, 'team_spend': 2.0, 'spend': 0.0, 'model_spend': {}}", 200),
        ("return {'team_id': 't', 'team_member_rpm_limit': 7}", 500),
        ("return {'team_id': 't', 'team_budget': 7}", 500),
        ("return {'team_id': 't', 'team_blocked': True}", 403),
        ("return {'org_rpm_limit': 7}", 500),
        ("return {'end_user_models': ['gpt']}", 500),
        ("return {'end_user_max_budget': 'much'}", 500),
        ("return {'expires': '2020-01-01T00:00:00'}", 401),
        ("return {'expires': 'soon'}", 500),
        ("return 7", 500),
        ("return {'key_id': 7}", 500),
        ("return {'user_role': ['admin']}", 500),
        ("return {'blocked': True}", 403),
        ("return {'expires': 1.0}", 401),
        ("import datetime; return {'expires': datetime.datetime(2020, 1, 1)}", 401),
        ("return {'allowed_routes': ['/chat/completions']}", 403),
        ("return None", 401),
        ("return False", 401),
        ("return ''", 401),
        ("return 'sk-nobodys'", 401),
        ("raise ValueError(key)", 401),
        ("e = OSError(key); e.status_code = 403; raise e", 403),
        ("e = OSError(key); e.status_code = 200; raise e", 401),
        ("from polyport_gateway.gate import GateError; raise GateError(429, 'later', 'Later.')", 429),
        ("class Key: pass\n    k = Key(); k.user_id = 'u'; k.api_key = key; k.max_budget = None; return k", 200),
        ("import time; time.sleep(0.5)", 503),
    ],
)
def test_what_a_function_may_say(tmp_path: Path, body: str, status: int) -> None:
    """A key, or why not; whatever else it says keeps the caller out, and tells no key."""

    async def test(ask: Ask) -> None:
        reply = await ask("sk-callers-own-secret")
        assert reply.status_code == status, reply.text
        assert "sk-callers-own-secret" not in reply.text
        assert (await ask(KEY)).status_code == 200

    run(tmp_path, f"def who(request, key):\n    {body}\n", test, timeout=0.2 if status == 503 else 60)


def test_a_key_of_the_gateways_may_be_what_it_says(tmp_path: Path) -> None:
    """With the limits and the blocking that it has here; and beside it all others, where both are asked."""

    async def test(ask: Ask) -> None:
        made = (await ask(KEY, "/key/generate", {})).json()
        os.environ["POLYPORT_TEST_KEY"] = made["key"]
        assert (await ask("mine")).status_code == 200
        assert (await ask(made["key"])).status_code == 200
        assert (await ask("sk-nobodys")).status_code == 401
        await ask(KEY, "/key/block", {"key_id": made["key_id"]})
        assert (await ask("mine")).status_code == 403

    source = "import os\ndef who(request, key):\n    return {'mine': os.environ['POLYPORT_TEST_KEY']}[key]\n"
    try:
        run(tmp_path, source, test, mode="auto")
    finally:
        os.environ.pop("POLYPORT_TEST_KEY", None)


def test_its_word_holds_as_long_as_it_is_said_to(tmp_path: Path) -> None:
    """By default for one request, however often that has to know; else for a while, of that key alone."""
    counting = "said = []\ndef who(request, key):\n    said.append(key)\n    return {'key_alias': str(len(said))}\n"
    fresh: dict[str, int] = {}
    for seconds in (0, 3600):

        async def test(ask: Ask, seconds: int = seconds) -> None:
            import sys

            for key in ("a", "a", "b", "a"):
                assert (await ask(key)).status_code == 200
            modules = [one for name, one in sys.modules.items() if name.startswith("polyport_custom_auth_auth_")]
            fresh[str(seconds)] = len(modules[-1].said)

        run(tmp_path, counting, test, cache_seconds=seconds)
    assert fresh == {"0": 4, "3600": 2}


@pytest.mark.parametrize(
    ("general", "says"),
    [
        ({"custom_auth": "who"}, "custom_auth is module.function"),
        ({"custom_auth": "no_such_module_anywhere.who"}, "cannot be imported: ModuleNotFoundError"),
        ({"custom_auth": "json.nothing"}, "cannot be imported: AttributeError"),
        ({"custom_auth": "string.digits"}, "is no function"),
        (
            {"custom_auth": "json.loads", "custom_auth_settings": {"mode": "maybe"}},
            "custom_auth_settings: Invalid enum",
        ),
        ({"custom_auth": "json.loads", "custom_auth_settings": {"cache": 1}}, "unknown field `cache`"),
        ({"custom_auth_settings": {"mode": "on"}}, "of no use without custom_auth"),
    ],
)
def test_what_is_wrong_with_it_is_named(general: dict[str, Any], says: str) -> None:
    """Before the gateway starts."""
    models = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]
    with pytest.raises(Exception, match=says) as error:
        config.check(config.read({"model_list": models, "general_settings": general}))
    assert isinstance(error.value, ConfigError) or "custom_auth" in str(error.value)


def test_yaml_has_its_own_idea_of_on_and_off(tmp_path: Path) -> None:
    """Which are taken for what they were written as; off asks nobody."""
    text = """
    model_list: [{model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: k}}]
    general_settings: {custom_auth: json.loads, custom_auth_settings: {mode: %s}}
    """
    from polyport_gateway import custom_auth

    for word, asked in (("on", True), ("off", False), ("auto", True)):
        found = config.parse(text % word)
        assert (custom_auth.load(found.general.given, tmp_path) is not None) is asked, word


# --- limits of others ---

SAYING = """
import base64, json

def who(request, key):
    return json.loads(base64.urlsafe_b64decode(key))
"""
Call = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def saying(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, start: Callable[..., Gateway]) -> Gateway:
    """A gateway whose function says what the key does."""
    folder = tmp_path_factory.mktemp("saying")
    (folder / "says.py").write_text(SAYING)
    path = folder / "config.yaml"
    general = {"master_key": KEY, "custom_auth": "says.who"}
    path.write_text(yaml.safe_dump(config_for(upstream, general_settings=general)))
    return start(path)


@pytest.fixture
def call(saying: Gateway, well: Upstream) -> Iterator[Call]:
    """Chat as what a function says."""
    with httpx.Client(base_url=saying.url, timeout=60) as client:

        def calling(said: Mapping[str, Any] | None, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
            key = KEY if said is None else base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
            body = body if said is None else {**CHAT, "max_tokens": 3, **body}
            return client.post(path, json=body, headers={"authorization": f"Bearer {key}"})

        yield calling


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ({"team_id": "T", "team_rpm_limit": 2}, {"team_id": "U", "team_rpm_limit": 2}),
        ({"user_id": "T", "user_rpm_limit": 2}, {"user_id": "U", "user_rpm_limit": 2}),
        ({"project_id": "T", "project_rpm_limit": 2}, {"project_id": "U", "project_rpm_limit": 2}),
        ({"end_user_id": "T", "end_user_rpm_limit": 2}, {"end_user_id": "U", "end_user_rpm_limit": 2}),
        (
            {"team_id": "M", "user_id": "T", "team_member_rpm_limit": 2},
            {"team_id": "M", "user_id": "U", "team_member_rpm_limit": 2},
        ),
        (
            {"team_id": "P", "team_metadata": {"model_rpm_limit": {"gpt": 2}}},
            {"team_id": "Q", "team_metadata": {"model_rpm_limit": {"gpt": 2}}},
        ),
    ],
    ids="-".join,
)
def test_limits_of_others_are_counted_over_all_their_keys(call: Call, said: Any, other: Any) -> None:
    """Whoever calls with what key; those of others are counted by themselves. Nobody of them is in a table."""
    asked = [call({**said, "key_id": f"{key}-{said}"}) for key in "abc"]
    assert [one.status_code for one in asked] == [200, 200, 429], asked[-1].text
    assert call({**other, "key_id": "other"}).status_code == 200


def test_limits_of_the_end_user_hold_for_whom_the_request_names(call: Call) -> None:
    """Each by itself; one that the function names goes before, and is in the ledger."""
    said = {"key_id": "shop", "end_user_rpm_limit": 1}
    assert [call(said, user=user).status_code for user in ("ann", "ann", "ben")] == [200, 429, 200]
    assert call({"key_id": "till", "end_user_id": "cleo"}, user="dan").status_code == 200
    logs = until(
        lambda: httpx.get(
            f"{call(None, '/key/list').url.copy_with(path='/spend/logs')}?key=custom:till",
            headers={"authorization": f"Bearer {KEY}"},
            timeout=60,
        ).json()["results"],
        "it is written down",
    )
    assert [row["customer_id"] for row in logs] == ["cleo"]


def test_keys_of_the_function_s_make_no_client_secrets(call: Call, saying: Gateway) -> None:
    """They are not known again without it; one that the gateway's key made is taken, though the function has none."""
    session = {"type": "realtime", "model": "gpt"}
    headers = {"authorization": f"Bearer {base64.urlsafe_b64encode(b'{}').decode()}"}
    address = f"{saying.url}/v1/realtime/client_secrets"
    refused = httpx.post(address, json={"session": session}, headers=headers, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_client_secrets")
    secret = call(None, "/v1/realtime/client_secrets", session=session).json()["value"]
    with pytest.raises(InvalidStatus) as failed:
        connect(f"{saying.url.replace('http', 'ws')}/v1/realtime?key={secret}")
    assert failed.value.response.status_code in (404, 502)  # it was let in, and its provider has no such sessions


def test_what_is_said_goes_before_what_is_here_and_counts_with_it(call: Call) -> None:
    """A team's own limits are replaced by those that are said, on the same account: what it has spent is known."""
    assert call(None, "/team/new", team_id="crew", rpm_limit=1, max_budget=5, budget_duration="1mo").status_code == 200
    said = {"team_id": "crew", "team_rpm_limit": 3, "user_id": "u"}
    assert [call({**said, "key_id": key}).status_code for key in "xyx"] == [200, 200, 200]
    assert call({**said, "key_id": "z"}).status_code == 429
    spent = call({**said, "team_rpm_limit": 9, "team_max_budget": 0.000142, "key_id": "z"})
    assert spent.status_code in (400, 429)
    assert "budget" in spent.text
    assert call({**said, "team_rpm_limit": 9, "team_max_budget": 1, "key_id": "z"}).status_code == 200
    narrow = call({**said, "team_rpm_limit": 9, "team_models": ["embed"], "key_id": "z"})
    assert narrow.status_code == 403
