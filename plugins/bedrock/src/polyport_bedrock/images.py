"""Pictures by InvokeModel: Nova Canvas and Titan share a shape, Stability's models have another.

https://docs.aws.amazon.com/nova/latest/userguide/image-gen-req-resp-structure.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/stable-image-services.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.image import Image, ImageEditRequest, ImageRequest, ImageResponse, ImageVariationRequest
from polyport.types.upload import Upload
from polyport_bedrock.names import named
from polyport_bedrock.settings import extras
from polyport_bedrock.wire import BedrockWire, created_at

Asked = ImageRequest | ImageEditRequest | ImageVariationRequest
Body = dict[str, Any]
#: OpenAI's qualities -> Amazon's.
QUALITIES = {"standard": "standard", "auto": "standard", "low": "standard", "medium": "standard",
             "premium": "premium", "hd": "premium", "high": "premium"}  # fmt: skip
#: Amazon's tasks -> where their parameters stand.
TASKS = {
    "TEXT_IMAGE": "textToImageParams", "INPAINTING": "inPaintingParams", "OUTPAINTING": "outPaintingParams",
    "IMAGE_VARIATION": "imageVariationParams", "BACKGROUND_REMOVAL": "backgroundRemovalParams",
    "COLOR_GUIDED_GENERATION": "colorGuidedGenerationParams", "VIRTUAL_TRY_ON": "virtualTryOnParams",
}  # fmt: skip
#: Keyword arguments of Amazon's own that belong beside the sizes, and those that belong to the task.
CONFIG = frozenset({"cfgScale", "height", "width", "numberOfImages"})
TASK_OWN = frozenset({
    "style", "controlMode", "controlStrength", "conditionImage", "maskPrompt", "maskImage", "outPaintingMode",
    "similarityStrength", "colors", "referenceImage",
})  # fmt: skip
MASKS = "it is sent as given: Amazon's models change what is black in it, Stability's what is white"
#: What Stability's models draw, as width by height.
RATIOS = ("16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
#: Stability's models that take a picture beside a prompt by a mode of theirs.
IMAGE_TO_IMAGE = ("stability.sd3", "stability.stable-image-ultra")
STRENGTH = 0.7
WHY = {
    "style": "Stability's models on Bedrock take none",
    "quality": "Stability's models on Bedrock have one",
    "n": "Stability's models on Bedrock draw one picture; ask n times",
}


class Images(BedrockWire):
    """POST /model/{id}/invoke."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make images from a prompt."""
        draw = of_family(request, amazon=_amazon_drawing, stability=_stability_drawing)
        return to_images((yield self.invoke(request, draw(request))))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change images by a prompt, under a mask where one is given."""
        edit = of_family(request, amazon=_amazon_edit, stability=_stability_edit)
        return to_images((yield self.invoke(request, edit(request))))

    @hookimpl
    def vary_image(self, request: ImageVariationRequest) -> Flow[ImageResponse]:
        """Make variations of an image."""
        vary = of_family(request, amazon=_amazon_variation, stability=_no_variation)
        return to_images((yield self.invoke(request, vary(request))))


def of_family(request: Asked, **families: Callable[[Any], Body]) -> Callable[[Any], Body]:
    """Return how a request's model is asked. Raises UnsupportedParamsError for one that is not known to draw."""
    vendor = named(request).vendor
    if vendor not in families:
        raise UnsupportedParamsError(
            f"{request.model!r} is not known to draw; models of {' and '.join(families)} do. Of an ARN, say what it "
            "stands for with base_model=..."
        )
    _common(request)
    return families[vendor]


def _common(request: Asked) -> None:
    """Name what no model of Bedrock's does."""
    for name, why in {
        "stream": "Bedrock streams no pictures",
        "partial_images": "Bedrock streams no pictures",
        "background": "Bedrock's models have no such choice",
        "moderation": "Bedrock's filters are as they are",
        "output_compression": "Bedrock's models have no such choice",
        "input_fidelity": "Bedrock's models have no such choice",
    }.items():
        if getattr(request, name, None):
            request.unsupported(name, why)
    if request.response_format == "url":
        request.unsupported("response_format", "Bedrock gives pictures as base64 only")
    if request.user is not None:
        request.adapt("user", "dropped", "Bedrock is not told about users")


# --- Nova Canvas and Titan ---


def _amazon_drawing(request: ImageRequest) -> Body:
    params: Body = {"text": request.prompt}
    if request.style is not None:
        params["style"] = request.style
    return _amazon(request, "TEXT_IMAGE", params)


def _amazon_edit(request: ImageEditRequest) -> Body:
    params: Body = {"text": request.prompt} if request.prompt else {}
    given = request.extra.get("taskType") or request.extra.get("task_type")
    masked = request.mask_upload is not None or "maskPrompt" in request.extra
    task = str(given or ("INPAINTING" if masked else "IMAGE_VARIATION"))
    if task == "IMAGE_VARIATION":
        params["images"] = [_base64(image) for image in request.images]
    else:
        if len(request.images) > 1:
            raise BadRequestError(f"{task} changes one picture, not {len(request.images)}, at $.image")
        params["image"] = _base64(request.images[0])
    if task == "BACKGROUND_REMOVAL" and params.pop("text", None):
        request.adapt("prompt", "dropped", "backgrounds are removed without a prompt")
    if request.mask_upload is not None:
        request.adapt("mask", "renamed", MASKS)
        params["maskImage"] = _base64(request.mask_upload)
    return _amazon(request, task, params)


def _amazon_variation(request: ImageVariationRequest) -> Body:
    return _amazon(request, "IMAGE_VARIATION", {"images": [_base64(image) for image in request.images]})


def _amazon(request: Asked, task: str, params: Body) -> Body:
    config: Body = {}
    if request.n is not None:
        config["numberOfImages"] = request.n
    if request.size not in (None, "auto"):
        config["width"], config["height"] = _pixels(str(request.size))
    if isinstance(request, ImageRequest | ImageEditRequest):
        _wishes(request, params, config)
    body: Body = {}
    for name, value in extras(request).items():
        if name in ("taskType", "task_type"):
            continue
        (config if name in CONFIG else params if name in TASK_OWN else body)[name] = value
    made: Body = {"taskType": task, TASKS.get(task, "textToImageParams"): params}
    if config and task != "BACKGROUND_REMOVAL":
        made["imageGenerationConfig"] = config
    return {**made, **body}


def _wishes(request: ImageRequest | ImageEditRequest, params: Body, config: Body) -> None:
    if request.negative_prompt is not None:
        params["negativeText"] = request.negative_prompt
    if request.seed is not None:
        config["seed"] = request.seed
    if request.quality is not None and request.quality not in QUALITIES:
        request.unsupported("quality", f"there are standard and premium, not {request.quality!r}")
    elif request.quality is not None:
        config["quality"] = QUALITIES[request.quality]
    if request.output_format not in (None, "png"):
        request.unsupported("output_format", "Amazon's models give PNG")


def _pixels(size: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if found is None:
        raise BadRequestError(f"{size!r} is no size at $.size; write it as 1024x1024")
    return int(found[1]), int(found[2])


# --- Stability ---


def _stability_drawing(request: ImageRequest) -> Body:
    if request.style is not None:
        request.unsupported("style", WHY["style"])
    body: Body = {"prompt": request.prompt}
    if request.size not in (None, "auto"):
        body["aspect_ratio"] = _ratio(request)
    return _stability(request, body)


def _stability_edit(request: ImageEditRequest) -> Body:
    if len(request.images) > 1:
        raise BadRequestError(f"Stability's models change one picture, not {len(request.images)}, at $.image")
    body: Body = {"image": _base64(request.images[0])}
    if request.prompt:
        body["prompt"] = request.prompt
    if named(request).base.startswith(IMAGE_TO_IMAGE):
        body["mode"] = "image-to-image"
        if "strength" not in request.extra:
            request.adapt("strength", "emulated", f"a model that starts from a picture must have one: {STRENGTH}")
            body["strength"] = STRENGTH
    if request.mask_upload is not None:
        request.adapt("mask", "renamed", MASKS)
        body["mask"] = _base64(request.mask_upload)
    if request.size not in (None, "auto"):
        request.unsupported("size", "the picture that is changed has one")
    return _stability(request, body)


def _no_variation(request: ImageVariationRequest) -> Body:
    raise UnsupportedParamsError(f"{request.model} varies no pictures; edit_image with a prompt does.")


def _stability(request: ImageRequest | ImageEditRequest, body: Body) -> Body:
    if request.n not in (None, 1):
        request.unsupported("n", WHY["n"])
    if request.quality not in (None, "auto"):
        request.unsupported("quality", WHY["quality"])
    for name in ("negative_prompt", "seed", "output_format"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    return {**body, **extras(request)}


def _ratio(request: ImageRequest) -> str:
    """Return the nearest of the ratios there are."""
    size = str(request.size)
    if size in RATIOS:
        return size
    width, height = _pixels(size)
    nearest = min(RATIOS, key=lambda ratio: abs(_share(ratio) - width / max(height, 1)))
    exact = abs(_share(nearest) - width / max(height, 1)) < 0.01
    request.adapt("size", "renamed" if exact else "clamped", f"Stability takes an aspect ratio: {size} is {nearest}")
    return nearest


def _share(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return int(width) / int(height)


def _base64(upload: Upload) -> str:
    return base64.b64encode(upload.read()).decode()


# --- replies ---


class _Drawn(msgspec.Struct):
    images: list[str] = []
    error: str | None = None
    finish_reasons: list[str | None] = []
    seeds: list[Any] = []


def to_images(reply: HttpReply) -> ImageResponse:
    """Return the pictures. Raises ContentPolicyViolationError where a filter kept all of them back."""
    found: _Drawn = decode(reply, _Drawn)
    why = found.error or next((reason for reason in found.finish_reasons if reason), None)
    if not found.images and why is None:
        raise InvalidResponseError("The reply has no pictures at $.images", body=reply.content)
    if not found.images:
        filtered = any(word in str(why).lower() for word in ("filter", "policy", "block"))
        kind = ContentPolicyViolationError if filtered else BadRequestError
        raise kind(str(why), status_code=400, body=reply.content)
    made = ImageResponse(created=created_at(reply.headers), data=[Image(b64_json=data) for data in found.images])
    told = {"error": found.error, "finish_reasons": [r for r in found.finish_reasons if r], "seeds": found.seeds}
    made.keep(reply.content, extra={name: value for name, value in told.items() if value})
    return made
