"""Where presets send, with which headers: a collector stands for each vendor."""

from __future__ import annotations

import base64
import json

import pytest

from polyport.errors import AuthenticationError, BadRequestError
from polyport.observing.callbacks import installed, names
from polyport_otel import Datadog, Helicone, Langfuse, Lunary, Mlflow

from .conftest import ASK, KEY, attributes

MINE = "pk-mine-0123456789"


def test_langfuse(collector, watched, monkeypatch):
    """Keys as Basic; users, tags, sessions, costs and metadata under its own names."""
    url, received = collector
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", MINE)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf")
    monkeypatch.setenv("LANGFUSE_HOST", url)
    one = watched(Langfuse())
    metadata = {"tags": ["a", "b"], "session_id": "s1", "team": "red", "size": 3}
    one.client.completion("fake/m", ASK, user="ann", metadata=metadata, prices={"input": 1.0, "output": 1.0})
    one.tell()
    ((headers, _),) = received.at("/api/public/otel/v1/traces")
    assert headers["authorization"] == "Basic " + base64.b64encode(f"{MINE}:sk-lf".encode()).decode()
    assert headers["x-langfuse-ingestion-version"] == "4"
    assert headers["content-type"] == "application/x-protobuf"
    found = attributes(received.spans("/api/public/otel/v1/traces")[0])
    expected = {
        "langfuse.observation.type": "generation",
        "langfuse.user.id": "ann",
        "langfuse.trace.tags": ["a", "b"],
        "langfuse.session.id": "s1",
        "langfuse.trace.metadata.team": "red",
        "langfuse.trace.metadata.size": "3",
    }
    assert expected.items() <= found.items()
    assert json.loads(found["langfuse.observation.cost_details"])["total"] == pytest.approx(0.00012)
    assert len(received.requests) == 1  # no metrics


@pytest.mark.parametrize(
    ("make", "path", "headers"),
    [
        (lambda url: Mlflow(url, "7", "tok"), "/v1/traces",
         {"x-mlflow-experiment-id": "7", "authorization": "Bearer tok"}),
        (lambda url: Lunary(MINE, url), "/v1/otel/v1/traces", {"authorization": f"Bearer {MINE}"}),
        (lambda url: Datadog(MINE, endpoint=url), "/v1/traces", {"dd-api-key": MINE, "dd-otlp-source": "llmobs"}),
    ],
    ids=["mlflow", "lunary", "datadog"],
)  # fmt: skip
def test_the_others_over_otlp(collector, watched, make, path, headers):
    """Each at its address, with its headers."""
    url, received = collector
    one = watched(make(url))
    one.client.completion("fake/m", ASK)
    one.tell()
    ((sent, _),) = received.at(path)
    assert headers.items() <= sent.items()
    assert received.spans(path)[0].name == "chat m"


def test_helicone(collector, watched):
    """Its own log API: what was asked and answered, the time, and properties to group by."""
    url, received = collector
    one = watched(Helicone(MINE, url, content=True))
    one.client.completion("fake/m", ASK, user="ann", metadata={"team": "red"})
    [*one.client.completion("fake/m", ASK, stream=True)]
    with pytest.raises(BadRequestError):
        one.client.completion("fake/bad", ASK)
    one.tell()
    sent = received.at("/custom/v1/log")
    assert {headers["authorization"] for headers, _ in sent} == {f"Bearer {MINE}"}
    logs = [json.loads(body) for _, body in sent]
    whole = next(log for log in logs if "Helicone-User-Id" in log["providerRequest"]["meta"])
    streamed = next(log for log in logs if "timeToFirstToken" in log["timing"])
    failed = next(log for log in logs if log["providerResponse"]["status"] == 400)
    assert whole["providerRequest"]["url"] == "custom-model-nopath"
    assert whole["providerRequest"]["json"]["messages"] == ASK
    assert whole["providerRequest"]["json"]["model"] == "m-1"
    assert whole["providerRequest"]["meta"]["Helicone-Property-team"] == "red"
    assert whole["providerResponse"]["json"]["choices"][0]["message"]["content"] == "a secret answer"
    assert streamed["providerResponse"]["json"]["choices"][0]["message"]["content"] == "a secret answer"
    assert streamed["timing"]["endTime"]["seconds"] >= streamed["timing"]["startTime"]["seconds"]
    assert failed["providerResponse"]["json"]["error"]["type"] == "BadRequestError"
    assert KEY not in json.dumps(logs)


def test_helicone_without_content(collector, watched):
    """The model, the settings and the usage are left."""
    url, received = collector
    one = watched(Helicone(MINE, url))
    one.client.completion("fake/m", ASK, temperature=0.5)
    one.tell()
    ((_, body),) = received.at("/custom/v1/log")
    log = json.loads(body)
    assert log["providerRequest"]["json"] == {"model": "m-1", "temperature": 0.5}
    assert log["providerResponse"]["json"]["usage"]["prompt_tokens"] == 100
    assert b"secret" not in body


def test_a_missing_key_names_its_variable(monkeypatch):
    """When the observer is made, not when something is lost."""
    monkeypatch.delenv("LUNARY_PUBLIC_KEY", raising=False)
    monkeypatch.delenv("LUNARY_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="LUNARY_PUBLIC_KEY"):
        Lunary()


def test_presets_are_installed_by_name(monkeypatch):
    """As entry points: made once, and without content unless it is asked for."""
    assert {"otlp", "otel", "langfuse", "mlflow", "lunary", "helicone", "datadog"} <= set(names())
    monkeypatch.setenv("HELICONE_API_KEY", MINE)
    assert installed("helicone") is installed("helicone")
    assert installed("helicone").content is False
