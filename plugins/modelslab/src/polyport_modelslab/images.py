"""Images: community and realtime models (v6), hosted ones (v7). https://docs.modelslab.com/image-generation/overview"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError
from polyport.flow import All, Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.remote import fetch
from polyport.types.image import Image, ImageEditRequest, ImageRequest, ImageResponse
from polyport.types.size import fit, pixels_of
from polyport_modelslab.doors import IMAGES, Door, door_of
from polyport_modelslab.work import Work, extras, read, rest

AnyImageRequest: TypeAlias = ImageRequest | ImageEditRequest

#: Pictures that one request makes at most. https://docs.modelslab.com/error-codes#validation-errors
MOST_SAMPLES = 4
RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9")
#: Parameters that no image model of ModelsLab's has, with the values that ask for what happens anyway.
FOREIGN: dict[str, tuple[Any, ...]] = {
    "quality": ("auto", "standard"), "style": (), "background": ("auto", "opaque"), "moderation": ("auto",),
    "output_format": (), "output_compression": (), "input_fidelity": (), "stream": (False,), "partial_images": (0,),
}  # fmt: skip


class Images(Work):
    """Pictures made and changed."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make pictures, four a request."""
        door = door_of(request, IMAGES)
        return (yield from self._draw(request, door, door.text, to_body(request, door)))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change pictures: by words, or where a mask is white."""
        door = door_of(request, IMAGES)
        body = to_body(request, door)
        places: list[str] = yield All([self.place(upload) for upload in request.images])
        if len(places) > 1 and not door.base.startswith("/v7/"):
            raise BadRequestError(f"{request.model} changes one picture at a time; models behind v7 take several.")
        body["init_image"] = places if len(places) > 1 else places[0]
        if request.mask_upload is None:
            return (yield from self._draw(request, door, door.image, body))
        if not door.inpaint:
            request.unsupported("mask", f"{request.model} takes no mask")
            return (yield from self._draw(request, door, door.image, body))
        request.adapt("mask", "renamed", "ModelsLab paints where the mask is white, not where it is transparent")
        body["mask_image"] = yield from self.place(request.mask_upload)
        return (yield from self._draw(request, door, door.inpaint, body))

    def _draw(self, request: AnyImageRequest, door: Door, path: str, body: dict[str, Any]) -> Flow[ImageResponse]:
        shares = shares_of(request)
        bodies = [{**body, **({"samples": share} if share else {})} for share in shares]
        works = [self._once(request, door, path, {**one, **extras(request)}) for one in bodies]
        parts: list[ImageResponse] = (yield All(works)) if len(works) > 1 else [(yield from works[0])]
        made = parts[0]
        if len(parts) > 1:
            made.carry({"results": [part.extra for part in parts]})
            made.data = [image for part in parts for image in part.data]
        if request.response_format == "b64_json":
            yield from _embed(made)
        return made

    def _once(self, request: AnyImageRequest, door: Door, path: str, body: dict[str, Any]) -> Flow[ImageResponse]:
        return to_images((yield from self.work(request, door, path, body)), request)


def shares_of(request: AnyImageRequest) -> list[int]:
    """Return how many pictures each request is to make; 0 is as many as it makes by itself."""
    if request.n is None:
        return [0]
    if request.n > MOST_SAMPLES:
        request.adapt("n", "emulated", f"ModelsLab makes {MOST_SAMPLES} pictures a request, so there are several")
    whole, left = divmod(max(request.n, 1), MOST_SAMPLES)
    return [MOST_SAMPLES] * whole + ([left] if left else [])


def to_body(request: AnyImageRequest, door: Door) -> dict[str, Any]:
    """Return the body without number and pictures."""
    if request.response_format not in (None, "url", "b64_json"):
        raise BadRequestError(f"response_format is url or b64_json, not {request.response_format!r}")
    for name, harmless in FOREIGN.items():
        value = getattr(request, name, None)
        if value is not None and value not in harmless:
            request.unsupported(name, "ModelsLab's image models have no such setting")
    if request.user is not None:
        request.adapt("user", "dropped", "ModelsLab is not told about users")
    body: dict[str, Any] = {"prompt": request.prompt}
    if door.named:
        body["model_id"] = request.model
    if request.negative_prompt is not None:
        body["negative_prompt"] = request.negative_prompt
    if request.seed is not None:
        body["seed"] = request.seed
    if request.size not in (None, "auto"):
        body |= size_of(request, door)
    return body


def size_of(request: AnyImageRequest, door: Door) -> dict[str, Any]:
    """Return the fields for a size: pixels, or the nearest shape where the model takes shapes."""
    size = str(request.size)
    pixels = pixels_of(size)
    if door.by_ratio:
        ratio = fit(request, size, RATIOS, request.model)
        return {} if ratio is None else {"aspect_ratio": ratio}
    if pixels:
        return {"width": pixels[0], "height": pixels[1]}
    request.unsupported("size", f"{request.model} takes pixels such as 1024x768, not {size!r}")
    return {}


def to_images(reply: HttpReply, request: AnyImageRequest) -> ImageResponse:
    """Return the pictures of an answer. Raises ContentPolicyViolationError where the one there is was blanked."""
    answer = read(reply)
    if not answer.files:
        raise InvalidResponseError("$.output is empty: ModelsLab made no picture", body=reply.content)
    if answer.nsfw_content_detected is True and len(answer.files) == 1:
        raise ContentPolicyViolationError(
            f"{request.model}'s safety checker blanked the picture; safety_checker=... switches it.",
            status_code=400,
            body=reply.content,
        )
    made = ImageResponse(data=[Image(url=url) for url in answer.files])
    made.keep(reply.content, extra=rest(reply))
    return made


def _embed(made: ImageResponse) -> Flow[None]:
    """Fetch the pictures and put them into the result."""
    uploads = yield All([fetch(str(image.url)) for image in made.data])
    for image, upload in zip(made.data, uploads, strict=True):
        image.b64_json, image.url = base64.b64encode(upload.read()).decode(), None
