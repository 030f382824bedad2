"""Work that takes long, and errors that come as successes. https://docs.modelslab.com/error-codes"""

from __future__ import annotations

from typing import Any

import pytest

from polyport.drivers.simulation import Simulation
from polyport.errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
)
from polyport.testing import Reply, Wire

URL = "https://pub-3626123a.r2.dev/generations/abc123.png"
DRAWN = {"status": "success", "id": 7, "output": [URL]}
CALL: dict[str, Any] = {"prompt": "A cat", "model": "modelslab/flux"}


def processing(**more: Any) -> dict[str, Any]:
    """What is answered while something is made."""
    return {"status": "processing", "eta": 4, "id": 7, "output": [],
            "fetch_result": "https://modelslab.com/api/v6/images/fetch/7", **more}  # fmt: skip


@pytest.fixture
def simulate(connect):
    """Draw under a virtual clock: `simulate(answers, **more)` gives the task, the wire and how long it took."""

    def simulate(answers: Any, **more: Any) -> tuple[Any, Wire, float]:
        wire = Wire(answers)
        simulation = Simulation(wire.simulated)
        task = simulation.start(connect(wire).flow("image_generation", **CALL, **more))
        simulation.run()
        return task, wire, simulation.now

    return simulate


def test_work_is_asked_after_at_the_address_that_was_told(simulate):
    """First after the estimate, then ever more rarely; the key goes along each time."""
    task, wire, took = simulate([processing(), processing(), processing(), DRAWN])
    assert task.result.data[0].url == URL
    assert [(sent.method, sent.path) for sent in wire.requests[1:]] == [("POST", "/api/v6/images/fetch/7")] * 3
    assert all(sent.json == {"key": "ml-not-a-real-key"} for sent in wire.requests[1:])
    assert took == pytest.approx(4 + 4 * 1.4 + 4 * 1.4**2)


@pytest.mark.parametrize(
    ("answer", "path"),
    [({"fetch_result": "https://elsewhere.example/steal"}, "/api/v6/images/fetch/7"),
     ({"fetch_result": "https://modelslab.com.evil.example/api/v6/images/fetch/7"}, "/api/v6/images/fetch/7"),
     ({"fetch_result": None}, "/api/v6/images/fetch/7"),
     ({"fetch_result": "", "id": "abc-1"}, "/api/v6/images/fetch/abc-1"),
     ({"fetch_result": "https://modelslab.com/api/v7/images/fetch/9"}, "/api/v7/images/fetch/9")],
)  # fmt: skip
def test_only_modelslabs_own_host_is_asked(simulate, answer, path):
    """An address elsewhere is not followed: the key would go there."""
    task, wire, _ = simulate([processing(**answer), DRAWN])
    assert task.error is None
    assert wire.requests[1].url == f"https://modelslab.com{path}"


@pytest.mark.parametrize(
    "answer",
    [
        {"id": None},
        {"id": "../../keys", "fetch_result": None},
        {"fetch_result": "https://modelslab.com/api/v6/../keys"},
    ],
)
def test_what_cannot_be_asked_after(simulate, answer):
    """An id that is none leads nowhere."""
    task, wire, _ = simulate([processing(**answer)])
    assert isinstance(task.error, InvalidResponseError)
    assert len(wire.requests) == 1


def test_work_that_lasts_too_long_is_given_up(simulate):
    """After the call's timeout, and not begun anew."""
    task, _, took = simulate(lambda sent: processing(eta="soon"), timeout=60)
    assert isinstance(task.error, Timeout)
    assert not task.error.retryable
    assert 40 < took <= 60


def test_a_question_that_fails_for_a_passing_reason_is_asked_again(simulate):
    """After as long as ModelsLab says; four in a row are too many, and a wrong key is not asked with again."""
    busy = {"status": "error", "message": "Rate limit exceeded. Maximum 5 queued requests allowed.", "retry_after": 30}
    task, _, took = simulate([processing(), busy, Reply.of({"message": "down"}, status=503), DRAWN])
    assert task.error is None
    assert took > 34
    task, wire, _ = simulate([processing(), *[busy] * 4])
    assert isinstance(task.error, RateLimitError)
    assert len(wire.requests) == 5
    task, wire, _ = simulate([processing(), {"status": "error", "message": "Invalid API key"}])
    assert isinstance(task.error, AuthenticationError)
    task, _, _ = simulate([processing(), {"status": "failed", "message": "Failed: NSFW content detected"}])
    assert isinstance(task.error, ContentPolicyViolationError)


SAID: list[tuple[str, int, type[Exception]]] = [
    ("Invalid API key", 401, AuthenticationError),
    ("Insufficient credits. Please add more credits to continue.", 402, PermissionDeniedError),
    ("This feature requires a premium subscription", 403, PermissionDeniedError),
    ("Rate limit exceeded. Maximum 5 queued requests allowed.", 429, RateLimitError),
    ("Internal server error. Please try again.", 500, InternalServerError),
    ("safety_checker must be a boolean", 400, BadRequestError),
    ("Service temporarily unavailable. Please try again later.", 503, ServiceUnavailableError),
    ("Model not found: invalid_model_name", 404, NotFoundError),
    ("prompt is required", 400, BadRequestError),
    ("Your prompt contains NSFW content", 400, ContentPolicyViolationError),
    ("The prompt is too long", 400, ContextWindowExceededError),
]


@pytest.mark.parametrize(("said", "status", "kind"), SAID, ids=[row[0] for row in SAID])
def test_an_error_that_comes_as_a_success(ask, said, status, kind):
    """Is what its words mean, under either spelling of its field."""
    for name in ("message", "messege"):
        with pytest.raises(kind) as raised:
            ask(Wire({"status": "error", name: said, "retry_after": 30}), "image_generation", **CALL)
        assert type(raised.value) is kind
        assert (raised.value.message, raised.value.status_code, raised.value.retry_after) == (said, status, 30)
        assert raised.value.provider == "modelslab"


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [(400, "Your prompt contains NSFW content", ContentPolicyViolationError),
     (402, "No credits", PermissionDeniedError), (400, "prompt is required", BadRequestError),
     (429, "nsfw", RateLimitError), (500, "too long", InternalServerError)],
)  # fmt: skip
def test_an_error_with_a_status_of_its_own(ask, status, said, kind):
    """Keeps it; its words only tell what was refused."""
    with pytest.raises(kind) as raised:
        ask(Wire(Reply.of({"status": "error", "messege": said}, status=status)), "image_generation", **CALL)
    assert type(raised.value) is kind
    assert (raised.value.message, raised.value.status_code) == (said, status)


@pytest.mark.parametrize(
    ("body", "message"),
    [({"status": "error", "message": {"prompt": ["required"]}}, '{"prompt":["required"]}'),
     ({"status": "error"}, "ModelsLab failed, and does not say why")],
)  # fmt: skip
def test_errors_of_other_shapes(ask, body, message):
    """Say all that is there."""
    with pytest.raises(BadRequestError) as raised:
        ask(Wire(body), "image_generation", **CALL)
    assert raised.value.message == message


def test_a_status_that_does_not_exist(ask):
    """Is not taken for a success."""
    with pytest.raises(InvalidResponseError, match=r"\$\.status"):
        ask(Wire({"status": "maybe", "output": [URL]}), "image_generation", **CALL)


@pytest.mark.parametrize("name", ["MODELSLAB_API_KEY", "MODELS_LAB_API_KEY"])
def test_where_the_key_comes_from(connect, name):
    """Either variable."""
    wire = Wire(DRAWN)
    with connect(wire, api_key=None, secrets={name: "from-env"}.get) as client:
        client.image_generation(**CALL)
    assert wire.requests[0].json["key"] == "from-env"
