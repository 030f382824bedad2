"""What users ask of pictures, in Stability's words: what both versions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from polyport.errors import BadRequestError
from polyport.flow import Call, Flow
from polyport.types.image import ImageEditRequest, ImageRequest, ImageVariationRequest
from polyport.types.upload import Upload
from polyport_stability.masks import has_alpha, to_white

AnyImageRequest: TypeAlias = ImageRequest | ImageEditRequest | ImageVariationRequest

#: Parameters that no service has, with the values that ask for what happens anyway.
FOREIGN: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "quality": (("auto", "standard", "medium"), "quality is chosen with the model here: core, sd3.5-large, ultra"),
    "background": (("auto", "opaque"), "the model remove-background makes a picture's background transparent"),
    "moderation": (("auto",), "Stability's moderation has no settings"),
    "output_compression": ((), "Stability chooses it"),
    "input_fidelity": ((), "what is kept of a picture is strength, control_strength, fidelity or creativity here"),
    "response_format": (("b64_json",), "Stability answers in base64 only"),
    "partial_images": ((0,), "Stability does not stream"),
    "stream": ((False,), "Stability does not stream"),
}
#: OpenAI's styles, which are no presets of Stability's.
NO_PRESETS = ("vivid", "natural")
#: Extra parameters that are files.
FILES = frozenset({"background_reference", "light_reference", "style_image", "init_image", "mask_image", "mask"})
#: Parameters that variations have as further ones only, and that are read by themselves.
TOLD = frozenset({"prompt", "output_format"})
NAMES = {"jpg": "jpeg"}
#: Seeds are 0 to this; 0 is a random one.
LARGEST_SEED = 4_294_967_294


def refuse(request: AnyImageRequest) -> None:
    """Name what Stability does not have."""
    for name, (neutral, why) in FOREIGN.items():
        value = getattr(request, name, None)
        if value is not None and value not in neutral:
            request.unsupported(name, why)


def headers_of(request: AnyImageRequest) -> dict[str, str]:
    """Return the headers of a call: JSON is wanted, and who the end user is goes along."""
    user = {"stability-client-user-id": request.user} if request.user is not None else {}
    return {"accept": "application/json", **user}


def extras_of(request: AnyImageRequest) -> dict[str, Any]:
    """Return the user's further parameters, files read."""
    return {
        name: Upload.of(value, name) if name in FILES and value is not None else value
        for name, value in request.extra.items()
        if name not in TOLD
    }


def format_of(request: AnyImageRequest, formats: tuple[str, ...]) -> str | None:
    """Return the format asked for, where the service has it."""
    given = getattr(request, "output_format", None) or request.extra.get("output_format")
    wanted = NAMES.get(given, given) if isinstance(given, str) else None
    if wanted is not None and wanted not in formats:
        request.unsupported("output_format", f"{request.model} makes {' or '.join(formats)}")
        return None
    return wanted


def style_of(request: AnyImageRequest) -> str | None:
    """Return the preset that a style names."""
    style = getattr(request, "style", None)
    if style in NO_PRESETS:
        request.unsupported("style", "styles are presets such as anime, cinematic or photographic here")
        return None
    return style


def seeds(request: AnyImageRequest, count: int) -> list[int | None]:
    """Return a seed a picture, None for those that have none: the same seed would draw the same picture."""
    first = getattr(request, "seed", None)
    if first is None:
        return [None] * count
    if count > 1 and first:
        request.adapt(
            "seed", "emulated", f"{count} pictures have the seeds {first}, {first + 1} ...: one draws the same"
        )
    return [(first + number) % (LARGEST_SEED + 1) if first else 0 for number in range(count)]


def mask_of(request: AnyImageRequest) -> Flow[Upload | None]:
    """Return the mask, white where to paint; one that is transparent there is rewritten, in a thread of its own."""
    mask = request.mask_upload if isinstance(request, ImageEditRequest) else None
    if mask is None or not has_alpha(mask):
        return mask
    request.adapt("mask", "emulated", "Stability paints where a mask is white, so transparent places become white")
    white: Upload = yield Call(lambda: to_white(mask))
    return white


def images_of(request: AnyImageRequest, least: int, most: int) -> list[Upload]:
    """Return the pictures given. Raises BadRequestError where the model takes more or fewer."""
    given = [] if isinstance(request, ImageRequest) else request.images
    if least <= len(given) <= most:
        return given
    takes = "no picture" if not most else f"{least} to {most} pictures" if least < most else f"{most} picture(s)"
    how = "; use image_edit" if least and isinstance(request, ImageRequest) else ""
    raise BadRequestError(f"{request.model} takes {takes}, not {len(given)}, at $.image{how}")


def prompt_of(request: AnyImageRequest) -> str:
    """Return the prompt; of a variation, whose parameter it is not, the one among the further parameters."""
    prompt = request.extra.get("prompt") if isinstance(request, ImageVariationRequest) else request.prompt
    return str(prompt or "")
