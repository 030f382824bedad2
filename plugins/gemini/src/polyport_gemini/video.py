"""Video: Veo, whose jobs are long-running operations. https://ai.google.dev/gemini-api/docs/video

A job's id is its operation's name (`models/veo-.../operations/...`); it names the model, too.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from polyport.errors import BadRequestError, ConflictError, NotFoundError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.size import pixels_of
from polyport.types.video import Video, VideoIdRequest, VideoRequest
from polyport_gemini.door import Door
from polyport_gemini.errors import from_body
from polyport_gemini.naming import camel, camel_keys, known_as
from polyport_gemini.wire import ContentWire, version

HOST = "https://generativelanguage.googleapis.com"
#: Keyword arguments that belong beside the prompt, not among the parameters.
INSTANCE = frozenset({"image", "lastFrame", "referenceImages", "video", "mask"})
#: Veo's own parameters. https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation
OWN = frozenset({
    "aspectRatio", "compressionQuality", "durationSeconds", "enhancePrompt", "fps", "generateAudio", "negativePrompt",
    "personGeneration", "pubsubTopic", "resizeMode", "resolution", "sampleCount", "storageUri",
})  # fmt: skip
#: Names in `GenerateVideosConfig` of Google's SDK that the wire has otherwise.
RENAMED = {"numberOfVideos": "sampleCount", "outputGcsUri": "storageUri"}
#: The shorter side of a picture -> Veo's resolution.
RESOLUTIONS = {480: "480p", 720: "720p", 1080: "1080p", 2160: "4k"}


class Videos(ContentWire):
    """POST {model}:predictLongRunning, and GET of the operation."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job."""
        reply = yield self.ask(request, "predictLongRunning", to_video_body(request, self.door))
        made = to_video(reply)
        made.prompt, made.seconds, made.size = request.prompt, _text(request.seconds), request.size
        return made

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        return to_video((yield self._operation(request)))

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes."""
        if request.variant not in (None, "video"):
            request.unsupported("variant", "Veo makes videos and no thumbnails of them")
        operation: Operation = decode((yield self._operation(request)), Operation)
        operation.check_finished(request.video_id)
        return (yield from self._fetch(operation, request))

    def _operation(self, request: VideoIdRequest) -> HttpRequest:
        name = request.video_id.strip("/")
        if not re.fullmatch(r"[\w./-]+", name) or ".." in name:
            raise BadRequestError(f"{request.video_id!r} is no id of a video of {self.name!r}.")
        return self.get(f"/{version(request)}/{name}")

    def _fetch(self, operation: Operation, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        uri = operation.uris[0]
        if uri.startswith(HOST):
            download = self.get(uri.removeprefix(HOST), stream=request.stream)
        else:  # somebody else's host is not given the key
            download = HttpRequest(method="GET", url=uri, stream=bool(request.stream), unsigned=True)
        reply: HttpReply = yield download
        if request.stream:
            return Streaming(reply, Raw())
        kind = reply.headers.get("content-type") or "video/mp4"
        return Binary(content=reply.content, content_type=kind)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def to_video_body(request: VideoRequest, door: Door) -> dict[str, Any]:
    """Return the body that starts a job; keyword arguments of Veo's own go where they belong."""
    instance: dict[str, Any] = {"prompt": request.prompt}
    parameters: dict[str, Any] = {}
    if request.reference is not None:
        picture = base64.b64encode(request.reference.read()).decode()
        instance["image"] = {"bytesBase64Encoded": picture, "mimeType": request.reference.content_type}
    if request.seconds is not None:
        parameters["durationSeconds"] = _seconds(request.seconds)
    if request.size is not None:
        parameters.update(_shape(request))
    if request.seed is not None:
        parameters["seed"] = request.seed
    if request.negative_prompt is not None:
        parameters["negativePrompt"] = request.negative_prompt
    if request.user is not None:
        request.adapt("user", "dropped", "Google's models are not told about users")
    for given, value in door.extras(request).items():
        name = RENAMED.get(camel(given)) or known_as(given, OWN | INSTANCE)
        (instance if name in INSTANCE else parameters)[name] = camel_keys(value)
    return {"instances": [instance], **({"parameters": parameters} if parameters else {})}


def _seconds(value: str | float) -> int:
    try:
        return int(float(value))
    except ValueError as error:
        raise BadRequestError(f"{value!r} is no number of seconds at $.seconds") from error


def _shape(request: VideoRequest) -> dict[str, str]:
    """Return aspect ratio and resolution for "1280x720", "16:9" or "720p"."""
    size = str(request.size)
    if re.fullmatch(r"\d+:\d+", size):
        return {"aspectRatio": size}
    if re.fullmatch(r"\d+[pPkK]", size):
        return {"resolution": size.lower()}
    pixels = pixels_of(size)
    if pixels is None:
        request.unsupported("size", f"{size!r} is no size; write it as 1280x720, 16:9 or 720p")
        return {}
    width, height = pixels
    ratio = "16:9" if width >= height else "9:16"
    short = min(width, height)
    resolution = RESOLUTIONS[min(RESOLUTIONS, key=lambda known: abs(known - short))]
    exact = width * 9 == height * 16 or width * 16 == height * 9
    why = f"Veo takes an aspect ratio and a resolution: {size} is {ratio} at {resolution} here"
    request.adapt("size", "renamed" if exact and short in RESOLUTIONS else "clamped", why)
    return {"aspectRatio": ratio, "resolution": resolution}


class _Address(msgspec.Struct):
    uri: str = ""


class _Sample(msgspec.Struct):
    video: _Address | None = None


class _Samples(msgspec.Struct, rename="camel"):
    generated_samples: list[_Sample] = []
    rai_media_filtered_count: int = 0
    rai_media_filtered_reasons: list[str] = []


class _Done(msgspec.Struct, rename="camel"):
    generate_video_response: _Samples | None = None


class Job(msgspec.Struct):
    """A long-running operation that makes a video; where it tells of what it made is each door's own."""

    name: str
    done: bool = False
    error: dict[str, Any] | None = None

    @property
    def uris(self) -> list[str]:
        """Where the videos are."""
        raise NotImplementedError

    @property
    def has_video(self) -> bool:
        """Whether a video was made."""
        return bool(self.uris)

    @property
    def filtered(self) -> list[str]:
        """Why videos were filtered."""
        raise NotImplementedError

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why it failed, in OpenAI's shape; None while it runs, and where it succeeded."""
        if self.error is not None:
            return {"code": str(self.error.get("code", "")), "message": from_body({"error": self.error}).message}
        if not self.done or self.has_video:
            return None
        why = "; ".join(self.filtered)
        return {"code": "content_policy_violation", "message": why or "no video was made, and Google does not say why"}

    def to_video(self) -> Video:
        """Return the job in OpenAI's words."""
        failure = self.failure
        status = "failed" if failure else "completed" if self.done else "in_progress"
        made = Video(id=self.name, status=status, model=model_of(self.name), error=failure)
        made.progress = 100 if status == "completed" else None
        made.carry({"uris": self.uris} if self.uris else {})
        return made

    def check_finished(self, video_id: str) -> None:
        """Raise ConflictError while it runs, NotFoundError where it has no video."""
        if self.failure is not None:
            raise NotFoundError(f"{video_id!r} has no video: {self.failure['message']}", status_code=404)
        if not self.done:
            raise ConflictError(
                f"{video_id!r} is not finished; ask video_status(...) until it is.", status_code=409, retryable=False
            )


class Operation(Job):
    """A job of the Gemini API."""

    response: _Done | None = None

    @property
    def _samples(self) -> _Samples:
        return (self.response.generate_video_response if self.response is not None else None) or _Samples()

    @property
    def uris(self) -> list[str]:
        """Where the videos are."""
        found = self._samples.generated_samples
        return [sample.video.uri for sample in found if sample.video is not None and sample.video.uri]

    @property
    def filtered(self) -> list[str]:
        """Why videos were filtered."""
        return self._samples.rai_media_filtered_reasons


def to_video(reply: HttpReply) -> Video:
    """Return the job that a reply describes."""
    operation: Operation = decode(reply, Operation)
    made = operation.to_video()
    made.keep(reply.content, extra=made.extra)
    return made


def model_of(name: str) -> str:
    """Return the model that an operation's name tells."""
    found = re.search(r"models/([^/]+)/", name)
    return found[1] if found else ""
