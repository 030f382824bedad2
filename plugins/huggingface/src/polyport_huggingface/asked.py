"""What is asked of a provider, in the words of Hugging Face's tasks, and how each provider wants it said.

https://huggingface.co/docs/inference-providers/tasks; the providers' own words are those of huggingface_hub 2.4.0,
`inference/_providers` (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.types.record import Request
from polyport.types.upload import Upload
from polyport_huggingface.hub import HUB, Served


class Asked(msgspec.Struct, kw_only=True):
    """One piece of work: a prompt or text, a file it begins with, parameters in Hugging Face's words."""

    request: Request
    text: str = ""
    file: Upload | None = None
    parameters: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The file as a data: URL."""
        return self.file.data_url() if self.file is not None else ""


class Sent(msgspec.Struct):
    """Where the work is posted, and the body."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = {}


def sized(parameters: dict[str, Any], name: str, *, text: bool = False) -> dict[str, Any]:
    """Return the parameters with width and height as one, `name`: an object, or text such as 1024x768."""
    made = dict(parameters)
    if "width" in made and "height" in made:
        width, height = made.pop("width"), made.pop("height")
        made[name] = f"{width}x{height}" if text else {"width": width, "height": height}
    return made


def stepped(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the number of steps as Together calls it."""
    return {"steps" if name == "num_inference_steps" else name: value for name, value in parameters.items()}


def adapted(served: Served) -> dict[str, Any]:
    """Return what fal is told of a model that is an adapter: where its weights are, and what they adapt."""
    if served.weights is None:
        return {}
    made: dict[str, Any] = {"loras": [{"path": f"{HUB}/{served.repo}/resolve/main/{served.weights}", "scale": 1}]}
    if served.id == "fal-ai/lora":
        made["model_name"] = "stabilityai/stable-diffusion-xl-base-1.0"
    return made


def prediction(served: Served, given: dict[str, Any]) -> Sent:
    """Return a prediction of Replicate's, waited for up to a minute. https://replicate.com/docs/topics/predictions"""
    model, colon, version = served.id.partition(":")
    path = "v1/predictions" if colon else f"v1/models/{model}/predictions"
    body = {"input": given, **({"version": version} if colon else {})}
    return Sent(served.at(path), body, {"prefer": "wait"})
