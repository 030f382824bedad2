"""general_settings' part about accounts, checked: what is kept for how long, limits for all, and for who has none.

general_settings:
  ledger_retention_days: 90            # single requests; hours_retention_days: of roll-ups by hour; days are kept
  store_prompts: false                 # true: what was asked and answered, for prompt_retention_days (30)
  global_limits: {rpm_limit: 6000, max_budget: 500, budget_duration: 1d}
  default_key_params: {max_budget: 10, budget_duration: 1mo}     # default_user_params, default_team_params,
  default_customer_params: {rpm_limit: 10}                       # the last also for customers nobody set up
  budget_webhook: https://example.com/hooks/budget               # told of soft budgets that are crossed
  budget_webhook_secret: os.environ/WEBHOOK_SECRET               # signs what it is told; else the master key does
  batch_check_interval: 300            # about how many seconds lie between two looks at a batch that was started
  unpriced_batch_hold: 5               # USD that a batch holds of budgets whose cost nobody can foresee, else none
  shared_within: team                  # who sees a key's files, batches and jobs: key, user or team
  blocked_customers: [spammer]         # whose calls are refused; or a file with one on each line
  team_callbacks: {ml: {callbacks: [otel]}}    # who sees the calls of a team: see team_observers.py
  tag_budgets: {"product:bot": {max_budget: 10, budget_duration: 1d}}        # of all calls that have a tag
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from polyport.errors import BadRequestError
from polyport_gateway import issuing, purses, team_observers
from polyport_gateway.fields import KINDS, LIMITS, MODEL_LIMITS, read as read_fields
from polyport_gateway.identity import COLUMNS, Party, party_of
from polyport_gateway.rows import BudgetRow

#: Settings, and what each means.
TERMS: dict[str, str] = {
    "ledger_retention_days": "how long single requests are kept: for ever",
    "hours_retention_days": "how long roll-ups by hour are kept: for ever",
    "store_prompts": "whether what was asked and answered is kept, for admins to see: false",
    "prompt_retention_days": "how long that is kept: 30",
    "global_limits": "limits of the whole gateway: {rpm_limit: ..., max_budget: ..., budget_duration: ...}",
    "default_key_params": "what new keys get that do not say otherwise: {max_budget: ...}",
    "default_user_params": "what new users get that do not say otherwise",
    "default_team_params": "what new teams get that do not say otherwise",
    "default_customer_params": "what customers get that do not say otherwise, set up or not",
    "budget_webhook": "an address that is told of soft budgets that are crossed",
    "budget_webhook_secret": "what signs that, by HMAC; else the master key does",
    "batch_check_interval": "about how many seconds lie between two looks at a batch that was started: 300",
    "unpriced_batch_hold": "USD that a batch holds of budgets whose cost nobody can foresee: 0",
    "shared_within": "who sees the files, batches and jobs of a key: key, user or team: key",
    "upperbound_key_params": "what keys have at most, and where they do not say: {max_budget: ..., duration: ...}",
    "key_generation_settings": "who may make keys, and what has to be said of them: {team_key_generation: ...}",
    "blocked_customers": "whose calls are refused: a list, or a file with one on each line",
    "team_callbacks": "who sees the calls of single teams: {team: {callbacks: [langfuse], langfuse_public_key: ...}}",
    "tag_budgets": "what calls with a tag may cost together: {tag: {max_budget: ..., budget_duration: ...}}",
}
#: Names in LiteLLM's files -> ours.
RENAMED = {
    "default_key_generate_params": "default_key_params",
    "default_internal_user_params": "default_user_params",
    "upperbound_key_generate_params": "upperbound_key_params",
    "blocked_user_list": "blocked_customers",
    "tag_budget_config": "tag_budgets",
    "store_prompts_in_spend_logs": "store_prompts",
    "maximum_spend_logs_retention_period": "ledger_retention_days",
    "global_max_parallel_requests": "global_limits",
}
PLACE = "$.general_settings"
DAYS = re.compile(r"(\d+)d")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What accounts go by. Lengths in days."""

    ledger_retention_days: float | None = None
    hours_retention_days: float | None = None
    store_prompts: bool = False
    prompt_retention_days: float = 30.0
    global_limits: dict[str, Any] = {}
    default_key_params: dict[str, Any] = {}
    default_user_params: dict[str, Any] = {}
    default_team_params: dict[str, Any] = {}
    default_customer_params: dict[str, Any] = {}
    budget_webhook: str = ""
    budget_webhook_secret: str | None = None
    batch_check_interval: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 300.0
    unpriced_batch_hold: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    shared_within: Literal["key", "user", "team"] = "key"
    upperbound_key_params: dict[str, Any] = {}
    key_generation_settings: dict[str, Any] = {}
    blocked_customers: frozenset[str] = frozenset()
    tag_budgets: dict[str, Any] = {}
    team_callbacks: dict[str, Any] = {}
    #: The observers of single teams.
    observers: tuple[Any, ...] = ()
    #: The whole gateway as somebody who spends, and a customer that nobody set up; None where nothing limits them.
    everybody: Any = None
    stranger: Any = None
    #: The limits of calls with a tag.
    tags: Mapping[str, Any] = {}
    #: What holds for keys that are made.
    issuing: issuing.Issuing = issuing.Issuing()

    def __repr__(self) -> str:
        return "<Terms>"

    def defaults(self, kind: str) -> Mapping[str, Any]:
        """Return what a new key, user, team or customer gets where nothing else is said."""
        found: Mapping[str, Any] = getattr(self, f"default_{kind}_params", {})
        return found

    def customer(self, id: str, budget: BudgetRow | None = None) -> Party | None:
        """Return a customer that nobody set up, with the limits of a shared budget where there is one."""
        shared = {} if budget is None else {name: getattr(budget, name) for name in (*COLUMNS, "model_limits")}
        limits = {**shared, **(self.stranger or {})}
        return party_of("customer", id, limits) if limits else None


def read(given: Mapping[str, Any]) -> Terms:
    """Return the terms that are in general_settings. Raises BadRequestError naming the place."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in RENAMED and RENAMED[name] not in given:
            found[RENAMED[name]] = _as_ours(name, value)
        elif name in TERMS:
            found[name] = value
    try:
        terms = msgspec.convert(found, Terms)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{PLACE}: {error}") from error
    for name in ("ledger_retention_days", "hours_retention_days", "prompt_retention_days"):
        days = getattr(terms, name)
        if days is not None and not 0 < days < 36_500:
            raise BadRequestError(f"{PLACE}.{name} is a number of days, above 0.")
    if terms.budget_webhook and not terms.budget_webhook.startswith(("https://", "http://")):
        raise BadRequestError(f"{PLACE}.budget_webhook begins with https:// or http://.")
    for kind in ("key", "user", "team", "customer"):
        _columns(KINDS[kind][1], f"default_{kind}_params", terms.defaults(kind))
    bounds, settings = terms.upperbound_key_params, terms.key_generation_settings
    _columns(issuing.BOUND, "upperbound_key_params", bounds)
    rules = issuing.read(bounds, settings, terms.default_key_params, PLACE)
    limits = {**LIMITS, **MODEL_LIMITS}
    everybody = _columns(limits, "global_limits", terms.global_limits)
    strange = {name: value for name, value in terms.default_customer_params.items() if name in limits}
    return msgspec.structs.replace(
        terms,
        everybody=party_of("", "", everybody) if everybody else None,
        stranger=_columns(limits, "default_customer_params", strange) or None,
        issuing=rules,
        observers=team_observers.read(terms.team_callbacks, f"{PLACE}.team_callbacks"),
        tags={
            tag: purses.limit_of(one, (("tag", tag),), f"{PLACE}.tag_budgets.{tag}")
            for tag, one in terms.tag_budgets.items()
        },
    )


def _columns(fields: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return read_fields(fields, f"{PLACE}.{name}", given)
    except BadRequestError as error:
        if PLACE in error.message:
            raise
        raise BadRequestError(f"{PLACE}.{name}.{error.message}") from error


def _as_ours(name: str, value: Any) -> Any:
    if name == "global_max_parallel_requests":
        return {"max_parallel_requests": value}
    if name == "maximum_spend_logs_retention_period":
        match = DAYS.fullmatch(str(value))
        if match is None:
            raise BadRequestError(f"{PLACE}.{name} is a number of days, such as 30d.")
        return float(match[1])
    return value
