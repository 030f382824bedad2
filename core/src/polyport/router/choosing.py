"""Which deployments a call could go to now, and why not to each of the others: for the router and for `explain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import msgspec

from polyport import catalog
from polyport.border import Call
from polyport.errors import APIError, ContextWindowExceededError, NotFoundError, RateLimitError, ServiceUnavailableError
from polyport.flow import Flow
from polyport.plugins import Providers
from polyport.router.deployments import Deployment
from polyport.router.strategies import Candidate
from polyport.states import UNLIMITED, Refusal, Standing


class Obstacle(msgspec.Struct, frozen=True):
    """What stands against a deployment: its `kind` is operation, tags, window, rest, limit, budget, place, ..."""

    kind: str
    why: str


Hindered: TypeAlias = tuple[Candidate, Obstacle]


class Budgets(Protocol):
    """What a router asks of budgets of providers and deployments, where somebody keeps some: `Router.budgets`."""

    def reserve(self, one: Candidate, call: Call) -> Flow[Any | Refusal | None]:
        """Set aside what a call may cost there; None where no budget holds for it."""

    def settle(self, held: Any, nano: int | None) -> Flow[None]:
        """Put what was spent in its place, in nano-dollars; None: what was set aside, as nobody knows."""


class Considered(msgspec.Struct):
    """One deployment in an explanation: `why` it cannot be taken, "" where it could; `taken` if it would be."""

    id: str
    group: str
    model: str
    why: str = ""
    taken: bool = False
    standing: Standing | None = None


class Explanation(msgspec.Struct):
    """What a router would do with a call now. `fallbacks` are where it would go if the group failed for any reason."""

    group: str
    strategy: str
    considered: list[Considered]
    fallbacks: list[str] = []
    tokens: int = 0

    @property
    def taken(self) -> Considered | None:
        """The deployment that would be taken; with a strategy that draws, another call may draw another."""
        return next((one for one in self.considered if one.taken), None)


def obstacle(
    one: Candidate, call: Call, providers: Providers, tokens: int, tags: Sequence[str] | None
) -> Obstacle | None:
    """Return why a deployment cannot be taken, whatever else there is; None where it can."""
    if call.operation.hook not in providers.get(one.provider).answers and (found := _cannot(one, call, providers)):
        return found
    if tags is not None and (found := _tagged(one.deployment, tags)):
        return found
    if tokens and (found := _too_small(one, tokens)):
        return found
    if one.standing.cooling > 0:
        return _resting(one.standing)
    return None if one.deployment.limits is UNLIMITED else _full(one, tokens)


def refusal(found: Refusal | None) -> Obstacle | None:
    """Return the obstacle of a deployment that was chosen, and then could not be taken."""
    if found is None:
        return None
    if found.limit == "budget":
        return Obstacle("budget", found.why)
    return Obstacle("limit", f"its limit ({found.limit}) was reached by another call")


def _cannot(one: Candidate, call: Call, providers: Providers) -> Obstacle | None:
    answers, operation = providers.get(one.provider).answers, call.operation
    if operation.hook in answers or (operation.bridge is not None and "chat" in answers):
        return None
    return Obstacle("operation", f"{one.provider!r} has no {operation.function}")


def _tagged(deployment: Deployment, tags: Sequence[str]) -> Obstacle | None:
    """Say whether the tags of a call, maybe none, stand against it."""
    own = deployment.own.tags
    if tags:
        return None if set(tags) & set(own) else Obstacle("tags", f"has none of the tags {', '.join(tags)}")
    return None if not own or "default" in own else Obstacle("tags", "is for calls with one of its tags")


def _too_small(one: Candidate, tokens: int) -> Obstacle | None:
    window = window_of(one)
    if window is None or tokens <= window:
        return None
    return Obstacle("window", f"a context window of {window} tokens, and the call has about {tokens}")


def window_of(one: Candidate) -> int | None:
    """Return how many tokens fit a deployment, by its own `model_info`, else by what is known of its model."""
    own = one.deployment.info.get("context_window") or one.deployment.info.get("max_input_tokens")
    return int(own) if own else _known_window(one.provider, one.model)


@lru_cache(maxsize=1024)
def _known_window(provider: str, model: str) -> int | None:
    try:
        return catalog.info(provider, model).context_window
    except NotFoundError:
        return None


catalog.on_change.append(_known_window.cache_clear)


def _resting(standing: Standing) -> Obstacle:
    return Obstacle("rest", f"rests for {standing.cooling:.1f} s after failures")


def _full(one: Candidate, tokens: int) -> Obstacle | None:
    limits, standing = one.deployment.limits, one.standing
    if limits.parallel is not None and standing.busy >= limits.parallel:
        return Obstacle("limit", f"{standing.busy} calls in flight, its limit")
    if limits.rpm is not None and standing.requests >= limits.rpm:
        return Obstacle("limit", f"{standing.requests} requests in the last minute, its limit")
    if limits.tpm is not None and standing.tokens + tokens > limits.tpm:
        used = f"{standing.tokens} tokens in the last minute"
        return Obstacle("limit", f"{used}, and {tokens} more are over its limit of {limits.tpm}")
    return None


def nobody(group: str, hindered: Sequence[Hindered], refusals: Sequence[Refusal]) -> APIError:
    """Return the error for a group of which no deployment can be taken: what stands against each."""
    told = "; ".join(f"{one.deployment.id} ({one.deployment.model}): {found.why}" for one, found in hindered)
    message = f"No deployment of {group!r} can take the call: {told}"
    kinds = {found.kind for _, found in hindered}
    if kinds == {"window"}:
        return ContextWindowExceededError(message, model=group)
    if kinds <= {"operation", "tags", "window", "place"}:
        return NotFoundError(message, model=group)
    waits = [one.standing.cooling for one, found in hindered if found.kind == "rest"]
    waits += [refusal.seconds for refusal in refusals if refusal.seconds is not None]
    wait = min(waits) if waits else None
    if kinds <= {"budget", "operation", "tags", "window", "place"}:  # of no use to try again soon, but elsewhere
        body = {"error": {"code": "budget_exceeded", "message": message}}
        return RateLimitError(message, model=group, retry_after=wait, body=body, retryable=False)
    kind: type[APIError] = RateLimitError if "limit" in kinds else ServiceUnavailableError
    return kind(message, model=group, retry_after=wait)
