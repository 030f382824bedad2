"""Veo on Vertex AI: a job is followed by `fetchPredictOperation`, in the location where it was begun.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation
"""

from __future__ import annotations

import base64
import re

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply, HttpRequest, Items, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import Video, VideoIdRequest
from polyport_gemini.video import Job, Videos
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
        operation = decode((yield self._operation(request)), _Operation)
        operation.check_finished(request.video_id)
        found = operation.videos[0]
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


class _Operation(Job):
    response: _Videos | None = None

    @property
    def videos(self) -> list[_Video]:
        return self.response.videos if self.response is not None else []

    @property
    def has_video(self) -> bool:
        return bool(self.videos)

    @property
    def uris(self) -> list[str]:
        return [video.gcs_uri for video in self.videos if video.gcs_uri]

    @property
    def filtered(self) -> list[str]:
        return self.response.rai_media_filtered_reasons if self.response is not None else []


def to_video(reply: HttpReply) -> Video:
    """Return the job that a reply describes; the bytes of a finished one are left out."""
    return decode(reply, _Operation).to_video()
