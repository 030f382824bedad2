"""Router: model groups over deployments; every operation of the interface, routed, retried and falling back.

    router = Router(model_list=[
        {"model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o", "api_key": "...", "rpm": 500}},
        {"model_name": "gpt-4o", "litellm_params": {"model": "azure/team-4o", "api_base": "...", "api_key": "..."}},
    ], routing_strategy="least-busy", fallbacks=[{"gpt-4o": ["claude"]}])
    router.completion("gpt-4o", messages)

The way of a call: the client's onion → fallbacks (from group to group) → retry (from deployment to deployment) → the
provider. It is one flow, so blocking, asynchronous and simulated calls behave alike.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from msgspec.structs import replace

from polyport import ids, plugins, tokens
from polyport.border import Call, Middleware, Next
from polyport.building import complete
from polyport.client import MAX_ROUTES, Client
from polyport.errors import APIError, BadRequestError, PluginError
from polyport.flow import NOW, Flow
from polyport.interface import Closing, Interface
from polyport.middleware.cost import cost
from polyport.middleware.fallbacks import Following, fallbacks, may_help
from polyport.middleware.retry import DEFAULT_RETRIES, retry
from polyport.operations import BY_FUNCTION, Operation
from polyport.pricefile import of_params
from polyport.router import choosing, policies, strategies
from polyport.router.deployments import Deployment, read
from polyport.router.groups import Groups
from polyport.router.journey import Journey
from polyport.router.lanes import Lane
from polyport.router.policies import AllowedFailsPolicy, Detours, RetryPolicy
from polyport.router.strategies import Candidate
from polyport.routing import resolve
from polyport.states import MemoryState, State
from polyport.types.record import SECRET_SETTING, Options

#: Entry points of states: name -> what makes one of `url`, `host`, `port` and `password`.
STATES = "polyport.states"
#: Options of a deployment that are for calls of its model alone.
OF_MODEL = frozenset({"extra_body", "prices"})
DEFAULT_COOLDOWN = 5.0
DEFAULT_ALLOWED_FAILS = 3
DEFAULT_MAX_FALLBACKS = 5


class Router(Closing, Interface):
    """Routes calls to deployments. The parameters have the names users of LiteLLM's router know; times are in seconds.

    `model_list` is described in `router.deployments`. `num_retries` attempts may follow the first, each on another
    deployment where there is one; `retry_policy` and `model_group_retry_policy` say so by class of error.
    A deployment with more than `allowed_fails` failures a minute (or one that a retry soon cannot help) rests for
    `cooldown_time`. `fallbacks`, `context_window_fallbacks`, `content_policy_fallbacks` name groups to go to when one
    fails, `default_fallbacks` those for groups without any; at most `max_fallbacks` of them in one call.
    `enable_pre_call_checks` leaves out deployments whose context window the call does not fit, as
    `context_window_fallbacks` do by themselves. `enable_tag_filtering` goes by `tags` of deployments and of calls.
    `hedge_after` seconds without an answer, the call is sent to another deployment as well, up to `hedge_max` at a
    time, and the first answer is taken. `state` is shared between routers; `redis_url`, or `redis_host` with its
    port and password, asks for `polyport-redis`.
    """

    def __init__(
        self,
        model_list: Iterable[Mapping[str, Any]] = (),
        *,
        routing_strategy: str | strategies.Strategy = "simple-shuffle",
        routing_strategy_args: Mapping[str, Any] | None = None,
        num_retries: int = DEFAULT_RETRIES,
        retry_after: float = 0.0,
        retry_policy: RetryPolicy | Mapping[str, int] | None = None,
        model_group_retry_policy: Mapping[str, RetryPolicy | Mapping[str, int]] | None = None,
        timeout: float | None = None,
        stream_timeout: float | None = None,
        fallbacks: Sequence[Mapping[str, Sequence[str]]] | Mapping[str, Sequence[str]] | None = None,
        context_window_fallbacks: Sequence[Mapping[str, Sequence[str]]] | Mapping[str, Sequence[str]] | None = None,
        content_policy_fallbacks: Sequence[Mapping[str, Sequence[str]]] | Mapping[str, Sequence[str]] | None = None,
        default_fallbacks: Sequence[str] = (),
        max_fallbacks: int = DEFAULT_MAX_FALLBACKS,
        cooldown_time: float = DEFAULT_COOLDOWN,
        allowed_fails: int = DEFAULT_ALLOWED_FAILS,
        allowed_fails_policy: AllowedFailsPolicy | Mapping[str, int] | None = None,
        disable_cooldowns: bool = False,
        model_group_alias: Mapping[str, Any] | None = None,
        enable_pre_call_checks: bool = False,
        enable_tag_filtering: bool = False,
        hedge_after: float | None = None,
        hedge_max: int = 2,
        default_litellm_params: Mapping[str, Any] | None = None,
        state: State | None = None,
        redis_url: str | None = None,
        redis_host: str | None = None,
        redis_port: int | None = None,
        redis_password: str | None = None,
        client: Client | None = None,
        **client_options: Any,
    ) -> None:
        if client is not None and client_options:
            raise BadRequestError(f"{', '.join(client_options)}: give these to the client that the router is given")
        self.client = client or Client(**client_options)
        self.num_retries, self.retry_after = num_retries, retry_after
        self.timeout, self.stream_timeout = timeout, stream_timeout
        self.cooldown_time = 0.0 if disable_cooldowns else cooldown_time
        self.allowed_fails, self.max_fallbacks = allowed_fails, max_fallbacks
        self.hedge_after, self.hedge_max = hedge_after, max(1, hedge_max)
        if not isinstance(routing_strategy, str) and not callable(routing_strategy):
            raise BadRequestError(f"routing_strategy is a name or a function, not {type(routing_strategy).__name__}")
        self.strategy_name = routing_strategy if isinstance(routing_strategy, str) else routing_strategy.__name__
        self.strategy = strategies.find(routing_strategy) if isinstance(routing_strategy, str) else routing_strategy
        self.strategy_args = dict(routing_strategy_args or {})
        self.tag_filtering = enable_tag_filtering
        self.checks_windows = enable_pre_call_checks or bool(context_window_fallbacks)
        self._retry_policy = policies.policy(retry_policy, RetryPolicy, "$.retry_policy")
        self._group_policies = {
            group: policies.policy(given, RetryPolicy, f"$.model_group_retry_policy.{group}")
            for group, given in (model_group_retry_policy or {}).items()
        }
        self._fails_policy = policies.policy(allowed_fails_policy, AllowedFailsPolicy, "$.allowed_fails_policy")
        self._defaults = dict(default_litellm_params or {})
        self._aliases = dict(model_group_alias or {})
        #: The ids of the deployments that may be taken, where not all may: see `within`.
        self.only: frozenset[str] | None = None
        #: Who keeps budgets of providers and deployments, where somebody does.
        self.budgets: choosing.Budgets | None = None
        self._changing = threading.Lock()
        #: By deployment the options last made for it: most calls bring none of their own.
        self._options: dict[str, tuple[Options, Deployment, Any, Options]] = {}
        self.groups = Groups(self._read(model_list), self._aliases)
        #: The groups last seen, and the short ways to them by (hook, name).
        self._lanes: tuple[Groups, dict[tuple[str, str], Lane]] = (self.groups, {})
        self.detours = Detours(
            general=policies.table(fallbacks, "fallbacks"),
            context_window=policies.table(context_window_fallbacks, "context_window_fallbacks"),
            content_policy=policies.table(content_policy_fallbacks, "content_policy_fallbacks"),
            default=list(default_fallbacks),
        )
        policies.check_names(self.detours, self.groups.names(), self._answers)
        self.state: State = state or _state(redis_url, redis_host, redis_port, redis_password)

    def within(self, ids: Collection[str]) -> Self:
        """Return a router that takes these deployments alone, and falls back to no others.

        It shares all else with this one, what is known of deployments included, and is closed with it.
        """
        made = copy.copy(self)
        made.only, made._lanes = frozenset(ids), (made.groups, {})
        return made

    def may_take(self, one: Deployment) -> bool:
        """Whether a deployment is among those that may be taken."""
        return self.only is None or one.id in self.only

    # --- the entry ---

    def _call(self, operation: Operation, fields: dict[str, Any]) -> Any:
        call, flow = self._plan(operation, fields)
        return self.client.perform(flow, call)

    async def _acall(self, operation: Operation, fields: dict[str, Any]) -> Any:
        call, flow = self._plan(operation, fields)
        return await self.client.aperform(flow, call)

    def flow(self, function: str, **fields: Any) -> Flow[Any]:
        """Return the flow of a call without running it: for drivers of your own, such as the simulation."""
        return self.plan(function, **fields)[1]

    def plan(
        self, function: str, *, relay: str = "", attempt: Middleware | None = None, **fields: Any
    ) -> tuple[Call, Flow[Any]]:
        """Return a call and its flow without running it; the call's `meta` tells what happens, failures included.

        With `relay`, the wire that is wanted, a stream may be one of `Passed`: see `Streaming.relay`. `attempt` is
        around each attempt, when its deployment is known: it may make the request anew for who is asked.
        """
        return self._plan(BY_FUNCTION[function], fields, relay=relay, attempt=attempt)

    def _plan(
        self, operation: Operation, fields: dict[str, Any], *, relay: str = "", attempt: Middleware | None = None
    ) -> tuple[Call, Flow[Any]]:
        planned = self._straight(operation, fields, relay=relay) if attempt is None else None
        if planned is not None:
            return planned
        call = self._prepare(operation, fields)
        call.relay = relay
        if not call.group:
            return call, self.client.onion(call)
        bare = call.options
        routed = self._routed if attempt is None else self._routing(attempt)
        lent = self._lend_prices(call)
        if lent is None:
            return call, self.client.onion(call, routed)
        with_prices = call.options

        def without_lent(call: Call) -> Flow[Any]:
            if call.options.prices is lent:
                untouched = call.options is with_prices
                call = replace(call, options=bare if untouched else replace(call.options, prices=None))
            return routed(call)

        return call, self.client.onion(call, without_lent)

    def _straight(self, operation: Operation, fields: dict[str, Any], *, relay: str) -> tuple[Call, Flow[Any]] | None:
        """Return a call and its flow by the short way; None where it has to go the usual one. See `router.lanes`."""
        groups, known = self.groups, self._lanes
        if groups is not known[0]:
            known = self._lanes = groups, {}
        lanes, name = known[1], fields.get("model")
        if type(name) is not str or self.hedge_after is not None or not self.client.is_bare():
            return None
        place = operation.hook, name
        lane = lanes.get(place)
        if lane is None:
            members = groups.find(name)
            if not members or len(lanes) >= MAX_ROUTES:
                return None
            lane = lanes[place] = Lane(self, operation, name, members)
        return lane.plan(fields, relay=relay)

    def _routed(self, call: Call) -> Flow[Any]:
        """Return the flow within the client's onion."""
        return self.detouring(call, self.through_group)

    def _routing(self, attempt: Middleware) -> Next:
        """Return what `_routed` does, with something around each attempt."""

        def sent(call: Call) -> Flow[Any]:
            return cost(call, lambda call: attempt(call, self.client.send))

        return lambda call: self.detouring(call, lambda call: self.through_group(call, sent))

    def detouring(self, call: Call, proceed: Next) -> Flow[Any]:
        """Return the flow of a call through its group by `proceed`, and through those it falls back to."""
        if call.options.fallbacks is None and self.detours.lead_nowhere:
            return proceed(call)
        return fallbacks(call, proceed, self._following(call))

    def _lend_prices(self, call: Call) -> dict[str, Any] | None:
        """Give the layers around the router the prices of the group's first deployment, for their estimates."""
        first = self.groups.of(call.group)[0]
        own = first.options.get("prices") or (of_params(first.extra) if first.extra else None)
        if own is None or call.options.prices is not None:
            return None
        lent = {**own}
        call.options = replace(call.options, prices=lent)
        return lent

    def _prepare(self, operation: Operation, fields: dict[str, Any]) -> Call:
        """Return the call, as yet at the first deployment of its group."""
        group = fields.get("model")
        if group is None:
            lender = self._lend(operation, fields)
            call = self.client.prepare(operation, fields)
            call.meta.deployment = lender
            return call
        first = self.groups.of(group)[0] if isinstance(group, str) else None
        if first is not None:
            fields["model"] = first.model
            if "provider" in first.options:
                fields["provider"] = first.options["provider"]
        call = self.client.prepare(operation, fields)
        call.group = str(group)
        return call

    def _lend(self, operation: Operation, fields: dict[str, Any]) -> str | None:
        """Give a call that is about a file, a batch or a job, not a model, its deployment's account; return its id.

        A job's id names it; else it is the first of the provider's. Prices are a job's own deployment's alone.
        """
        issued = ids.read(str(fields.get(operation.id_field))) if operation.id_field else None
        provider = self.client.provider_of(operation, fields)
        there = [one for one in self.groups.all() if provider and self.place_of(one)[0] == provider]
        own = [one for one in there if issued is not None and one.id == issued.deployment]
        for one in (own or there)[:1]:
            lent = self.account_of(one)
            prices = one.options.get("prices") or of_params(one.extra)
            if own and prices is not None:
                lent["prices"] = prices
            for name, value in lent.items():
                fields.setdefault(name, value)
            return one.id
        return None

    def account_of(self, one: Deployment) -> dict[str, Any]:
        """Return the parameters of a deployment that any call to its account needs: key, address, provider's settings.

        What it adds to requests of its model is left out: `temperature`, `extra_body`, prices.
        """
        plugin = self.client.providers.get(self.place_of(one)[0]).plugin
        settings = {name for setting in plugin.settings for name in setting.names}
        extra = {name: it for name, it in one.extra.items() if name in settings or SECRET_SETTING.fullmatch(name)}
        return extra | {name: it for name, it in one.options.items() if name not in OF_MODEL}

    # --- from group to group ---

    def _following(self, call: Call) -> Following:
        """Return the way from a failed group: the call's own fallbacks, or the router's; none is gone to twice."""
        seen = [call.group]
        queue: list[str] = []
        own = call.options.fallbacks

        def following(call: Call, error: APIError) -> Call | None:
            targets = own if own is not None else self.detours.after(call.group, error)
            for name in targets:
                if name not in seen and name not in queue and self._leads_there(name):
                    queue.append(name)
            if not queue or not may_help(error) or len(seen) > self.max_fallbacks:
                return None
            seen.append(queue.pop(0))
            return replace(call, group=seen[-1])

        return following

    def _leads_there(self, group: str) -> bool:
        """Whether any deployment of a group may be taken."""
        return self.only is None or any(self.may_take(one) for one in self.groups.find(group))

    def through_group(self, call: Call, sent: Next | None = None) -> Flow[Any]:
        """Return the flow of a call through its group; `sent` is one attempt at a deployment, with what it cost."""
        journey = Journey(self, call.group, self._detoured(call.group), sent or self._sent)
        return retry(call, journey.attempt, journey)

    def _sent(self, call: Call) -> Flow[Any]:
        return cost(call, self.client.send)

    def _detoured(self, name: str) -> list[Deployment]:
        """Return the deployments of a fallback: a group's, or for the name of a model that is no group, the model."""
        found = self.groups.find(name)
        if found or not self._answers(name):
            return found or self.groups.of(name)
        return [self._read_one({"model_name": name, "params": {"model": name}}, f"fallback {name!r}")]

    # --- what a journey asks ---

    def place_of(self, one: Deployment) -> tuple[str, str]:
        """Return the provider, and its own name of the model, that a deployment's model leads to."""
        found = one.place
        if found is None:
            found = one.place = resolve(one.model, self.client.providers, one.options.get("provider"))
        return found

    def deployed(self, call: Call, one: Candidate) -> Call:
        """Return the call as it goes to a deployment: with its model, credentials, time limit and own parameters."""
        merged = self._merged(call.options, one.deployment, self._time_limit(call, one.deployment))
        request = replace(call.request, model=one.model, options=merged)
        request.__dict__.update(call.request.__dict__)
        if one.deployment.extra:
            complete(request, one.deployment.extra, f"deployment {one.deployment.id}")
        call.meta.deployment, call.meta.group = one.deployment.id, call.group
        return replace(
            call,
            request=request,
            provider=self.client.providers.get(one.provider),
            options=merged,
            api_key=merged.api_key or self.client.key_of(one.provider),
        )

    def _merged(self, given: Options, deployment: Deployment, limit: Any) -> Options:
        """Return a call's options, and what they leave open by the deployment's; most calls have the client's own."""
        before = self._options.get(deployment.id)
        if before is not None and before[0] is given and before[1] is deployment and before[2] == limit:
            return before[3]
        options = {name: value for name, value in deployment.options.items() if name != "provider"}
        if limit is not None:
            options["timeout"] = limit
        changes = {name: value for name, value in options.items() if getattr(given, name) is None}
        merged: Options = replace(given, **changes) if changes else given
        if len(self._options) < MAX_ROUTES:
            self._options[deployment.id] = (given, deployment, limit, merged)
        return merged

    def _time_limit(self, call: Call, deployment: Deployment) -> Any:
        if getattr(call.request, "stream", None):
            limit = deployment.own.stream_timeout or self.stream_timeout
            if limit is not None:
                return limit
        return deployment.options.get("timeout", self.timeout)

    def estimate(self, call: Call, members: Sequence[Deployment]) -> int:
        """Return about how many tokens the call's input has; 0 where nothing goes by it."""
        if not self.checks_windows:
            for one in members:
                if one.limits.tpm:
                    break
            else:
                return 0
        return tokens.of_request(call.request)

    def retry_policy_of(self, group: str) -> RetryPolicy:
        """Return a group's own policy, else the router's."""
        policy: RetryPolicy = self._group_policies.get(group, self._retry_policy)
        return policy

    def allowed_fails_of(self, error: APIError) -> int | None:
        """Return how many failures like this one are allowed a minute; None where it says nothing of a deployment."""
        allowed: int | None = self._fails_policy.allowed(error, self.allowed_fails)
        return allowed

    def tags_of(self, call: Call) -> Sequence[str] | None:
        """Return the tags of a call, from `tags` or `metadata.tags`; None where the router does not go by them."""
        if not self.tag_filtering:
            return None
        metadata = getattr(call.request, "metadata", None) or {}
        tags = call.request.extra.get("tags") or metadata.get("tags") or ()
        return [tags] if isinstance(tags, str) else list(tags)

    # --- explaining ---

    def explain(self, model: str, messages: Any = None, **params: Any) -> choosing.Explanation:
        """Say which deployments were considered for a call now, which one would be taken, and why not the others."""
        return self.client.run(self._explain(model, messages, params))

    async def aexplain(self, model: str, messages: Any = None, **params: Any) -> choosing.Explanation:
        """`explain`, asynchronously."""
        return await self.client.arun(self._explain(model, messages, params))

    def _explain(self, model: str, messages: Any, params: dict[str, Any]) -> Flow[choosing.Explanation]:
        function = params.pop("function", "completion")
        if messages is not None or function == "completion":
            params["messages"] = messages or []
        call = self._prepare(BY_FUNCTION[function], {"model": model, **params})
        journey = Journey(self, call.group, self.groups.of(call.group), self.client.send)
        estimate = self.estimate(call, journey.members)
        standings = yield from self.state.look([one.id for one in journey.members], (yield NOW))
        able, unable = journey.weigh(call, estimate, standings)
        chosen = self.strategy(able, call.random, self.strategy_args) if able else None
        told = [(one, "" if one is chosen else "could be taken; the strategy chose another") for one in able]
        told += [(one, obstacle.why) for one, obstacle in unable]
        considered = [
            choosing.Considered(
                id=one.deployment.id,
                group=one.deployment.group,
                model=f"{one.provider}/{one.model}",
                why=why,
                taken=one is chosen,
                standing=one.standing,
            )
            for one, why in told
        ]
        further = self.detours.general.get(call.group) or self.detours.default
        return choosing.Explanation(call.group, self.strategy_name, considered, list(further), estimate)

    # --- deployments added and removed at run time ---

    def set_model_list(self, model_list: Iterable[Mapping[str, Any]]) -> None:
        """Replace all deployments. Calls on their way finish where they are."""
        with self._changing:
            self.groups = Groups(self._read(model_list), self._aliases)

    def add_deployment(self, entry: Mapping[str, Any]) -> Deployment:
        """Add a deployment, given as an entry of `model_list`, and return it. Raises BadRequestError for a known id."""
        with self._changing:
            made = self._read_one(entry, "$")
            self.groups = Groups([*self.groups.all(), made], self._aliases)
            return made

    def upsert_deployment(self, entry: Mapping[str, Any]) -> Deployment:
        """Add a deployment, or replace the one with its id, and return it."""
        with self._changing:
            made = self._read_one(entry, "$")
            self.groups = Groups([*(one for one in self.groups.all() if one.id != made.id), made], self._aliases)
            return made

    def delete_deployment(self, id: str) -> Deployment | None:
        """Remove a deployment by its id and return it; None where there is none."""
        with self._changing:
            found = next((one for one in self.groups.all() if one.id == id), None)
            if found is not None:
                self.groups = Groups([one for one in self.groups.all() if one is not found], self._aliases)
        if found is not None:
            self.client.run(self.state.forget([id]))
        return found

    def get_model_names(self) -> list[str]:
        """Return the names that callers may use."""
        return self.groups.names()

    def get_model_list(self, model_name: str | None = None) -> list[dict[str, Any]]:
        """Return the deployments, of one group or all, without what is secret."""
        found = self.groups.all() if model_name is None else self.groups.of(model_name)
        return [{"model_name": one.group, "params": {"model": one.model}, "model_info": {**one.info, "id": one.id}}
                for one in found]  # fmt: skip

    def _read(self, model_list: Iterable[Mapping[str, Any]]) -> list[Deployment]:
        return [self._read_one(entry, f"$.model_list[{place}]") for place, entry in enumerate(model_list)]

    def _read_one(self, entry: Mapping[str, Any], path: str) -> Deployment:
        if self._defaults:
            named = "litellm_params" if "litellm_params" in entry else "params"
            entry = {**entry, named: {**self._defaults, **(entry.get(named) or {})}}
        return read(entry, self.client.secrets, path)

    def _answers(self, name: str) -> bool:
        """Whether a fallback to a name can be answered: a group, or a model of an installed provider."""
        return self.groups.has(name) or self.client.providers.has(name.partition("/")[0])

    # --- the end ---

    def close(self) -> None:
        """Close the client and the state."""
        self.client.close()
        self.state.close()

    async def aclose(self) -> None:
        """Close the client and the state, what belongs to this event loop included."""
        await self.client.aclose()
        await self.state.aclose()

    def __repr__(self) -> str:
        return f"<polyport.Router {', '.join(self.get_model_names())}>"


def _state(url: str | None, host: str | None, port: int | None, password: str | None) -> State:
    """Return a state in Redis where one is named, by `polyport-redis`; else one in this process."""
    if url is None and host is None:
        return MemoryState()
    entry = plugins.find(STATES, "redis")
    if entry is None:
        raise PluginError("A state in Redis needs polyport-redis: pip install polyport-redis")
    made: State = plugins.load(entry)(url=url, host=host, port=port, password=password)
    return made
