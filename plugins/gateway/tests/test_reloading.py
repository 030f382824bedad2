"""Another configuration while the gateway runs: over HTTP, by a file's change, in one process and in several."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from polyport_gateway import showing

from .conftest import AUTHORIZED, CHAT, KEY
from .waiting import until

SECRETS = ("sk-upstream-secret", "very-secret-word", "hunter2hunter2", "trace-token-1")


def config(upstream: Any, **general: Any) -> dict[str, Any]:
    """A configuration with one model, and secrets in every place that has some."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": SECRETS[0],
              "extra_headers": {"x-trace": SECRETS[3]}}  # fmt: skip
    return {
        "model_list": [{"model_name": "gpt", "params": params, "model_info": {"id": "east"}}],
        "router_settings": {"num_retries": 0},
        "environment_variables": {"SOME_WORD": SECRETS[1]},
        "general_settings": {"master_key": KEY, **general},
    }


def write(path: Path, given: Any) -> None:
    """Put a configuration into the place of another, whole."""
    new = path.with_suffix(".new")
    new.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
    os.replace(new, path)


def models(gateway: Any, key: str = KEY) -> list[str]:
    """The models that are served."""
    told = httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=60).json()
    return [one["id"] for one in told.get("data", [])]


def test_a_reload_is_asked_for_and_answered_with_what_changed(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """The difference is told beforehand and afterwards, is in the audit log, and names no secret."""
    path = tmp_path / "config.yaml"
    before = config(upstream)
    write(path, before)
    gateway = start(path)
    assert httpx.get(f"{gateway.url}/config/diff", headers=AUTHORIZED, timeout=60).json()["changes"] == []
    after = config(upstream, database_url="sqlite:///elsewhere.db", max_request_size_mb=1)
    after["model_list"][0]["params"]["api_key"] = SECRETS[2]
    after["model_list"].append({"model_name": "new", "params": {"model": "openai/gpt-4o", "api_key": SECRETS[2]}})
    write(path, after)
    foreseen = httpx.get(f"{gateway.url}/config/diff", headers=AUTHORIZED, timeout=60).json()
    assert models(gateway) == ["gpt"]
    told = httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60)
    assert told.status_code == 200, told.text
    assert told.json()["changes"] == foreseen["changes"]
    changes = {one["path"]: (one["before"], one["after"]) for one in told.json()["changes"]}
    assert changes["$.model_list[gpt].params.api_key"] == ("***", "***")
    assert changes["$.model_list[new]"] == (
        None, {"model_name": "new", "params": {"model": "openai/gpt-4o", "api_key": "***"}},
    )  # fmt: skip
    assert told.json()["needs_restart"] == ["$.general_settings.database_url"]
    assert models(gateway) == ["gpt", "new"]
    shown = httpx.get(f"{gateway.url}/config", headers=AUTHORIZED, timeout=60)
    audit = httpx.get(f"{gateway.url}/audit", params={"kind": "config"}, headers=AUTHORIZED, timeout=60)
    newest = audit.json()["changes"][0]
    assert (newest["action"], newest["by"], newest["after"]["$.general_settings.max_request_size_mb"]) == (
        "reload", "master", 1,
    )  # fmt: skip
    everything = shown.text + told.text + audit.text + json.dumps(foreseen)
    assert not [secret for secret in (*SECRETS, KEY) if secret in everything]
    assert shown.json()["config"]["general_settings"]["database_url"] == "sqlite:///elsewhere.db"


def test_a_bad_configuration_never_replaces_a_good_one(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """It is refused with its reason, without the secret in it, and calls go on as before."""
    path = tmp_path / "config.yaml"
    write(path, config(upstream))
    gateway = start(path)
    bad = config(upstream)
    bad["router_settings"] = {"routing_strategy": "sk-no-such-strategy-1"}
    for text, says in [(yaml.safe_dump(bad), "strategy"), ("a: [", "no YAML"), ("{}", "model_list")]:
        write(path, text)
        told = httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60)
        assert (told.status_code, says in told.json()["error"]["message"]) == (400, True), told.text
        assert "sk-no-such" not in told.text
        assert httpx.get(f"{gateway.url}/config/diff", headers=AUTHORIZED, timeout=60).json()["error"]
    assert (
        httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=AUTHORIZED, timeout=60).status_code == 200
    )
    assert httpx.get(f"{gateway.url}/config", headers=AUTHORIZED, timeout=60).json()["error"]
    reply = httpx.get(f"{gateway.url}/audit", params={"kind": "config"}, headers=AUTHORIZED, timeout=60)
    failed = reply.json()["changes"]
    assert [one["action"] for one in failed] == ["reload_failed"] * 3


def test_only_who_may_reloads(start: Callable[..., Any], upstream: Any, tmp_path: Path) -> None:
    """An admin reloads, a viewer looks, and others do neither."""
    gateway = start(config(upstream))

    def made(**given: Any) -> dict[str, str]:
        told = httpx.post(f"{gateway.url}/key/generate", json=given, headers=AUTHORIZED, timeout=60)
        return {"authorization": f"Bearer {told.json()['key']}"}

    viewer, caller = made(role="viewer"), made()

    def status(method: str, path: str, headers: dict[str, str]) -> int:
        return httpx.request(method, gateway.url + path, headers=headers, timeout=60).status_code

    assert [status("GET", "/config", one) for one in (AUTHORIZED, viewer, caller, {})] == [200, 200, 403, 401]
    assert [status("POST", "/config/reload", one) for one in (viewer, caller, {})] == [403, 403, 401]
    assert status("PUT", "/config", AUTHORIZED) == 405
    assert status("GET", "/config/nothing", AUTHORIZED) == 404


def test_another_master_key_holds_from_the_reload_on(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """The old one is refused, and limits of the router go on where they were."""
    path = tmp_path / "config.yaml"
    given = config(upstream)
    given["model_list"][0]["params"]["rpm"] = 1
    write(path, given)
    gateway = start(path)
    assert (
        httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=AUTHORIZED, timeout=60).status_code == 200
    )
    given["general_settings"]["master_key"] = "sk-another-5678"
    given["general_settings"]["on_store_failure"] = "deny"
    write(path, given)
    assert httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60).status_code == 200
    another = {"authorization": "Bearer sk-another-5678"}
    assert httpx.get(f"{gateway.url}/v1/models", headers=AUTHORIZED, timeout=60).status_code == 401
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=another, timeout=60).status_code == 429


def test_a_changed_file_is_served_by_itself(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """As Kubernetes changes a ConfigMap: a symbolic link to a folder is swapped. Several processes note it once."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def publish(version: str, given: Any) -> None:
        folder = volume / version
        folder.mkdir()
        (folder / "config.yaml").write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        link = volume / "..new"
        link.symlink_to(version)
        os.replace(link, volume / "..data")

    given = config(upstream, watch_config=True)
    publish("..1", given)
    (volume / "config.yaml").symlink_to("..data/config.yaml")
    gateway = start(volume / "config.yaml", "--workers", "2")
    until(lambda: sum("startup complete" in line for line in gateway.said) == 2, "both have started")
    publish("..2", "model_list: [")
    until(lambda: sum("was not reloaded" in line for line in gateway.said) == 2, "both say that it is wrong")
    assert models(gateway) == ["gpt"]
    started = [line for line in gateway.said if "Started server process" in line]
    os.kill(int(started[0].partition("[")[2].partition("]")[0]), signal.SIGKILL)
    until(lambda: sum("startup complete" in line for line in gateway.said) == 3, "another has taken its place")
    assert [models(gateway) for _ in range(5)] == [["gpt"]] * 5
    given["model_list"][0]["model_name"] = "other"
    publish("..3", given)
    until(lambda: sum("was reloaded" in line for line in gateway.said) == 2, "both have the new one")
    assert [models(gateway) for _ in range(10)] == [["other"]] * 10
    reply = httpx.get(f"{gateway.url}/audit", params={"kind": "config"}, headers=AUTHORIZED, timeout=60)
    audit = reply.json()["changes"]
    assert [(one["action"], one["by"]) for one in audit] == [("reload", "the file's change")]


def test_all_workers_reload_when_one_is_asked(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """The one that is asked tells the others; the audit log has it once."""
    path = tmp_path / "config.yaml"
    given = config(upstream)
    write(path, given)
    gateway = start(path, "--workers", "3")
    until(lambda: sum("startup complete" in line for line in gateway.said) == 3, "all have started")
    given["model_list"][0]["model_name"] = "other"
    write(path, given)
    assert httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60).status_code == 200
    until(lambda: sum("was reloaded" in line for line in gateway.said) == 3, "all have the new one")
    assert [models(gateway) for _ in range(15)] == [["other"]] * 15
    reply = httpx.get(f"{gateway.url}/audit", params={"kind": "config"}, headers=AUTHORIZED, timeout=60)
    audit = reply.json()["changes"]
    assert [one["by"] for one in audit] == ["master"]


def test_what_runs_finishes_by_the_old_configuration(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """A stream that began before a reload ends well after it, though its model is gone."""
    path = tmp_path / "config.yaml"
    given = config(upstream)
    write(path, given)
    gateway = start(path)
    well.slow = 0.2
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json={**CHAT, "stream": True}, headers=AUTHORIZED, timeout=60
    ) as reply:
        pieces = reply.iter_bytes()
        first = next(pieces)
        given["model_list"][0]["model_name"] = "other"
        write(path, given)
        assert httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60).status_code == 200
        assert models(gateway) == ["other"]
        assert (first + b"".join(pieces)).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ({"api_key": "abc"}, {"api_key": "***"}),
        ({"api_key": "os.environ/KEY"}, {"api_key": "os.environ/KEY"}),
        ({"max_tokens": 5, "input_cost_per_token": 0.1}, {"max_tokens": 5, "input_cost_per_token": 0.1}),
        ({"redis_password": 12345678}, {"redis_password": "***"}),
        ({"url": "postgresql://me:hunter2@db/x"}, {"url": "postgresql://me:***@db/x"}),
        ({"url": "postgresql://db/x?user=me&password=hunter2"}, {"url": "postgresql://db/x?user=me&password=***"}),
        ({"url": "redis://:hunter2@cache:6379/0"}, {"url": "redis://:***@cache:6379/0"}),
        ({"extra_headers": {"x-any": "v"}}, {"extra_headers": {"x-any": "***"}}),
        ({"alerting_webhook": ["https://hooks.example/T/B"]}, {"alerting_webhook": ["***"]}),
        ({"vertex_credentials": {"private_key": "p", "project": "x"}},
         {"vertex_credentials": {"private_key": "***", "project": "***"}}),
        ({"note": "call with sk-abcdefgh1234"}, {"note": "call with ***"}),
        ({"api_key": "longenough1", "note": "it is longenough1!"}, {"api_key": "***", "note": "it is ***!"}),
    ],
)  # fmt: skip
def test_what_is_secret_is_hidden(source: Any, seen: Any) -> None:
    """By its name, by where it stands, by how it looks, and where it is repeated."""
    assert showing.shown(source) == seen


@settings(deadline=None, max_examples=50)
@example(secret="u0001aaaaaaa", rest="\x01aaaaaaa")
@given(secret=st.text("abcdefghijkmnopqrstuvwxyzABC0123456789", min_size=12), rest=st.text())
def test_no_secret_survives_anywhere(secret: str, rest: str) -> None:
    """Whatever else repeats it, and in the difference, too."""
    source = {"a": [{"api_key": secret}], "b": {"note": f"{rest}{secret}{rest}", "url": f"http://u:{secret}@h/{rest}"}}
    for seen in (showing.shown(source), showing.changes({}, source)):
        assert not [text for text in texts(seen) if secret in text]
    assert showing.changes(source, source) == []


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value as they are; as JSON, a control character could read like a part of the secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_sessions_made_with_an_old_master_key_are_over(
    start: Callable[..., Any], upstream: Any, tmp_path: Path
) -> None:
    """Who knew it could have signed one."""
    path = tmp_path / "config.yaml"
    given = config(upstream)
    write(path, given)
    gateway = start(path)
    signed_in = httpx.post(f"{gateway.url}/auth/login", json={"key": KEY}, timeout=60)
    cookies = dict(signed_in.cookies)
    assert httpx.get(f"{gateway.url}/config", cookies=cookies, timeout=60).status_code == 200
    given["general_settings"]["master_key"] = "sk-another-5678"
    write(path, given)
    assert httpx.post(f"{gateway.url}/config/reload", headers=AUTHORIZED, timeout=60).status_code == 200
    assert httpx.get(f"{gateway.url}/config", cookies=cookies, timeout=60).status_code == 401
