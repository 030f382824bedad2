"""What is known of models: mode, context window, prices, parameters; from each plugin's `models.json`.

The files are read without importing the plugins. A package with several prefixes may have one a prefix,
`models/<prefix>.json`. Their form:

    {"models": {"gpt-4o": {"mode": "chat", "context_window": 128000, "max_output_tokens": 16384,
                           "prices": {"input": 2.5, "cached_input": 1.25, "output": 10.0},
                           "supports": ["tools", "vision"], "unsupported": ["logprobs"],
                           "source": "https://…", "read": "2026-11-22"}}}

The units of `prices`; a price that is not there is unknown, never 0.

    USD per million tokens (TOKENS), by the buckets of `Usage.buckets()`:
        input  cached_input  cache_write  cache_write_1h  audio_input  cached_audio_input  image_input
        cached_image_input  video_input  output  reasoning  audio_output  image_output
    USD each (UNITS):
        request        every call
        search         a search unit of a rerank
        classification a text that is classified
        image          an image; or by what it is: {"1024x1024": 0.04, "hd/1024x1024": 0.08, "low": 0.01, "*": 0.04}
        megapixel      a million pixels of the images made
        second minute  of audio, heard or spoken
        character      of text spoken
        video_second   of a video; or by its size, as for images
        page annotated_page   read by OCR, plain or with the annotations asked for
        web_search file_search   a call of that server-side tool
        cache_storage  a million tokens that a cache keeps for an hour
    Prices that hold at times, and name only what differs (MODIFIERS):
        tiers     [{"above": 200000, "input": 2.5}]: where the prompt has more tokens than that, cached ones included
        hours     [{"from": "16:30", "to": "00:30", "input": 0.1}]: between these times, UTC
        batch flex priority   {"input": 1.25}: the service tier of that name
    A null there says that the price is not known then: {"batch": {"input": 1.25, "cached_input": null}}

A sub-price that is missing is billed as its vendor bills what it lists no price of: `prices.FALLBACKS`.
Users add models and prices of their own with `register`, see `polyport.pricefile`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

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

TOKENS = frozenset(
    {
        "input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "cached_audio_input", "image_input",
        "cached_image_input", "video_input", "output", "reasoning", "audio_output", "image_output",
    }
)  # fmt: skip
UNITS = frozenset(
    {
        "request", "search", "image", "megapixel", "second", "minute", "character", "video_second", "page",
        "annotated_page", "web_search", "file_search", "classification", "cache_storage",
    }
)  # fmt: skip
#: Units whose price may go by what was made.
BY_KIND = frozenset({"image", "video_second"})
SERVICE_TIERS = frozenset({"batch", "flex", "priority"})
MODIFIERS = frozenset({"tiers", "hours"}) | SERVICE_TIERS

#: How a snapshot's name ends: 20250514, 2024-08-06, or the month and day of older ones, 0613.
_DATE = re.compile(r"\d{8}|\d{4}-\d\d-\d\d|\d{4}")


class ModelInfo(msgspec.Struct, kw_only=True):
    """What a plugin knows of a model; None is unknown. `mode` is one of MODES.

    `prices` go by unit, in the vocabulary above.
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


#: Models that users registered, by provider and name.
_registered: dict[str, dict[str, ModelInfo]] = {}


@lru_cache(maxsize=256)
def of_provider(provider: str) -> dict[str, ModelInfo]:
    """Return a provider's models by name: those of its plugin's `models.json`, and those that users registered."""
    known = _shipped(provider)
    own = _registered.get(provider, {})
    return {**known, **{name: _merged(known.get(name), info) for name, info in own.items()}} if own else known


def _merged(known: ModelInfo | None, info: ModelInfo) -> ModelInfo:
    """Return what is known, with what was registered in its place; prices are replaced whole."""
    if known is None:
        return info
    given = {name: value for name, value in asdict(info).items() if value not in (None, [], "")}
    merged: ModelInfo = msgspec.structs.replace(known, **given)
    return merged


def register(models: dict[tuple[str, str], ModelInfo]) -> None:
    """Add models, by (provider, name), to what this process knows; what an entry does not say stays as it was."""
    for (provider, name), info in models.items():
        own = _registered.setdefault(provider, {})
        info.name, info.provider = name, provider
        own[name] = _merged(own.get(name), info)
    of_provider.cache_clear()
    for forget in on_change:
        forget()


def unregister() -> None:
    """Forget everything that was registered."""
    _registered.clear()
    register({})


#: Functions to call when what is known of models changes: caches forget.
on_change: list[Callable[[], None]] = []


@lru_cache(maxsize=256)
def _shipped(provider: str) -> dict[str, ModelInfo]:
    entry = plugins.find(plugins.PROVIDERS, provider)
    path = models_path(entry.value.partition(":")[0].partition(".")[0], provider) if entry is not None else None
    if path is None:
        return {}
    models = read_models(path)
    for name, info in models.items():
        info.name, info.provider = name, provider
    return models


def read_models(path: Path) -> dict[str, ModelInfo]:
    """Return what a `models.json` says of each model, read anew; for plugins that go by what they ship."""
    file = msgspec.json.decode(path.read_bytes(), type=learn(_File))
    for info in file.models.values():
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
