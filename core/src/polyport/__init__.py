"""polyport: one interface, shaped like OpenAI's, over every model provider.

    import polyport
    polyport.completion("anthropic/claude-sonnet-4-5", [{"role": "user", "content": "Hello"}])

Every function has an asynchronous twin with an `a` in front. Names are loaded on first use (PEP 562), so that
importing polyport costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; `typing` would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any

    from polyport.api import *  # noqa: F403
    from polyport.batchcost import batch_cost as batch_cost
    from polyport.budgets import Budget as Budget, BudgetManager as BudgetManager
    from polyport.caching import Cache as Cache
    from polyport.client import Client as Client
    from polyport.errors import *  # noqa: F403
    from polyport.flow import TimeoutSpec as TimeoutSpec
    from polyport.guarding.guardrail import Guardrail as Guardrail
    from polyport.hookspecs import hookimpl as hookimpl
    from polyport.money import completion_cost as completion_cost, cost_per_token as cost_per_token
    from polyport.observing import Event as Event, Observer as Observer, flush_callbacks as flush_callbacks
    from polyport.pricefile import register_model as register_model, register_prices as register_prices
    from polyport.provider import Provider as Provider
    from polyport.router import AllowedFailsPolicy as AllowedFailsPolicy, RetryPolicy as RetryPolicy, Router as Router
    from polyport.tokens import token_counter as token_counter

__version__ = "0.1.0"

# Settings of the module's own functions. They are plain attributes: `polyport.timeout = 30`.
api_key: str | dict[str, str] | None = None
api_base: str | None = None
api_version: str | None = None
timeout: float | None = None
num_retries: int | None = None
drop_params: bool | None = None
strict: bool | None = None
cache: Cache | None = None
max_budget: float | Budget | None = None
guardrails: list[Any] = []
callbacks: list[Any] = []
success_callback: list[Any] = []
failure_callback: list[Any] = []
redact: list[str] = []

#: Public names that are not functions of the interface -> the module that has them.
_HOMES = {
    "Client": "client",
    "Cache": "caching",
    "Guardrail": "guarding.guardrail",
    "Router": "router",
    "RetryPolicy": "router",
    "AllowedFailsPolicy": "router",
    "Provider": "provider",
    "Setting": "provider",
    "hookimpl": "hookspecs",
    "TimeoutSpec": "flow",
    "HttpRequest": "flow",
    "Streaming": "flow",
    "Items": "flow",
    "Sleep": "flow",
    "Call": "flow",
    "ApiKey": "auth",
    "Bearer": "auth",
    "Query": "auth",
    "AnyOf": "auth",
    "Signer": "auth",
    "model_info": "models",
    "supports": "models",
    "completion_cost": "money",
    "batch_cost": "batchcost",
    "cost_per_token": "money",
    "token_counter": "tokens",
    "register_prices": "pricefile",
    "register_model": "pricefile",
    "BudgetManager": "budgets",
    "Budget": "budgets",
    "Observer": "observing",
    "Event": "observing",
    "flush_callbacks": "observing",
    "run_batch": "batching",
    "arun_batch": "batching",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    from importlib import import_module

    if name.endswith("Error") or name == "Timeout":
        value = getattr(import_module("polyport.errors"), name)
    elif name in _HOMES:
        value = getattr(import_module(f"polyport.{_HOMES[name]}"), name)
    elif _is_function(name):
        value = getattr(import_module("polyport.api"), name)
    else:
        raise AttributeError(f"module 'polyport' has no attribute {name!r}")
    globals()[name] = value
    return value


def _is_function(name: str) -> bool:
    """Whether the name is a function of the interface, or its twin; submodules must not be taken for one."""
    from polyport.operations import BY_FUNCTION

    return name in BY_FUNCTION or name.removeprefix("a") in BY_FUNCTION or name in ("close", "aclose", "default_client")
