"""The queue: jobs are waited for, given up, cancelled; keys, addresses and errors.

https://fal.ai/docs/documentation/model-apis/inference/queue
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polyport import Client
from polyport.drivers.simulation import Simulation
from polyport.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    Timeout,
    UnprocessableEntityError,
)
from polyport.testing import Reply, Wire
from polyport_fal import Fal
from polyport_fal.apps import find, known

ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
DRAWN = {"images": [{"url": "https://v3.fal.media/a.png"}]}
CALL: dict[str, Any] = {"prompt": "A cat", "model": "fal_ai/fal-ai/flux/dev"}


@pytest.fixture
def simulate(connect):
    """Draw under a virtual clock: `simulate(queue, **more)` gives the task and how long it took."""

    def simulate(queue: Any, **more: Any) -> tuple[Any, float]:
        client = connect(queue)
        simulation = Simulation(Wire(queue).simulated)
        task = simulation.start(client.flow("image_generation", **CALL, **more))
        simulation.run()
        return task, simulation.now

    return simulate


def test_a_job_is_submitted_waited_for_and_fetched(ask, fake):
    """At the addresses that the submission gives, each with the key."""
    queue = fake(DRAWN, states=("IN_QUEUE", "IN_PROGRESS", "COMPLETED"))
    ask(queue, "image_generation", **CALL)
    base = f"https://queue.fal.run/fal-ai/flux/requests/{ID}"
    assert [(sent.method, sent.url) for sent in queue.sent] == [
        ("POST", "https://queue.fal.run/fal-ai/flux/dev"),
        *[("GET", f"{base}/status")] * 3,
        ("GET", base),
    ]
    assert {sent.headers["authorization"] for sent in queue.sent} == {"Key key-id:key-secret"}


def test_pauses_grow_up_to_five_seconds(simulate, fake):
    """A minute's job is asked after some twenty times."""
    queue = fake(DRAWN, states=(*["IN_PROGRESS"] * 20, "COMPLETED"))
    task, took = simulate(queue)
    assert task.error is None
    assert 60 < took < 70


def test_a_job_that_lasts_too_long_is_cancelled(simulate, fake):
    """After the call's timeout; it is not tried again, as that would pay for it twice."""
    queue = fake(DRAWN, states=("IN_PROGRESS",))
    task, took = simulate(queue, timeout=30)
    assert isinstance(task.error, Timeout)
    assert not task.error.retryable
    assert 20 < took <= 30
    assert (queue.sent[-1].method, queue.sent[-1].path) == ("PUT", f"/fal-ai/flux/requests/{ID}/cancel")


def test_a_question_that_fails_for_a_passing_reason_is_asked_again(simulate, fake):
    """The job goes on meanwhile; after four in a row it is given up."""
    busy = Reply.of({"detail": "busy"}, status=503)
    task, _ = simulate(fake(DRAWN, states=("IN_PROGRESS", busy, busy, busy, "COMPLETED")))
    assert task.error is None
    queue = fake(DRAWN, states=(busy,))
    task, _ = simulate(queue)
    assert task.error.status_code == 503
    assert queue.sent[-1].method == "PUT"


def test_what_cannot_pass_is_not_asked_again(simulate, fake):
    """A key that is taken away, or an answer that is none."""
    for state, kind in [
        (Reply.of({"detail": "no"}, status=401), AuthenticationError),
        ({"status": "LOST"}, InvalidResponseError),
        (b"<html>", InvalidResponseError),
    ]:
        queue = fake(DRAWN, states=(state,))
        task, _ = simulate(queue)
        assert isinstance(task.error, kind)
        assert [sent.method for sent in queue.sent] == ["POST", "GET", "PUT"]


def test_a_call_that_is_cancelled_cancels_its_job(connect, fake):
    """An asyncio task that is cancelled while the job runs."""
    queue = fake(DRAWN, states=("IN_PROGRESS",))

    async def run() -> None:
        async with connect(queue) as client:
            task = asyncio.create_task(client.aimage_generation(**CALL))
            while not any(sent.path.endswith("/status") for sent in queue.sent):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert queue.sent[-1].method == "PUT"
    assert queue.sent[-1].path.endswith(f"/requests/{ID}/cancel")


def test_of_several_jobs_the_others_are_cancelled_when_one_fails(connect):
    """An endpoint that makes one picture at a time; its jobs run side by side."""
    waiting, cancelled = [f"job-{number}" for number in range(3)], set()

    def answer(sent: Any) -> Any:
        if sent.method == "POST":
            return {"request_id": waiting.pop()}
        number = sent.path.split("/")[4]
        if sent.method == "PUT":
            cancelled.add(number)
            return {"status": "CANCELLATION_REQUESTED"}
        return Reply.of({"detail": "no"}, status=401) if number == "job-1" else {"status": "IN_PROGRESS"}

    async def run() -> None:
        async with connect(answer) as client:
            with pytest.raises(AuthenticationError):
                await client.aimage_generation("A cat", "fal_ai/flux-2-pro", n=3)

    asyncio.run(run())
    assert cancelled == {"job-0", "job-1", "job-2"}


def test_that_a_job_cannot_be_cancelled_does_not_hide_why_it_was_given_up():
    """The first error is the one that is raised."""

    def answer(sent: Any) -> Any:
        if sent.method == "PUT":
            return Reply(refused=True)
        return {"request_id": ID} if sent.method == "POST" else Reply.of({"detail": "no"}, status=401)

    client = Client(http=Wire(answer), providers={"fal_ai": Fal}, api_key="k", num_retries=0)
    with client, pytest.raises(AuthenticationError):
        client.image_generation(**CALL)


def test_addresses_elsewhere_are_not_given_the_key():
    """Jobs are asked after at fal's own host, whatever the submission says, or at the user's api_base."""
    urls = {name: f"https://elsewhere.example/{name}" for name in ("status_url", "response_url", "cancel_url")}

    def answer(sent: Any) -> Any:
        if sent.method == "POST":
            return {"request_id": ID, **urls}
        return {"status": "COMPLETED"} if sent.path.endswith("/status") else DRAWN

    for base in (None, "https://proxy.example/fal"):
        wire = Wire(answer)
        with Client(http=wire, providers={"fal_ai": Fal}, api_key="k", num_retries=0, api_base=base) as client:
            client.image_generation(**CALL)
        start = f"{base or 'https://queue.fal.run'}/fal-ai/flux"
        assert all(sent.url.startswith(start) for sent in wire.requests)


def test_an_id_that_is_none_is_not_put_into_a_path():
    """A submission that answers nonsense is not believed."""
    wire = Wire({"request_id": "../../tokens"})
    client = Client(http=wire, providers={"fal_ai": Fal}, api_key="k", num_retries=0)
    with client, pytest.raises(InvalidResponseError, match=r"\$\.request_id"):
        client.image_generation(**CALL)


@pytest.mark.parametrize(
    ("env", "header"),
    [({"FAL_KEY": "whole"}, "Key whole"), ({"FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}, "Key id:secret"),
     ({"FAL_KEY": "whole", "FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}, "Key whole"),
     ({"FAL_AI_API_KEY": "other"}, "Key other")],
)  # fmt: skip
def test_where_the_key_comes_from(env, header, connect, fake):
    """One variable, or an id and a secret."""
    queue = fake(DRAWN)
    with connect(queue, api_key=None, secrets=env.get) as client:
        client.image_generation(**CALL)
    assert queue.sent[0].headers["authorization"] == header


def test_half_a_key_is_none(connect, fake):
    """An id without a secret is told how to go on."""
    client = connect(fake(), api_key=None, secrets={"FAL_KEY_ID": "id"}.get)
    with client, pytest.raises(AuthenticationError, match="FAL_KEY_SECRET"):
        client.image_generation(**CALL)


# --- errors of models and of the queue ---


def detail(kind: str, *place: str) -> dict[str, Any]:
    """An error of a model's, as fal writes it."""
    return {"loc": ["body", *place], "msg": "No.", "type": kind, "url": "https://docs.fal.ai/errors", "input": {}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [(422, {"detail": [detail("content_policy_violation", "prompt")]}, ContentPolicyViolationError,
      "No. (at body.prompt)"),
     (422, {"detail": [detail("string_too_long", "prompt")]}, ContextWindowExceededError, "No. (at body.prompt)"),
     (422, {"detail": [detail("sequence_too_long", "image_urls")]}, UnprocessableEntityError,
      "No. (at body.image_urls)"),
     (422, {"detail": [detail("missing", "prompt"), detail("value_error")]}, UnprocessableEntityError,
      "No. (at body.prompt); No. (at body)"),
     (500, {"detail": [detail("content_policy_violation")]}, InternalServerError, "No. (at body)"),
     (504, {"detail": "Request timed out", "error_type": "request_timeout"}, Timeout, "Request timed out"),
     (400, {"detail": [7]}, BadRequestError, "HTTP 400: 7")],
)  # fmt: skip
def test_errors(ask, status, body, kind, message, fake):
    """Say what fal says, where, and are of the class that their type means."""
    reply = Reply.of(body, status=status, headers={"x-fal-request-id": "req-1"})
    with pytest.raises(kind) as raised:
        ask(fake(reply), "image_generation", **CALL)
    assert type(raised.value) is kind
    assert (raised.value.message, raised.value.request_id) == (message, "req-1")


def test_fal_says_what_is_worth_trying_again(ask, fake):
    """A 500 that its header calls final is not retried."""
    reply = Reply.of({"detail": "broken"}, status=500, headers={"x-fal-retryable": "false"})
    with pytest.raises(InternalServerError) as raised:
        ask(fake(reply), "image_generation", **CALL)
    assert not raised.value.retryable


def test_a_lost_result_is_a_lost_connection(ask, fake):
    """Which may be tried again."""
    with pytest.raises(APIConnectionError):
        ask(fake(Reply(refused=True)), "image_generation", **CALL)


# --- the table of apps ---


def test_names_of_models():
    """The owner may be left out where that is unambiguous; workflows have a part more in front."""
    assert find("flux/dev").path == find("fal-ai/flux/dev").path == find("/fal-ai/flux/dev/").path == "fal-ai/flux/dev"
    assert find("fast-sdxl").path == "fal-ai/fast-sdxl"
    assert find("fast-new").path == "fal-ai/fast-new"
    other = find("me/mine/fast")
    assert (other.path, other.root, other.mode) == ("me/mine/fast", "me/mine", None)
    assert find("workflows/me/mine/a").root == "workflows/me/mine"
    for bad in ("", "a b/c", "a/../b", "a//b", "a/{key}", "a/b?c"):
        with pytest.raises(BadRequestError, match="endpoint id"):
            find(bad)


def test_the_table_is_sound():
    """Every app has a path, a mode and something to take."""
    for path, app in known().items():
        assert find(path) is app
        assert app.mode
        assert all(name and all(values) for name, values in app.takes.items())
