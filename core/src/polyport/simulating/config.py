"""Reading what to simulate from a configuration: `model_list`, `router_settings`, and a section of its own.

    model_list:
      - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, rpm: 500}, model_info: {id: east}}
    router_settings: {routing_strategy: least-busy, num_retries: 3}
    simulation:
      seed: 1
      traffic: {rps: 50, hours: 1}
      deployments: {east: {latency: {p50: 0.8, p99: 4}}}
      faults: "east:down@600-900"

It is the gateway's file, in YAML or JSON; `simulation` may be missing, and is nobody else's. Keys need not be set:
`os.environ/...` is not looked up.
"""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.router import Router
from polyport.simulating.running import Setting
from polyport.simulating.traffic import Traffic
from polyport.types.record import convert

#: The sections of a configuration; those that say nothing of routing are the gateway's to read.
SECTIONS = (
    "model_list", "router_settings", "simulation", "general_settings", "litellm_settings", "settings", "guardrails",
    "environment_variables",
)  # fmt: skip
#: The router's settings: but for what is no plain value, or a connection that a simulation does without.
ROUTER = tuple(
    name
    for name, parameter in inspect.signature(Router.__init__).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in ("state", "client")
)
ELSEWHERE = frozenset({"redis_url", "redis_host", "redis_port", "redis_password"})
SIMULATION = ("seed", "traffic", "deployments", "faults")


class Config(msgspec.Struct):
    """A router and what is around it in a simulation."""

    router: Router
    setting: Setting


def load(path: str | Path, **changes: Any) -> Config:
    """Return the configuration in a file, .json or YAML. Raises BadRequestError that names the place."""
    file = Path(path)
    text = file.read_text("utf-8")
    return read(_parsed(text, file), file.parent, **changes)


def _parsed(text: str, file: Path) -> Any:
    try:
        if file.suffix == ".json":
            return msgspec.json.decode(text)
        return _yaml(text, file)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{file} cannot be read: {error}") from error


def _yaml(text: str, file: Path) -> Any:
    try:
        return msgspec.yaml.decode(text)
    except ImportError as error:
        raise BadRequestError(
            f'{file} is YAML, which needs PyYAML: pip install "polyport[cli]"; or write it as JSON'
        ) from error


def read(
    given: Any,
    folder: Path | None = None,
    *,
    traffic: Mapping[str, Any] | None = None,
    faults: str | None = None,
    seed: int | None = None,
) -> Config:
    """Return a configuration given as plain data; `traffic`, `faults` and `seed` in place of its own.

    Raises BadRequestError that names the place and the nearest right key.
    """
    if not isinstance(given, Mapping):
        raise BadRequestError(f"$ must be a mapping with model_list, not {type(given).__name__}")
    check_keys(given, SECTIONS, "$")
    entries = _entries(given.get("model_list"))
    own = dict(_section(given, "simulation"))
    check_keys(own, SIMULATION, "$.simulation")
    coming = {**_section(own, "traffic", "$.simulation"), **(traffic or {})}
    check_keys(coming, Traffic.__struct_fields__, "$.simulation.traffic")
    setting = Setting(
        deployments=dict(_section(own, "deployments", "$.simulation")),
        traffic=convert(coming, Traffic, "$.simulation.traffic"),
        faults=convert(own.get("faults", "") if faults is None else faults, str | list[str], "$.simulation.faults"),
        seed=convert(own.get("seed", 0) if seed is None else seed, int, "$.simulation.seed"),
        path="$.simulation",
        folder=folder,
    )
    return Config(Router(entries, secrets=lambda _: "simulated", **_router_settings(given)), setting)


def _entries(given: Any) -> list[dict[str, Any]]:
    """Return the deployments, each with an id that people can read: its own, or its group's name with a number."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise BadRequestError("$.model_list must be a list of deployments, at least one")
    wrong = next((place for place, one in enumerate(given) if not isinstance(one, Mapping)), None)
    if wrong is not None:
        raise BadRequestError(
            f"$.model_list[{wrong}] must be a mapping with model_name and params, not {given[wrong]!r}"
        )
    many = Counter(str(one.get("model_name")) for one in given)
    seen: Counter[str] = Counter()
    entries = []
    for one in given:
        name = str(one.get("model_name"))
        seen[name] += 1
        info = dict(one.get("model_info") or {})
        info.setdefault("id", name if many[name] == 1 else f"{name}-{seen[name]}")
        entries.append({**one, "model_info": info})
    return entries


def _router_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the router is to be made with.

    Settings of the router that stand among those of the whole (`litellm_settings`) hold where it has none of its own.
    """
    settings = dict(_section(given, "router_settings"))
    check_keys(settings, ROUTER, "$.router_settings")
    for section in ("litellm_settings", "settings"):
        for name, value in _section(given, section).items():
            if name in ROUTER:
                settings.setdefault(name, value)
    return {name: value for name, value in settings.items() if name not in ELSEWHERE}


def _section(given: Mapping[str, Any], name: str, path: str = "$") -> Mapping[str, Any]:
    found = given.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BadRequestError(f"{path}.{name} must be a mapping, not {found!r}")
    return found


def check_keys(given: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    """Raise BadRequestError for a key that nothing reads, with the nearest one that something does."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise BadRequestError(f"{path}.{name} is nothing that is read here: {guess}")
