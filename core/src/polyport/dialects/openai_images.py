"""Images on OpenAI's wire. https://platform.openai.com/docs/api-reference/images"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai_events import ImageEvents
from polyport.dialects.openai_usage import count
from polyport.dialects.openai_wire import Wire, to_form
from polyport.errors import BadRequestError
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.image import ImageEditRequest, ImageEvent, ImageRequest, ImageResponse, ImageVariationRequest


class _Pictures(Wire):
    """What the endpoints of images share."""

    def image_body(self, request: ImageRequest | ImageEditRequest | ImageVariationRequest, hook: str) -> dict[str, Any]:
        """Return the parameters without the files."""
        return self.body(request, hook, skip=("image", "mask"))


class Generations(_Pictures):
    """POST /images/generations. https://platform.openai.com/docs/api-reference/images/create"""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse | Streaming[ImageEvent]]:
        """Make images; with `stream`, `partial_images` of them on the way."""
        reply = yield self.post(
            "/images/generations", json=self.image_body(request, "generate_image"), stream=request.stream
        )
        return Streaming(reply, ImageEvents()) if request.stream else to_images(reply)


class Edits(_Pictures):
    """POST /images/edits. https://platform.openai.com/docs/api-reference/images/createEdit"""

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse | Streaming[ImageEvent]]:
        """Change images: one is the field `image`, several are `image[]`."""
        body = self.image_body(request, "edit_image")
        images = request.images
        files: dict[str, Any] = {"image": images[0] if len(images) == 1 else images}
        if request.mask_upload is not None:
            files["mask"] = request.mask_upload
        reply = yield self.post("/images/edits", form=to_form({**files, **body}), stream=request.stream)
        return Streaming(reply, ImageEvents()) if request.stream else to_images(reply)


class Variations(_Pictures):
    """POST /images/variations. https://platform.openai.com/docs/api-reference/images/createVariation"""

    @hookimpl
    def vary_image(self, request: ImageVariationRequest) -> Flow[ImageResponse]:
        """Make variations of one image."""
        if len(request.images) != 1:
            raise BadRequestError(f"A variation is of one image, not {len(request.images)}, at $.image")
        body = self.image_body(request, "vary_image")
        reply = yield self.post("/images/variations", form=to_form({"image": request.images[0], **body}))
        return to_images(reply)


class Images(Generations, Edits, Variations):
    """All that there is of images."""


def to_images(reply: HttpReply) -> ImageResponse:
    """Return the images with their usage in the shared words."""
    result: ImageResponse = decode(reply, ImageResponse)
    count(result, reply.content)
    return result
