"""What a request may use, before it is sent: tokens, and money at the dearest deployment that may answer.

It is set aside, and replaced by what was used; so it need not be exact, but should rather be too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from polyport import catalog
from polyport.errors import PolyportError
from polyport.middleware.budget import DEFAULT_ANSWER, LIMITS
from polyport.pricefile import of_params, rates_given
from polyport.prices import MEASURES, Rates, Used, rates_of
from polyport.router import Router
from polyport.router.deployments import Deployment
from polyport.router.groups import Groups

#: Returns the prices that may hold for a model's name; none where nobody knows.
Prices = Callable[[str], Sequence[Rates]]
#: Operations that answer with tokens; others only read them.
ANSWERING = frozenset({
    "completion", "text_completion", "responses", "messages", "passthrough", "realtime", "responses.compact",
    "decisions.create",
})  # fmt: skip
#: What is read; the rest of a request says how.
CONTENT = frozenset({
    "messages", "input", "prompt", "system", "instructions", "tools", "query", "documents", "suffix", "contents",
    "inputs", "examples", "document",
})  # fmt: skip
#: Parameters that say how long an answer may be, and how many there are.
COUNTED = frozenset({*LIMITS, "n"})
#: Tokens of a picture, a file or a sound in a prompt: most are fewer.
ATTACHED = 1000
#: What stands for bytes, not for text.
BYTES = frozenset({"url", "data", "file_data", "image_url", "b64_json", "image", "file"})
#: Nano-dollars of a token at one USD a million; and prices that are not simply so much a token.
PER_TOKEN = 1000
VARYING = frozenset({"tiers", "hours", *MEASURES})
#: Models whose prices are remembered: a caller may name anything.
MODELS = 1000
#: Characters of a token: of English four, of many other scripts about one and a half.
ASCII, OTHER = 4.0, 1.5


def tokens(operation: str, fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many tokens a request has, and how many its answer may have."""
    size = 0.0
    for name in fields:
        if name in CONTENT:
            size += _size(fields[name])
    prompt = math.ceil(size)
    if operation not in ANSWERING:
        return prompt, 0
    if COUNTED.isdisjoint(fields):  # as of most
        return prompt, DEFAULT_ANSWER
    limits = (limit for name in LIMITS if isinstance(limit := fields.get(name), int))
    answer = max(0, next(limits, DEFAULT_ANSWER))
    answers = fields.get("n")
    return prompt, answer * max(1, answers) if isinstance(answers, int) else answer


def nano(prompt: int, answer: int, fields: Mapping[str, Any], prices: Sequence[Rates]) -> int | None:
    """Return what that may cost, in nano-dollars; None where no price is known."""
    tier = fields.get("service_tier")
    dearest: int | None = None
    for rates in prices:
        plain = _plain(rates) if tier is None else None
        if plain is not None:
            cost = math.ceil(prompt * plain[0] + answer * plain[1])
        else:
            bill = rates.bill(_used(prompt, answer, fields, rates))
            if bill is None:
                continue
            cost = bill.nano
        if dearest is None or cost > dearest:
            dearest = cost
    return dearest


@lru_cache(4096)
def _plain(rates: Rates) -> tuple[float, float] | None:
    """Return the nano-dollars of a token that is read and of one that is written.

    None where prices depend on a prompt's length or on the hour, or where something else than tokens is billed.
    """
    prices = rates.prices
    if "input" not in prices or not VARYING.isdisjoint(prices):
        return None
    return prices["input"] * PER_TOKEN, prices.get("output", 0) * PER_TOKEN


def rates_at(router: Router, deployment: Deployment) -> Rates | None:
    """Return the prices of a deployment: its own, or those of its model; None where nobody knows."""
    given = deployment.options.get("prices") or of_params(deployment.extra)
    try:
        return rates_given(given) if given else rates_of(*router.place_of(deployment))
    except PolyportError:  # a call itself will say what is wrong
        return None


def prices_of(router: Callable[[], Router]) -> Prices:
    """Return what knows the prices of a router's models; of the router that serves now, after a reload too.

    They are looked up once for each model, until its deployments or what is known of prices changes.
    """
    held: tuple[Groups, int] | None = None
    known: dict[str, list[Rates]] = {}

    def prices(model: str) -> list[Rates]:
        nonlocal held
        serving = router()
        if held is None or held[0] is not serving.groups or held[1] != _changes[0]:
            held = serving.groups, _changes[0]
            known.clear()
        found = known.get(model)
        if found is None:
            found = [rates for one in serving.groups.find(model) if (rates := rates_at(serving, one)) is not None]
            if len(known) < MODELS:
                known[model] = found
        return found

    return prices


#: How often what is known of prices has changed.
_changes = [0]


def _note_change() -> None:
    _changes[0] += 1


catalog.on_change.append(_note_change)


def _used(prompt: int, answer: int, fields: Mapping[str, Any], rates: Rates) -> Used:
    count = fields.get("n")
    said = fields.get("input")
    documents, inputs = fields.get("documents"), fields.get("inputs")
    units: dict[str, float | int | None] = {
        "image": count if isinstance(count, int) else 1,
        "character": len(said) if isinstance(said, str) else 0,
        "search": math.ceil(len(documents) / 100) if isinstance(documents, list) else 1,
        "classification": len(inputs) if isinstance(inputs, list) else 1,
        "page": 1,
    }
    size, quality = fields.get("size"), fields.get("quality")
    kinds = (f"{quality}/{size}", str(size), str(quality))
    buckets = {"input": prompt, **({"output": answer} if "output" in rates.prices else {})}
    asked = fields.get("service_tier")
    tier = asked if isinstance(asked, str) and rates.holds_at(asked) else None
    return Used(tokens=buckets, units=units, kinds=kinds, prompt=prompt, service_tier=tier)


def _size(value: Any, name: str = "") -> float:
    kind = type(value)
    if kind is dict:
        size = 4.0
        for key, inner in value.items():
            if type(inner) is str and key not in BYTES and not inner.startswith("data:"):  # most are: no call for it
                size += len(inner) / (ASCII if inner.isascii() else OTHER)
            else:
                size += _size(inner, key)
        return size
    if kind is str:
        if name in BYTES or value.startswith("data:"):
            return ATTACHED
        return len(value) / (ASCII if value.isascii() else OTHER)
    if kind is list or kind is tuple:
        size = 0.0
        for inner in value:
            size += _size(inner, name)
        return size
    return 1 if isinstance(value, int | float) else 0
