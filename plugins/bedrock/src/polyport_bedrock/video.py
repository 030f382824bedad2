"""Video: Nova Reel and Luma's Ray, asynchronous invocations that write into a bucket.

https://docs.aws.amazon.com/nova/latest/userguide/video-gen-access.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-luma.html

A job's id is its ARN. The bucket is `s3_output_bucket_name=` or `s3_bucket_name=`, or their variables.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from polyport import plugins
from polyport.errors import BadRequestError, ConflictError, NotFoundError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import Video, VideoIdRequest, VideoList, VideoListRequest, VideoRequest
from polyport_bedrock.files import Files
from polyport_bedrock.names import named, read
from polyport_bedrock.settings import BUCKET, OUTPUT_BUCKET, extras, wanted
from polyport_bedrock.storage import FOLDER, checked

WHY = "A video is written into a bucket of yours"
FILE = "output.mp4"
#: What Nova Reel makes. https://docs.aws.amazon.com/nova/latest/userguide/video-generation.html
REEL_SIZE, REEL_SHOT, REEL_FPS = "1280x720", 6, 24
#: Its keyword arguments that belong among the sizes; others belong to the task.
REEL_CONFIG = frozenset({"fps", "dimension", "durationSeconds"})
Body = dict[str, Any]


class Videos(Files):
    """POST and GET /async-invoke."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job."""
        make = next((make for start, make in MODELS.items() if named(request).base.startswith(start)), None)
        if make is None:
            raise UnsupportedParamsError(f"{request.model!r} is not known to film; {', '.join(MODELS)} do.")
        bucket = request.extra.get(OUTPUT_BUCKET[0]) or plugins.secret(OUTPUT_BUCKET[1]) or wanted(request, BUCKET, WHY)
        if request.user is not None:
            request.adapt("user", "dropped", "Bedrock is not told about users")
        target = f"s3://{checked(str(bucket))}/{FOLDER}/video/"
        body = {
            "modelId": read(request.model).id,
            "modelInput": make(request),
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": target}},
        }
        reply = yield self.post("/async-invoke", json=body)
        made = Video(id=decode(reply, _Begun).invocation_arn, status="queued", model=request.model)
        made.prompt, made.size = request.prompt, request.size
        made.seconds = None if request.seconds is None else str(request.seconds)
        made.keep(reply.content, extra={})
        return made

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        reply: HttpReply = yield self._job(request)
        made = to_video(decode(reply, Job))
        made.carry(_uri(decode(reply, Job)))
        return made

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes from the bucket."""
        if request.variant not in (None, "video"):
            request.unsupported("variant", "Bedrock makes videos and no thumbnails of them")
        uri = finished(decode((yield self._job(request)), Job), request.video_id)
        reply: HttpReply = yield self.fetching(uri, stream=bool(request.stream))
        if request.stream:
            return Streaming(reply, Raw())
        return Binary(content=reply.content, content_type=reply.headers.get("content-type") or "video/mp4")

    @hookimpl
    def list_videos(self, request: VideoListRequest) -> Flow[VideoList]:
        """List jobs, newest first; `after` is the `last_id` of the page before."""
        order = {"asc": "Ascending", "desc": "Descending"}.get(request.order or "desc", request.order)
        params = {"maxResults": request.limit, "nextToken": request.after, "sortOrder": order}
        reply: HttpReply = yield self.get("/async-invoke", params={**params, **extras(request)})
        page: _Jobs = decode(reply, _Jobs)
        made = VideoList(
            data=[to_video(job) for job in page.async_invoke_summaries],
            last_id=page.next_token,
            has_more=bool(page.next_token),
        )
        made.keep(reply.content, extra={})
        return made

    def _job(self, request: VideoIdRequest) -> HttpRequest:
        job = request.video_id
        if not job.startswith("arn:") or ":async-invoke/" not in job:
            raise BadRequestError(f"{job!r} is no id of a video of {self.name!r}: they are ARNs of invocations.")
        return self.get(f"/async-invoke/{quote(job, safe='')}")


# --- requests ---


def _reel(request: VideoRequest) -> Body:
    """Return Nova Reel's input; more than one shot is told as one prompt, and takes no picture."""
    seconds = _seconds(request, REEL_SHOT)
    if request.size not in (None, REEL_SIZE, "16:9"):
        request.unsupported("size", f"Nova Reel films in {REEL_SIZE}")
    if request.negative_prompt is not None:
        request.unsupported("negative_prompt", "Nova Reel takes none; say in the prompt what there is")
    config: Body = {"durationSeconds": seconds, "fps": REEL_FPS, "dimension": REEL_SIZE}
    if request.seed is not None:
        config["seed"] = request.seed
    text: Body = {"text": request.prompt}
    single = seconds <= REEL_SHOT
    if request.reference is not None and single:
        kind = request.reference.content_type.rpartition("/")[2]
        picture = base64.b64encode(request.reference.read()).decode()
        text["images"] = [{"format": "jpeg" if kind == "jpg" else kind, "source": {"bytes": picture}}]
    elif request.reference is not None:
        request.unsupported("input_reference", f"Nova Reel starts from a picture for {REEL_SHOT} seconds only")
    task, params = (
        ("TEXT_VIDEO", "textToVideoParams") if single else ("MULTI_SHOT_AUTOMATED", "multiShotAutomatedParams")
    )
    body: Body = {"taskType": task, params: text, "videoGenerationConfig": config}
    for name, value in extras(request).items():
        (config if name in REEL_CONFIG else body)[name] = value
    if body["taskType"] != task:  # the user's task brings its own parameters, and shots of its own length
        del body[params], config["durationSeconds"]
    return body


def _ray(request: VideoRequest) -> Body:
    """Return Luma's input: a ratio, a resolution, 5 or 9 seconds."""
    body: Body = {"prompt": request.prompt}
    if request.seconds is not None:
        body["duration"] = f"{_seconds(request, 5)}s"
    if request.size is not None:
        body["resolution" if re.fullmatch(r"\d+p", request.size) else "aspect_ratio"] = _luma_size(request)
    if request.reference is not None:
        source = {"type": "base64", "media_type": request.reference.content_type}
        data = base64.b64encode(request.reference.read()).decode()
        body["keyframes"] = {"frame0": {"type": "image", "source": {**source, "data": data}}}
    for name in ("seed", "negative_prompt"):
        if getattr(request, name) is not None:
            request.unsupported(name, "Luma's models take none")
    return {**body, **extras(request)}


def _luma_size(request: VideoRequest) -> str:
    size = str(request.size)
    if re.fullmatch(r"\d+:\d+|\d+p", size):
        return size
    request.unsupported("size", "Luma's models take a ratio (16:9) or a resolution (720p)")
    return "16:9"


def _seconds(request: VideoRequest, default: int) -> int:
    try:
        return default if request.seconds is None else int(float(request.seconds))
    except ValueError as error:
        raise BadRequestError(f"{request.seconds!r} is no number of seconds at $.seconds") from error


MODELS = {"amazon.nova-reel": _reel, "luma.ray": _ray}


# --- replies ---


class _Begun(msgspec.Struct, rename="camel"):
    invocation_arn: str


class _Place(msgspec.Struct, rename="camel"):
    s3_uri: str = ""


class _Output(msgspec.Struct, rename="camel"):
    s3_output_data_config: _Place | None = None


class Job(msgspec.Struct, rename="camel"):
    """An asynchronous invocation."""

    invocation_arn: str
    model_arn: str = ""
    status: str = "InProgress"
    failure_message: str | None = None
    submit_time: datetime | None = None
    end_time: datetime | None = None
    output_data_config: _Output | None = None

    @property
    def uri(self) -> str | None:
        """Where its file is, or will be."""
        place = self.output_data_config.s3_output_data_config if self.output_data_config is not None else None
        if place is None or not place.s3_uri:
            return None
        name = self.invocation_arn.rpartition("/")[2]
        folder = place.s3_uri.rstrip("/")
        return f"{folder}/{FILE}" if folder.endswith(name) else f"{folder}/{name}/{FILE}"


class _Jobs(msgspec.Struct, rename="camel"):
    async_invoke_summaries: list[Job] = []
    next_token: str | None = None


STATUS = {"InProgress": "in_progress", "Completed": "completed", "Failed": "failed"}


def to_video(job: Job) -> Video:
    """Return the job."""
    status = STATUS.get(job.status, "in_progress")
    failure = job.failure_message or ("no video was made, and Bedrock does not say why" if status == "failed" else None)
    return Video(
        id=job.invocation_arn,
        status=status,
        progress=100 if status == "completed" else None,
        model=job.model_arn.rpartition("/")[2],
        created_at=None if job.submit_time is None else int(job.submit_time.timestamp()),
        completed_at=None if job.end_time is None else int(job.end_time.timestamp()),
        error={"code": "failed", "message": failure} if failure else None,
    )


def _uri(job: Job) -> dict[str, Any]:
    return {"uri": job.uri} if job.uri else {}


def finished(job: Job, video_id: str) -> str:
    """Return where a finished job's file is. Raises ConflictError while it runs, NotFoundError where there is none."""
    if job.status == "Failed" or (job.status == "Completed" and job.uri is None):
        raise NotFoundError(
            f"{video_id!r} has no video: {job.failure_message or 'Bedrock names no file'}", status_code=404
        )
    if job.status != "Completed":
        raise ConflictError(
            f"{video_id!r} is not finished; ask video_status(...) until it is.", status_code=409, retryable=False
        )
    assert job.uri is not None
    return job.uri
