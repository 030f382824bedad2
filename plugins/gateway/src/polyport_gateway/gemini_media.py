"""Pictures and videos in Gemini's interface, made by any provider: `:predict` and `:predictLongRunning`.

https://ai.google.dev/gemini-api/docs/imagen https://ai.google.dev/gemini-api/docs/video

A picture is an `image_generation`, a video a `video_generation`, as in OpenAI's interface: with its guardrails, limits
and owners. What only Google's models have goes to those as it is, and is refused by its path for all others. A video's
operation and its file are named by the id that it has here: SDKs of Google's read it from an address, of which they
take small letters and digits.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from polyport import ids
from polyport.border import Call, exchange
from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError, NotFoundError
from polyport.flow import Flow
from polyport.operations import Operation
from polyport.remote import fetch
from polyport.types.image import ImageResponse
from polyport.types.record import Adaptation
from polyport.types.size import ratio_of
from polyport.types.upload import media_type
from polyport.types.video import Video
from polyport_gateway import replies
from polyport_gateway.effects import awaiting
from polyport_gateway.gate import Admission
from polyport_gateway.gemini import Gemini, camels
from polyport_gateway.gemini_kept import Content
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer

#: How many pictures are made where nothing is said. https://ai.google.dev/gemini-api/docs/imagen#imagen-configuration
PICTURES = 4
#: Parameters of pictures and of videos that other vendors have, too.
DRAWN = {"sampleCount": "n", "aspectRatio": "size", "negativePrompt": "negative_prompt", "seed": "seed"}
FILMED = {"durationSeconds": "seconds", "negativePrompt": "negative_prompt", "seed": "seed"}
#: Those that only Google's have.
IMAGEN = frozenset({
    "addWatermark", "enhancePrompt", "guidanceScale", "includeRaiReason", "includeSafetyAttributes", "language",
    "personGeneration", "safetySetting", "sampleImageSize", "storageUri",
})  # fmt: skip
VEO = frozenset({
    "compressionQuality", "enhancePrompt", "fps", "generateAudio", "personGeneration", "resizeMode", "storageUri",
})  # fmt: skip
VEO_INSTANCE = frozenset({"lastFrame", "referenceImages", "video", "mask"})
#: The short sides of Veo's resolutions.
RESOLUTIONS = {"480p": 480, "720p": 720, "1080p": 1080, "4k": 2160}
#: Where videos are at Google, how a file's id begins that is a video of this gateway's, and what its answer is called.
FILES, FILE = "https://generativelanguage.googleapis.com/v1beta/files/", "vpp"
DONE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"


class Picturing(Gemini):
    """models/{model}:predict."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return what is to be drawn. Raises BadRequestError."""
        instance, parameters = _told(fields)
        strange = next((name for name in instance if name != "prompt"), None)
        if strange is not None:
            raise BadRequestError(f"$.instances[0].{strange} has no place here; leave it out")
        asked: dict[str, Any] = {"model": fields["model"], "prompt": instance.get("prompt"), "n": PICTURES}
        options = camels(parameters.pop("outputOptions", None) or {}, "$.parameters.outputOptions")
        kind = options.get("mimeType")
        if kind is not None:
            asked["output_format"] = str(kind).removeprefix("image/")
        if "compressionQuality" in options:
            asked["output_compression"] = options["compressionQuality"]
        return _with(asked, parameters, DRAWN, IMAGEN)

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and the flow of all that is to be done."""
        self._demand_own(running, fields)
        asked = {name: value for name, value in fields.items() if name != "foreign"}
        shape = asked.get("size")
        if isinstance(shape, str) and _in_pixels(running, fields["model"]):
            asked["size"] = _pixels(shape)
        call, flow = running.router.plan(operation.function, **asked)
        if asked.get("size") != shape:
            why = f"pictures of this model have a size, which is {asked['size']} for {shape}"
            call.meta.adaptations.append(Adaptation("aspectRatio", "clamped", why))
        return call, _whole(call, flow)

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the pictures: of Google's models as they came."""
        came = result.raw
        if isinstance(came, dict) and "predictions" in came:
            return Answer(replies.encode(came))
        return Answer(replies.encode({"predictions": [_prediction(one) for one in result.data]}))


class Filming(Gemini):
    """models/{model}:predictLongRunning."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return what is to be filmed. Raises BadRequestError."""
        instance, parameters = _told(fields)
        asked: dict[str, Any] = {"model": fields["model"], "prompt": instance.pop("prompt", "")}
        if (image := instance.pop("image", None)) is not None:
            asked["input_reference"] = _data_url(camels(image, "$.instances[0].image"))
        if parameters.pop("sampleCount", 1) != 1:
            raise BadRequestError("One video is made at a time here: $.parameters.sampleCount is 1")
        frame = ("aspectRatio", "resolution")
        shape: dict[str, Any] = {name: str(parameters.pop(name)) for name in frame if name in parameters}
        asked = _with(asked, parameters, FILMED, VEO)
        for name, value in instance.items():
            if name not in VEO_INSTANCE:
                raise BadRequestError(f"$.instances[0].{name} has no place here; leave it out")
            asked[name] = value
            asked["foreign"] = [*asked.get("foreign", ()), f"$.instances[0].{name}"]
        return {**asked, **shape}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises BadRequestError where only Google's models have what is asked for."""
        self._demand_own(running, fields)
        asked = {name: value for name, value in fields.items() if name != "foreign"}
        if not running.speaks(self.relays, fields["model"]):
            ratio, resolution = asked.pop("aspectRatio", None), asked.pop("resolution", None)
            if size := _frame(ratio, resolution):
                asked["size"] = size
        return running.router.plan(operation.function, **asked)

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the operation."""
        return Answer(replies.encode({"name": f"models/{fields['model']}/operations/{result.id}"}))


class Watching(Gemini):
    """models/{model}/operations/{id}: how far a video is, and where."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return which video is meant. Raises NotFoundError for an id that is none of this gateway's."""
        name = fields["operation_id"]
        if ids.read(name) is None:
            raise NotFoundError("There is no such operation here.")
        return {"video_id": name, "name": f"models/{fields['model']}/operations/{name}"}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call."""
        return running.router.plan(operation.function, video_id=fields["video_id"])

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the operation, with what became of it."""
        return Answer(replies.encode({"name": fields["name"], **_outcome(result, fields["video_id"])}))


class Downloading(Content):
    """The bytes of a file: of one that Gemini keeps, or of a video, whoever made it."""

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and its flow."""
        video = video_of(fields["path"].removeprefix("/files/").removesuffix(":download"))
        if video is None:
            return super().plan(running, admission, operation, fields)
        call, download = running.router.plan("video_content", video_id=video, stream=True)

        def flow() -> Flow[Any]:
            yield awaiting(lambda: admission.check([video]))
            return (yield from download)

        return call, flow()


# --- what is asked ------------------------------------------------------------------------------------------------


def _told(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the one thing that is to be made, and how. Raises BadRequestError."""
    given = camels({name: value for name, value in fields.items() if name != "model"})
    strange = next((name for name in given if name not in ("instances", "parameters", "labels")), None)
    if strange is not None:
        raise BadRequestError(f"$.{strange} has no place here; leave it out")
    instances = given.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        raise BadRequestError("Expected a list of one instance at $.instances")
    return camels(instances[0], "$.instances[0]"), camels(given.get("parameters") or {}, "$.parameters")


def _with(
    asked: dict[str, Any], parameters: Mapping[str, Any], known: Mapping[str, str], own: frozenset[str]
) -> dict[str, Any]:
    foreign: list[str] = []
    for name, value in parameters.items():
        if name in known:
            asked[known[name]] = value
        elif name in own:
            asked[name] = value
            foreign.append(f"$.parameters.{name}")
        else:
            raise BadRequestError(f"$.parameters.{name} has no place here; leave it out")
    return {**asked, "foreign": foreign} if foreign else asked


def _data_url(image: Mapping[str, Any]) -> str:
    data = image.get("bytesBase64Encoded") or image.get("imageBytes")
    if not isinstance(data, str):
        raise BadRequestError("Expected the picture's bytes at $.instances[0].image.bytesBase64Encoded")
    return f"data:{image.get('mimeType') or 'image/png'};base64,{data}"


def _in_pixels(running: Running, model: str) -> bool:
    """Whether a deployment of a model takes sizes as OpenAI does: others make a shape of a ratio."""
    router = running.router
    places = [router.place_of(one)[0] for one in router.groups.of(model)]
    return any(isinstance(router.client.providers.get(name).plugin, Wire) for name in places)


def _pixels(shape: str) -> str:
    """Return OpenAI's size that is as wide or high as a ratio. https://platform.openai.com/docs/guides/image-generation"""
    ratio = ratio_of(shape)
    if ratio is None:
        return shape
    return "1024x1024" if ratio == 1 else "1536x1024" if ratio > 1 else "1024x1536"


def _frame(ratio: str | None, resolution: str | None) -> str | None:
    """Return a video's size, as far as it is said: 1280x720, or the ratio or the resolution alone."""
    short, shape = RESOLUTIONS.get((resolution or "").lower()), ratio_of(ratio or "")
    if short is None or shape is None:
        return ratio or resolution
    width, height = (round(short * shape), short) if shape >= 1 else (short, round(short / shape))
    return f"{width}x{height}"


# --- what is answered ---------------------------------------------------------------------------------------------


def _whole(call: Call, flow: Flow[ImageResponse]) -> Flow[ImageResponse]:
    """Return the pictures with their bytes: those that a provider only says the address of are fetched."""
    result = yield from flow
    for one in result.data:
        if one.b64_json is None and one.url is not None and not one.url.startswith("gs://"):
            file = yield from exchange(fetch(one.url), call)
            one.b64_json = base64.b64encode(file.read()).decode()
    return result


def _prediction(image: Any) -> dict[str, Any]:
    if image.b64_json is None:
        return {"gcsUri": image.url}
    told = {"mimeType": media_type("", base64.b64decode(image.b64_json[:64])), "bytesBase64Encoded": image.b64_json}
    return told | ({"prompt": image.revised_prompt} if image.revised_prompt else {})


def _outcome(video: Video, name: str) -> dict[str, Any]:
    """Return what an operation says of a video: https://ai.google.dev/gemini-api/docs/video"""
    if video.status == "completed":
        samples = {"generatedSamples": [{"video": {"uri": f"{FILES}{file_of(name)}:download?alt=media"}}]}
        return {"done": True, "response": {"@type": DONE, "generateVideoResponse": samples}}
    if video.status != "failed":
        return {"metadata": {} if video.progress is None else {"progressPercentage": video.progress}}
    problem = video.error or {}
    why = str(problem.get("message") or "The video could not be made.")
    if problem.get("code") == "content_policy_violation":
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [why]}
        return {"done": True, "response": {"@type": DONE, "generateVideoResponse": filtered}}
    return {"done": True, "error": {"code": 13, "message": why}}


def file_of(video: str) -> str:
    """Return the id that a video's file has, in small letters and digits."""
    return FILE + base64.b32encode(video.encode()).decode().lower().rstrip("=")


def video_of(file: str) -> str | None:
    """Return the video that a file is; None for a file that is none."""
    if not file.startswith(FILE):
        return None
    text = file.removeprefix(FILE).upper()
    try:
        found = base64.b32decode(text + "=" * (-len(text) % 8)).decode()
    except (binascii.Error, ValueError):
        return None
    return found if ids.read(found) is not None else None
