"""Images: Gemini's image models over `generateContent`, Imagen over `predict`.

https://ai.google.dev/gemini-api/docs/image-generation and /imagen
"""

from __future__ import annotations

import base64
import re
from typing import Any, TypeAlias

import msgspec

from polyport.errors import ContentPolicyViolationError, InvalidResponseError
from polyport.flow import All, Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.chat import ChatCompletion
from polyport.types.image import Image, ImageEditRequest, ImageRequest, ImageResponse
from polyport.types.size import fit, pixels_of
from polyport.types.upload import Upload
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage
from polyport.wire.dates import created_at
from polyport_gemini.door import Door
from polyport_gemini.media import Piece
from polyport_gemini.naming import camel, camel_keys, known_as
from polyport_gemini.reply import to_completion
from polyport_gemini.wire import ContentWire

AnyImageRequest: TypeAlias = ImageRequest | ImageEditRequest

#: Aspect ratios that both families know, or Gemini's alone.
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
#: Parameters that no image model of Google's has, with the values that ask for what happens anyway.
FOREIGN: dict[str, tuple[tuple[Any, ...], str]] = {
    "quality": (("auto", "standard", "medium"), "Google's image models have no quality; the size says how fine"),
    "style": ((), "Google's image models have no style; say it in the prompt"),
    "background": (("auto", "opaque"), "Google's image models make no transparent backgrounds"),
    "moderation": (("auto",), "thresholds are safety_settings here"),
    "input_fidelity": ((), "Google's image models have no input_fidelity"),
    "response_format": (("b64_json",), "Google's image models answer in base64 only"),
    "partial_images": ((0,), "Google's image models do not stream"),
    "stream": ((False,), "Google's image models do not stream"),
    "mask": ((), "Gemini takes no mask; say in the prompt what to change"),
}
#: Imagen's own parameters. https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api
IMAGEN = frozenset({
    "addWatermark", "aspectRatio", "enhancePrompt", "guidanceScale", "includeRaiReason", "includeSafetyAttributes",
    "language", "negativePrompt", "outputOptions", "personGeneration", "safetySetting", "sampleCount",
    "sampleImageSize", "storageUri",
})  # fmt: skip
#: Those that Imagen has and Gemini has not.
IMAGEN_ONLY = ("output_format", "output_compression")


class Images(ContentWire):
    """Pictures made and changed."""

    @hookimpl
    def generate_image(self, request: ImageRequest) -> Flow[ImageResponse]:
        """Make pictures; Gemini makes one a call, so more are asked for side by side."""
        if is_imagen(request.model):
            reply = yield self.ask(request, "predict", to_imagen_body(request, self.door))
            return to_images(reply)
        return (yield from self._draw(request, []))

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change pictures, or make one of several."""
        return (yield from self._draw(request, [_piece(upload) for upload in request.images]))

    def _draw(self, request: AnyImageRequest, pictures: list[Piece]) -> Flow[ImageResponse]:
        body = to_gemini_body(request, pictures, self.door)
        if request.n is None or request.n == 1:
            return drawn([(yield from self._once(request, body))])
        request.adapt("n", "emulated", f"{request.model} makes one picture a call, so it is called {request.n} times")
        return drawn((yield All([self._once(request, body) for _ in range(request.n)])))

    def _once(self, request: AnyImageRequest, body: dict[str, Any]) -> Flow[ChatCompletion]:
        reply = yield self.ask(request, "generateContent", body)
        return to_completion(reply, request.model)


def is_imagen(model: str) -> bool:
    """Whether a model is called by `predict`."""
    return "imagen" in model or "imagegeneration" in model


def _piece(upload: Upload) -> Piece:
    return {"inlineData": {"mimeType": upload.content_type, "data": base64.b64encode(upload.read()).decode()}}


def refuse(request: AnyImageRequest, *names: str) -> None:
    """Name what Google's image models do not have."""
    for name, (neutral, why) in FOREIGN.items():
        value = getattr(request, name, None)
        if value is not None and value not in neutral and name not in names:
            request.unsupported(name, why)
    if request.user is not None:
        request.adapt("user", "dropped", "Google's models are not told about users")


# --- Gemini -----------------------------------------------------------------------------------------------


def to_gemini_body(request: AnyImageRequest, pictures: list[Piece], door: Door) -> dict[str, Any]:
    """Return the body for one picture."""
    refuse(request)
    for name in IMAGEN_ONLY:
        if getattr(request, name) not in (None, "png"):
            request.unsupported(name, "Gemini's image models make PNGs")
    prompt = request.prompt
    if request.negative_prompt:
        request.adapt("negative_prompt", "emulated", "Gemini is asked in the prompt to leave it out")
        prompt = f"{prompt}\n\nLeave out: {request.negative_prompt}"
    generation: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if config := shape(request, RATIOS, "imageSize"):
        generation["imageConfig"] = config
    if request.seed is not None:
        generation["seed"] = request.seed
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": prompt}, *pictures]}]}
    for given, value in door.extras(request).items():
        name = camel(given)
        if name == "imageConfig":
            generation["imageConfig"] = {**generation.get("imageConfig", {}), **camel_keys(value)}
        elif name in ("aspectRatio", "imageSize"):
            generation.setdefault("imageConfig", {})[name] = value
        elif name == "generationConfig":
            generation.update(camel_keys(value))
        else:
            body[name if name in ("safetySettings", "tools", "cachedContent") else given] = value
    return {**body, "generationConfig": generation}


def shape(request: AnyImageRequest, ratios: tuple[str, ...], size_name: str) -> dict[str, str]:
    """Return aspect ratio and size for a `size` of OpenAI's ("1536x1024"), a ratio ("16:9") or a size ("2K")."""
    size = request.size
    if size in (None, "auto"):
        return {}
    if re.fullmatch(r"\d+:\d+", str(size)):
        return {"aspectRatio": str(size)}
    if re.fullmatch(r"\d+[kK]", str(size)):
        return {size_name: str(size).upper()}
    ratio = fit(request, str(size), ratios, "Google")
    if ratio is None:
        return {}
    longest = max(pixels_of(str(size)) or (0,))
    fine = "4K" if longest > 3000 else "2K" if longest > 1600 else None
    return {"aspectRatio": ratio, **({size_name: fine} if fine else {})}


def drawn(completions: list[ChatCompletion]) -> ImageResponse:
    """Return the pictures in completions. Raises where there are none: ContentPolicyViolationError for refusals."""
    found = [
        Image(b64_json=picture["image_url"]["url"].partition("base64,")[2], revised_prompt=choice.message.content)
        for completion in completions
        for choice in completion.choices
        for picture in choice.message.images or []
    ]
    if not found:
        raise _nothing(completions[0])
    made = ImageResponse(created=completions[0].created, data=found, usage=total(completions))
    made.carry({"responses": [completion.raw for completion in completions]} if len(completions) > 1 else {})
    return made


def _nothing(completion: ChatCompletion) -> Exception:
    choice = completion.choices[0]
    why = (choice.message.provider_specific_fields or {}).get("finish_reason") or choice.finish_reason
    said = choice.message.refusal or choice.message.content or "it does not say why"
    if choice.finish_reason == "content_filter":
        return ContentPolicyViolationError(f"No picture was made ({why}): {said}", status_code=400, body=completion.raw)
    return InvalidResponseError(
        f"The model answered without a picture at $.candidates[0].content ({why}): {said[:300]}", body=completion.raw
    )


def total(completions: list[ChatCompletion]) -> Usage | None:
    """Return the usage of several calls as one."""
    counted = [completion.usage for completion in completions if completion.usage is not None]
    if len(counted) < 2:
        return counted[0] if counted else None
    given = [usage.prompt_tokens_details or PromptTokensDetails() for usage in counted]
    made = [usage.completion_tokens_details or CompletionTokensDetails() for usage in counted]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in counted),
        completion_tokens=sum(usage.completion_tokens for usage in counted),
        total_tokens=sum(usage.total_tokens for usage in counted),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(part.cached_tokens or 0 for part in given),
            image_tokens=sum(part.image_tokens or 0 for part in given) or None,
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=sum(part.reasoning_tokens or 0 for part in made),
            image_tokens=sum(part.image_tokens or 0 for part in made) or None,
        ),
    )


# --- Imagen -----------------------------------------------------------------------------------------------


def to_imagen_body(request: AnyImageRequest, door: Door) -> dict[str, Any]:
    """Return the body of a `predict` that makes pictures."""
    refuse(request, "mask")
    parameters: dict[str, Any] = {"sampleCount": request.n or 1, **shape(request, IMAGEN_RATIOS, "sampleImageSize")}
    if request.seed is not None:
        parameters["seed"] = request.seed
        parameters.setdefault("addWatermark", False)  # Imagen takes a seed only without its watermark
    if request.negative_prompt is not None:
        parameters["negativePrompt"] = request.negative_prompt
    options: dict[str, Any] = {}
    if request.output_format is not None:
        options["mimeType"] = f"image/{request.output_format}"
    if request.output_compression is not None:
        options["compressionQuality"] = request.output_compression
    if options:
        parameters["outputOptions"] = options
    parameters.update({known_as(name, IMAGEN): value for name, value in door.extras(request).items()})
    return {"instances": [{"prompt": request.prompt}], "parameters": parameters}


class _Prediction(msgspec.Struct, rename="camel"):
    bytes_base64_encoded: str | None = None
    gcs_uri: str | None = None
    prompt: str | None = None
    rai_filtered_reason: str | None = None


class _Predictions(msgspec.Struct):
    predictions: list[_Prediction] = []


def to_images(reply: HttpReply) -> ImageResponse:
    """Return the pictures of a `predict`. Raises ContentPolicyViolationError where all of them were filtered."""
    found: _Predictions = decode(reply, _Predictions)
    pictures = [
        Image(b64_json=one.bytes_base64_encoded, url=one.gcs_uri, revised_prompt=one.prompt)
        for one in found.predictions
        if one.bytes_base64_encoded or one.gcs_uri
    ]
    if not pictures:
        why = next((one.rai_filtered_reason for one in found.predictions if one.rai_filtered_reason), None)
        said = why or "every picture was filtered, and the reply does not say why ($.predictions)"
        raise ContentPolicyViolationError(f"No picture was made: {said}", status_code=400, body=reply.content)
    made = ImageResponse(created=created_at(reply.headers), data=pictures)
    made.keep(reply.content, extra={})
    return made
