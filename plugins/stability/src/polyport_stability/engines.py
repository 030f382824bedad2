"""Version 1: engines such as Stable Diffusion XL. https://platform.stability.ai/docs/api-reference#tag/SDXL-1.0-and-SD1.6"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from polyport.dialects.openai_wire import flat
from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.provider import Provider
from polyport.types.image import ImageResponse
from polyport.types.size import nearest, pixels_of
from polyport_stability.asked import (
    AnyImageRequest,
    extras_of,
    format_of,
    headers_of,
    images_of,
    mask_of,
    prompt_of,
    refuse,
    style_of,
)
from polyport_stability.drawn import to_images, to_pictures

XL = "stable-diffusion-xl-1024-v1-0"
ALIASES = {"sdxl": XL, "sdxl-1.0": XL, "sd1.6": "stable-diffusion-v1-6"}
#: The sizes that XL draws; other engines draw any in steps of 64.
XL_SIZES = ("1024x1024", "1152x896", "896x1152", "1216x832", "1344x768", "768x1344", "1536x640", "640x1536")
STEP, SHORTEST, LONGEST = 64, 320, 1536
FORMATS = ("png",)


def engine_of(model: str) -> str | None:
    """Return the engine of a model's name, None where it is a service of version 2."""
    return ALIASES.get(model.lower()) or (model if model.startswith("stable-diffusion-") else None)


def draw(provider: Provider, engine: str, request: AnyImageRequest) -> Flow[ImageResponse]:
    """Make pictures with an engine: from text, from a picture, or within a mask."""
    refuse(request)
    format_of(request, FORMATS)
    path, headers = f"/v1/generation/{quote(engine, safe='')}", headers_of(request)
    images = images_of(request, 0, 1)
    if not images:
        body = {**size_of(request, engine), **asked(request)}
        reply = yield provider.post(f"{path}/text-to-image", json=body, headers=headers)
        return to_images(to_pictures(reply), "png")
    if request.size not in (None, "auto"):
        request.unsupported("size", "a picture that is changed keeps its size")
    mask = yield from mask_of(request)
    files: dict[str, Any] = {"init_image": images[0]}
    if mask is not None:
        files |= {"mask_image": mask, "mask_source": "MASK_IMAGE_WHITE"}
    given = {**files, **asked(request)}
    door = "/image-to-image/masking" if "mask_source" in given else "/image-to-image"
    form = [field for name, value in given.items() for field in fields(name, value)]
    reply = yield provider.post(f"{path}{door}", form=form, headers=headers)
    return to_images(to_pictures(reply), "png")


def asked(request: AnyImageRequest) -> dict[str, Any]:
    """Return the parameters that every endpoint of an engine shares."""
    prompt, extra = prompt_of(request), extras_of(request)
    if not prompt and "text_prompts" not in extra:
        raise BadRequestError(f"{request.model} draws by a prompt: give one, at $.prompt")
    prompts = [{"text": prompt, "weight": 1}]
    negative = getattr(request, "negative_prompt", None)
    if negative:
        request.adapt("negative_prompt", "renamed", "it is a prompt of the weight -1 here")
        prompts.append({"text": negative, "weight": -1})
    named = {"samples": request.n, "seed": getattr(request, "seed", None), "style_preset": style_of(request)}
    return {"text_prompts": prompts, **{name: value for name, value in named.items() if value is not None}, **extra}


def size_of(request: AnyImageRequest, engine: str) -> dict[str, int]:
    """Return width and height; XL draws the nearest of its sizes, others the nearest in steps."""
    size = request.size
    if size is None or size == "auto":
        return {}
    pixels = pixels_of(size)
    if engine == XL:
        found = nearest(size, XL_SIZES)
        drawn = found and pixels_of(found[0])
    else:
        drawn = pixels and (_stepped(pixels[0]), _stepped(pixels[1]))
    if drawn is None:
        request.unsupported("size", f"{size!r} is no size of {engine}'s; write it as 1024x1024")
        return {}
    if drawn != pixels:
        request.adapt("size", "clamped", f"{engine} draws {drawn[0]}x{drawn[1]} for {size}")
    return {"width": drawn[0], "height": drawn[1]}


def _stepped(side: int) -> int:
    return min(max(round(side / STEP) * STEP, SHORTEST), LONGEST)


def fields(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return a parameter as fields of a form; prompts are `text_prompts[0][text]` and so on."""
    if name == "text_prompts":
        return [field for number, prompt in enumerate(value) for field in flat(f"{name}[{number}]", prompt)]
    return [(name, value)]
