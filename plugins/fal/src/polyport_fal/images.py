"""Images: made and edited. https://fal.ai/docs/model-api-reference/image-generation-api/overview"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

import msgspec

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError
from polyport.flow import All, Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.remote import fetch
from polyport.types.image import Image, ImageEditRequest, ImageRequest, ImageResponse
from polyport.types.upload import Upload, split_data_url
from polyport_fal.apps import App, find
from polyport_fal.body import Body, refuse
from polyport_fal.files import Files
from polyport_fal.shape import put_size

AnyImageRequest: TypeAlias = ImageRequest | ImageEditRequest

#: polyport's parameter -> the fields that apps have for it, the most common first.
FIELDS: dict[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "negative_prompt": ("negative_prompt",),
    "quality": ("quality",),
    "style": ("style",),
    "background": ("background",),
    "input_fidelity": ("input_fidelity",),
    "output_format": ("output_format", "format"),
}
#: Values that ask for what an app without the parameter does anyway.
PLAIN: dict[str, tuple[str, ...]] = {
    "quality": ("auto", "standard"), "background": ("auto", "opaque"), "style": ("auto",), "output_format": (),
}  # fmt: skip
#: Parameters that no app has, with the harmless values.
FOREIGN: dict[str, tuple[Any, ...]] = {
    "moderation": ("auto",), "output_compression": (100,), "stream": (False,), "partial_images": (0,),
}  # fmt: skip
RESPONSE_FORMATS = ("url", "b64_json")
#: Where one picture goes, and where several do.
ONE = ("image_url", "image_urls", "input_image_urls", "control_image_url", "reference_image_urls")
MANY = ("image_urls", "input_image_urls", "reference_image_urls")
MASKS = ("mask_url", "mask_image_url")
#: Apps that read a mask as OpenAI does: painted where it is transparent. Everywhere else it is where it is white.
TRANSPARENT = "fal-ai/gpt-image"


class Images(Files):
    """Pictures, one job a call; several where the app makes but one at a time."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make pictures."""
        app = find(request.model)
        return (yield from self._draw(request, app, to_body(request, app)))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change pictures, or make one of several."""
        app = find(request.model)
        body = to_body(request, app)
        yield from self._put_pictures(request, body)
        return (yield from self._draw(request, app, body))

    def _put_pictures(self, request: ImageEditRequest, body: Body) -> Flow[None]:
        uploads = request.images
        field = body.app.name(*(MANY if len(uploads) > 1 else ONE))
        if field is None:
            takes = "one image" if body.app.name(*ONE) else "no image"
            raise BadRequestError(
                f"{body.app.path} takes {takes}; endpoints that edit often end in /edit or /image-to-image."
            )
        addresses: list[str] = yield All([self.place(upload, request) for upload in uploads])
        body.set(field, addresses if field in MANY else addresses[0])
        if request.mask_upload is not None:
            yield from self._put_mask(request, body, request.mask_upload)

    def _put_mask(self, request: ImageEditRequest, body: Body, mask: Upload) -> Flow[None]:
        field = body.app.name(*MASKS)
        if field is None:
            request.unsupported("mask", f"{body.app.path} takes no mask")
            return
        if not body.app.path.startswith(TRANSPARENT):
            request.adapt("mask", "renamed", f"{body.app.path} paints where the mask is white, not transparent")
        body.set(field, (yield from self.place(mask, request)))

    def _draw(self, request: AnyImageRequest, app: App, body: Body) -> Flow[ImageResponse]:
        times = _put_number(request, body)
        fields = body.finish()
        jobs = [self._once(request, app, fields) for _ in range(times)]
        made = joined((yield All(jobs)) if times > 1 else [(yield from jobs[0])])
        if request.response_format == "b64_json":
            yield from _embed(made)
        return made

    def _once(self, request: AnyImageRequest, app: App, fields: dict[str, Any]) -> Flow[ImageResponse]:
        reply = yield from self.work(request, app, fields)
        return to_images(reply, request, checked=fields.get("enable_safety_checker") is not False)


def to_body(request: AnyImageRequest, app: App) -> Body:
    """Return the body without number and pictures."""
    refuse(request, FOREIGN, "fal's image models have no such setting")
    if request.response_format not in (None, *RESPONSE_FORMATS):
        raise BadRequestError(f"response_format is url or b64_json, not {request.response_format!r}")
    body = Body(request, app)
    body.set("prompt", request.prompt)
    for name, fields in FIELDS.items():
        value = getattr(request, name, None)
        if value is None or (value in PLAIN.get(name, ()) and not _offers(app, fields, value)):
            continue
        body.put(name, "jpeg" if value == "jpg" else value, *fields)
    if request.size is not None:
        put_size(body, request.size)
    return body


def _offers(app: App, fields: tuple[str, ...], value: str) -> bool:
    field = app.name(*fields)
    return field is not None and app.mode is not None and value in app.values(field)


def _put_number(request: AnyImageRequest, body: Body) -> int:
    """Set how many pictures there are to be; return how many jobs that takes."""
    if request.n is None:
        return 1
    if body.app.name("num_images"):
        body.set("num_images", request.n)
        return 1
    if request.n > 1:
        request.adapt("n", "emulated", f"{body.app.path} makes one picture a job, so there are {request.n} jobs")
    return max(1, request.n)


class _Picture(msgspec.Struct):
    url: str
    content_type: str | None = None
    width: float | None = None
    height: float | None = None


class _Drawn(msgspec.Struct):
    images: list[_Picture] = []
    image: _Picture | None = None
    has_nsfw_concepts: list[bool] | None = None


def to_images(reply: HttpReply, request: AnyImageRequest, *, checked: bool = True) -> ImageResponse:
    """Return the pictures of a result. Raises ContentPolicyViolationError where the checker blackened all of them.

    Where it blackened some, `extra["has_nsfw_concepts"]` says which.
    """
    drawn = decode(reply, _Drawn)
    pictures = drawn.images or ([drawn.image] if drawn.image else [])
    if not pictures:
        raise InvalidResponseError("$.images is empty: fal made no picture, and does not say why", body=reply.content)
    if checked and drawn.has_nsfw_concepts and all(drawn.has_nsfw_concepts):
        raise ContentPolicyViolationError(
            f"{request.model}'s safety checker blackened every picture of this prompt; what it lets pass is set by "
            "enable_safety_checker=... or safety_tolerance=..., where the model has them.",
            status_code=400,
            body=reply.content,
        )
    first = pictures[0]
    made = ImageResponse(data=[_image(picture) for picture in pictures])
    if first.width and first.height:
        made.size = f"{int(first.width)}x{int(first.height)}"
    if first.content_type:
        made.output_format = first.content_type.rpartition("/")[2]
    raw: dict[str, Any] = msgspec.json.decode(reply.content)
    made.keep(reply.content, extra={name: value for name, value in raw.items() if name not in ("images", "image")})
    return made


def _image(picture: _Picture) -> Image:
    """Return a picture; one that came in the reply itself, as `sync_mode` has it, as base64."""
    if picture.url.startswith("data:"):
        return Image(b64_json=base64.b64encode(split_data_url(picture.url)[1]).decode())
    return Image(url=picture.url)


def joined(parts: list[ImageResponse]) -> ImageResponse:
    """Return the pictures of several jobs as one result; what else each said is in `extra["results"]`."""
    made = parts[0]
    if len(parts) > 1:
        made.carry({"results": [part.extra for part in parts]})
        made.data = [image for part in parts for image in part.data]
    return made


def _embed(made: ImageResponse) -> Flow[None]:
    """Fetch the pictures and put them into the result."""
    remote = [image for image in made.data if image.url is not None]
    for image, upload in zip(remote, (yield All([fetch(str(image.url)) for image in remote])), strict=True):
        image.b64_json, image.url = base64.b64encode(upload.read()).decode(), None
