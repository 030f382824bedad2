"""Videos: text-to-video and image-to-video, as jobs of the provider that serves the model.

https://huggingface.co/docs/inference-providers/tasks/text-to-video
A job's id is its provider and where it is asked after there: `fal-ai:/fal-ai/ltx-video/requests/1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError, ConflictError, NotFoundError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import Video, VideoIdRequest, VideoRequest
from polyport_huggingface.asked import Asked, Sent, adapted, stepped
from polyport_huggingface.hub import Served, serve
from polyport_huggingface.images import size_of
from polyport_huggingface.reading import QUEUE, FalResult, QueueStatus, Submitted, wave_job, wave_path

#: Where it is, once it is there; why it failed, once it has.
State = tuple[str, str | None]


def _fal(asked: Asked, served: Served) -> Sent:
    image = {"image_url": asked.url} if asked.file is not None else {}
    body = {**image, "prompt": asked.text, **asked.parameters, **adapted(served)}
    return Sent(served.at(f"{served.id}{QUEUE}"), body)


def _together(asked: Asked, served: Served) -> Sent:
    """https://docs.together.ai/reference/create-videos."""
    frames = {"frame_images": [{"input_image": asked.url, "frame": "first"}]} if asked.file is not None else {}
    body = {"model": served.id, "prompt": asked.text, **frames, **stepped(asked.parameters)}
    return Sent(served.at("v2/videos"), body)


def _wavespeed(asked: Asked, served: Served) -> Sent:
    image = {"image": asked.url} if asked.file is not None else {}
    return Sent(served.at(f"api/v3/{served.id}"), {**image, "prompt": asked.text, **asked.parameters})


class _TogetherOutputs(msgspec.Struct):
    video_url: str | None = None


class _TogetherJob(msgspec.Struct):
    id: str = ""
    status: str | None = None
    outputs: _TogetherOutputs | None = None
    error: dict[str, Any] | None = None


def _together_path(reply: HttpReply) -> str:
    return f"/together/v2/videos/{decode(reply, _TogetherJob).id}"


def _fal_state(reply: HttpReply) -> State:
    told: QueueStatus = decode(reply, QueueStatus)
    status = "completed" if told.status == "COMPLETED" else STATUSES.get(told.status, told.status)
    return ("failed", told.error) if told.error else (status, None)


def _together_state(reply: HttpReply) -> State:
    job: _TogetherJob = decode(reply, _TogetherJob)
    why = str((job.error or {}).get("message") or "the provider does not say why")
    return (job.status or "queued", why if job.status == "failed" else None)


def _wavespeed_state(reply: HttpReply) -> State:
    job = wave_job(reply)
    status = STATUSES.get(job.status, job.status)
    return (status, job.error or "the provider does not say why") if status == "failed" else (status, None)


#: The providers' words for how far a job is -> OpenAI's.
STATUSES = {"IN_QUEUE": "queued", "IN_PROGRESS": "in_progress", "created": "queued", "processing": "in_progress"}


class Jobs(msgspec.Struct, frozen=True):
    """How a provider's jobs are started, found again and told about; where the finished video is."""

    send: Callable[[Asked, Served], Sent]
    path: Callable[[HttpReply], str]
    state: Callable[[HttpReply], State]
    video: Callable[[HttpReply], str | None]
    asked_at: str = ""
    result_at: str = ""


PROVIDERS: Mapping[str, Jobs] = {
    "fal-ai": Jobs(
        _fal,
        lambda reply: decode(reply, Submitted).path,
        _fal_state,
        lambda reply: next(iter(decode(reply, FalResult).urls), None),
        asked_at=f"/status{QUEUE}",
        result_at=QUEUE,
    ),
    "together": Jobs(
        _together,
        _together_path,
        _together_state,
        lambda reply: (decode(reply, _TogetherJob).outputs or _TogetherOutputs()).video_url,
    ),
    "wavespeed": Jobs(_wavespeed, wave_path, _wavespeed_state, lambda reply: next(iter(wave_job(reply).outputs), None)),
}


class HubVideos(Wire):
    """Jobs that make videos."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job, from a prompt, or from a prompt and an image."""
        task = "text-to-video" if request.reference is None else "image-to-video"
        served = yield from serve(self, request, task, PROVIDERS)
        jobs = PROVIDERS[served.provider]
        asked = Asked(
            request=request,
            text=request.prompt,
            file=request.reference,
            parameters=parameters(request, served.provider),
        )
        sent = jobs.send(asked, served)
        reply: HttpReply = yield self.post(sent.path, json=sent.body, headers=sent.headers)
        path = jobs.path(reply).removeprefix(f"/{served.provider}")
        made = Video(
            id=f"{served.provider}:{path}",
            status="queued",
            model=request.model,
            prompt=request.prompt,
            size=request.size,
        )
        made.keep(reply.content, extra={})
        return made

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        jobs, path = find(request.video_id)
        reply: HttpReply = yield self.get(f"{path}{jobs.asked_at}")
        status, why = jobs.state(reply)
        made = Video(id=request.video_id, status=status, model=request.model)
        made.progress = 100 if status == "completed" else None
        made.error = None if why is None else {"code": "failed", "message": why}
        made.keep(reply.content, extra={})
        return made

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes, from where the provider put them: the key does not go there."""
        if request.variant not in (None, "video"):
            request.unsupported("variant", "videos come without thumbnails")
        jobs, path = find(request.video_id)
        reply: HttpReply = yield self.get(f"{path}{jobs.asked_at}")
        finished(*jobs.state(reply), request.video_id)
        if jobs.result_at:
            reply = yield self.get(f"{path}{jobs.result_at}")
        url = jobs.video(reply)
        if not url:
            raise NotFoundError(f"{request.video_id!r} is finished and has no video.", status_code=404)
        stream = bool(request.stream)
        video: HttpReply = yield HttpRequest(method="GET", url=url, stream=stream, unsigned=True)
        if stream:
            return Streaming(video, Raw())
        return Binary(content=video.content, content_type=video.headers.get("content-type") or "video/mp4")


def find(id: str) -> tuple[Jobs, str]:
    """Return the provider's jobs, and the path of the one with this id. Raises BadRequestError for no id."""
    provider, _, path = id.partition(":")
    if provider not in PROVIDERS or not re.fullmatch(r"(/[\w.-]+)+", path) or ".." in path:
        raise BadRequestError(f"{id!r} is no id of a video made by Hugging Face.")
    return PROVIDERS[provider], f"/{provider}{path}"


def finished(status: str, why: str | None, id: str) -> None:
    """Raise ConflictError while a job runs, NotFoundError where it failed."""
    if why is not None:
        raise NotFoundError(f"{id!r} has no video: {why}", status_code=404)
    if status != "completed":
        raise ConflictError(f"{id!r} is not finished; ask video_status(...) until it is.", retryable=False)


def parameters(request: VideoRequest, provider: str) -> dict[str, Any]:
    """Return the parameters in Hugging Face's words, with the model's own as they were given."""
    if request.seconds is not None:
        request.unsupported("seconds", "num_frames=... is what there is, or the model's own parameter")
    if request.user is not None:
        request.unsupported("user", "providers are not told about users")
    given = request.given()
    made: dict[str, Any] = {name: given[name] for name in ("seed", "negative_prompt") if name in given}
    if request.size is not None and provider == "together":
        made |= size_of(request, request.size)
    elif request.size is not None:
        request.unsupported("size", "pass the model's own parameter: aspect_ratio=..., resolution=...")
    return {**made, **request.extra}
