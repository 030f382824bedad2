"""What providers answer: bytes, addresses, or a job to be waited for.

The shapes are those that huggingface_hub 2.4.0 reads in `inference/_providers` (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from polyport.errors import APIError, ContentPolicyViolationError, InternalServerError, InvalidResponseError, Timeout
from polyport.flow import Flow, HttpReply
from polyport.provider import Provider, decode
from polyport.types.record import Request
from polyport_huggingface.asked import Asked, Sent
from polyport_huggingface.found import Found, of_base64
from polyport_huggingface.hub import Served
from polyport_huggingface.polling import poll

Reader: TypeAlias = Callable[[HttpReply], list[Found]]
#: Waits for the job that a reply tells of, and returns the reply that tells of it finished.
Waiter: TypeAlias = Callable[[Provider, Request, HttpReply], Flow[HttpReply]]

#: How fal's queue is reached by the router.
QUEUE = "?_subdomain=queue"


class Route(msgspec.Struct, frozen=True):
    """How a provider does a task: where and how it is asked, how its answer is read, what it calls `n`.

    `wait` is how the answer is waited for, where it does not come at once.
    """

    send: Callable[[Asked, Served], Sent]
    read: Reader
    wait: Waiter | None = None
    many: str = ""

    def work(self, asker: Provider, asked: Asked, served: Served) -> Flow[list[Found]]:
        """Return what is made of a piece of work."""
        sent = self.send(asked, served)
        reply: HttpReply = yield asker.post(sent.path, json=sent.body, headers=sent.headers)
        if self.wait is not None:
            reply = yield from self.wait(asker, asked.request, reply)
        return self.read(reply)


def own(body: Callable[[Asked], dict[str, Any]], pipeline: str = "") -> Callable[[Asked, Served], Sent]:
    """Return how Hugging Face's own provider is asked, and any endpoint of its shape."""

    def send(asked: Asked, served: Served) -> Sent:
        return Sent(served.path or served.at(f"models/{served.id}{pipeline}"), body(asked))

    return send


# --- made at once ---


def read_bytes(reply: HttpReply) -> list[Found]:
    """Read a body that is the thing itself. Raises InvalidResponseError for one that is empty, or JSON."""
    kind = reply.headers.get("content-type", "")
    if not reply.content or "json" in kind or "html" in kind:
        begin = reply.content[:120].decode("utf-8", "replace")
        raise InvalidResponseError(f"The reply is {kind or 'empty'}, no file. It begins {begin!r}", body=reply.content)
    return [Found(content=reply.content, kind=kind)]


class _Place(msgspec.Struct):
    url: str


class FalResult(msgspec.Struct):
    """What fal made."""

    images: list[_Place] = []
    audio: _Place | None = None
    video: _Place | None = None
    has_nsfw_concepts: list[bool] = []

    @property
    def urls(self) -> list[str]:
        """Where it is."""
        return [place.url for place in (*self.images, self.audio, self.video) if place is not None]


def read_fal(reply: HttpReply) -> list[Found]:
    """Read fal's result. Raises ContentPolicyViolationError where its filter blacked every image out."""
    result: FalResult = decode(reply, FalResult)
    if result.images and result.has_nsfw_concepts and all(result.has_nsfw_concepts):
        raise ContentPolicyViolationError("The provider's safety filter blacked out what was made.", body=reply.content)
    return some([Found(url=url) for url in result.urls], reply, "$.images, $.audio or $.video")


class _Datum(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None


class _Data(msgspec.Struct):
    data: list[_Datum]


def read_openai(reply: HttpReply) -> list[Found]:
    """Read images in OpenAI's shape."""
    data: _Data = decode(reply, _Data)
    try:
        found = [of_base64(datum.b64_json) if datum.b64_json else Found(url=datum.url or "") for datum in data.data]
    except ValueError as error:
        raise InvalidResponseError(f"An image in the reply is not base64: {error}", body=reply.content) from error
    return some([one for one in found if one.url or one.content], reply, "$.data")


class Prediction(msgspec.Struct):
    """What Replicate says of a prediction. `output` depends on the model."""

    output: Any = None
    error: Any = None
    status: str = ""


def finished_prediction(reply: HttpReply) -> Prediction:
    """Return a prediction with its output. Raises what kept it from being made."""
    made: Prediction = decode(reply, Prediction)
    if made.error:
        raise InternalServerError(f"The provider failed: {made.error}", body=reply.content, retryable=False)
    if made.output is None:
        raise Timeout("The prediction was not done within the minute that Replicate waits; the model may be cold.")
    return made


def read_replicate(reply: HttpReply) -> list[Found]:
    """Read the addresses of a prediction's output."""
    output = finished_prediction(reply).output
    places = output if isinstance(output, list) else [output]
    return some([Found(url=place) for place in places if isinstance(place, str)], reply, "$.output")


def some(found: list[Found], reply: HttpReply, at: str) -> list[Found]:
    """Return what was found. Raises InvalidResponseError where it is nothing."""
    if not found:
        raise InvalidResponseError(f"The reply holds nothing that was made at {at}", body=reply.content)
    return found


# --- made in the provider's own time ---


class Submitted(msgspec.Struct):
    """A job in fal's queue."""

    request_id: str
    response_url: str

    @property
    def path(self) -> str:
        """Where it is below the router; fal says its own address, of which the path counts."""
        return f"/fal-ai{urlsplit(self.response_url).path}"


class QueueStatus(msgspec.Struct):
    """How far a job in fal's queue is."""

    status: str
    error: str | None = None


def wait_in_queue(asker: Provider, request: Request, reply: HttpReply) -> Flow[HttpReply]:
    """Wait for a job in fal's queue, and fetch its result."""
    job: Submitted = decode(reply, Submitted)

    def done(reply: HttpReply) -> bool:
        return decode(reply, QueueStatus).status == "COMPLETED"

    yield from poll(request, lambda: asker.get(f"{job.path}/status{QUEUE}"), done)
    result: HttpReply = yield asker.get(f"{job.path}{QUEUE}")
    return result


class _Links(msgspec.Struct):
    get: str = ""


class WaveJob(msgspec.Struct):
    """A job of WaveSpeed's."""

    status: str = ""
    outputs: list[str] = []
    error: str | None = None
    urls: _Links | None = None

    @property
    def path(self) -> str:
        """Where it is below the router."""
        return f"/wavespeed{urlsplit(self.urls.get).path}" if self.urls is not None and self.urls.get else ""


class WaveReply(msgspec.Struct):
    """WaveSpeed's envelope."""

    data: WaveJob


def wave_job(reply: HttpReply) -> WaveJob:
    """Return the job that a reply of WaveSpeed's tells."""
    return decode(reply, WaveReply).data


def wave_path(reply: HttpReply) -> str:
    """Return where a job that was submitted is asked after."""
    path = wave_job(reply).path
    if not path:
        raise InvalidResponseError("The reply does not say where its job is, at $.data.urls.get", body=reply.content)
    return path


def wait_for_wavespeed(asker: Provider, request: Request, reply: HttpReply) -> Flow[HttpReply]:
    """Wait for a job of WaveSpeed's."""
    path = wave_path(reply)

    def done(reply: HttpReply) -> bool:
        job = wave_job(reply)
        if job.status == "failed":
            raise failure(job.error, reply)
        return job.status == "completed"

    return (yield from poll(request, lambda: asker.get(path), done))


def read_wavespeed(reply: HttpReply) -> list[Found]:
    """Read the outputs of a finished job of WaveSpeed's."""
    return some([Found(url=url) for url in wave_job(reply).outputs], reply, "$.data.outputs")


class ZaiTask(msgspec.Struct):
    """A task of Z.ai's."""

    id: str = ""
    task_status: str = ""
    image_result: list[_Place] = []


def wait_for_zai(asker: Provider, request: Request, reply: HttpReply) -> Flow[HttpReply]:
    """Wait for a task of Z.ai's; it may be finished at once."""
    path = f"/zai-org/api/paas/v4/async-result/{decode(reply, ZaiTask).id}"

    def done(reply: HttpReply) -> bool:
        task = decode(reply, ZaiTask)
        if task.task_status == "FAIL":
            raise failure(None, reply)
        return task.task_status == "SUCCESS" or bool(task.image_result)

    return reply if done(reply) else (yield from poll(request, lambda: asker.get(path), done))


def read_zai(reply: HttpReply) -> list[Found]:
    """Read the images of a finished task of Z.ai's."""
    return some([Found(url=place.url) for place in decode(reply, ZaiTask).image_result], reply, "$.image_result")


def failure(why: str | None, reply: HttpReply) -> APIError:
    """Return the error for a job that failed."""
    words = f"The provider's job failed: {why}" if why else "The provider's job failed, and it does not say why."
    return InternalServerError(words, body=reply.content, retryable=False)
