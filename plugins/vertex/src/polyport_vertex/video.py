"""Veo on Vertex AI: a job is followed by `fetchPredictOperation`, in the location where it was begun.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from polyport.errors import BadRequestError, ConflictError, InvalidResponseError, NotFoundError
from polyport.flow import Flow, HttpReply, HttpRequest, Items, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import Video, VideoIdRequest
from polyport_gemini.errors import from_body
from polyport_gemini.video import Videos, model_of
from polyport_vertex.settings import HOST, HOSTS
from polyport_vertex.storage import media

NAME = re.compile(r"projects/[\w.:-]+/locations/([\w-]+)/publishers/google/models/[\w.@-]+/operations/[\w-]+")


class VertexVideos(Videos):
    """POST {model}:predictLongRunning and :fetchPredictOperation."""

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        return to_video((yield self._operation(request)))

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes: from the reply, or from the bucket that the job was told to write to."""
        if request.variant not in (None, "video"):
            request.unsupported("variant", "Veo makes videos and no thumbnails of them")
        found = _finished((yield self._operation(request)), request.video_id)
        if found.gcs_uri is not None:
            reply: HttpReply = yield self.get(media(found.gcs_uri), stream=request.stream)
            if request.stream:
                return Streaming(reply, Raw())
            return Binary(content=reply.content, content_type=found.mime_type)
        content = _decoded(found.bytes_base64_encoded or "")
        if request.stream:
            return Streaming(Items([content]), Raw())
        return Binary(content=content, content_type=found.mime_type)

    def _operation(self, request: VideoIdRequest) -> HttpRequest:
        name = request.video_id.strip("/")
        found = NAME.fullmatch(name)
        if found is None:
            raise BadRequestError(f"{request.video_id!r} is no id of a video of {self.name!r}.")
        host = (
            "" if request.options.api_base else f"https://{HOSTS.get(found[1]) or HOST.format(found[1])}.googleapis.com"
        )
        version = request.options.api_version or "v1"
        model = name.partition("/operations/")[0]
        body = {"operationName": name, **self.door.extras(request)}
        return self.post(f"{host}/{version}/{model}:fetchPredictOperation", json=body)


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InvalidResponseError(f"The video at $.response.videos[0] is not base64: {error}") from error


class _Video(msgspec.Struct, rename="camel"):
    gcs_uri: str | None = None
    bytes_base64_encoded: str | None = None
    mime_type: str = "video/mp4"


class _Videos(msgspec.Struct, rename="camel"):
    videos: list[_Video] = []
    rai_media_filtered_count: int = 0
    rai_media_filtered_reasons: list[str] = []


class _Operation(msgspec.Struct):
    name: str
    done: bool = False
    error: dict[str, Any] | None = None
    response: _Videos | None = None

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why it failed, in OpenAI's shape; None while it runs, and where it succeeded."""
        if self.error is not None:
            return {"code": str(self.error.get("code", "")), "message": from_body({"error": self.error}).message}
        if not self.done or (self.response is not None and self.response.videos):
            return None
        why = "; ".join(self.response.rai_media_filtered_reasons) if self.response is not None else ""
        return {"code": "content_policy_violation", "message": why or "no video was made, and Google does not say why"}


def to_video(reply: HttpReply) -> Video:
    """Return the job that a reply describes; the bytes of a finished one are left out."""
    operation: _Operation = decode(reply, _Operation)
    failure = operation.failure
    status = "failed" if failure else "completed" if operation.done else "in_progress"
    made = Video(
        id=operation.name,
        status=status,
        progress=100 if status == "completed" else None,
        model=model_of(operation.name),
        error=failure,
    )
    uris = [video.gcs_uri for video in operation.response.videos if video.gcs_uri] if operation.response else []
    made.carry({"uris": uris} if uris else {})
    return made


def _finished(reply: HttpReply, video_id: str) -> _Video:
    operation: _Operation = decode(reply, _Operation)
    if operation.failure is not None:
        raise NotFoundError(f"{video_id!r} has no video: {operation.failure['message']}", status_code=404)
    if not operation.done or operation.response is None:
        raise ConflictError(
            f"{video_id!r} is not finished; ask video_status(...) until it is.", status_code=409, retryable=False
        )
    return operation.response.videos[0]
