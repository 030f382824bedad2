"""Images: text-to-image and image-to-image, at Hugging Face's own provider, at others, and at endpoints.

https://huggingface.co/docs/inference-providers/tasks/text-to-image and /image-to-image
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError
from polyport.flow import All, Flow
from polyport.hookspecs import hookimpl
from polyport.types.image import Image, ImageEditRequest, ImageRequest, ImageResponse
from polyport.types.size import pixels_of
from polyport_huggingface.asked import Asked, Sent, adapted, prediction, sized, stepped
from polyport_huggingface.found import Found
from polyport_huggingface.hub import OWN, Served, serve
from polyport_huggingface.reading import (
    QUEUE,
    Route,
    own,
    read_bytes,
    read_fal,
    read_openai,
    read_replicate,
    read_wavespeed,
    read_zai,
    wait_for_wavespeed,
    wait_for_zai,
    wait_in_queue,
)

_MODELS_OWN = "the models behind Hugging Face have no such parameter"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("quality", "style", "background", "moderation", "input_fidelity"), _MODELS_OWN),
    **dict.fromkeys(("output_format", "output_compression"), "the provider chooses the format"),
    **dict.fromkeys(("stream", "partial_images"), "images come when they are finished"),
    "user": "providers are not told about users",
    "mask": "image-to-image changes whole images",
}
#: What nscale's images do not have, by huggingface_hub 2.4.0.
NOT_NSCALE = ("num_inference_steps", "cfg_scale")


# --- text-to-image ---


def _plain(asked: Asked) -> dict[str, Any]:
    return {"inputs": asked.text, **({"parameters": asked.parameters} if asked.parameters else {})}


def _fal(asked: Asked, served: Served) -> Sent:
    body = {"prompt": asked.text, **sized(asked.parameters, "image_size"), **adapted(served)}
    return Sent(served.at(served.id), body)


def _together(asked: Asked, served: Served) -> Sent:
    body = {"prompt": asked.text, "response_format": "base64", **stepped(asked.parameters), "model": served.id}
    return Sent(served.at("v1/images/generations"), body)


def _nscale(asked: Asked, served: Served) -> Sent:
    parameters = sized(asked.parameters, "size", text=True)
    for name in NOT_NSCALE:
        if parameters.pop(name, None) is not None:
            asked.request.adapt(name, "dropped", "nscale's images have no such parameter")
    body = {"response_format": "b64_json", "prompt": asked.text, "model": served.id, **parameters}
    return Sent(served.at("v1/images/generations"), body)


def _replicate(asked: Asked, served: Served) -> Sent:
    given = {"prompt": asked.text, **asked.parameters}
    if served.weights is not None:
        given["lora_weights"] = f"https://huggingface.co/{served.repo}"
    return prediction(served, given)


def _wavespeed(asked: Asked, served: Served) -> Sent:
    return Sent(served.at(f"api/v3/{served.id}"), {"prompt": asked.text, **asked.parameters})


def _zai(asked: Asked, served: Served) -> Sent:
    body = {"model": served.id, "prompt": asked.text, **sized(asked.parameters, "size", text=True)}
    headers = {"accept-language": "en-US,en", "x-source-channel": "hugging_face"}
    return Sent(served.at("api/paas/v4/async/images/generations"), body, headers)


GENERATE: Mapping[str, Route] = {
    OWN: Route(own(_plain), read_bytes),
    "fal-ai": Route(_fal, read_fal, many="num_images"),
    "together": Route(_together, read_openai, many="n"),
    "nscale": Route(_nscale, read_openai, many="n"),
    "replicate": Route(_replicate, read_replicate),
    "wavespeed": Route(_wavespeed, read_wavespeed, wait_for_wavespeed),
    "zai-org": Route(_zai, read_zai, wait_for_zai),
}


# --- image-to-image ---


def _plain_edit(asked: Asked) -> dict[str, Any]:
    content = asked.file.read() if asked.file is not None else b""
    return {"inputs": base64.b64encode(content).decode(), "parameters": {"prompt": asked.text, **_target(asked)}}


def _target(asked: Asked) -> dict[str, Any]:
    return sized(asked.parameters, "target_size")


def _fal_edit(asked: Asked, served: Served) -> Sent:
    body = {"image_url": asked.url, "image_urls": [asked.url], "prompt": asked.text}
    body |= {**sized(asked.parameters, "image_size"), **adapted(served)}
    return Sent(served.at(f"{served.id}{QUEUE}"), body)


def _together_edit(asked: Asked, served: Served) -> Sent:
    """FLUX.1 Kontext takes `image_url`, other models `reference_images`: https://docs.together.ai/docs/image-to-image."""
    model = served.id.lower()
    kontext = "kontext" in model and "flux.1" in model
    image: dict[str, Any] = {"image_url": asked.url} if kontext else {"reference_images": [asked.url]}
    body = {"prompt": asked.text, **image, "response_format": "base64", **stepped(asked.parameters), "model": served.id}
    return Sent(served.at("v1/images/generations"), body)


def _replicate_edit(asked: Asked, served: Served) -> Sent:
    """Models there take the image under one of four names, and ignore the others."""
    url = asked.url
    image = {"image": url, "images": [url], "input_image": url, "input_images": [url]}
    return prediction(served, {**image, "prompt": asked.text, **asked.parameters})


def _wavespeed_edit(asked: Asked, served: Served) -> Sent:
    body = {"image": asked.url, "prompt": asked.text, **asked.parameters}
    return Sent(served.at(f"api/v3/{served.id}"), body)


EDIT: Mapping[str, Route] = {
    OWN: Route(own(_plain_edit), read_bytes),
    "fal-ai": Route(_fal_edit, read_fal, wait_in_queue, many="num_images"),
    "together": Route(_together_edit, read_openai, many="n"),
    "replicate": Route(_replicate_edit, read_replicate),
    "wavespeed": Route(_wavespeed_edit, read_wavespeed, wait_for_wavespeed),
}


# --- the hooks ---


class HubImages(Wire):
    """Images by whoever serves the model."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make images from a prompt."""
        asked = Asked(request=request, text=request.prompt, parameters=parameters(request))
        served = yield from serve(self, request, "text-to-image", GENERATE)
        return (yield from self._draw(asked, served, GENERATE[served.provider]))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change an image by a prompt."""
        if len(request.images) != 1:
            raise BadRequestError(f"image-to-image changes one image, not {len(request.images)}, at $.image")
        asked = Asked(request=request, text=request.prompt, file=request.images[0], parameters=parameters(request))
        served = yield from serve(self, request, "image-to-image", EDIT)
        return (yield from self._draw(asked, served, EDIT[served.provider]))

    def _draw(self, asked: Asked, served: Served, route: Route) -> Flow[ImageResponse]:
        count = asked.request.n or 1  # type: ignore[attr-defined]
        if count > 1 and route.many:
            asked.parameters[route.many] = count
            count = 1
        if count > 1:
            asked.request.adapt("n", "emulated", "each image is a call of its own, and a seed goes up by one with each")
        works = [_numbered(asked, number) for number in range(count)]
        found: list[list[Found]] = yield All([route.work(self, work, served) for work in works])
        return (yield from to_response(asked.request, [one for each in found for one in each]))


def _numbered(asked: Asked, number: int) -> Asked:
    seed = asked.parameters.get("seed")
    if not number or not isinstance(seed, int):
        return asked
    return msgspec.structs.replace(asked, parameters={**asked.parameters, "seed": seed + number})


def parameters(request: ImageRequest | ImageEditRequest) -> dict[str, Any]:
    """Return the parameters in Hugging Face's words, with the model's own as they were given."""
    given = request.given()
    for name in REFUSED.keys() & given.keys():
        request.unsupported(name, REFUSED[name])
    made: dict[str, Any] = {name: given[name] for name in ("seed", "negative_prompt") if name in given}
    if request.size not in (None, "auto"):
        made |= size_of(request, str(request.size))
    return {**made, **request.extra}


def size_of(request: Any, size: str) -> dict[str, int]:
    """Return width and height of 1024x768; another kind of size is refused."""
    pixels = pixels_of(size)
    if pixels is None:
        request.unsupported("size", f"{size!r} is no size; write it as 1024x768")
        return {}
    return {"width": pixels[0], "height": pixels[1]}


def to_response(request: ImageRequest | ImageEditRequest | Any, found: list[Found]) -> Flow[ImageResponse]:
    """Return the images, in the form that was asked for; those that are addresses are fetched for base64."""
    images: list[Image] = []
    for one in found:
        if one.url and request.response_format != "b64_json":
            images.append(Image(url=one.url))
            continue
        upload = yield from one.upload()
        if request.response_format == "url":
            request.adapt("response_format", "emulated", "the provider gives bytes, which are a data: URL here")
            images.append(Image(url=upload.data_url()))
        else:
            images.append(Image(b64_json=base64.b64encode(upload.read()).decode()))
    return ImageResponse(data=images)
