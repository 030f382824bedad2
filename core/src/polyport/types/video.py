"""Video: jobs that take minutes, followed by an id that knows its provider.

The shapes are OpenAI's: https://platform.openai.com/docs/api-reference/videos
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.types.record import CallParams, Request, Result, empty
from polyport.types.upload import FileInput, Upload


class Video(Result):
    """A video job. `status`: queued, in_progress, completed, failed; `progress` in percent."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "video")
    status: str = ""
    progress: float | None = None
    model: str = ""
    created_at: int | None = None
    completed_at: int | None = None
    expires_at: int | None = None
    prompt: str | None = None
    seconds: str | None = None
    size: str | None = None
    error: dict[str, Any] | None = None
    remixed_from_video_id: str | None = None


class VideoList(Result):
    """Video jobs, newest first."""

    object: str = msgspec.field(default_factory=lambda: "list")
    data: list[Video] = empty()
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool | None = None


class VideoDeleted(Result):
    """What a deletion answers."""

    id: str = ""
    object: str = ""
    deleted: bool = False


class VideoRequest(Request):
    """What to film. `seconds` is the length; `input_reference` an image to start from."""

    prompt: str
    seconds: str | int | float | None = None
    size: str | None = None
    input_reference: Any = None
    seed: int | None = None
    negative_prompt: str | None = None
    user: str | None = None

    def check(self) -> None:
        """Read the reference, so that an unreadable one is an error before anything is sent."""
        self.reference = None if self.input_reference is None else Upload.of(self.input_reference, "reference")


class VideoParams(CallParams, total=False):
    """The optional parameters of `video_generation`."""

    seconds: str | int | float | None
    size: str | None
    input_reference: FileInput | None
    seed: int | None
    negative_prompt: str | None
    user: str | None


class VideoIdRequest(Request):
    """A request about a video that exists. `variant`: video, thumbnail, spritesheet (downloads only)."""

    video_id: str
    variant: str | None = None
    stream: bool | None = None


class VideoRemixRequest(Request):
    """A request for a new video from one that exists."""

    video_id: str
    prompt: str


class VideoListRequest(Request):
    """Which videos to list."""

    after: str | None = None
    limit: int | None = None
    order: str | None = None


class VideoListParams(CallParams, total=False):
    """The optional parameters of `list_videos`."""

    after: str | None
    limit: int | None
    order: str | None
