"""What keys, users, teams, projects and customers hold of each call: guardrails that are always on, bounds, the cache.

What several of them say adds up: all guardrails, the lowest bounds, the cache controls that all of them allow, the
places in cloud storage that any of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport_gateway.gate import GateError


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a caller's calls. `controls` are the names that it may say under `cache`, None: all.

    `storage` are addresses in cloud storage below which it may have files read, as any of them says.
    """

    guardrails: tuple[str, ...] = ()
    controls: frozenset[str] | None = None
    no_cache: bool = False
    retries: int | None = None
    timeout: float | None = None
    storage: tuple[str, ...] = ()

    def apply(self, fields: dict[str, Any]) -> None:
        """Put it into the parameters of a call. Raises GateError for what the caller may not say."""
        if self.guardrails:
            fields["guardrails"] = _with(fields.get("guardrails"), self.guardrails)
        if self.controls is not None:
            self._check_cache(fields.get("cache"))
        if self.no_cache:
            fields["cache"] = {"no-cache": True, "no-store": True}
        for name, bound in (("num_retries", self.retries), ("timeout", self.timeout)):
            if bound is not None:
                fields[name] = _within(fields.get(name), bound)

    def _check_cache(self, asked: Any) -> None:
        for name in asked if isinstance(asked, Mapping) else ():
            if name not in (self.controls or ()):
                raise GateError(403, "cache_control_not_allowed", f"This key may not say cache.{str(name)[:40]}.")


FREE = Policy()


def policy_of(settings: Iterable[Mapping[str, Any]]) -> Policy | None:
    """Return what several settings come to; None where that is nothing."""
    rails: dict[str, None] = {}
    controls: frozenset[str] | None = None
    no_cache = False
    retries: int | None = None
    timeout: float | None = None
    storage: dict[str, None] = {}
    for one in settings:
        storage |= dict.fromkeys(one.get("storage") or ())
        rails |= dict.fromkeys(one.get("guardrails") or ())
        if one.get("controls") is not None:
            controls = frozenset(one["controls"]) if controls is None else controls & frozenset(one["controls"])
        no_cache = no_cache or bool(one.get("no_cache"))
        retries = _lowest(retries, one.get("retries"))
        timeout = _lowest(timeout, one.get("timeout"))
    found = Policy(
        guardrails=tuple(rails), controls=controls, no_cache=no_cache, retries=retries, timeout=timeout,
        storage=tuple(storage),
    )  # fmt: skip
    return None if found == FREE else found


def _within(given: Any, bound: float) -> float:
    number: float = given if isinstance(given, int | float) and not isinstance(given, bool) else bound
    return min(number, bound)


def _lowest(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)


def _with(asked: Any, always: tuple[str, ...]) -> Any:
    """Return the guardrails of a call with those that are always on; what is no choice of them is for core to say."""
    if isinstance(asked, Mapping):
        return {**asked, **dict.fromkeys(always, True)}
    if isinstance(asked, list):
        return [*asked, *(one for one in always if one not in asked)]
    return list(always) if asked is None else asked
