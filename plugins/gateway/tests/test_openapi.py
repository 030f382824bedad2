"""The document of what the gateway answers: valid, whole, and true under fire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from polyport.operations import OPERATIONS
from polyport_gateway import desk, openapi
from polyport_gateway.fields import KINDS
from polyport_gateway.resources import ROWS

from .services import Answering, Local, listening

KEY = "sk-master-1234"
#: Seconds that all routes together may be fired at, by each caller.
BOUND = 150.0
#: Headers that carry a key: those made up would stand in the place of the one that is meant.
OURS = ("authorization", "cookie", "x-api-key", "x-goog-api-key", "api-key")
#: What no reply may hold: secrets, SQL, where the code stands.
NEVER = (
    "sk-upstream-secret", KEY, "Traceback", "sqlalchemy", "SELECT ", "INSERT INTO", "UPDATE ", "/site-packages/",
)  # fmt: skip


class Nowhere(Answering):
    """A provider that has nothing, and says so."""

    def serve(self) -> None:
        self.body()
        self.send(b'{"error": {"message": "nothing here", "code": "nothing"}}', 404)


@pytest.fixture(scope="module")
def served(start: Callable[..., Any]) -> Iterator[Any]:
    """A gateway with accounts, in front of a provider that has nothing."""
    with listening(Local(Nowhere)) as server:
        params = {"api_base": f"{server.address}/v1", "api_key": "sk-upstream-secret"}
        models = [
            {"model_name": "gpt", "params": {"model": "openai/gpt-4o", **params}},
            {"model_name": "*", "params": {"model": "openai/*", **params}},
        ]
        given = {
            "model_list": models,
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
            "general_settings": {"master_key": KEY},
        }
        yield start(given)


@pytest.fixture(scope="module")
def document(served: Any) -> Any:
    """What it says of itself, to anybody."""
    answer = httpx.get(f"{served.url}/openapi.json", timeout=60)
    assert answer.status_code == 200
    return answer.json()


def test_it_is_a_valid_document(document: Any) -> None:
    """By the specification's own schema."""
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)


def test_every_route_is_in_it_with_and_without_its_version(document: Any) -> None:
    """All operations, the desk, and the parts; with who may, and what errors look like."""
    paths = document["paths"]
    for row in OPERATIONS:
        for prefix, tag in (("", "unversioned"), ("/v1", "versioned")):
            route = paths[prefix + row.path][row.method.lower()]
            assert tag in route["tags"]
            assert "default" in route["responses"]
            assert route["security"]
    for kept in ROWS:
        for prefix in ("", "/v1"):
            assert paths[prefix + kept.path][kept.method.lower()]["summary"] == kept.name
    for path in (
        *desk.CHANGING,
        *desk.READING,
        "/config",
        "/config/reload",
        "/health/models",
        "/metrics",
        "/auth/login",
    ):
        assert path in paths, path
    fields = paths["/key/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(KINDS["key"][1]) <= set(fields)
    ids = [route["operationId"] for methods in paths.values() for route in methods.values()]
    assert len(ids) == len(set(ids))
    chat = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert "messages" in chat
    assert not {"api_key", "options", "adaptations"} & chat.keys()


def test_uploads_and_sockets_are_in_it(served: Any, document: Any) -> None:
    """An upload is begun and gone on with at one address; a socket is a GET, which is 426 without an upgrade."""
    paths = document["paths"]
    for place in ("files", "fileSearchStores/{store_id}:uploadToFileSearchStore"):
        for version in ("v1", "v1beta", "v1alpha"):
            route = paths[f"/upload/{version}/{place}"]["post"]
            assert {} in route["security"]
            assert {"X-Goog-Upload-Command", "upload_id"} <= {one["name"] for one in route["parameters"]}
    live = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    assert "101" in paths["/v1/realtime"]["get"]["responses"]
    for path in ("/realtime", live):
        assert {"101", "426"} <= paths[path]["get"]["responses"].keys()
        answer = httpx.get(served.url + path, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    predict = paths["/v1beta/models/{model}:predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert predict["required"] == ["instances"]
    watching = paths["/v1beta/models/{model}/operations/{operation_id}"]["get"]["parameters"]
    assert [one["name"] for one in watching] == ["model", "operation_id"]


def test_every_field_of_the_desk_has_a_shape() -> None:
    """A new kind of field is described, too; those of several limits by model are made, and take any object."""
    readers = {reader.__name__ for _, fields in KINDS.values() for _, reader in fields.values()}
    assert {name for name in readers if name.startswith("_")} <= openapi.SHAPES.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("key", "examples"), [(KEY, 3), ("sk-wrong-key-0", 1)], ids=["admin", "stranger"])
def test_nothing_sent_makes_it_fail_or_talk(served: Any, document: Any, key: str, examples: int) -> None:
    """Whatever the document allows: no 500, no secret, no SQL; and a stranger gets nowhere."""
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_dict(document)
    end = time.monotonic() + BOUND
    asked: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def fire(case: Any) -> None:
            if time.monotonic() < end:
                asked.append(case.operation.label)
                judge(ask(served.url, case, key), case, key, document)

        fire()
    assert len(set(asked)) > 100, "too few routes were reached in time"


def ask(url: str, case: Any, key: str) -> Any:
    """Send a case as it was made, with the key that is meant, and return the answer."""
    made = {name: value for name, value in (case.headers or {}).items() if name.lower() not in OURS}
    case.headers.clear()
    case.headers.update(made)
    case.cookies.clear()
    return case.call(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60)


def judge(answer: Any, case: Any, key: str, document: Any) -> None:
    """See that an answer is none of ours to be ashamed of."""
    told = f"{case.operation.label}: {answer.status_code} {answer.text[:500]}"
    assert answer.status_code != 500, told
    assert not [one for one in NEVER if one in answer.text], told
    route = document["paths"][case.operation.path][case.operation.method.lower()]
    if key != KEY and route["security"]:
        assert answer.status_code in (400, 401, 404, 405, 413, 426), told
