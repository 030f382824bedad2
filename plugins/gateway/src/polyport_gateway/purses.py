"""Budgets of providers and deployments: one that is spent is left out by the router, for everybody.

router_settings:
  provider_budget_config: {openai: {budget_limit: 100, time_period: 1d}}
model_list: [{model_name: fast, params: {model: ..., max_budget: 10, budget_duration: 1d}}]

They are accounts like all others (`limits`): each attempt sets aside what it may cost, and what it did cost takes its
place, in this process or in Redis; what was spent before is asked of the ledger. Without accounts, it is what this
process knows. https://docs.litellm.ai/docs/proxy/provider_budget_routing
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from polyport.budgets import nano as nano_of
from polyport.errors import BadRequestError, ServiceUnavailableError
from polyport.flow import Flow
from polyport.states import Refusal
from polyport.types.bill import NANO
from polyport_gateway.effects import awaiting
from polyport_gateway.limits import Held, Limit, Limits, Reservation, period

if TYPE_CHECKING:
    from polyport.border import Call
    from polyport.router import Router
    from polyport.router.deployments import Deployment
    from polyport.router.strategies import Candidate

log = logging.getLogger("polyport.gateway.purses")
#: What may be said of a budget, and what LiteLLM's users call it.
NAMES = {"max_budget": "max_budget", "budget_duration": "budget_duration", "budget_limit": "max_budget",
         "time_period": "budget_duration"}  # fmt: skip
#: What of a deployment's parameters is a budget's.
OWN = ("max_budget", "budget_duration")
#: What may be read of a request to see what it may cost.
SEEN = (
    "messages", "input", "prompt", "system", "instructions", "tools", "query", "documents", "suffix", "contents", "n",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "size", "quality", "service_tier",
)  # fmt: skip


def providers(given: Any, known: Collection[str], notes: list[str], path: str) -> dict[str, Limit]:
    """Return the budgets of providers; a note for one that nothing leads to. Raises BadRequestError."""
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{path} must be {{provider: {{budget_limit: ..., time_period: ...}}}}")
    found = {}
    for name, one in given.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.8)
            if near:
                raise BadRequestError(f"{path} has {name!r}: did you mean {near[0]!r}?")
            notes.append(f"{path}.{name} holds for nothing: no model is {name}'s")
        found[str(name)] = limit_of(one, (("provider", str(name)),), f"{path}.{name}")
    return found


def limit_of(given: Any, about: tuple[tuple[str, str], ...], path: str) -> Limit:
    """Return a budget as it is written. Raises BadRequestError naming the place."""
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{path} must be {{budget_limit: ..., time_period: ...}}")
    said: dict[str, Any] = {}
    for name, value in given.items():
        if name not in NAMES:
            near = difflib.get_close_matches(str(name), NAMES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NAMES)}"
            raise BadRequestError(f"{path} has {name!r}, which nothing reads: {hint}")
        said[NAMES[name]] = value
    amount, duration = said.get("max_budget"), said.get("budget_duration") or ""
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1e9:
        raise BadRequestError(f"{path} needs an amount of USD at budget_limit, or max_budget")
    try:
        period(str(duration), time.time())
    except BadRequestError as error:
        raise BadRequestError(f"{path}: {error.message}") from error
    return Limit(about=about, budget=nano_of(amount), duration=str(duration))


def moved(entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a deployment's entry with its budget where the router does not mind it. Raises BadRequestError."""
    named = "litellm_params" if "litellm_params" in entry else "params"
    params = entry.get(named)
    if not isinstance(params, Mapping) or not set(OWN) & params.keys():
        return dict(entry)
    own = {name: params[name] for name in OWN if params.get(name) is not None}
    info = entry.get("model_info") or {}
    if own:
        limit_of(own, (), f"{path}.{named}")
        info = {**info, **own}
    rest = {name: value for name, value in params.items() if name not in OWN}
    return {**entry, named: rest, **({"model_info": info} if info else {})}


class Purses:
    """The budgets of one configuration; see `polyport.router.choosing.Budgets`. `limits` are everybody's accounts."""

    def __init__(
        self,
        router: Router,
        providers: Mapping[str, Limit],
        limits: Limits,
        *,
        clock: Callable[[], float] = time.time,
        allow: Callable[[], bool] = lambda: True,
    ) -> None:
        self._router, self._providers, self._limits = router, providers, limits
        self._clock, self._allow = clock, allow
        self._known: dict[tuple[str, str], tuple[Limit, ...]] = {}

    def of(self, provider: str, one: Deployment | None) -> tuple[Limit, ...]:
        """Return the budgets that a call at a provider's deployment falls under."""
        place = provider, "" if one is None else one.id
        found = self._known.get(place)
        if found is None:
            own = {name: one.info[name] for name in OWN if one.info.get(name) is not None} if one is not None else {}
            here = [limit_of(own, (("deployment", place[1]),), "model_info")] if "max_budget" in own else []
            found = self._known[place] = (*here, *([self._providers[provider]] if provider in self._providers else []))
        return found

    def all(self) -> tuple[Limit, ...]:
        """Return every budget that there is, each once: of providers, then of deployments."""
        deployments = (self.of("", one) for one in self._router.groups.all())
        found = (*self._providers.values(), *(limit for limits in deployments for limit in limits))
        return tuple({limit.account: limit for limit in found}.values())

    def reserve(self, one: Candidate, call: Call) -> Flow[Reservation | Refusal | None]:
        """Set aside what a call may cost at a deployment; None where no budget holds for it."""
        yield from ()
        limits = self.of(one.provider, one.deployment)
        if not limits:
            return None
        from polyport_gateway.estimate import rates_at  # with what it needs of prices, where there are budgets

        request = call.request
        fields = {name: value for name in SEEN if (value := getattr(request, name, None)) is not None}
        rates = rates_at(self._router, one.deployment)
        return (yield from self.take(limits, call.operation.function, fields, rates))

    def take(
        self, limits: tuple[Limit, ...], operation: str, fields: Mapping[str, Any], rates: Any
    ) -> Flow[Reservation | Refusal]:
        """Set aside what a request may cost, at these prices if they are known."""
        from polyport_gateway import estimate

        prompt, answer = estimate.tokens(operation, fields)
        nano = estimate.nano(prompt, answer, fields, [] if rates is None else [rates]) or 0
        now = self._clock()
        found = self._limits.reserve_now(limits, 0, nano, now)
        if found is None:
            found = yield awaiting(partial(self._reserve, limits, nano, now))
        if isinstance(found, Reservation):
            return found
        seconds = found.seconds
        return Refusal("budget", seconds, _spent(found.limit, seconds))

    async def _reserve(self, limits: tuple[Limit, ...], nano: int, now: float) -> Any:
        try:
            return await self._limits.reserve(limits, 0, nano, now)
        except ServiceUnavailableError:
            if not self._allow():
                raise
            log.warning("What was spent cannot be looked up now: a call is let go on without its provider's budget")
            return await self._limits.reserve([Limit(about=one.about) for one in limits], 0, nano, now)

    def settle(self, held: Reservation, nano: int | None) -> Flow[None]:
        """Put what was spent in the place of what was set aside; None: that is what was spent."""
        yield from ()
        spent, now = held.nano if nano is None else max(0, nano), self._clock()
        if isinstance(held, Held):
            self._limits.settle_now(held, 0, spent, now)
        else:
            yield awaiting(partial(self._limits.settle, held, 0, spent, now))

    async def enter(
        self, provider: str, one: Deployment | None, call: Call, operation: str, fields: Mapping[str, Any]
    ) -> Reservation | None:
        """Set aside what a request may cost that does not go by the router. Raises RateLimitError."""
        limits = self.of(provider, one)
        if not limits:
            return None
        from polyport.middleware.cost import rates_for

        found = await self._router.client.arun(self.take(limits, operation, fields, rates_for(call)))
        if isinstance(found, Refusal):
            raise spent_error(found)
        return found

    async def leave(self, held: Reservation, nano: int | None) -> None:
        """Settle such a request."""
        await self._router.client.arun(self.settle(held, nano))


def spent_error(found: Refusal) -> Exception:
    """Return the error of a request that can go nowhere else."""
    from polyport.errors import RateLimitError

    body = {"error": {"code": "budget_exceeded", "message": found.why}}
    return RateLimitError(
        f"This cannot be asked now: {found.why}", retry_after=found.seconds, body=body, retryable=False
    )


def _spent(limit: Limit, seconds: float | None) -> str:
    whose = " ".join(limit.about[0])
    amount = f"{(limit.budget or 0) / NANO:.9f}".rstrip("0").rstrip(".")
    again = "" if seconds is None else f", and begins anew in {seconds:.0f} s"
    return (
        f"the budget of {whose}, ${amount} {f'in {limit.duration}' if limit.duration else 'for ever'}, is spent{again}"
    )
