"""Video: jobs that are followed by an id. https://fal.ai/docs/model-api-reference/video-generation-api/overview

An id reads `<endpoint id>/requests/<request id>`: it names the model, too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import BadRequestError, ConflictError, InvalidResponseError, NotFoundError
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import Video, VideoDeleted, VideoIdRequest, VideoRequest
from polyport_fal import errors
from polyport_fal.apps import App, find
from polyport_fal.body import Body, refuse
from polyport_fal.files import Files
from polyport_fal.queue import Job, Status, job_of, status_of
from polyport_fal.shape import put_seconds, put_size

#: Where the picture goes that a film begins with.
FIRST = ("image_url", "start_image_url", "first_frame_url", "first_image_url", "image_urls", "reference_image_urls")
STATES = {"IN_QUEUE": "queued", "IN_PROGRESS": "in_progress", "COMPLETED": "completed"}
#: What the result of a job that failed answers; any other error status is about the call, not about the job.
FAILED = (400, 422, 500)
#: What a film is called beside itself, by OpenAI's names of variants.
VARIANTS = {None: "video", "video": "video", "thumbnail": "thumbnail", "spritesheet": "spritesheet"}


class Videos(Files):
    """Films."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job."""
        app = find(request.model)
        body = to_body(request, app)
        if request.reference is not None:
            field = app.name(*FIRST)
            if field is None:
                raise BadRequestError(f"{app.path} starts from no picture; look for its sibling /image-to-video.")
            address = yield from self.place(request.reference, request)
            body.set(field, [address] if field.endswith("s") else address)
        job, reply = yield from self.submit(app, body.finish())
        made = Video(id=f"{app.path}/requests/{job.id}", status="queued", model=app.path, prompt=request.prompt)
        made.seconds = None if request.seconds is None else str(request.seconds)
        made.size = request.size
        made.keep(reply.content, extra=_without(reply, "status"))
        return made

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is, its logs included; of a completed one, whether it failed and where the film is."""
        app, job = job_named(request.video_id)
        reply: HttpReply = yield self.get(job.status, params={"logs": 1})
        status = status_of(reply)
        made = Video(id=request.video_id, status=STATES[status.status], model=app.path)
        extra = _without(reply, "status", "error")
        if status.error is not None:
            made.status, made.error = "failed", failure_of(status)
        elif made.status == "completed":
            result = yield from self._result(job)
            if result.status >= 300:
                made.status, made.error = "failed", errors.why(_json(result))
            else:
                made.progress = 100
                extra |= _without(result)
        made.keep(reply.content, extra=extra)
        return made

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes. Raises ConflictError while it runs, NotFoundError where it has none."""
        _, job = job_named(request.video_id)
        status = status_of((yield self.get(job.status)))
        if status.status != "COMPLETED":
            raise ConflictError(
                f"{request.video_id!r} is not finished; ask video_status(...) until it is.",
                status_code=409,
                retryable=False,
            )
        result = yield from self._result(job)
        if result.status >= 300:
            raise NotFoundError(f"{request.video_id!r} has no video: {errors.why(_json(result))['message']}")
        film = film_of(result, request)
        if request.stream:
            return Streaming((yield self.download(film.url, stream=True)), Raw())
        fetched: HttpReply = yield self.download(film.url)
        kind = fetched.headers.get("content-type") or film.content_type or "video/mp4"
        return Binary(content=fetched.content, content_type=kind)

    @hookimpl
    def delete_video(self, request: VideoIdRequest) -> Flow[VideoDeleted]:
        """Cancel a job that has not begun; fal tells one that has with a 400."""
        _, job = job_named(request.video_id)
        reply = yield self.cancellation(job)
        asked = decode(reply, Status).status == "CANCELLATION_REQUESTED"
        return VideoDeleted(id=request.video_id, object="video.deleted", deleted=asked)

    def _result(self, job: Job) -> Flow[HttpReply]:
        asked = self.get(job.result)
        asked.expect = FAILED
        reply: HttpReply = yield asked
        return reply


def to_body(request: VideoRequest, app: App) -> Body:
    """Return the body without the picture to begin with."""
    refuse(request, {}, "")
    body = Body(request, app)
    body.set("prompt", request.prompt)
    for name in ("seed", "negative_prompt"):
        if getattr(request, name) is not None:
            body.put(name, getattr(request, name), name)
    if request.seconds is not None:
        try:
            put_seconds(body, request.seconds)
        except ValueError as error:
            raise BadRequestError(f"{request.seconds!r} is no number of seconds at $.seconds") from error
    if request.size is not None:
        put_size(body, request.size)
    return body


def job_named(id: str) -> tuple[App, Job]:
    """Return the app and job of a video's id. Raises BadRequestError for what is none."""
    path, found, number = id.rpartition("/requests/")
    app = find(path) if found else None
    job = job_of(app, number) if app is not None else None
    if app is None or job is None:
        raise BadRequestError(f"{id!r} is no id of a video of fal's; they read <endpoint id>/requests/<request id>.")
    return app, job


def failure_of(status: Status) -> dict[str, Any]:
    """Return why a job failed, as the queue tells it."""
    return {"code": status.error_type or "failed", "message": status.error}


class Film(msgspec.Struct):
    """Where a job's film is."""

    url: str
    content_type: str | None = None


def film_of(reply: HttpReply, request: VideoIdRequest) -> Film:
    """Return where the film, or another variant, is. Raises NotFoundError where the model makes no such thing."""
    name = VARIANTS.get(request.variant, str(request.variant))
    made = decode(reply, dict[str, Any])
    found = made.get(name) or (made.get("videos") or [None])[0] if name == "video" else made.get(name)
    if found is None and name != "video":
        raise NotFoundError(f"{request.video_id!r} has no {name}; it has {', '.join(made)}.")
    try:
        film = msgspec.convert(found, Film)
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"$.{name} is no file: {error}", body=reply.content) from error
    if not film.url.startswith(("http://", "https://")):
        raise InvalidResponseError(f"$.{name}.url is no address: {film.url[:60]!r}", body=reply.content)
    return film


def _json(reply: HttpReply) -> Any:
    try:
        return msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        return None


def _without(reply: HttpReply, *names: str) -> dict[str, Any]:
    """Return what a reply says, without some of it."""
    said = decode(reply, dict[str, Any])
    return {name: value for name, value in said.items() if name not in names}
