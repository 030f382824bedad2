"""Which of several deployments a call goes to: the strategies, by the names users know.

A strategy is a function `(candidates, random, args) -> candidate`; each candidate can be taken. Others come as entry
points of `polyport.strategies`. `args` are `routing_strategy_args` of the router.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from random import Random
from typing import Any, TypeAlias

import msgspec

from polyport import catalog, plugins
from polyport.errors import BadRequestError, NotFoundError
from polyport.pricefile import of_params
from polyport.router.deployments import Deployment
from polyport.states import Standing

GROUP = "polyport.strategies"
#: After so many seconds a measured latency is forgotten, so that who was slow gets another chance.
LATENCY_TTL = 60.0


class Candidate(msgspec.Struct):
    """A deployment that could be taken, how it stands, and the provider and model that its name leads to."""

    deployment: Deployment
    standing: Standing
    provider: str
    model: str


#: What a deployment's share of the calls goes by.
SHARES = (attrgetter("weight"), attrgetter("rpm"), attrgetter("tpm"))

Strategy: TypeAlias = Callable[[Sequence[Candidate], Random, Mapping[str, Any]], Candidate]


def simple_shuffle(candidates: Sequence[Candidate], random: Random, _args: Mapping[str, Any]) -> Candidate:
    """Draw by weight; where no candidate has one, by rpm, then by tpm; else each alike."""
    own = [one.deployment.own for one in candidates]
    for share in SHARES:
        weights = [*map(share, own)]
        if any(weights):
            return random.choices(candidates, [weight or 0 for weight in weights])[0]
    return candidates[int(random.random() * len(candidates))]


def least_busy(candidates: Sequence[Candidate], random: Random, _args: Mapping[str, Any]) -> Candidate:
    """Take the one with the fewest calls in flight; of several, the one that had the fewest this minute."""
    return _least(candidates, random, lambda one: (one.standing.busy, one.standing.requests))


def usage_based(candidates: Sequence[Candidate], random: Random, _args: Mapping[str, Any]) -> Candidate:
    """Take the one that used the fewest tokens in the last minute; of several, the fewest requests."""
    return _least(candidates, random, lambda one: (one.standing.tokens, one.standing.requests))


def usage_based_v2(candidates: Sequence[Candidate], random: Random, args: Mapping[str, Any]) -> Candidate:
    """Take the one that used the least of its limits in the last minute: of rpm or tpm, what is nearer to its end.

    Where a candidate has no limits there is no share to compare, and tokens are.
    """
    if all(one.deployment.own.rpm or one.deployment.own.tpm for one in candidates):
        return _least(candidates, random, _share)
    return usage_based(candidates, random, args)


def _share(one: Candidate) -> float:
    own, standing = one.deployment.own, one.standing
    return max(
        standing.requests / own.rpm if own.rpm else 0.0,
        standing.tokens / own.tpm if own.tpm else 0.0,
    )


def latency_based(candidates: Sequence[Candidate], random: Random, args: Mapping[str, Any]) -> Candidate:
    """Take the one that answered fastest of late; one that nobody has measured of late is tried first.

    args: `ttl` seconds after which a measure is forgotten (60); `lowest_latency_buffer`, by what share a latency may
    be above the lowest and still count as equal (0).
    """
    ttl, buffer = args.get("ttl", LATENCY_TTL), args.get("lowest_latency_buffer", 0.0)
    unknown = [one for one in candidates if one.standing.latency is None or one.standing.age > ttl]
    waiting = [one for one in unknown if one.standing.busy == 0]
    if waiting:
        return _least(waiting, random, lambda one: one.standing.requests)
    known = [one for one in candidates if one.standing.latency is not None]
    if not known:
        return least_busy(candidates, random, args)
    lowest = min(one.standing.latency or 0.0 for one in known)
    near = [one for one in known if (one.standing.latency or 0.0) <= lowest * (1 + buffer)]
    return _least(near, random, lambda one: one.standing.busy)


def cost_based(candidates: Sequence[Candidate], random: Random, _args: Mapping[str, Any]) -> Candidate:
    """Take the cheapest, by the prices of a token in and one out; one whose prices nobody knows comes last."""
    return _least(candidates, random, _price)


def _price(one: Candidate) -> float:
    deployment = one.deployment
    own = deployment.options.get("prices") or (of_params(deployment.extra) if deployment.extra else None)
    prices = own or _known_prices(one.provider, one.model)
    known = [prices[name] for name in ("input", "output") if isinstance(prices.get(name), int | float)]
    return sum(known) if known else float("inf")


@lru_cache(maxsize=1024)
def _known_prices(provider: str, model: str) -> Mapping[str, Any]:
    try:
        return catalog.info(provider, model).prices or {}
    except NotFoundError:
        return {}


catalog.on_change.append(_known_prices.cache_clear)


def _least(candidates: Sequence[Candidate], random: Random, key: Callable[[Candidate], Any]) -> Candidate:
    """Return the candidate of the least key; of several, any."""
    keys = [key(one) for one in candidates]
    least = min(keys)
    best = [one for one, own in zip(candidates, keys, strict=True) if own == least]
    return best[int(random.random() * len(best))]


STRATEGIES: dict[str, Strategy] = {
    "simple-shuffle": simple_shuffle,
    "least-busy": least_busy,
    "usage-based-routing": usage_based,
    "usage-based-routing-v2": usage_based_v2,
    "latency-based-routing": latency_based,
    "cost-based-routing": cost_based,
}


def find(name: str) -> Strategy:
    """Return a strategy by its name. Raises BadRequestError that lists those there are."""
    entry = plugins.find(GROUP, name)
    if entry is not None:
        strategy: Strategy = plugins.load(entry)
        return strategy
    if name in STRATEGIES:
        return STRATEGIES[name]
    names = [*STRATEGIES, *(entry.name for entry in plugins.entries(GROUP))]
    near = difflib.get_close_matches(name, names, 1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise BadRequestError(f"No routing strategy {name!r}.{guess} There are {', '.join(names)}.")
