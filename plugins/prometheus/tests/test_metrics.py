"""Metrics as Prometheus reads them: scraped over HTTP, and by Prometheus itself where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_server import free_port
from prometheus_client.parser import text_string_to_metric_families

from polyport import Client
from polyport.dialects.openai import OpenAICompatible
from polyport.errors import BadRequestError, RateLimitError
from polyport.middleware.observers import Observers, observe
from polyport.observing import Dispatcher
from polyport.testing import Reply, Sent, Wire
from polyport_prometheus import Prometheus

ASK = [{"role": "user", "content": "a secret question"}]
KEY = "sk-never-to-be-seen-0123456789"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 40}}
CHUNKS = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}}]},
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c", "model": "m", "choices": [], "usage": USAGE},
]


class Fake(OpenAICompatible):
    base_url = "http://fake.invalid/v1"


def answer(sent: Sent) -> Any:
    """Answer a chat, streamed or not; refuse what is called bad, twice what is called busy."""
    if sent.json["model"] == "bad":
        return Reply.of({"error": f"{KEY} and a secret question"}, status=400)
    if sent.json["model"] == "busy":
        return Reply.of({"error": "busy"}, status=429, headers={"retry-after": "0"})
    if sent.json.get("stream"):
        return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in [*CHUNKS]) + b"data: [DONE]\n\n"
    message = {"role": "assistant", "content": "a secret answer"}
    return {
        "id": "c",
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


class Counted:
    """A client whose calls are counted, and the counts as a scrape finds them."""

    def __init__(self, **settings: Any) -> None:
        self.observer = Prometheus(port=0, **settings)
        self.dispatcher = Dispatcher()
        layer = observe([self.observer], dispatcher=self.dispatcher)
        assert isinstance(layer, Observers)
        self.client = Client(http=Wire(answer), providers={"fake": Fake}, api_key=KEY, middleware=[layer])

    def scrape(self) -> str:
        """Ask as Prometheus does."""
        assert self.dispatcher.flush(10)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.observer.port}/metrics", timeout=60) as reply:
            return str(reply.read().decode())

    def read(self) -> Callable[..., float]:
        """Return what finds a sample by its name and labels."""
        families = [*text_string_to_metric_families(self.scrape())]
        samples = {(s.name, frozenset(s.labels.items())): s.value for one in families for s in one.samples}
        return lambda name, **labels: samples[f"polyport_{name}", frozenset(labels.items())]


M = {"operation": "chat", "provider": "fake", "model": "m"}


@pytest.fixture
def counted() -> Iterator[Callable[..., Counted]]:
    """Make counted clients, which are closed with the test."""
    made: list[Counted] = []

    def make(**settings: Any) -> Counted:
        made.append(Counted(**settings))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.observer.close()


def test_a_call_is_counted_with_its_tokens_and_cost(counted):
    """By operation, provider, model; tokens in disjoint buckets."""
    one = counted()
    for _ in range(3):
        one.client.completion("fake/m", ASK, prices={"input": 1.0, "cached_input": 0.5, "output": 2.0})
    found = one.read()
    assert found("requests_total", **M, deployment="") == 3
    assert found("tokens_total", **M, bucket="input") == 180
    assert found("tokens_total", **M, bucket="cached_input") == 120
    assert found("tokens_total", **M, bucket="output") == 60
    assert found("cost_usd_total", **M, deployment="") == pytest.approx(3 * (60 + 20 + 40) / 1e6)
    assert found("request_duration_seconds_count", **M) == 3
    assert found("in_flight", operation="chat", provider="fake") == 0
    assert found("events_dropped_total") >= 0


def test_failures_are_counted_by_class_and_attempts(counted):
    """A retry is not another request."""
    one = counted()
    with pytest.raises(RateLimitError):
        one.client.completion("fake/busy", ASK, num_retries=2)
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK)
    found = one.read()
    busy, bad = {**M, "model": "busy", "deployment": ""}, {**M, "model": "bad", "deployment": ""}
    assert found("errors_total", **busy, error="RateLimitError") == 1
    assert found("errors_total", **bad, error="BadRequestError") == 1
    assert found("requests_total", **busy) == 1
    assert found("retries_total", **busy) == 2


def test_streams_have_a_first_token_and_may_be_left(counted):
    """One that is read, one that is not, and one that is going on meanwhile."""
    one = counted()
    assert len([*one.client.completion("fake/m", ASK, stream=True)]) == 3
    going_on = one.client.completion("fake/m", ASK, stream=True)
    next(going_on)
    assert one.read()("in_flight", operation="chat", provider="fake") == 1
    going_on.close()
    found = one.read()
    assert found("in_flight", operation="chat", provider="fake") == 0
    assert found("time_to_first_token_seconds_count", **M) == 2
    assert found("streams_left_early_total", **M) == 1


def test_labels_are_bounded(counted):
    """Models that users make up do not make up time series."""
    one = counted(max_models=2)
    for number in range(5):
        one.client.completion(f"fake/m{number}", ASK)
    families = {one.name: one for one in text_string_to_metric_families(one.scrape())}
    counts = {sample.labels["model"]: sample.value for sample in families["polyport_requests"].samples
              if sample.name.endswith("_total")}  # fmt: skip
    assert counts == {"m0": 1, "m1": 1, "other": 3}


def test_no_key_and_no_content_is_in_any_metric(counted):
    """Nor in those of an error that quotes both."""
    one = counted()
    one.client.completion("fake/m", ASK, user="ann-of-the-hill", metadata={"team": "vermilion"})
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK)
    text = one.scrape()
    assert "polyport_requests_total" in text
    for word in (KEY, "secret", "ann-of", "vermilion"):
        assert word not in text


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed (apt install prometheus)")
def test_prometheus_itself_scrapes_it(counted, tmp_path: Path):
    """A real server, its own query language."""
    one = counted()
    for _ in range(3):
        one.client.completion("fake/m", ASK)
    one.scrape()
    port = free_port()
    target = f"127.0.0.1:{one.observer.port}"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "polyport", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    server = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        query = urllib.parse.quote('sum by (model) (polyport_requests_total{operation="chat"})')
        deadline = time.monotonic() + 60
        found: list[Any] = []
        while not found and time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={query}", timeout=60) as reply:
                    found = json.load(reply)["data"]["result"]
            except OSError:
                continue  # it is still starting
        assert [(one["metric"]["model"], one["value"][1]) for one in found] == [("m", "3")]
    finally:
        server.terminate()
        server.wait(60)
