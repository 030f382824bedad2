"""What serves: one configuration's router, and the requests that are on their way through it.

A request stays with what it began with. A reload puts another in its place; the old one is closed when its last
request is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from polyport import catalog, ids
from polyport.errors import BadRequestError, NotFoundError, PolyportError
from polyport.observing.event import Observer
from polyport.operations import Operation
from polyport.prices import Rates, rates_of
from polyport.router import Router
from polyport.router.deployments import Deployment
from polyport.states import State
from polyport_gateway import custom_auth, team_observers
from polyport_gateway.config import Config
from polyport_gateway.estimate import rates_at
from polyport_gateway.gate import Admission, GateError

#: What of batches no guardrail sees.
IN_BATCHES = "what a batch asks and answers: ask one by one"


class Calls(list[Any]):
    """The calls of models that one request makes, as Anthropic's batches have them: no body is one by itself."""

    def each(self) -> dict[str, Mapping[str, Any]]:
        """Return the parameters of each, by where they stand."""
        params = [one.get("params") if isinstance(one, dict) else None for one in self]
        return {f"$.requests[{n}].params": one if isinstance(one, dict) else {} for n, one in enumerate(params)}


class Running:
    """A configuration at work. `state` is what is known of deployments already, where it goes on.

    `prompts` sees what is asked and answered, where the terms say so.
    """

    def __init__(self, config: Config, state: State | None = None, prompts: Observer | None = None) -> None:
        self.config = config
        kept = prompts is not None and config.general.terms.store_prompts
        of_teams = team_observers.observers(config.general.terms.observers)
        self.router: Router = config.router(state, [*([prompts] if kept else []), *of_teams])
        self.general = config.general
        self.max_json = int(self.general.max_request_size_mb * 1024 * 1024)
        self.max_upload = int(self.general.max_upload_size_mb * 1024 * 1024)
        most = self.general.max_response_size_mb
        self.max_response = None if most is None else int(most * 1024 * 1024)
        self.fence = self.general.fence()
        self.forwards = self.general.forwards
        self.custom = custom_auth.load(self.general.given, config.folder)
        self.providers = self._providers()
        #: Names of the providers' own settings, which are no caller's to choose.
        self.settings = frozenset(
            name
            for provider in self.providers
            for setting in self.router.client.providers.get(provider).plugin.settings
            for name in setting.names
        )
        #: What tells accounts apart, by a deployment's id, each with the deployment: see `pinning`.
        self.accounts: dict[str, tuple[Deployment, str]] = {}
        self.in_flight = 0
        self._replaced = False

    def _providers(self) -> list[str]:
        """Return the providers that the configuration leads to. Raises what is wrong with one."""
        found: dict[str, None] = {}
        for one in self.router.groups.all():
            if one.model == "*":
                return self.router.client.providers.names()
            found[self.router.place_of(one)[0]] = None
        return list(found)

    # --- a caller's models ---

    def names(self, admission: Admission) -> list[str]:
        """Return the models that a caller may ask for; of a pattern, those known that it fits."""
        groups = self.router.groups
        plain = [name for name in groups.names() if "*" not in name]
        if len(plain) != len(groups.names()):
            plain += [name for name in catalog.names(self.providers) if name not in plain and groups.has(name)]
        return [name for name in [*plain, *admission.aliases] if allowed(name, admission)]

    def choose(self, fields: dict[str, Any], admission: Admission) -> None:
        """Put what a caller's names stand for in their place. Raises GateError for what it may not have."""
        model = fields.get("model")
        if isinstance(model, str):
            self.demand(fields)
            model = fields["model"] = admission.aliases.get(model, model)
            self._may(model, admission)
        if admission.policy is not None:
            admission.policy.apply(fields)
        for name in fields.get("fallbacks") or ():
            self._may(str(name), admission)
            self.router.groups.of(str(name))

    def demand(self, fields: Mapping[str, Any]) -> None:
        """Raise what is wrong with a call of a model that says too little, or is for a customer who is blocked."""
        wanted, blocked = self.general.required_params, self.general.terms.blocked_customers
        if not wanted and not blocked:
            return
        calls = fields.get("requests")
        each = calls.each() if isinstance(calls, Calls) else {"$": fields}
        for place, one in each.items():
            require(wanted, one, place)
            if blocked and user_of(one) in blocked:
                raise GateError(403, "customer_blocked", "This customer is blocked.")

    @property
    def demands(self) -> bool:
        """Whether it matters what calls of models say of themselves."""
        return bool(self.general.required_params or self.general.terms.blocked_customers)

    def _may(self, model: str, admission: Admission) -> None:
        if not allowed(model, admission):
            raise GateError(403, "model_not_allowed", f"This key may not use {model[:200]!r}.")

    def has(self, operation: Operation, model: str) -> bool:
        """Whether a provider of a model answers an operation by itself."""
        router = self.router
        places = [router.place_of(one)[0] for one in router.groups.of(model)]
        return any(operation.hook in router.client.providers.get(provider).answers for provider in places)

    def speaks(self, wire: str, model: str) -> bool:
        """Whether all that may answer for a model take a dialect's own parameters."""
        router = self.router
        places = [router.place_of(one) for one in router.groups.of(model)]
        return all(router.client.providers.get(provider).plugin.wire_of(name) == wire for provider, name in places)

    def upstream(self, model: str) -> str:
        """Return the provider's own name of a model."""
        return self.router.place_of(self.router.groups.of(model)[0])[1]

    def group_of(self, provider: str, model: str) -> str:
        """Return by what name a provider's model is asked for here; its own where it has none."""
        model = model.removeprefix(f"{provider}/")
        for one in self.router.groups.all():
            if one.model != "*" and self.router.place_of(one) == (provider, model):
                return one.group
        return model

    def may_use(self, admission: Admission, provider: str, model: str) -> bool:
        """Whether a caller may ask for a provider's model, by any name that it has here."""
        model = model.removeprefix(f"{provider}/")
        names = {
            one.group
            for one in self.router.groups.all()
            if one.model != "*" and self.router.place_of(one) == (provider, model)
        }
        return any(allowed(name, admission) for name in names or (model, f"{provider}/{model}"))

    def rates_of(self, provider: str, model: str) -> Rates | None:
        """Return the prices of a provider's model, those of its deployment first; None where nobody knows."""
        model = model.removeprefix(f"{provider}/")
        for one in self.router.groups.all():
            if one.model != "*" and self.router.place_of(one) == (provider, model):
                return rates_at(self.router, one)
        try:
            return rates_of(provider, model) if model else None
        except PolyportError:
            return None

    def is_guarded(self, admission: Admission) -> bool:
        """Whether a guardrail has to see the calls of this caller: one that is always on, for all or for them."""
        rails = self.config.options.get("guardrails") or ()
        standing = any(self._params(one).get("default_on", True) for one in rails)
        return standing or (admission.policy is not None and bool(admission.policy.guardrails))

    def refuse_guarded(self, admission: Admission, what: str) -> None:
        """Raise GateError, 403, where a guardrail would have to see what it cannot."""
        if self.is_guarded(admission):
            raise GateError(403, "guardrails", f"Guardrails cannot see {what}.")

    @staticmethod
    def _params(rail: Any) -> Mapping[str, Any]:
        found = rail.get("litellm_params") or rail.get("params") if isinstance(rail, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    # --- calls that are about a file, a batch or a job ---

    def place(self, operation: Operation, fields: dict[str, Any]) -> None:
        """Say which provider a call without a model is for. Raises BadRequestError where that is not clear."""
        if "model" in fields:
            return
        if not operation.by_provider and operation.id_field is None:
            raise BadRequestError("A model is missing at $.model: GET /v1/models lists them")
        issued = ids.read(str(fields.get(operation.id_field))) if operation.id_field else None
        provider = issued.provider if issued is not None else fields.get("provider")
        able = [name for name in self.providers if operation.hook in self.router.client.providers.get(name).answers]
        if provider is None and len(able) == 1:
            fields["provider"] = able[0]
        elif provider not in able:
            there = ", ".join(able) or "none"
            raise NotFoundError(f"{operation.function} needs to know whom to ask: ?provider=... of these: {there}")

    # --- its life ---

    def __enter__(self) -> Self:
        self.in_flight += 1
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.in_flight -= 1

    @property
    def over(self) -> bool:
        """Whether it was replaced and its last request is over."""
        return self._replaced and not self.in_flight

    def replace(self) -> None:
        """Take note that another has its place."""
        self._replaced = True

    async def aclose(self) -> None:
        """Close the router with all its connections."""
        await self.router.aclose()


def allowed(model: str, admission: Admission) -> bool:
    """Whether a caller may ask for a model; `group/*` among its models stands for all that begin so."""
    models = admission.models
    return models is None or model in models or any(
        name.endswith("*") and model.startswith(name[:-1]) for name in models
    )  # fmt: skip


def user_of(fields: Mapping[str, Any]) -> str | None:
    """Return the customer that a request is for, as OpenAI's and Anthropic's SDKs say it."""
    metadata = fields.get("metadata")
    user = fields.get("user") or (metadata.get("user_id") if isinstance(metadata, dict) else None)
    return user[:256] if isinstance(user, str) and user else None


def require(names: Iterable[str], fields: Mapping[str, Any], place: str = "$") -> None:
    """Raise BadRequestError for a call of a model that leaves out what this gateway wants to be told."""
    for name in names:
        found = user_of(fields) if name == "user" else _at(fields, name)
        if found is None or found == "":
            raise BadRequestError(f"This gateway wants {place}.{name} in every call of a model")


def _at(fields: Mapping[str, Any], name: str) -> Any:
    found: Any = fields
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
