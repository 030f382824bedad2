"""What keys may be made and by whom, and whose calls are refused: by settings, and over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport_gateway import config
from polyport_gateway.assembly import app_of
from polyport_gateway.config import ConfigError
from polyport_gateway.fields import KINDS, read as read_fields
from polyport_gateway.issuing import Issuing

pytest.importorskip("polyport_openai")

MASTER_KEY = "sk-master-1234"
MODELS = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}]}
BOUNDS = {"max_budget": 100, "budget_duration": "10d", "duration": "30d", "max_parallel_requests": 10,
          "tpm_limit": 1000, "rpm_limit": 60}  # fmt: skip

Ask = Callable[..., Awaitable[httpx.Response]]


def run(
    folder: Path, test: Callable[[Ask], Awaitable[None]], url: str = "http://127.0.0.1:9/v1", **section: Any
) -> None:
    """Run a test on a gateway in this process; `section` is litellm_settings."""
    params = {**MODELS[0]["litellm_params"], "api_base": url}  # type: ignore[dict-item]  # it is a mapping
    made = config.read({
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "litellm_settings": section,
        "general_settings": {"master_key": MASTER_KEY},
    }, folder)  # fmt: skip

    async def main() -> None:
        app = app_of(made, data=folder)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:

            async def ask(path: str, body: Any, key: str = MASTER_KEY) -> httpx.Response:
                return await client.post(path, json=body, headers={"authorization": f"Bearer {key}"})

            await test(ask)
        await app.aclose()

    asyncio.run(main())


def refusal(reply: httpx.Response) -> tuple[int, str]:
    """An error's status and words."""
    return reply.status_code, reply.json()["error"]["message"]


# --- bounds ---


def test_a_key_gets_the_bounds_and_no_more(tmp_path: Path) -> None:
    """What is not said is filled in, what is above is refused: when it is made, and when it is changed."""

    async def test(ask: Ask) -> None:
        made = (await ask("/key/generate", {"rpm_limit": 5, "tpm_limit": None})).json()
        told = {name: made[name] for name in BOUNDS if name != "duration"}
        assert told == {name: 5 if name == "rpm_limit" else most for name, most in BOUNDS.items() if name in told}
        assert 0 < made["expires"] - time.time() <= 30 * 86_400
        above = {"max_budget": 100.01, "budget_duration": "2w", "duration": "31d", "max_parallel_requests": 11,
                 "tpm_limit": 1001, "rpm_limit": 61}  # fmt: skip
        for name, value in above.items():
            for path, body in (("/key/generate", {}), ("/key/update", {"key_id": made["key_id"]})):
                assert refusal(await ask(path, {**body, name: value})) == (
                    400, f"{name} is at most {BOUNDS[name]} for the keys of this gateway."
                )  # fmt: skip
        late = await ask("/key/update", {"key_id": made["key_id"], "expires": time.time() + 31 * 86_400})
        assert late.status_code == 400
        unlimited = (await ask("/key/update", {"key_id": made["key_id"], "rpm_limit": None})).json()
        assert unlimited["rpm_limit"] == 60
        renamed = (await ask("/key/update", {"key_id": made["key_id"], "key_alias": "x"})).json()
        assert {name: renamed[name] for name in told} == {**told, "rpm_limit": 60}

    run(tmp_path, test, upperbound_key_generate_params=BOUNDS)


AMOUNTS = st.none() | st.integers(0, 2**31 - 1)


@settings(deadline=None)
@given(AMOUNTS, AMOUNTS, st.integers(0, 2**31 - 1))
def test_whatever_is_asked_no_key_has_more_than_the_bound(asked: int | None, changed: int | None, most: int) -> None:
    """Whether it is made with something or nothing, and then changed to something or nothing."""
    issuing = Issuing(bounds={"rpm_limit": most})
    held: dict[str, Any] = {}
    for value, whole in ((asked, True), (changed, False)):
        values = read_fields(KINDS["key"][1], "x", {"rpm_limit": value})
        try:
            issuing.bound(values, whole=whole)
        except BadRequestError:
            assert value is not None
            assert value > most
        else:
            held |= values
        if held:
            assert held["rpm"] is not None
            assert held["rpm"] <= most


# --- who makes them ---


def test_who_makes_keys_is_said_of_teams_and_of_people(tmp_path: Path) -> None:
    """Members of a team whom only its admins may serve; personal keys for admins alone; what has to be said."""
    settings = {
        "team_key_generation": {"allowed_team_member_roles": ["admin"], "required_params": ["tags"]},
        "personal_key_generation": {"allowed_user_roles": ["proxy_admin"]},
    }

    async def test(ask: Ask) -> None:
        for user in ("lead", "one"):
            await ask("/user/new", {"user_id": user})
        await ask("/team/new", {"team_id": "t", "members": {"lead": "admin", "one": "member"}})
        await ask("/project/new", {"project_id": "p", "team_id": "t"})
        keys = {}
        for name, body in {
            "lead": {"user_id": "lead", "team_id": "t", "role": "team_admin", "tags": ["x"]},
            "one": {"user_id": "one", "team_id": "t", "role": "member", "tags": ["x"]},
            "alone": {"user_id": "one", "role": "member"},
        }.items():
            keys[name] = (await ask("/key/generate", body)).json()["key"]
        assert (await ask("/key/generate", {"team_id": "t", "tags": ["y"]}, keys["lead"])).status_code == 200
        assert refusal(await ask("/key/generate", {"team_id": "t"}, keys["lead"])) == (
            400, "tags has to be said of a team's keys here."
        )  # fmt: skip
        assert refusal(await ask("/key/generate", {"project_id": "p"}))[0] == 400
        assert refusal(await ask("/key/generate", {"tags": ["y"]}, keys["one"])) == (
            403, "Making a team's keys here takes one of the roles admin."
        )  # fmt: skip
        assert refusal(await ask("/key/generate", {}, keys["alone"])) == (
            403, "Making keys that belong to no team here takes one of the roles admin."
        )  # fmt: skip
        assert (await ask("/key/generate", {})).status_code == 200

    run(tmp_path, test, key_generation_settings=settings)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"upperbound_key_generate_params": {"max_buget": 1}}, "has no 'max_buget'; did you mean 'max_budget'?"),
        ({"upperbound_key_generate_params": {"soft_budget": 1}}, "upperbound_key_params has no 'soft_budget'"),
        ({"upperbound_key_generate_params": {"rpm_limit": None}}, "has a bound that is none"),
        ({"upperbound_key_generate_params": {"rpm_limit": "many"}}, "upperbound_key_params.rpm_limit must be"),
        ({"upperbound_key_generate_params": {"rpm_limit": 5}, "default_key_generate_params": {"rpm_limit": 6}},
         "$.general_settings.default_key_params: rpm_limit is at most 5"),
        ({"key_generation_settings": {"team_key_generatoin": {}}}, "did you mean 'team_key_generation'?"),
        ({"key_generation_settings": {"team_key_generation": {"allowed_user_roles": ["admin"]}}},
         "did you mean 'allowed_team_member_roles'?"),
        ({"key_generation_settings": {"personal_key_generation": {"allowed_user_roles": ["proxyadmin"]}}},
         "has 'proxyadmin'; did you mean 'proxy_admin'?"),
        ({"key_generation_settings": {"personal_key_generation": {"required_params": ["tag"]}}},
         "did you mean 'tags'?"),
        ({"default_internal_user_params": {"user_role": "king"}}, "user_role"),
        ({"blocked_user_list": "no-such-file"}, "names the file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_setting_is_named(section: dict[str, Any], says: str) -> None:
    """Before the gateway starts, or reloads."""
    with pytest.raises(ConfigError) as error:
        config.read({"model_list": MODELS, "litellm_settings": section})
    assert says in error.value.message


# --- what people get ---


def test_budgets_of_people_who_have_none(tmp_path: Path) -> None:
    """LiteLLM's names of them, beside its defaults for new users, whose roles are ours."""

    async def test(ask: Ask) -> None:
        made = (await ask("/user/new", {"user_id": "u"})).json()
        assert {name: made[name] for name in ("max_budget", "budget_duration", "user_role", "rpm_limit")} == {
            "max_budget": 10, "budget_duration": "1mo", "user_role": "member", "rpm_limit": 7,
        }  # fmt: skip
        assert (await ask("/customer/new", {"customer_id": "c"})).json()["max_budget"] == 0.5

    run(
        tmp_path, test, max_internal_user_budget=10, internal_user_budget_duration="1mo", max_end_user_budget=0.5,
        default_internal_user_params={"user_role": "internal_user", "rpm_limit": 7, "teams": ["t"]},
    )  # fmt: skip


def test_a_shared_budget_limits_customers_whom_nobody_set_up(
    tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself, as the budget stands; its limits go below those said beside it, and hold for no other."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")

    async def test(ask: Ask) -> None:
        async def call(user: str) -> int:
            return (await ask("/v1/chat/completions", {**HELLO, "user": user})).status_code

        assert await call("early") == 200  # there is no such budget yet
        await ask("/budget/new", {"budget_id": "visitors", "rpm_limit": 1})
        await ask("/customer/new", {"customer_id": "ours", "rpm_limit": 3})
        assert [await call(user) for user in ("ann", "ann", "ben", "ours", "ours")] == [200, 429, 200, 200, 200]
        await ask("/budget/update", {"budget_id": "visitors", "rpm_limit": 2, "max_budget": 0})
        assert [await call(user) for user in ("ann", "ann", "zoe")] == [200, 429, 200]  # said: 9 USD

    run(tmp_path, test, well.url, max_user_budget=9, max_end_user_budget_id="visitors")


# --- whose calls are refused ---


def test_customers_are_blocked_by_a_list_and_by_the_desk(
    tmp_path: Path, well: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several at a time, set up or not, until they are let in again; each change is in the audit log."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    (tmp_path / "blocked.txt").write_text("spammer\n\n  other  \n")

    async def test(ask: Ask) -> None:
        async def call(user: str) -> int:
            return (await ask("/v1/chat/completions", {**HELLO, "user": user})).status_code

        assert [await call(user) for user in ("spammer", "other", "jane")] == [403, 403, 200]
        told = (await ask("/customer/block", {"user_ids": ["jane", "joe"]})).json()
        assert [one["customer_id"] for one in told["blocked_users"]] == ["jane", "joe"]
        assert [await call(user) for user in ("jane", "joe", "ann")] == [403, 403, 200]
        assert (await ask("/customer/unblock", {"customer_id": "jane"})).status_code == 200
        assert [await call(user) for user in ("jane", "joe")] == [200, 403]
        changes = (await ask("/audit", {"kind": "customer"})).json()["changes"]
        assert [(one["entity_id"], one["after"]["blocked"]) for one in changes] == [
            ("jane", False), ("joe", True), ("jane", True),
        ]  # fmt: skip
        for body in ({}, {"user_ids": []}, {"user_ids": [1]}, {"users": ["x"]}):
            assert (await ask("/customer/block", body)).status_code == 400, body
        key = (await ask("/key/generate", {})).json()["key"]
        assert (await ask("/customer/block", {"user_ids": ["ann"]}, key)).status_code == 403
        await ask("/team/new", {"team_id": "t"})
        assert (await ask("/team/block", {"team_id": "t"})).json()["blocked"] is True
        assert (await ask("/team/unblock", {"team_id": "t"})).json()["blocked"] is False

    run(tmp_path, test, well.url, blocked_user_list="blocked.txt", callbacks=["blocked_user_check"])
