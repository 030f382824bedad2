"""Images: made, edited, varied. https://platform.openai.com/docs/api-reference/images"""

from __future__ import annotations

import base64
from typing import Any

from polyport.errors import InvalidResponseError
from polyport.types.record import CallParams, Fields, Request, Result, empty, zero
from polyport.types.upload import FileInput, Upload
from polyport.types.usage import Usage


class Image(Fields):
    """One image, as a URL or as base64."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None

    @property
    def content(self) -> bytes:
        """The bytes of an image that came as base64. Raises InvalidResponseError for one that came as a URL."""
        if self.b64_json is None:
            raise InvalidResponseError(f"This image came as a URL ({self.url}); ask for response_format='b64_json'.")
        return base64.b64decode(self.b64_json)


class ImageResponse(Result):
    """The images, in no particular order."""

    created: int = zero()
    data: list[Image] = empty()
    usage: Usage | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None


class ImageEvent(Result):
    """A streamed image: `image_generation.partial_image` (by `partial_image_index`), then `….completed`."""

    type: str = ""
    b64_json: str | None = None
    partial_image_index: int | None = None
    created_at: int | None = None
    usage: Usage | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None


class ImageRequest(Request):
    """What to draw."""

    prompt: str
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    moderation: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    response_format: str | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    user: str | None = None


class ImageParams(CallParams, total=False):
    """The optional parameters of `image_generation`."""

    n: int | None
    size: str | None
    quality: str | None
    style: str | None
    background: str | None
    moderation: str | None
    output_format: str | None
    output_compression: int | None
    response_format: str | None
    seed: int | None
    negative_prompt: str | None
    partial_images: int | None
    user: str | None


class ImageEditRequest(Request):
    """What to change in which images. `image` and `mask` are read into `images` and `mask_upload`."""

    image: Any
    prompt: str
    mask: Any = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    input_fidelity: str | None = None
    moderation: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    response_format: str | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    user: str | None = None

    def check(self) -> None:
        """Read the files, so that an unreadable one is an error before anything is sent."""
        self.images = uploads(self.image)
        self.mask_upload = None if self.mask is None else Upload.of(self.mask, "mask")


class ImageEditParams(CallParams, total=False):
    """The optional parameters of `image_edit`."""

    mask: FileInput | None
    n: int | None
    size: str | None
    quality: str | None
    background: str | None
    input_fidelity: str | None
    moderation: str | None
    output_format: str | None
    output_compression: int | None
    response_format: str | None
    seed: int | None
    negative_prompt: str | None
    partial_images: int | None
    user: str | None


class ImageVariationRequest(Request):
    """Which image to vary."""

    image: Any
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    user: str | None = None

    def check(self) -> None:
        """Read the file, so that an unreadable one is an error before anything is sent."""
        self.images = uploads(self.image)


class ImageVariationParams(CallParams, total=False):
    """The optional parameters of `image_variation`."""

    n: int | None
    size: str | None
    response_format: str | None
    user: str | None


def uploads(image: FileInput | list[FileInput]) -> list[Upload]:
    """Return one image, or a list of them, as uploads."""
    values = image if isinstance(image, list) else [image]
    return [Upload.of(value, "image") for value in values]
