"""Pictures made, changed and varied. https://platform.stability.ai/docs/api-reference#tag/Generate, #tag/Edit ..."""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.flow import All, Flow
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.types.image import ImageEditRequest, ImageRequest, ImageResponse, ImageVariationRequest
from polyport.types.size import fit
from polyport_stability import engines
from polyport_stability.asked import (
    AnyImageRequest,
    extras_of,
    format_of,
    headers_of,
    images_of,
    mask_of,
    prompt_of,
    refuse,
    seeds,
    style_of,
)
from polyport_stability.drawn import Picture, to_images, to_picture
from polyport_stability.jobs import job_of, result_of
from polyport_stability.services import RATIOS, Service, service_of

Fields = dict[str, Any]
#: How far a picture that drawing starts from is changed where the user does not say: 0 not at all, 1 in everything.
STRENGTH = 0.5
DEFAULT_FORMAT = "png"


class Images(Provider):
    """POST /v2beta/stable-image/..., and /v1/generation/... for engines of version 1."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make pictures; a service makes one a call, so more are asked for side by side."""
        return (yield from self._draw(request))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change a picture: which service changes it is the model's name."""
        return (yield from self._draw(request))

    @hookimpl
    def vary_image(self, request: ImageVariationRequest) -> Flow[ImageResponse]:
        """Change a picture by a service that needs no prompt, or by the `prompt` among the further parameters."""
        return (yield from self._draw(request))

    def _draw(self, request: AnyImageRequest) -> Flow[ImageResponse]:
        engine = engines.engine_of(request.model)
        if engine is not None:
            return (yield from engines.draw(self, engine, request))
        service = service_of(request.model)
        count = request.n or 1
        if count > 1:
            request.adapt("n", "emulated", f"{request.model} makes one picture a call, so it is called {count} times")
        given = yield from to_fields(request, service)
        flows = [self._once(request, service, _seeded(given, seed)) for seed in seeds_of(request, service, count)]
        pictures = (yield All(flows)) if count > 1 else [(yield from flows[0])]
        return to_images(pictures, given.get("output_format", DEFAULT_FORMAT))

    def _once(self, request: AnyImageRequest, service: Service, given: Fields) -> Flow[Picture]:
        reply = yield self.post(service.path, form=list(given.items()), headers=headers_of(request))
        if service.job:
            reply = yield from result_of(self, job_of(reply), request)
        return to_picture(reply)


def to_fields(request: AnyImageRequest, service: Service) -> Flow[Fields]:
    """Return the fields of the form but for the seed, pictures first; what the service does not have is refused."""
    refuse(request)
    given: Fields = dict(zip(service.images, images_of(request, service.least, len(service.images)), strict=False))
    if getattr(request, "mask_upload", None) is not None and _has(request, service, "mask", "mask"):
        given["mask"] = yield from mask_of(request)
    given |= prompted(request, service)
    if service.model is not None:
        given["model"] = service.model
    given |= shape_of(request, service, bool(given.keys() & set(service.images)))
    style = style_of(request)
    if style is not None and _has(request, service, "style_preset", "style"):
        given["style_preset"] = style
    output_format = format_of(request, service.formats)
    if output_format is not None:
        given["output_format"] = output_format
    extra = extras_of(request)
    return {**given, **extra, **started(request, service, given, extra)}


def prompted(request: AnyImageRequest, service: Service) -> Fields:
    """Return the prompt and the one of what is not wanted."""
    given: Fields = {}
    prompt, negative = prompt_of(request), getattr(request, "negative_prompt", None)
    if prompt and not service.prompt:
        request.unsupported("prompt", f"{request.model} takes none; pass an empty one")
    elif prompt:
        given[service.prompt] = prompt
    elif service.prompt and service.worded:
        raise BadRequestError(f"{request.model} draws by a prompt: give one, at $.prompt")
    if negative and _has(request, service, "negative_prompt", "negative_prompt"):
        given["negative_prompt"] = negative
    return given


def shape_of(request: AnyImageRequest, service: Service, changed: bool) -> Fields:
    """Return the aspect ratio that is nearest to the size; a picture that drawing starts from keeps its own."""
    size = request.size
    if size is None or size == "auto":
        return {}
    if "aspect_ratio" not in service.takes or (changed and service.start):
        request.unsupported("size", f"{request.model} gives a picture the size that follows from the one it is given")
        return {}
    ratio = fit(request, size, RATIOS, "Stability")
    return {} if ratio is None else {"aspect_ratio": ratio}


def started(request: AnyImageRequest, service: Service, given: Fields, extra: Fields) -> Fields:
    """Return what goes along with a picture that drawing starts from."""
    if not (service.start and "image" in given):
        return {}
    made: Fields = {}
    if "strength" not in extra:
        request.adapt("strength", "emulated", f"{request.model} needs one to change a picture; {STRENGTH} is taken")
        made["strength"] = STRENGTH
    if service.path.endswith("/sd3"):
        made["mode"] = "image-to-image"
    return made


def seeds_of(request: AnyImageRequest, service: Service, count: int) -> list[int | None]:
    """Return a seed a picture, None where there is none, or none is taken."""
    if getattr(request, "seed", None) is None or _has(request, service, "seed", "seed"):
        return seeds(request, count)
    return [None] * count


def _seeded(given: Fields, seed: int | None) -> Fields:
    return given if seed is None else {**given, "seed": seed}


def _has(request: AnyImageRequest, service: Service, field: str, parameter: str) -> bool:
    """Whether the service takes a field; where it does not, the parameter is refused or left out."""
    if field in service.takes:
        return True
    request.unsupported(parameter, f"{request.model} takes none")
    return False
