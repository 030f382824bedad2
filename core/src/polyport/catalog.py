"""What is known of models: mode, context window, prices, parameters; from each plugin's `models.json`.

The files are read without importing the plugins. A package with several prefixes may have one a prefix,
`models/<prefix>.json`. Their form:

    {"models": {"gpt-4o": {"mode": "chat", "context_window": 128000, "max_output_tokens": 16384,
                           "prices": {"input": 2.5, "cached_input": 1.25, "output": 10.0},
                           "supports": ["tools", "vision"], "unsupported": ["logprobs"],
                           "source": "https://…", "read": "2026-11-22"}}}

Token prices are USD per million tokens. A price that is not there is unknown, never 0.
"""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from polyport import plugins
from polyport.errors import NotFoundError
from polyport.types.record import learn

#: What a model is for, in the words that model lists of the field use.
MODES = frozenset(
    {
        "chat", "completion", "responses", "embedding", "rerank", "moderation", "image_generation", "image_edit",
        "audio_transcription", "audio_speech", "video_generation", "ocr",
    }
)  # fmt: skip


#: How a snapshot's name ends: 20250514, 2024-08-06, or the month and day of older ones, 0613.
_DATE = re.compile(r"\d{8}|\d{4}-\d\d-\d\d|\d{4}")


class ModelInfo(msgspec.Struct, kw_only=True):
    """What a plugin knows of a model; None is unknown. `mode` is one of MODES.

    `prices` go by unit: tokens in USD per million, others in USD per unit.
    """

    name: str = ""
    provider: str = ""
    mode: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    dimensions: int | None = None
    prices: dict[str, Any] | None = None
    supports: list[str] = []
    unsupported: list[str] = []
    deprecated: str | None = None
    source: str | None = None
    read: str | None = None


class _File(msgspec.Struct):
    models: dict[str, ModelInfo] = {}
    source: str | None = None
    read: str | None = None


@lru_cache(maxsize=256)
def of_provider(provider: str) -> dict[str, ModelInfo]:
    """Return a provider's models by name; empty where its plugin ships no `models.json`."""
    entry = plugins.find(plugins.PROVIDERS, provider)
    path = models_path(entry.value.partition(":")[0].partition(".")[0], provider) if entry is not None else None
    if path is None:
        return {}
    file = msgspec.json.decode(path.read_bytes(), type=learn(_File))
    for name, info in file.models.items():
        info.name, info.provider = name, provider
        info.source, info.read = info.source or file.source, info.read or file.read
    return file.models


def names(providers: list[str]) -> list[str]:
    """Return `provider/model` for every known model of these providers."""
    return [f"{provider}/{name}" for provider in providers for name in of_provider(provider)]


def info(provider: str, model: str) -> ModelInfo:
    """Return what is known of a model; a dated name falls back to its undated one. Raises NotFoundError."""
    known = of_provider(provider)
    found = known.get(model) or next(
        (known[name] for name in sorted(known, key=len, reverse=True) if _is_dated(model, name)), None
    )
    if found is None:
        raise NotFoundError(
            f"Nothing is known of {model!r}; known: {', '.join(known) or 'nothing'}.", provider=provider
        )
    return found


def _is_dated(model: str, name: str) -> bool:
    return model.startswith(f"{name}-") and _DATE.fullmatch(model, len(name) + 1) is not None


def models_path(package: str, provider: str) -> Path | None:
    """Return the file of what a package knows of a prefix's models; None where it ships none."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return None
    folder = Path(spec.origin).parent
    return next((p for p in (folder / "models" / f"{provider}.json", folder / "models.json") if p.is_file()), None)
