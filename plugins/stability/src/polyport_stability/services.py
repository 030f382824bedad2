"""Stability's services, each a row: where it is, which pictures it takes, and which parameters.

https://platform.stability.ai/docs/api-reference
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import msgspec

from polyport.errors import NotFoundError

EVERY_FORMAT = ("png", "jpeg", "webp")
RATIOS = ("21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21")


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One service of version 2.

    `images` are the fields for pictures, of which `least` must be given; `prompt` is the prompt's field, "" for none,
    and `worded` says whether there must be one;
    `takes` are the parameters beyond those that polyport may set; `job`: it answers with a job to be waited for.
    `model` is a field of the form; `start`: a picture to begin with goes along with a `strength`.
    """

    path: str
    images: tuple[str, ...] = ()
    least: int = 0
    prompt: str = "prompt"
    worded: bool = True
    takes: frozenset[str] = frozenset()
    formats: tuple[str, ...] = EVERY_FORMAT
    job: bool = False
    model: str | None = None
    start: bool = False


FREE = frozenset({"negative_prompt", "seed", "style_preset"})
SHAPED = FREE | {"aspect_ratio"}


def _generate(path: str, **more: object) -> Service:
    return msgspec.convert({"path": f"/v2beta/stable-image/generate/{path}", "takes": SHAPED, **more}, Service)


def _change(path: str, takes: frozenset[str] = FREE, **more: object) -> Service:
    given = {"path": f"/v2beta/stable-image/{path}", "images": ("image",), "least": 1, "takes": takes, **more}
    return msgspec.convert(given, Service)


def _diffusion(model: str | None) -> Service:
    return _generate("sd3", model=model, images=("image",), start=True, formats=("png", "jpeg"))


SEEDED = frozenset({"negative_prompt", "seed"})
SERVICES: Mapping[str, Service] = {
    "core": _generate("core"),
    "ultra": _generate("ultra", images=("image",), start=True),
    "sd3": _diffusion(None),
    **{
        name: _diffusion(name)
        for name in (
            "sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium", "sd3.5-flash",
            "sd3-large", "sd3-large-turbo", "sd3-medium",
        )
    },
    "inpaint": _change("edit/inpaint", FREE | {"mask"}),
    "outpaint": _change("edit/outpaint", frozenset({"seed", "style_preset"}), worded=False),
    "erase": _change("edit/erase", frozenset({"mask", "seed"}), prompt=""),
    "search-and-replace": _change("edit/search-and-replace"),
    "search-and-recolor": _change("edit/search-and-recolor"),
    "remove-background": _change("edit/remove-background", frozenset(), prompt="", formats=("png", "webp")),
    "replace-background-and-relight": _change(
        "edit/replace-background-and-relight",
        SEEDED,
        images=("subject_image", "background_reference"),
        prompt="background_prompt",
        worded=False,
        job=True,
    ),
    "upscale-fast": _change("upscale/fast", frozenset(), prompt=""),
    "upscale-conservative": _change("upscale/conservative", SEEDED),
    "upscale-creative": _change("upscale/creative", job=True),
    "control-sketch": _change("control/sketch"),
    "control-structure": _change("control/structure"),
    "control-style": _change("control/style", SHAPED),
    "control-style-transfer": _change(
        "control/style-transfer", SEEDED, images=("init_image", "style_image"), least=2, worded=False
    ),
}  # fmt: skip


def service_of(model: str) -> Service:
    """Return the service of a model's name, which may be written as in its path. Raises NotFoundError."""
    name = model.lower().replace("/", "-").removeprefix("stable-image-")
    for group in ("generate-", "edit-"):
        name = name.removeprefix(group)
    if name in SERVICES:
        return SERVICES[name]
    near = difflib.get_close_matches(name, SERVICES, 3) or SERVICES
    raise NotFoundError(
        f"Stability has no service {model!r}. Near: {', '.join(near)}; and stable-diffusion-... engines"
    )
