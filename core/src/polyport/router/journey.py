"""One routed call on its way through a group: choose a deployment, take it, run the call there, settle; and again.

The attempt engine (`middleware.retry`) drives it. A deployment that was tried is not tried again as long as there is
another. What a deployment was taken for is given back however the call ends: by its result, by the end of its
stream, by an error, or because nobody wants it any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyport.border import Call, Next
from polyport.errors import APIError, AuthenticationError, NotFoundError, PermissionDeniedError
from polyport.flow import NOW, First, Flow, Passed, Sleep, Streaming
from polyport.middleware.retry import Rules, commit
from polyport.router import choosing
from polyport.router.choosing import Budgets, Hindered, Obstacle
from polyport.router.deployments import Deployment
from polyport.router.strategies import Candidate
from polyport.states import MemoryState, Outcome, Refusal, Standing, Ticket
from polyport.types.bill import NANO
from polyport.types.record import Failure

if TYPE_CHECKING:
    from polyport.router.router import Router

#: What another deployment, with a key and a model of its own, may do better.
ELSEWHERE = (AuthenticationError, PermissionDeniedError, NotFoundError)
#: How long a call waits, in seconds, for a deployment of its group to be free again; for longer it fails at once.
LONGEST_QUEUE = 10.0
#: What the winner of a race tells of itself.
TOLD = ("provider", "model", "group", "deployment", "request_id", "headers", "cost", "bill", "provider_cost")
#: Characters that are kept of what a failed attempt said.
MESSAGE = 300
NOTHING: Mapping[str, Refusal] = {}
TRIED = Obstacle("tried", "was tried already in this call")
UNKNOWN = Standing()
APART = Obstacle("place", "is not among those that may take this call")
LATER = Obstacle("order", "stands back behind those of a lower order")


class Journey(Rules):
    """The way of one call through one group."""

    def __init__(self, router: Router, group: str, members: Sequence[Deployment], proceed: Next) -> None:
        self.router = router
        self.group = group
        self.members = members
        self.proceed = proceed
        self.tried: list[str] = []
        self._retries: int | None = None
        self._nobody: APIError | None = None
        self._unable: set[str] = set()
        #: What budgets have set aside for the deployment that was taken last.
        self._held: Any = None

    # --- what the attempt engine asks ---

    def retries(self, call: Call, error: APIError) -> int:
        """Return how many attempts may follow the first."""
        if error is self._nobody and (error.retry_after or 0.0) > LONGEST_QUEUE:
            return 0
        own = self.router.retry_policy_of(self.group).retries(error)
        if own is not None:
            return own
        if not (error.retryable or (isinstance(error, ELSEWHERE) and self._untried())):
            return 0
        given = (call.options.num_retries, self._retries, self.router.num_retries)
        return next(number for number in given if number is not None)

    def pause(self, call: Call, error: APIError, attempt: int) -> float:
        """Return no pause where another deployment is waiting, else the usual or the router's."""
        if self._untried():
            return 0.0
        return max(super().pause(call, error, attempt), self.router.retry_after)

    def _untried(self) -> bool:
        """Whether some deployment was not tried that could be."""
        return any(one.id not in self.tried and one.id not in self._unable for one in self.members)

    # --- one attempt ---

    def attempt(self, call: Call) -> Flow[Any]:
        """Run the call on one deployment; with hedging, on another as well if the first one takes its time."""
        after = self.router.hedge_after
        return self._once(call) if after is None else self._race(call, after)

    def _race(self, call: Call, after: float) -> Flow[Any]:
        arms = [replace(call, meta=replace(call.meta)) for _ in range(self.router.hedge_max)]
        flows = [self._arm(arm, after * place) for place, arm in enumerate(arms)]
        result, arm = yield First(flows)
        _tell(arm, call)
        if isinstance(result, Streaming):

            def finish(_: BaseException | None) -> Flow[None]:
                yield from ()
                _tell(arm, call)  # what a stream cost is known at its end

            result.epilogue(finish)
        return result

    def _arm(self, call: Call, delay: float) -> Flow[tuple[Any, Call]]:
        if delay:
            yield Sleep(delay)
        return (yield from self._once(call)), call

    def _once(self, call: Call) -> Flow[Any]:
        one, ticket, start = yield from self._take(call)
        held, before = self._held, 0.0 if self._held is None else call.meta.cost or 0.0
        self.tried.append(one.deployment.id)
        self._retries = one.deployment.own.max_retries
        try:
            if type(self.router.state) is not MemoryState:  # it was asked elsewhere: that was not the deployment's time
                start = yield NOW
            call = self.router.deployed(call, one)
            result = yield from self.proceed(call)
            if isinstance(result, Streaming):
                yield from commit(result)  # who answers first has won a race, not who connects first
        except BaseException as error:
            now: float = yield NOW
            if isinstance(error, APIError):
                error.hide(call.shown_to_wire)
                call.meta.failures.append(_failed(one, error, now - start))
            yield from self._settle(ticket, now, error=error)
            if held is not None:
                yield from self._pay(held, call, before, error)
            raise
        now = yield NOW
        if isinstance(result, Streaming):
            self._watch(result, ticket, now - start)
            if held is not None:
                result.epilogue(lambda error: self._pay(held, call, before, error))
        else:
            yield from self._settle(ticket, now, tokens=_tokens(result), latency=now - start)
            if held is not None:
                yield from self._pay(held, call, before)
        return result

    def _pay(self, held: Any, call: Call, before: float, error: BaseException | None = None) -> Flow[None]:
        """Settle an attempt with the budgets: one that failed cost what it told, one that was left nobody knows."""
        budgets, cost = self.router.budgets, call.meta.cost
        spent = None if cost is None else round((cost - before) * NANO)
        if isinstance(error, APIError):
            spent = spent or 0
        if budgets is not None:
            yield from budgets.settle(held, spent)

    def _watch(self, stream: Streaming[Any], ticket: Ticket, latency: float) -> None:
        """Settle at the end of a stream, which tells its tokens last."""
        used: int | None = None

        def see(chunk: Any) -> Any:
            nonlocal used
            used = _tokens(chunk.chunk if type(chunk) is Passed else chunk) or used
            return chunk

        def finish(error: BaseException | None) -> Flow[None]:
            yield from self._settle(ticket, (yield NOW), tokens=used, latency=latency, error=error)

        stream.map(see).epilogue(finish)

    # --- choosing, taking, settling ---

    def _take(self, call: Call) -> Flow[tuple[Candidate, Ticket, float]]:
        """Return the deployment that the strategy chose, its ticket, and when it was taken.

        Raises what stands against all of them.
        """
        router = self.router
        tokens = router.estimate(call, self.members)
        now: float = yield NOW
        only = self._only(call) if router.budgets is None else None
        if only is not None:
            deployment = only.deployment
            taken: Ticket | Refusal = yield from router.state.take(deployment.id, deployment.limits, tokens, now)
            if isinstance(taken, Ticket):
                return only, taken, now
        refused: dict[str, Refusal] = {}
        while True:
            standings = yield from router.state.look([one.id for one in self.members], now)
            able, unable = self.weigh(call, tokens, standings, refused)
            if not able:
                found, refusals = yield from self._ask_the_full(call, unable, tokens)
                if found is not None:
                    return (*found, now)
                refusals += [one for one in refused.values() if one.limit == "budget"]
                self._nobody = choosing.nobody(self.group, unable, refusals)
                raise self._nobody
            one = router.strategy(able, call.random, router.strategy_args)
            taken = yield from self._reach(one, call, tokens, now)
            if isinstance(taken, Ticket):
                return one, taken, now
            refused[one.deployment.id] = taken
            now = yield NOW

    def _reach(self, one: Candidate, call: Call, tokens: int, now: float) -> Flow[Ticket | Refusal]:
        """Return the flow that takes a deployment, and sets aside what the call may cost where there are budgets."""
        deployment = one.deployment
        taking = self.router.state.take(deployment.id, deployment.limits, tokens, now)
        return taking if self.router.budgets is None else self._afford(self.router.budgets, one, call, taking)

    def _afford(
        self, budgets: Budgets, one: Candidate, call: Call, taking: Flow[Ticket | Refusal]
    ) -> Flow[Ticket | Refusal]:
        held: Any = yield from budgets.reserve(one, call)
        if isinstance(held, Refusal):
            return held
        taken: Ticket | Refusal | None = None
        try:
            taken = yield from taking
        finally:
            if held is not None and not isinstance(taken, Ticket):
                yield from budgets.settle(held, 0)
        self._held = held
        return taken

    def _only(self, call: Call) -> Candidate | None:
        """Return the deployment of a group that has just one, where nothing but its limits can stand against it."""
        router = self.router
        if len(self.members) != 1 or router.tag_filtering or router.checks_windows or router.only is not None:
            return None
        deployment = self.members[0]
        provider, model = deployment.place or router.place_of(deployment)
        if call.operation.hook not in router.client.providers.get(provider).answers:
            return None
        return Candidate(deployment, UNKNOWN, provider, model)

    def _ask_the_full(
        self, call: Call, unable: Sequence[Hindered], tokens: int
    ) -> Flow[tuple[tuple[Candidate, Ticket] | None, list[Refusal]]]:
        """Return one of those at their limits that has become free meanwhile; else when each of them is free again."""
        refusals: list[Refusal] = []
        for one, obstacle in unable:
            if obstacle.kind != "limit":
                continue
            now: float = yield NOW
            taken = yield from self._reach(one, call, tokens, now)
            if isinstance(taken, Ticket):
                return (one, taken), refusals
            refusals.append(taken)
        return None, refusals

    def weigh(
        self, call: Call, tokens: int, standings: Sequence[Standing], refused: Mapping[str, Refusal] = NOTHING
    ) -> tuple[list[Candidate], list[Hindered]]:
        """Return the deployments the strategy may choose from, and the others, each with what stands against it."""
        router, providers = self.router, self.router.client.providers
        able: list[Candidate] = []
        unable: list[Hindered] = []
        tags, only = router.tags_of(call), router.only
        for deployment, standing in zip(self.members, standings, strict=True):
            provider, model = deployment.place or router.place_of(deployment)
            one = Candidate(deployment, standing, provider, model)
            if only is not None and deployment.id not in only:
                unable.append((one, APART))
                continue
            found = choosing.obstacle(one, call, providers, tokens, tags)
            if found is None and refused:
                found = choosing.refusal(refused.get(deployment.id))
            if found is not None:
                unable.append((one, found))
            else:
                able.append(one)
        self._unable = {one.deployment.id for one, _ in unable} if unable else set()
        return self._preferred(able, unable), unable

    def _preferred(self, able: list[Candidate], unable: list[Hindered]) -> list[Candidate]:
        """Return those not yet tried, of the lowest order; the rest is told why it stands back."""
        fresh = self._fresh(able, unable) if self.tried else able
        if len(fresh) <= 1:
            return fresh
        orders = {one.deployment.own.order for one in fresh}
        if len(orders) == 1:
            return fresh
        lowest = min(orders)
        unable += [(one, LATER) for one in fresh if one.deployment.own.order != lowest]
        return [one for one in fresh if one.deployment.own.order == lowest]

    def _fresh(self, able: list[Candidate], unable: list[Hindered]) -> list[Candidate]:
        rounds = self._rounds(able)
        unable += [(one, TRIED) for one in able if self.tried.count(one.deployment.id) != rounds]
        return [one for one in able if self.tried.count(one.deployment.id) == rounds]

    def _rounds(self, able: Sequence[Candidate]) -> int:
        """Return how often the least tried of them was tried."""
        return min((self.tried.count(one.deployment.id) for one in able), default=0)

    def _settle(
        self,
        ticket: Ticket,
        now: float,
        *,
        tokens: int | None = None,
        latency: float | None = None,
        error: BaseException | None = None,
    ) -> Flow[None]:
        outcome = Outcome(tokens=tokens, latency=None if error else latency)
        if isinstance(error, APIError):
            allowed = self.router.allowed_fails_of(error)
            if allowed is not None:
                outcome.failed, outcome.allowed = True, allowed
                outcome.cool = self._rest(error)
            if tokens is None and error.status_code is not None:
                outcome.tokens = 0  # refused: nothing was used
        return self.router.state.settle(ticket, outcome, now)

    def _rest(self, error: APIError) -> float:
        """Return for how long a deployment rests; a group's only one never does, as nobody could stand in for it."""
        if len(self.members) == 1:
            return 0.0
        return max(self.router.cooldown_time, error.retry_after or 0.0)


def _tell(arm: Call, call: Call) -> None:
    for name in TOLD:
        setattr(call.meta, name, getattr(arm.meta, name))


def _failed(one: Candidate, error: APIError, seconds: float) -> Failure:
    return Failure(
        deployment=one.deployment.id,
        provider=one.provider,
        error=type(error).__name__,
        message=error.message[:MESSAGE],
        status=error.status_code,
        seconds=round(seconds, 6),
    )


def _tokens(result: Any) -> int | None:
    """Return the tokens that a result or a chunk says were used; None where it does not say."""
    usage = getattr(result, "usage", None)
    total = getattr(usage, "total_tokens", None)
    return total if isinstance(total, int) and total else None
