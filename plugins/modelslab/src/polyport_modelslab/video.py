"""Video: jobs that are followed by the path at which they are fetched. https://docs.modelslab.com/video-api/overview"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import APIError, BadRequestError, ConflictError, NotFoundError
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.size import fit, pixels_of
from polyport.types.video import Video, VideoIdRequest, VideoRequest
from polyport_modelslab.doors import FILMS, ULTRA, VIDEOS, Door, door_of
from polyport_modelslab.errors import from_body
from polyport_modelslab.work import FETCH, Answer, Work, extras, fetch_path, first_file, read, rest

#: Pictures a second of films whose length is told in pictures. https://docs.modelslab.com/video-api/text-to-video
RATES = {FILMS: 8, ULTRA: 16}
RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
#: How the lengths of hosted models are written, by how their names begin; the others' are bare numbers.
LENGTHS = {"sora-": "{}s"}
#: The lines of the largest film that the ultra models make.
MOST_LINES = 480


class Videos(Work):
    """Films."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job."""
        door = door_of(request, VIDEOS)
        body = to_body(request, door)
        if request.reference is not None:
            body["init_image"] = yield from self.place(request.reference)
        path = door.text if request.reference is None else door.image
        reply: HttpReply = yield self.post(f"{door.base}/{path}", json={**body, **extras(request)})
        answer = read(reply)
        made = to_video(answer, reply, fetch_path(answer, door, reply).lstrip("/"))
        made.model, made.prompt, made.size = request.model, request.prompt, request.size
        made.seconds = None if request.seconds is None else str(request.seconds)
        return made

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        reply: HttpReply = yield self.post(path_of(request.video_id), json=extras(request))
        answer = decode(reply, Answer)
        if answer.status in ("error", "failed"):
            failure = from_body(msgspec.json.decode(reply.content))
            if not _is_of_the_job(failure):
                raise failure
            made = Video(id=request.video_id, status="failed", error={"code": "failed", "message": failure.message})
            made.keep(reply.content, extra=rest(reply))
            return made
        return to_video(read(reply), reply, request.video_id)

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes. Raises ConflictError while it runs, NotFoundError where it has none."""
        if request.variant not in (None, "video"):
            request.unsupported("variant", "ModelsLab makes films and no thumbnails of them")
        reply: HttpReply = yield self.post(path_of(request.video_id), json=extras(request))
        try:
            answer = read(reply)
        except APIError as error:
            if not _is_of_the_job(error):
                raise
            raise NotFoundError(f"{request.video_id!r} has no video: {error.message}", body=error.body) from error
        if answer.status != "success":
            raise ConflictError(
                f"{request.video_id!r} is not finished; ask video_status(...) until it is.",
                status_code=409,
                retryable=False,
            )
        url = first_file(answer, reply)
        if request.stream:
            return Streaming((yield self.download(url, stream=True)), Raw())
        fetched: HttpReply = yield self.download(url)
        return Binary(content=fetched.content, content_type=fetched.headers.get("content-type") or "video/mp4")


def _is_of_the_job(error: APIError) -> bool:
    """Whether an error is the job's own end, not of this question: no wrong key, no limit, no outage."""
    return isinstance(error, BadRequestError)


def path_of(id: str) -> str:
    """Return the path that a video's id is. Raises BadRequestError for what is none."""
    path = f"/{id.strip('/')}"
    if not FETCH.fullmatch(path):
        raise BadRequestError(f"{id!r} is no id of a video of ModelsLab's; they read v6/video/fetch/<number>.")
    return path


def to_video(answer: Answer, reply: HttpReply, id: str) -> Video:
    """Return the job that an answer describes."""
    done = answer.status == "success"
    made = Video(id=id, status="completed" if done else "in_progress", progress=100 if done else None)
    made.keep(reply.content, extra={**rest(reply), **({"urls": answer.files} if answer.files else {})})
    return made


def to_body(request: VideoRequest, door: Door) -> dict[str, Any]:
    """Return the body that starts a job, without the picture to begin with."""
    if request.user is not None:
        request.adapt("user", "dropped", "ModelsLab is not told about users")
    body: dict[str, Any] = {"model_id": request.model, "prompt": request.prompt}
    if request.negative_prompt is not None:
        body["negative_prompt"] = request.negative_prompt
    if request.seed is not None:
        body["seed"] = request.seed
    if request.size is not None:
        body |= size_of(request, door)
    if request.seconds is not None:
        body |= length_of(request, door)
    return body


def length_of(request: VideoRequest, door: Door) -> dict[str, Any]:
    """Return the fields for a length: so many pictures, or the seconds as the model writes them."""
    try:
        seconds = float(request.seconds or 0)
    except ValueError as error:
        raise BadRequestError(f"{request.seconds!r} is no number of seconds at $.seconds") from error
    if door in RATES:
        rate = request.extra.get("fps") or RATES[door]
        frames = round(seconds * rate)
        request.adapt("seconds", "renamed", f"it is {frames} pictures at {rate} a second here")
        return {"num_frames": frames, "fps": rate}
    form = next((form for start, form in LENGTHS.items() if request.model.lower().startswith(start)), "{}")
    return {"duration": form.format(int(seconds) if seconds.is_integer() else seconds)}


def size_of(request: VideoRequest, door: Door) -> dict[str, Any]:
    """Return the fields for a size: pixels, lines and whether it stands, or the nearest shape."""
    size = str(request.size)
    pixels = pixels_of(size)
    if pixels and door is FILMS:
        return {"width": pixels[0], "height": pixels[1]}
    if pixels and door is ULTRA:
        lines = min(*pixels, MOST_LINES)
        request.adapt("size", "clamped" if lines < min(pixels) else "renamed", f"{size} is {lines} lines here")
        return {"resolution": lines, "portrait": pixels[1] > pixels[0]}
    if door.by_ratio:
        ratio = fit(request, size, RATIOS, request.model)
        return {} if ratio is None else {"aspect_ratio": ratio}
    request.unsupported("size", f"{request.model} takes pixels such as 512x512, not {size!r}")
    return {}
