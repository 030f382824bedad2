"""Which of ModelsLab's APIs a model is behind: rows of a table, the first that fits counts.

Hosted models are those of the official SDK's `providers`, https://github.com/ModelsLab/modelslab-py (0.2.3, read
2026-11-23); any other name is a community model's. `api_version="v6"` or `"v7"` says otherwise.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from polyport.types.record import Request


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A family of endpoints: `text` starts from words, `image` from a picture, `inpaint` from one with a mask.

    `named` doors want the model's id in the body. `by_ratio` ones take a shape and no pixels.
    """

    base: str
    text: str
    image: str = ""
    inpaint: str = ""
    named: bool = True
    by_ratio: bool = False


COMMUNITY = Door(base="/v6/images", text="text2img", image="img2img", inpaint="inpaint")
REALTIME = Door(base="/v6/realtime", text="text2img", image="img2img", inpaint="inpaint", named=False)
HOSTED = Door(base="/v7/images", text="text-to-image", image="image-to-image")
SHAPED = Door(base="/v7/images", text="text-to-image", image="image-to-image", by_ratio=True)
FILMS = Door(base="/v6/video", text="text2video", image="img2video")
ULTRA = Door(base="/v6/video", text="text2video_ultra", image="img2video_ultra")
HOSTED_FILMS = Door(base="/v7/video-fusion", text="text-to-video", image="image-to-video", by_ratio=True)
VOICES = Door(base="/v6/voice", text="text_to_speech", named=False)
CLONES = Door(base="/v6/voice", text="text_to_audio", named=False)
HOSTED_VOICES = Door(base="/v7/voice", text="text-to-speech")

IMAGES: tuple[tuple[str, Door], ...] = (
    ("realtime*", REALTIME),
    ("flux-kontext-*", SHAPED),
    ("flux-2-*", HOSTED),
    ("seedream-4*", SHAPED),
    ("seedream*", HOSTED),
    ("seededit*", HOSTED),
    ("imagen-*", SHAPED),
    ("nano-banana*", SHAPED),
    ("gen4_image*", SHAPED),
    ("*", COMMUNITY),
)
VIDEOS: tuple[tuple[str, Door], ...] = (
    ("wan2.5*", HOSTED_FILMS),
    ("seedance*", HOSTED_FILMS),
    ("omni-human*", HOSTED_FILMS),
    ("kling*", HOSTED_FILMS),
    ("hailuo*", HOSTED_FILMS),
    ("sora-*", HOSTED_FILMS),
    ("veo*", HOSTED_FILMS),
    ("wan2.*", ULTRA),
    ("ultra*", ULTRA),
    ("*", FILMS),
)
SPEECH: tuple[tuple[str, Door], ...] = (
    ("eleven_*", HOSTED_VOICES),
    ("inworld-*", HOSTED_VOICES),
    ("text_to_audio", CLONES),
    ("*", VOICES),
)
#: The first row of a table that is of a version.
VERSIONS = ("v6", "v7")


def door_of(request: Request, table: tuple[tuple[str, Door], ...]) -> Door:
    """Return the door of a model, or of the version that the call names."""
    found = next(door for glob, door in table if fnmatchcase(request.model.lower(), glob))
    version = request.options.api_version
    if version in VERSIONS and not found.base.startswith(f"/{version}/"):
        return next(door for _, door in reversed(table) if door.base.startswith(f"/{version}/"))
    return found
