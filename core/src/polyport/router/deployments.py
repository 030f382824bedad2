"""Deployments: one (provider, model, credentials, limits) each, as `model_list` names them.

    {"model_name": "gpt-4o", "model_info": {"id": "east"},
     "litellm_params": {"model": "azure/team-4o", "api_key": "os.environ/AZURE_KEY", "rpm": 500}}

`params` may stand for `litellm_params`. What is no limit and no option of a call goes with every request to the
deployment, as if the user had given it: `vertex_project`, `temperature`, `reasoning_effort`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.states import UNLIMITED, Limits
from polyport.types.record import OPTION_NAMES, convert

#: Where a value begins so, the rest is the name of an environment variable or a secret.
ENVIRON = "os.environ/"
#: The parameters of a deployment that are the router's own.
OWN = ("rpm", "tpm", "max_parallel_requests", "weight", "tags", "order", "stream_timeout", "max_retries")
#: What belongs to the whole call, not to where it goes.
ROUTERS = frozenset({"fallbacks", "cache", "guardrails"})
ENTRY = frozenset({"model_name", "litellm_params", "params", "model_info"})


class OwnParams(msgspec.Struct, kw_only=True):
    """What the router itself reads of a deployment's parameters."""

    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    weight: float | None = None
    tags: list[str] = []
    order: int = 0
    stream_timeout: float | None = None
    max_retries: int | None = None


class Deployment(msgspec.Struct, kw_only=True, eq=False):
    """One place that answers for a model group.

    `options` are options of the call (`api_key`, `api_base`, `timeout` ...), `extra` goes into every request.
    Deployments of a lower `order` are taken first, as long as one of them can be. `place` is where the router found
    that the model's name leads: a provider, and its own name of the model.
    """

    id: str
    group: str
    model: str
    limits: Limits
    own: OwnParams
    options: dict[str, Any]
    extra: dict[str, Any]
    info: dict[str, Any]
    place: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Deployment {self.id} of {self.group}: {self.model}>"


def read(entry: Mapping[str, Any], secrets: Callable[[str], str | None], path: str) -> Deployment:
    """Return the deployment of one entry of `model_list`. Raises BadRequestError that names the path."""
    _check_names(entry, path)
    named = "litellm_params" if "litellm_params" in entry else "params"
    params = {name: _value(value, secrets, f"{path}.{named}.{name}") for name, value in entry[named].items()}
    info = entry.get("model_info") or {}
    if not isinstance(info, Mapping):
        raise BadRequestError(f"{path}.model_info must be a mapping, not {type(info).__name__}")
    model = params.pop("model", None)
    if not isinstance(model, str) or not model:
        raise BadRequestError(f'{path}.{named}.model is missing: name one, such as "openai/gpt-4o"')
    if "num_retries" in params:
        params.setdefault("max_retries", params.pop("num_retries"))
    own = convert({name: params.pop(name) for name in OWN if name in params}, OwnParams, f"{path}.{named}")
    for name in ROUTERS & params.keys():
        raise BadRequestError(f"{path}.{named}.{name} is no matter of one deployment: give it to the router")
    if "custom_llm_provider" in params:
        params["provider"] = params.pop("custom_llm_provider")
    options = {name: params.pop(name) for name in OPTION_NAMES & params.keys()}
    return Deployment(
        id=str(info.get("id") or _id(entry["model_name"], model, options, params)),
        group=entry["model_name"],
        model=model,
        limits=_limits(own),
        own=own,
        options={name: value for name, value in options.items() if value is not None},
        extra=params,
        info=dict(info),
    )


def _limits(own: OwnParams) -> Limits:
    limits = Limits(own.rpm, own.tpm, own.max_parallel_requests)
    return UNLIMITED if limits == UNLIMITED else limits


def _check_names(entry: Mapping[str, Any], path: str) -> None:
    for name in entry.keys() - ENTRY:
        near = difflib.get_close_matches(name, ENTRY, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(ENTRY))}."
        raise BadRequestError(f"{path} has {name!r}, which nothing reads: {hint}")
    if not isinstance(entry.get("model_name"), str):
        raise BadRequestError(f"{path}.model_name is missing: the name that callers use")
    if not isinstance(entry.get("litellm_params", entry.get("params")), Mapping):
        raise BadRequestError(f'{path}.params is missing: {{"model": "provider/model", ...}}')


def _value(value: Any, secrets: Callable[[str], str | None], path: str) -> Any:
    """Return a parameter; of one that names an environment variable, its value."""
    if not isinstance(value, str) or not value.startswith(ENVIRON):
        return value
    name = value.removeprefix(ENVIRON)
    found = secrets(name)
    if found is None:
        raise BadRequestError(f"{path} asks for {name}, which is not set")
    return found


def _id(group: str, model: str, options: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """Return an id that every process makes alike of the same deployment, and that tells nothing of its key."""
    parts = [group, model, sorted((name, repr(value)) for given in (options, extra) for name, value in given.items())]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
