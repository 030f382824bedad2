"""Observers of single teams: each sees its team's calls, with credentials of its own, and nobody else's."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from polyport_gateway import config
from polyport_gateway.config import ConfigError

from .conftest import AUTHORIZED, CHAT, KEY, Gateway, Upstream, config_for
from .services import Answering, Local, listening

pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_otel")

MODELS = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}]


class Langfuse(Local):
    """Takes traces. `told` has the user of each request, and what was in it."""

    def __init__(self) -> None:
        super().__init__(Taking)
        self.told: list[tuple[str, bytes]] = []


class Taking(Answering):
    """Answers as an OTLP endpoint does."""

    server: Langfuse

    def serve(self) -> None:
        user = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
        self.server.told.append((user, self.body()))
        self.send(b"", **{"content-type": "application/x-protobuf"})


@pytest.fixture
def langfuse() -> Iterator[Langfuse]:
    """Where traces go."""
    with listening(Langfuse()) as server:
        yield server


def test_each_team_s_calls_go_to_its_own_project(
    start: Callable[..., Gateway], well: Upstream, langfuse: Langfuse, tmp_path: Path
) -> None:
    """As LiteLLM's default_team_settings say; failures only where they are wanted; calls of no team to none."""
    settings = [
        {"team_id": "red", "success_callback": ["langfuse"], "langfuse_public_key": "pk-red",
         "langfuse_secret": "sk-red", "langfuse_host": langfuse.address},
        {"team_id": "blue", "callbacks": ["langfuse"], "langfuse_public_key": "pk-blue",
         "langfuse_secret": "sk-blue", "langfuse_host": langfuse.address},
        {"team_id": "default-settings", "max_budget": 100.0},
    ]  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config_for(well, litellm_settings={"default_team_settings": settings})))
    gateway = start(path)
    with httpx.Client(base_url=gateway.url, headers=AUTHORIZED, timeout=60) as client:
        keys = {"": KEY}
        for team in ("red", "blue", "green"):
            assert client.post("/team/new", json={"team_id": team}).json()["max_budget"] == 100
            keys[team] = client.post("/key/generate", json={"team_id": team}).json()["key"]
        shown = client.get("/config").text
        assert "sk-red" not in shown
        for team, key in keys.items():
            body = {**CHAT, "metadata": {"marked": f"of-{team}"}}
            headers = {"authorization": f"Bearer {key}"}
            assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        well.failing = (500, {}, {"error": {"message": "no"}})
        for team in ("red", "blue"):
            body = {**CHAT, "metadata": {"marked": f"failed-{team}"}}
            headers = {"authorization": f"Bearer {keys[team]}"}
            assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 500
    assert gateway.stop() == 0  # what was held back is sent
    seen = {user: b"".join(body for one, body in langfuse.told if one == user) for user, _ in langfuse.told}
    assert seen.keys() == {"pk-red:sk-red", "pk-blue:sk-blue"}
    marks = [b"of-red", b"of-blue", b"of-green", b"failed-red", b"failed-blue"]
    assert [mark for mark in marks if mark in seen["pk-red:sk-red"]] == [b"of-red"]
    assert [mark for mark in marks if mark in seen["pk-blue:sk-blue"]] == [b"of-blue", b"failed-blue"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"team_callbacks": ["otel"]}, "team_callbacks"),
        ({"team_callbacks": {"ml": {"callbacks": "langfuze"}}}, "'langfuze', which is not installed"),
        ({"team_callbacks": {"ml": {"callbacks": [7]}}}, "list of observers' names"),
        ({"team_callbacks": {"ml": {"callbacks": ["langfuse"], "langfuse_public_kee": "x"}}}, "langfuse_public_key"),
        ({"team_callbacks": {"ml": {"langfuse_public_key": "x"}}}, "which nothing reads"),
        ({"default_team_settings": {"team_id": "ml"}}, "must be a list"),
        ({"default_team_settings": [{"success_callback": ["langfuse"]}]}, "team_id"),
        ({"default_team_settings": [{"team_id": "ml", "success_callback": ["langfusse"]}]}, "did you mean 'langfuse'"),
    ],
)
def test_what_is_wrong_with_it_is_named(section: dict[str, Any], says: str) -> None:
    """Before the gateway starts."""
    name = "general_settings" if "team_callbacks" in section else "litellm_settings"
    with pytest.raises(ConfigError, match=says):
        config.read({"model_list": MODELS, name: section})


def test_what_has_no_meaning_of_it_is_noted() -> None:
    """A vendor's observer that is not installed; and what a team is given where it is made."""
    settings = [
        {"team_id": "ml", "success_callback": ["langsmith"], "max_budget": 5},
        {"team_id": "default-settings", "max_budget": 7, "budget_duration": "1mo"},
    ]
    found = config.read({"model_list": MODELS, "litellm_settings": {"default_team_settings": settings}})
    assert found.general.terms.default_team_params == {"max_budget": 7, "budget_duration": "1mo"}
    told = "\n".join(found.notes)
    assert "'langsmith' changes nothing here" in told
    assert "team_callbacks" not in told
    settings[0]["success_callback"] = ["langfuse"]
    found = config.read({"model_list": MODELS, "litellm_settings": {"default_team_settings": settings}})
    told = "\n".join(found.notes)
    assert "team_callbacks changes nothing here: without a master_key" in told
    assert "max_budget of 'ml' changes nothing here: say it at /team/new" in told
