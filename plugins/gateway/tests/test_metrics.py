"""What is counted, as Prometheus reads it: over HTTP, of several processes together, and by Prometheus itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_server import free_port
from prometheus_client.parser import text_string_to_metric_families

from polyport_gateway.counts import Counter, pack, unpack
from polyport_gateway.gate import Asked, Caller, Free, Outcome

from .conftest import AUTHORIZED, CHAT, KEY
from .waiting import until


def config(upstream: Any, *, settings: Any = None, **general: Any) -> dict[str, Any]:
    """A configuration with one model."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-upstream-secret"}
    return {
        "model_list": [{"model_name": "gpt", "params": params, "model_info": {"id": "east"}}],
        "router_settings": {"num_retries": 0},
        "settings": settings or {},
        "general_settings": {"master_key": KEY, **general},
    }


def read(gateway: Any, key: str = KEY) -> Callable[..., float]:
    """Scrape, and return what finds a sample by its name and labels; 0 for one that is not there."""
    told = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {key}"}, timeout=60)
    assert told.status_code == 200, told.text
    assert "sk-" not in told.text
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(told.text)
        for sample in family.samples
    }
    return lambda name, **labels: samples.get((f"polyport_gateway_{name}", frozenset(labels.items())), 0.0)


def ask(gateway: Any, body: Any = CHAT, key: str = KEY) -> int:
    """Call, and return the status."""
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=60
    ).status_code


def test_requests_are_counted_by_what_they_asked_for(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """Answers, streams, failures, refusals; tokens and cost; teams; the journal and the process."""
    gateway = start(config(upstream))
    team = httpx.post(f"{gateway.url}/team/new", json={"team_id": "blue"}, headers=AUTHORIZED, timeout=60)
    assert team.status_code == 200, team.text
    made = httpx.post(
        f"{gateway.url}/key/generate", json={"team_id": "blue", "rpm_limit": 2}, headers=AUTHORIZED, timeout=60
    )
    key = made.json()["key"]
    assert [ask(gateway, key=key) for _ in range(3)] == [200, 200, 429]
    assert ask(gateway, {**CHAT, "stream": True}) == 200
    assert ask(gateway, key="sk-nobody") == 401
    assert ask(gateway, {**CHAT, "model": "no"}) == 404
    well.failing = (500, {}, {"error": {"message": "down"}})
    assert ask(gateway) == 500
    found = read(gateway)
    place = {"operation": "completion", "model": "gpt", "provider": "openai"}
    assert found("requests_total", **place, status="200") == 3
    assert found("requests_total", **place, status="500") == 1
    assert found("requests_total", operation="completion", model="", provider="", status="404") == 1
    assert found("errors_total", **place, error="InternalServerError") == 1
    assert found("attempt_failures_total", deployment="east", provider="openai", error="InternalServerError") == 1
    assert found("refusals_total", reason="rate_limit_exceeded", status="429") == 1
    assert found("refusals_total", reason="invalid_api_key", status="401") == 1
    assert found("tokens_total", **place, bucket="input") == 3 * 7
    assert found("tokens_total", **place, bucket="output") == 3 * 3
    assert found("cost_usd_total", **place) == pytest.approx(3 * (7 * 2.5 + 3 * 10) / 1e6)
    assert found("request_duration_seconds_count", **place) == 4
    assert found("request_duration_seconds_bucket", **place, le="+Inf") == 4
    assert found("first_byte_seconds_count", **place) == 1
    assert (found("team_requests_total", team="blue"), found("team_tokens_total", team="blue")) == (2, 20)
    assert (found("store_up"), found("limits_redis_up"), found("processes"), found("in_flight")) == (1, 1, 1, 0)
    assert found("resident_memory_bytes") > 1e7
    assert found("cpu_seconds_total") > 0
    assert found("deployment_resting_seconds", deployment="east", model="gpt", provider="openai") == 0
    until(lambda: read(gateway)("journal_segments") == 0, "the journal is drained")


def test_who_may_scrape(start: Callable[..., Any], upstream: Any) -> None:
    """A key of its own, an admin's, a viewer's; and everybody where that is said, or where there are no keys."""

    def status(gateway: Any, key: str = "") -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.get(f"{gateway.url}/metrics", headers=headers, timeout=60).status_code

    gateway = start(config(upstream, metrics_key="scrape-me-123"))
    caller = httpx.post(f"{gateway.url}/key/generate", json={}, headers=AUTHORIZED, timeout=60).json()["key"]
    reply = httpx.post(f"{gateway.url}/key/generate", json={"role": "viewer"}, headers=AUTHORIZED, timeout=60)
    viewer = reply.json()["key"]
    assert [status(gateway, key) for key in ("", "wrong", caller)] == [401, 401, 403]
    assert [status(gateway, key) for key in ("scrape-me-123", KEY, viewer)] == [200, 200, 200]
    scraping = {"authorization": "Bearer scrape-me-123"}
    assert httpx.get(f"{gateway.url}/key/list", headers=scraping, timeout=60).status_code == 401
    assert status(start(config(upstream, metrics_public=True))) == 200
    open_to_all = config(upstream)
    open_to_all["general_settings"] = {}
    assert status(start(open_to_all)) == 200


def test_several_processes_are_told_as_one(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """Whoever is scraped tells what all have counted, also what one counted that was killed."""
    gateway = start(config(upstream, settings={"callbacks": ["prometheus"]}), "--workers", "3")
    until(lambda: sum("startup complete" in line for line in gateway.said) == 3, "all have started")
    for _ in range(30):
        assert ask(gateway) == 200
    place = {"operation": "completion", "model": "gpt", "provider": "openai", "status": "200"}

    def counted() -> set[float]:
        return {read(gateway)("requests_total", **place) for _ in range(10)}

    until(lambda: counted() == {30}, "a second later, all are counted by all")
    assert read(gateway)("processes") == 3
    until(
        lambda: "polyport_requests_total{" in httpx.get(f"{gateway.url}/metrics", headers=AUTHORIZED, timeout=60).text,
        "the observer's own metrics are there, too",
    )
    started = [line for line in gateway.said if "Started server process" in line]
    os.kill(int(started[0].partition("[")[2].partition("]")[0]), signal.SIGKILL)
    assert gateway.says("another takes its place")
    until(lambda: read(gateway)("processes") == 3, "another has taken its place")
    assert counted() == {30}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed (apt install prometheus)")
def test_prometheus_itself_scrapes_it(start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path) -> None:
    """A real server, with a key of its own, and its query language."""
    gateway = start(config(upstream, metrics_key="scrape-me-123"))
    assert [ask(gateway) for _ in range(3)] == [200] * 3
    port = free_port()
    job = {
        "job_name": "polyport", "authorization": {"credentials": "scrape-me-123"},
        "static_configs": [{"targets": [gateway.url.removeprefix("http://")]}],
    }  # fmt: skip
    written = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(written))  # JSON is YAML
    server = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def asked(query: str) -> Any:
        try:
            told = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=60)
            return told.json()["data"]["result"]
        except (httpx.TransportError, ValueError, KeyError):
            return []  # it is still starting

    try:
        found = until(lambda: asked("sum by (model) (polyport_gateway_requests_total)"), "it has scraped", 60)
        assert [(one["metric"]["model"], one["value"][1]) for one in found] == [("gpt", "3")]
        slowest = asked("histogram_quantile(0.99, polyport_gateway_request_duration_seconds_bucket)")
        assert float(slowest[0]["value"][1]) > 0
    finally:
        server.terminate()
        server.wait(60)


def outcome(**more: Any) -> Outcome:
    """A request that went well."""
    given = {"request_id": "r", "status": 200, "latency": 0.2, "usage": {"input": 7, "output": 3},
             "nano": 5, "provider": "openai", "model": "gpt-4o", "deployment": "east", "attempts": 1,
             "first_byte": 0.1}  # fmt: skip
    return Outcome(**{**given, **more})


def test_counting_costs_a_request_a_few_microseconds() -> None:
    """Measured on a busy machine, so the bound is wide; and what was packed comes back."""
    counter, admission = Counter(), Free(Caller(id="x", team="blue"))
    asked = Asked(request_id="r", method="POST", path="/x", surface="openai", operation="completion", model="gpt")
    one = outcome()
    best = min(timeit.repeat(lambda: counter.tap(asked, admission, one), number=2000, repeat=5)) / 2000
    assert best < 50e-6, f"{best * 1e6:.1f} µs"
    assert unpack(pack(counter.counts)) == counter.counts


def test_the_number_of_series_is_bounded() -> None:
    """Whatever callers name, memory does not grow with it."""
    counter = Counter()
    for number in range(1000):
        admission = Free(Caller(id="x", team=f"team-{number}"))
        asked = Asked(request_id="r", method="POST", path="/x", surface="openai", operation="completion",
                      model=f"openai/model-{number}")  # fmt: skip
        counter.tap(asked, admission, outcome(status=500, error=f"Error{number}"))
        counter.tap(None, None, outcome(status=401, code=f"code-{number}"))
    counts = counter.counts
    assert max(map(len, (counts.places, counts.teams, counts.errors, counts.refusals))) <= 301
