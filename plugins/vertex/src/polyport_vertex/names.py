"""A model's name tells whose it is, and so by which of Vertex AI's interfaces it is called."""

from __future__ import annotations

import re

from polyport_vertex.settings import GLOBAL, REGIONAL

#: Publishers whose models are called with the publisher's own body, by what their names begin with.
MISTRAL = ("mistral", "codestral", "ministral", "pixtral")
#: Google's models that are called by `predict`, and not everywhere.
PREDICTED = (
    "imagen", "imagegeneration", "virtual-try-on", "veo", "text-embedding", "textembedding", "multimodalembedding",
    "text-multilingual-embedding", "image-segmentation",
)  # fmt: skip


def bare(model: str) -> str:
    """Return a name without the publisher's path: "publishers/google/models/x", "google/x" and "models/x" are "x"."""
    model = re.sub(r"^(projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/", "", model)
    return re.sub(r"^(google|anthropic|mistralai|models)/", "", model)


def family(model: str) -> str:
    """Return by which interface a model chats: "claude", "mistral", "openapi", else "gemini" (tuned ones too)."""
    name = bare(model)
    if "endpoints/" in model or name.isdigit():
        return "gemini"
    if name.startswith("claude"):
        return "claude"
    if name.startswith(MISTRAL):
        return "mistral"
    return "openapi" if "/" in name else "gemini"


def claude(model: str) -> str:
    """Return Claude's name as Vertex AI has it: a date stands after an @.

    https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
    """
    return re.sub(r"-(\d{8})$", r"@\1", bare(model))


def path(model: str) -> str:
    """Return where a model of Google's, or a tuned one's endpoint, is."""
    name = bare(model)
    if model.startswith("projects/") and "/endpoints/" in model:
        return model
    if name.isdigit() or name.startswith("endpoints/"):
        return f"{REGIONAL}/endpoints/{name.removeprefix('endpoints/')}"
    return f"{REGIONAL if is_regional(name) else GLOBAL}/publishers/google/models/{name}"


def is_regional(model: str) -> bool:
    """Whether a model is in regions only, not in `global`."""
    name = bare(model)
    return name.startswith(PREDICTED) or name.isdigit() or "endpoints/" in name
