"""The user's own prices: files, mappings, and the parameters that deployments and calls name prices by.

Two forms are read. Ours is that of a plugin's `models.json` (see `polyport.catalog`), with names as a call would use
them, "provider/model". The other is the flat one that is common in the field, in USD per single token:

    {"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
                "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06, "max_input_tokens": 128000}}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from polyport import catalog, plugins
from polyport.catalog import ModelInfo
from polyport.errors import BadRequestError
from polyport.plugins import Providers
from polyport.prices import Rates, check
from polyport.types.record import convert

#: Flat names of token prices, USD per token -> our unit, USD per million.
PER_TOKEN = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "cached_audio_input",
    "cache_read_input_token_cost_per_audio_token": "cached_audio_input",
    "input_cost_per_image_token": "image_input",
    "cache_read_input_image_token_cost": "cached_image_input",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_video_token": "video_input",
    "output_cost_per_reasoning_token": "reasoning",
}
#: Flat names of other prices -> (our unit, how many of theirs one of ours is).
PER_UNIT = {
    "input_cost_per_query": ("search", 1),
    "input_cost_per_request": ("request", 1),
    "input_cost_per_second": ("second", 1),
    "output_cost_per_second": ("second", 1),
    "input_cost_per_audio_per_second": ("second", 1),
    "input_cost_per_character": ("character", 1),
    "output_cost_per_character": ("character", 1),
    "output_cost_per_image": ("image", 1),
    "output_cost_per_pixel": ("megapixel", 10**6),
    "output_cost_per_video_per_second": ("video_second", 1),
    "ocr_cost_per_page": ("page", 1),
    "file_search_cost_per_1k_calls": ("file_search", Decimal("0.001")),
}
#: What some flat names mean, by the model's mode; elsewhere they are of what is read, which tokens bill.
BY_MODE = {
    ("input_cost_per_image", "image_generation"): ("image", 1),
    ("input_cost_per_image", "image_edit"): ("image", 1),
    ("input_cost_per_pixel", "image_generation"): ("megapixel", 10**6),
    ("input_cost_per_pixel", "image_edit"): ("megapixel", 10**6),
    ("output_cost_per_second", "video_generation"): ("video_second", 1),
}
#: How flat names end that hold at a service tier.
TIER_SUFFIXES = {"_batches": "batch", "_flex": "flex", "_priority": "priority"}
ABOVE = re.compile(r"_above_(\d+)k_tokens")
#: A price by size and quality is a model of its own in flat files: "hd/1024-x-1024/dall-e-3".
SIZED = re.compile(r"(?:(?P<quality>[a-z]+)/)?(?P<size>\d+-x-\d+)/(?P<model>.+)")
#: Prices of a flat file by how much a search reads; the middle one is what is searched with by default.
SEARCH_CONTEXT = "search_context_cost_per_query"
ABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_input",
    "supports_prompt_caching": "caching",
    "supports_reasoning": "reasoning",
    "supports_response_schema": "json_schema",
    "supports_web_search": "web_search",
}
#: Parameters of a call or a deployment that are prices: never part of a provider's body.
PARAMETERS = frozenset(
    {name + suffix for name in PER_TOKEN for suffix in ("", *TIER_SUFFIXES)}
    | {f"{name}_above_{size}k_tokens" for name in PER_TOKEN for size in (128, 200, 256, 272, 512)}
    | {*PER_UNIT, "input_cost_per_image", "input_cost_per_pixel"}
)


class Registered(msgspec.Struct, frozen=True):
    """What came of registering prices: the models, "provider/model", and prices of the file that have no unit here."""

    models: list[str]
    unread: dict[str, list[str]] = {}


def register_prices(prices: str | os.PathLike[str] | Mapping[str, Any], *, provider: str | None = None) -> Registered:
    """Read models and prices from a JSON file, or a mapping of the same form, into what this process knows.

    Prices stand in place of those that are known; what an entry does not say stays as it was. Names without a
    provider are `provider`'s, or of whom a bare name would be asked. Raises BadRequestError that names what is wrong.
    """
    data, where = _read(prices)
    ours = isinstance(data.get("models"), Mapping)
    entries = data["models"] if ours else data
    registered: dict[tuple[str, str], ModelInfo] = {}
    unread: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if not isinstance(entry, Mapping):
            raise BadRequestError(f"{where}: the entry of {name!r} is no object")
        if not ours and name == "sample_spec":
            continue
        path = f"{where}: $[{name!r}]"
        info, rest = (convert(entry, ModelInfo, path), []) if ours or "prices" in entry else from_flat(entry, path)
        info.source = info.source or (data.get("source") if ours else None) or where
        info.read = info.read or (data.get("read") if ours else None)
        _add(registered, name, info, entry.get("litellm_provider") or provider)
        if rest:
            unread[name] = rest
    for info in registered.values():
        if info.prices is not None:
            check(info.prices)
    catalog.register(registered)
    return Registered([f"{name}/{model}" for name, model in registered], unread)


def register_model(model_cost: str | os.PathLike[str] | Mapping[str, Any]) -> Registered:
    """`register_prices`, under the name that users know."""
    return register_prices(model_cost)


def _read(prices: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    if isinstance(prices, Mapping):
        return prices, "given"
    path = Path(prices)
    try:
        data = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadRequestError(f"Cannot read prices from {str(path)!r}: {error.strerror or error}.") from error
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{str(path)!r} is not JSON: {error}.") from error
    if not isinstance(data, Mapping):
        raise BadRequestError(f"{str(path)!r} holds no object of models.")
    return data, str(path)


def _add(registered: dict[tuple[str, str], ModelInfo], name: str, info: ModelInfo, provider: str | None) -> None:
    """Enter a model; one whose name begins with a size is a price of the model that it ends with."""
    sized = SIZED.fullmatch(name.removeprefix(f"{provider}/"))
    if sized is None:
        registered[place(name, provider)] = info
        return
    key = place(sized["model"], provider)
    size = sized["size"].replace("-", "")
    width, _, height = size.partition("x")
    given = info.prices or {}
    price = given.get("image")
    if price is None and "megapixel" in given:
        price = float(Decimal(repr(given["megapixel"])) * int(width) * int(height) / 10**6)
    if price is None:
        return
    whole = registered.setdefault(key, msgspec.structs.replace(info, prices={}))
    by_kind = (whole.prices or {}).get("image")
    kind = f"{sized['quality']}/{size}" if sized["quality"] else size
    whole.prices = {"image": {**(by_kind if isinstance(by_kind, dict) else {}), kind: price}}


def place(name: str, provider: str | None = None) -> tuple[str, str]:
    """Return (provider, model) of a name in a file: its prefix, the provider it names, or whose a bare name is.

    Files name providers with endings of their own ("x_converse", "x-language-models"): then the installed one
    that the name begins or ends with is meant.
    """
    installed = Providers()
    prefix, slash, rest = name.partition("/")
    if provider is not None:
        known = provider if installed.has(provider) else _nearest(provider, installed.names())
        return known, rest if slash and prefix in (known, provider) else name
    if slash and installed.has(prefix):
        return prefix, rest
    found = plugins.provider_of(name)
    if found is None:
        raise BadRequestError(f"Whose is {name!r}? Write provider/{name}, or pass provider=...")
    return found, name


def _nearest(provider: str, names: list[str]) -> str:
    fits = [name for name in names if provider.startswith(name) or provider.endswith(name)]
    return max(fits, key=len, default=provider)


# --- the flat form ---


def from_flat(entry: Mapping[str, Any], path: str = "$") -> tuple[ModelInfo, list[str]]:
    """Return a flat entry as ModelInfo, and the names of its prices that have no unit here."""
    prices, unread = flat_prices(entry, path)
    limit = entry.get("max_output_tokens") or entry.get("max_tokens")
    mode = entry.get("mode")
    fields = {
        "mode": mode if mode in catalog.MODES else None,
        "context_window": _whole(entry.get("max_input_tokens")),
        "max_output_tokens": _whole(limit),
        "dimensions": _whole(entry.get("output_vector_size")),
        "prices": prices or None,
        "supports": [ability for name, ability in ABILITIES.items() if entry.get(name) is True],
        "deprecated": entry.get("deprecation_date"),
    }
    return convert(fields, ModelInfo, path), unread


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def flat_prices(entry: Mapping[str, Any], path: str = "$") -> tuple[dict[str, Any], list[str]]:
    """Return the prices of flat names in our units, and the names of prices that have none here."""
    prices: dict[str, Any] = {}
    tiers: dict[int, dict[str, Any]] = {}
    unread: list[str] = []
    for name, value in entry.items():
        if "cost" not in name or value is None:
            continue
        if name == SEARCH_CONTEXT and isinstance(value, Mapping):
            prices["web_search"] = value.get("search_context_size_medium", next(iter(value.values()), None))
            continue
        above, base = ABOVE.search(name), ABOVE.sub("", name)
        suffix = next((suffix for suffix in TIER_SUFFIXES if base.endswith(suffix)), "")
        unit = _unit(base.removesuffix(suffix), entry.get("mode"))
        if unit is None:
            unread.append(name)
            continue
        into = prices.setdefault(TIER_SUFFIXES[suffix], {}) if suffix else prices
        if above:
            limit = int(above[1]) * 1000
            into = into.setdefault("tiers", {}).setdefault(limit, {}) if suffix else tiers.setdefault(limit, {})
        into.setdefault(unit[0], _times(value, unit[1], f"{path}.{name}"))
    for group in [prices[tier] for tier in TIER_SUFFIXES.values() if tier in prices]:
        if "tiers" in group:
            group["tiers"] = [{"above": limit, **row} for limit, row in group["tiers"].items()]
    if tiers:
        prices["tiers"] = [{"above": limit, **row} for limit, row in sorted(tiers.items())]
    return prices, unread


def _unit(name: str, mode: Any) -> tuple[str, Any] | None:
    if name in PER_TOKEN:
        return PER_TOKEN[name], 10**6
    return BY_MODE.get((name, mode)) or PER_UNIT.get(name)


def _times(value: Any, factor: Any, path: str) -> float:
    """Return a price times a factor, without what a product of floats would add to it."""
    try:
        return float(Decimal(str(value)) * factor)
    except ArithmeticError as error:
        raise BadRequestError(f"{value!r} is no price at {path}") from error


@lru_cache(maxsize=1024)
def _given(encoded: bytes) -> Rates:
    prices = msgspec.json.decode(encoded)
    flat, unread = flat_prices(prices, "$.prices") if any("cost" in name for name in prices) else ({}, [])
    if unread:
        raise BadRequestError(f"$.prices.{unread[0]} is no price that is known")
    ours = {name: value for name, value in prices.items() if "cost" not in name}
    return Rates({**flat, **ours}, "given with the call")


def rates_given(prices: Mapping[str, Any]) -> Rates:
    """Return prices that a user gives with a call or a deployment. Raises BadRequestError naming a wrong one."""
    return _given(msgspec.json.encode(prices))


def of_params(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the prices among the parameters of a call or a deployment, in our units; None where there are none."""
    named = {name: value for name, value in params.items() if name in PARAMETERS}
    return flat_prices(named)[0] or None if named else None
