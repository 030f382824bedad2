"""Observers of single teams' calls, each with credentials of its own: general_settings.team_callbacks.

    team_callbacks:
      ml: {success_callback: [langfuse], langfuse_public_key: os.environ/ML_KEY, langfuse_secret: os.environ/ML_SECRET}
      legal: {callbacks: [otel]}

They are installed observers, beside those that all calls have. What an observer is made with is named as its own
parameters are, behind its name; two that are made alike are one, for the process. LiteLLM's default_team_settings say
the same. https://docs.litellm.ai/docs/proxy/team_logging
"""

from __future__ import annotations

import difflib
import inspect
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from polyport import plugins
from polyport.errors import BadRequestError, PluginError
from polyport.observing import callbacks
from polyport.observing.event import Event, Observer

#: The team that a call counts on, where teams have observers.
CURRENT_TEAM: ContextVar[str] = ContextVar("polyport_gateway_team", default="")
#: Lists of observers -> what of calls they see.
LISTS = {"callbacks": ("success", "failure"), "success_callback": ("success",), "failure_callback": ("failure",)}
#: LiteLLM's names of parameters -> ours.
RENAMED = {"langfuse_secret": "langfuse_secret_key"}

_made: dict[bytes, Any] = {}
_making = threading.Lock()


class Wanted(msgspec.Struct, frozen=True):
    """An observer of a team: its name, what it sees, what it is made with."""

    team: str
    name: str
    ends: tuple[str, ...]
    settings: Mapping[str, Any] = {}


def read(given: Any, place: str) -> tuple[Wanted, ...]:
    """Return the observers of teams. Raises BadRequestError naming the place."""
    if not isinstance(given, Mapping) or not all(isinstance(one, Mapping) for one in given.values()):
        raise BadRequestError(f"{place} must be {{team: {{callbacks: [...], ...}}}}")
    return tuple(one for team, said in given.items() for one in _of_team(str(team), said, f"{place}.{team}"))


def _of_team(team: str, said: Mapping[str, Any], place: str) -> list[Wanted]:
    seen: dict[str, list[str]] = {}
    for listed, ends in LISTS.items():
        names = said.get(listed) or []
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRequestError(f"{place}.{listed} must be a list of observers' names")
        for name in names:
            seen.setdefault(name, []).extend(ends)
    rest = {RENAMED.get(name, name): value for name, value in said.items() if name not in LISTS}
    found = []
    for name, ends_seen in seen.items():
        own = {f"{name}_{parameter}": parameter for parameter in _parameters(name, place)}
        settings = {own[one]: rest.pop(one) for one in [*rest] if one in own}
        found.append(Wanted(team, name, tuple(dict.fromkeys(ends_seen)), settings))
    for name in rest:
        known = [*LISTS, *(f"{one}_{parameter}" for one in seen for parameter in _parameters(one, place))]
        near = difflib.get_close_matches(name, known)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LISTS)}, and what these are made with"
        raise BadRequestError(f"{place} has {name!r}, which nothing reads: {hint}")
    return found


def _parameters(name: str, place: str) -> list[str]:
    """Return what an observer is made with. Raises BadRequestError for one that is not installed."""
    entry = plugins.find(callbacks.OBSERVERS, name)
    if entry is None:
        there = ", ".join(callbacks.names()) or "none"
        raise BadRequestError(f"{place} names the observer {name!r}, which is not installed; there are {there}")
    kind = plugins.load(entry)
    parameters = inspect.signature(kind).parameters.values() if inspect.isclass(kind) else ()
    return [one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]


def observers(wanted: tuple[Wanted, ...]) -> list[Observer]:
    """Return the observers, each of which sees its team's calls alone. Raises PluginError for what one lacks."""
    return [OfTeam(one.team, _one(one), one.ends) for one in wanted]


def _one(wanted: Wanted) -> Any:
    """Return an observer, made once with the same settings: it goes on when another configuration serves."""
    if not wanted.settings:
        return callbacks.installed(wanted.name)
    mark = msgspec.json.encode([wanted.name, sorted(wanted.settings.items())])
    with _making:
        if mark not in _made:
            entry = plugins.find(callbacks.OBSERVERS, wanted.name)
            if entry is None:
                raise PluginError(f"No observer {wanted.name!r} is installed.")
            _made[mark] = plugins.load(entry)(**wanted.settings)
        return _made[mark]


class OfTeam(Observer):
    """Tells an observer of one team's calls."""

    def __init__(self, team: str, observer: Any, ends: tuple[str, ...]) -> None:
        self._team, self._observer, self._ends = team, observer, ends
        self._capture = getattr(observer, "capture", None)
        wanted = getattr(observer, "content", None)
        self.content = callbacks.content_allowed() if wanted is None else bool(wanted)

    def capture(self) -> tuple[bool, Any]:
        """Return whether a call is the team's, and what the observer itself takes note of then."""
        if CURRENT_TEAM.get() != self._team:
            return False, None
        return True, None if self._capture is None else self._capture()

    def on_success(self, event: Event) -> Any:
        """Tell of a call that was answered."""
        return self._tell("success", event)

    def on_failure(self, event: Event) -> Any:
        """Tell of a call that failed."""
        return self._tell("failure", event)

    def flush(self) -> Any:
        """Have it send what it holds back."""
        flush = getattr(self._observer, "flush", None)
        return None if flush is None else flush()

    def _tell(self, end: str, event: Event) -> Any:
        ours, captured = event.captured or (False, None)
        tell = getattr(self._observer, f"on_{end}", None) if ours and end in self._ends else None
        return None if tell is None else tell(msgspec.structs.replace(event, captured=captured))
