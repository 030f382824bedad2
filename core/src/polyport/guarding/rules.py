"""Configuration entries -> rules: which guardrail, when, and what becomes of a call that it cannot judge.

{"guardrail_name": "input-safety",
 "litellm_params": {"guardrail": "aporia", "mode": "during_call", "api_key": "os.environ/APORIA_API_KEY"}}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from polyport import plugins
from polyport.errors import BadRequestError, PluginError
from polyport.guarding import custom
from polyport.guarding.guardrail import Guardrail
from polyport.guarding.verdicts import MODES, Mode
from polyport.plugins import LoadedProvider
from polyport.types.record import convert

GROUP = "polyport.guardrails"
#: A guardrail of the configuration is asked about every call, unless it says `default_on: false`.
DEFAULT_ON = True
#: Seconds that a guardrail may take; after that the call is blocked.
TIMEOUT = 10.0
FROM_ENVIRONMENT = "os.environ/"
#: Names that LiteLLM's configurations have for guardrails that are installed under another one.
ALIASES: Mapping[str, str] = {"lakera_v2": "lakera", "openai_moderation": "openai-moderation"}


class Frame(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """What every entry can say; all else goes to the guardrail itself. `timeout` is in seconds.

    `default_on`: it is asked about calls that do not name it. `optional`: a call may turn it off.
    """

    mode: str | list[str] | None = None
    default_on: bool = DEFAULT_ON
    optional: bool = False
    on_failure: Literal["block", "allow"] = "block"
    timeout: float = TIMEOUT
    api_key: str | None = None
    api_base: str | None = None
    headers: dict[str, str] | None = None
    stream_window: int | None = None
    stream_overlap: int | None = None


FRAME = frozenset({*Frame.__struct_fields__, "guardrail"})


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail in its place. `settings` are those that its URLs are made of."""

    name: str
    guardrail: Guardrail
    plugin: LoadedProvider
    modes: tuple[Mode, ...]
    frame: Frame = Frame()
    settings: dict[str, Any] = {}

    @property
    def window(self) -> int | None:
        """How many new characters of a stream are worth a check; None: all of them."""
        own = self.guardrail.window
        return own if own is None or self.frame.stream_window is None else self.frame.stream_window

    @property
    def overlap(self) -> int:
        """How many characters of a stream are held back."""
        return self.guardrail.overlap if self.frame.stream_overlap is None else self.frame.stream_overlap

    def __repr__(self) -> str:
        return f"<Rule {self.name!r} {type(self.guardrail).__name__} {'+'.join(self.modes)}>"


def rule(given: Any, number: int = 0, secret: Callable[[str], str | None] = plugins.secret) -> Rule:
    """Return the rule that an entry of a configuration is, or a Guardrail, a function, or an installed one's name."""
    if isinstance(given, Rule):
        return given
    if isinstance(given, Mapping):
        return _of_entry(given, f"$.guardrails[{number}]", secret)
    if isinstance(given, str):
        return _of_entry({"guardrail_name": given, "params": {"guardrail": given}}, f"$.guardrails[{number}]", secret)
    guardrail = custom.of(given)
    name = guardrail.name if isinstance(given, Guardrail) else getattr(given, "__name__", type(given).__name__)
    return _made(name, guardrail, Frame(), {})


def _of_entry(entry: Mapping[str, Any], path: str, secret: Callable[[str], str | None]) -> Rule:
    name = entry.get("guardrail_name") or entry.get("name")
    if not isinstance(name, str):
        raise BadRequestError(f"A guardrail needs a name at {path}.guardrail_name")
    known = {"guardrail_name", "name", "litellm_params", "params", "guardrail_info"}
    if unknown := sorted(set(entry) - known):
        raise BadRequestError(f"Unknown {', '.join(unknown)} at {path}; known: {', '.join(sorted(known))}")
    params = entry.get("litellm_params") or entry.get("params")
    if not isinstance(params, Mapping) or "guardrail" not in params:
        raise BadRequestError(
            f"The guardrail {name!r} needs {{'guardrail': ..., 'mode': ...}} at {path}.litellm_params"
        )
    values = {key: _resolved(value, f"{path}.litellm_params.{key}", secret) for key, value in params.items()}
    frame: Frame = convert({k: v for k, v in values.items() if k in FRAME}, Frame, f"{path}.litellm_params")
    settings = {key: value for key, value in values.items() if key not in FRAME}
    guardrail, left = _open(values["guardrail"], settings, frame, path)
    return _made(name, guardrail, frame, left)


def _made(name: str, guardrail: Guardrail, frame: Frame, settings: dict[str, Any]) -> Rule:
    modes = _modes(frame.mode, guardrail)
    return Rule(
        name=name, guardrail=guardrail, plugin=LoadedProvider(name, guardrail), modes=modes, frame=frame,
        settings=settings,
    )  # fmt: skip


def _modes(given: str | list[str] | None, guardrail: Guardrail) -> tuple[Mode, ...]:
    asked = guardrail.modes if given is None else [given] if isinstance(given, str) else given
    wrong = [mode for mode in asked if mode not in MODES]
    if wrong or not asked:
        raise BadRequestError(f"mode must be of {', '.join(MODES)}, not {', '.join(map(repr, wrong)) or 'none'}")
    return tuple(mode for mode in MODES if mode in asked)


def _resolved(value: Any, path: str, secret: Callable[[str], str | None]) -> Any:
    """Return a value of the configuration; `os.environ/NAME` is what NAME says."""
    if not (isinstance(value, str) and value.startswith(FROM_ENVIRONMENT)):
        return value
    found = secret(value.removeprefix(FROM_ENVIRONMENT))
    if found is None:
        raise BadRequestError(f"{value.removeprefix(FROM_ENVIRONMENT)} is not set, which {path} refers to")
    return found


def _open(kind: Any, settings: dict[str, Any], frame: Frame, path: str) -> tuple[Guardrail, dict[str, Any]]:
    """Return the guardrail of a name, a Python path or an object, and the settings that its URLs may take.

    Raises PluginError where there is none, BadRequestError for settings that it does not have.
    """
    if not isinstance(kind, str):
        return custom.of(kind, settings), {}
    name = ALIASES.get(kind, kind)
    if name == "custom" or custom.is_path(name):
        return custom.load(name, settings, path), {}
    entry = plugins.find(GROUP, name)
    if entry is None:
        there = ", ".join(sorted({"custom", *(entry.name for entry in plugins.entries(GROUP))}))
        raise PluginError(
            f"No guardrail {name!r} is installed. Installed: {there}. Try: pip install polyport-guardrails; "
            "one of your own is 'module:attribute' or 'file.py:attribute'"
        )
    factory = plugins.load(entry)
    named = {name for setting in getattr(factory, "settings", ()) for name in setting.names}
    own = named | getattr(factory, "passed_on", frozenset())
    kept = {key: value for key, value in settings.items() if key in own}
    given = {key: value for key, value in settings.items() if key not in own}
    if frame.api_base is not None and "api_base" in inspect.signature(factory).parameters:
        given["api_base"] = frame.api_base
    return custom.construct(factory, given, name, path), kept
