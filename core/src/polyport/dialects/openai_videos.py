"""Videos on OpenAI's wire: jobs. https://platform.openai.com/docs/api-reference/videos"""

from __future__ import annotations

from polyport.dialects.openai_audio import to_binary
from polyport.dialects.openai_wire import Wire, segment, to_form
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary
from polyport.types.video import (
    Video,
    VideoDeleted,
    VideoIdRequest,
    VideoList,
    VideoListRequest,
    VideoRemixRequest,
    VideoRequest,
)


class Videos(Wire):
    """/videos."""

    @hookimpl
    def create_video(self, request: VideoRequest) -> Flow[Video]:
        """Start a job; the reference image is sent along."""
        body = self.body(request, "create_video", skip=("input_reference",))
        if isinstance(request.seconds, int | float):
            body["seconds"] = f"{request.seconds:g}"
        if request.reference is not None:
            body["input_reference"] = request.reference
        reply = yield self.post("/videos", form=to_form(body))
        return decode(reply, Video)

    @hookimpl
    def retrieve_video(self, request: VideoIdRequest) -> Flow[Video]:
        """Look how far a job is."""
        reply = yield self.get(f"/videos/{segment(request.video_id)}")
        return decode(reply, Video)

    @hookimpl
    def download_video(self, request: VideoIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes."""
        reply: HttpReply = yield self.get(
            f"/videos/{segment(request.video_id)}/content",
            params={"variant": request.variant},
            stream=request.stream,
        )
        return Streaming(reply, Raw()) if request.stream else to_binary(reply)

    @hookimpl
    def remix_video(self, request: VideoRemixRequest) -> Flow[Video]:
        """Start a job that changes a finished video."""
        body = {"prompt": request.prompt, **self.extras(request)}
        reply = yield self.post(f"/videos/{segment(request.video_id)}/remix", json=body)
        return decode(reply, Video)

    @hookimpl
    def list_videos(self, request: VideoListRequest) -> Flow[VideoList]:
        """List jobs, newest first."""
        query = {"after": request.after, "limit": request.limit, "order": request.order, **self.extras(request)}
        reply = yield self.get("/videos", params=query)
        return decode(reply, VideoList)

    @hookimpl
    def delete_video(self, request: VideoIdRequest) -> Flow[VideoDeleted]:
        """Delete a job and its video."""
        reply = yield self.delete(f"/videos/{segment(request.video_id)}")
        return decode(reply, VideoDeleted)
