"""Entry points to plugins: found once per process, loaded by name, each provider behind hooks of its own.

Looking never imports a plugin. A plugin that fails to import breaks its own name only.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import sys
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import importlib_metadata
import msgspec
import pluggy

from polyport.errors import NotFoundError, PluginError
from polyport.hookspecs import PROJECT, ProviderSpec
from polyport.provider import Provider, Turn
from polyport.types.record import learn

PROVIDERS = "polyport.providers"
MODELS = "polyport.models"
TRANSPORTS = "polyport.transports"
MIDDLEWARE = "polyport.middleware"
SECRETS = "polyport.secrets"
COMMANDS = "polyport.commands"


_scanning = threading.Lock()


@lru_cache(maxsize=1)
def _scan() -> Mapping[str, list[importlib_metadata.EntryPoint]]:
    """Read every `polyport.*` entry point of the environment. The environment is read once per process."""
    found: dict[str, list[importlib_metadata.EntryPoint]] = {}
    with _scanning:  # importlib-metadata 10.2 imports a part of itself on first use, and fails when two threads do
        for entry in importlib_metadata.entry_points():
            if entry.group.startswith("polyport."):
                found.setdefault(entry.group, []).append(entry)
    return found


def rescan() -> None:
    """Forget what was found, for a process that installs plugins while it runs."""
    _scan.cache_clear()
    _secret_finders.cache_clear()


def entries(group: str) -> list[importlib_metadata.EntryPoint]:
    """Return the entry points of a group, by name."""
    return sorted(_scan().get(group, []), key=lambda entry: entry.name)


def groups() -> list[str]:
    """Return the groups that anything is installed for."""
    return sorted(_scan())


def find(group: str, name: str) -> importlib_metadata.EntryPoint | None:
    """Return the entry point called `name`, None where there is none.

    Raises PluginError where two distributions claim the name; `POLYPORT_PLUGIN_<NAME>=<distribution>` chooses.
    """
    claims = {distribution(entry): entry for entry in _scan().get(group, []) if entry.name == name}
    if len(claims) <= 1:
        return next(iter(claims.values()), None)
    variable = "POLYPORT_PLUGIN_" + "".join(c if c.isalnum() else "_" for c in name).upper()
    chosen = os.environ.get(variable)
    if chosen in claims:
        return claims[chosen]
    raise PluginError(
        f"{' and '.join(sorted(claims))} both provide {name!r} ({group}). "
        f"Uninstall one, or choose with {variable}={min(claims)}."
    )


def distribution(entry: importlib_metadata.EntryPoint) -> str:
    """Return the name of the distribution that an entry point comes from."""
    return str(entry.dist.name) if entry.dist is not None else entry.value


def load(entry: importlib_metadata.EntryPoint) -> Any:
    """Import what an entry point names. Raises PluginError that says which package is broken and how."""
    try:
        return entry.load()
    except Exception as error:  # the border to a stranger's module: it may raise anything
        raise PluginError(
            f"The plugin {entry.name!r} of {distribution(entry)} failed to load ({entry.value}): "
            f"{type(error).__name__}: {error}"
        ) from error


def middleware(name: str) -> Any:
    """Return an installed middleware, `(call, proceed) -> Flow`. Raises PluginError naming those there are."""
    entry = find(MIDDLEWARE, name)
    if entry is None:
        there = ", ".join(entry.name for entry in entries(MIDDLEWARE)) or "none"
        raise PluginError(f"No middleware {name!r} is installed. Installed: {there}.")
    return load(entry)


def secret(name: str) -> str | None:
    """Return an environment variable; where it is not set, what the first secret plugin that knows the name says.

    A secret plugin is a function `(name) -> str | None`, called whenever a key is wanted: it remembers by itself.
    """
    value = os.environ.get(name)
    if value is not None:
        return value
    return next((found for finder in _secret_finders() if (found := finder(name)) is not None), None)


@lru_cache(maxsize=1)
def _secret_finders() -> tuple[Callable[[str], str | None], ...]:
    return tuple(load(entry) for entry in entries(SECRETS))


class LoadedProvider:
    """A provider behind its hooks: `hooks.chat(request=...)` gives the flow."""

    def __init__(self, name: str, plugin: Provider) -> None:
        self.name = name
        self.plugin = plugin
        self.base: str | None = None
        #: (path, identity of the options) -> how requests of theirs are finished; see `border.finish`.
        self.sealed: dict[tuple[str, int], Any] = {}
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(ProviderSpec)
        try:
            manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            raise PluginError(
                f"The plugin {name!r} ({type(plugin).__name__}) has a hook that does not fit: {error}"
            ) from error
        _check_hooks(manager, name, plugin)
        self.hooks = manager.hook
        #: Hook -> the method itself: with one plugin behind a hook, pluggy's call would only add its own time.
        self.answers: dict[str, Callable[..., Any]] = {
            caller.name: caller.get_hookimpls()[0].function for caller in manager.get_hookcallers(plugin) or ()
        }
        #: Hook -> its two methods, of those that are one request and one reply.
        self.turns = {
            name: Turn(*(getattr(plugin, method) for method in marked))
            for name, answer in self.answers.items()
            if (marked := getattr(answer, "turn", None)) is not None
        }


def _check_hooks(manager: pluggy.PluginManager, name: str, plugin: Provider) -> None:
    known = [hook for hook in vars(ProviderSpec) if not hook.startswith("_")]
    for caller in manager.get_hookcallers(plugin) or ():
        if caller.name not in known:
            near = difflib.get_close_matches(caller.name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" The hooks are {', '.join(known)}."
            raise PluginError(
                f"The plugin {name!r} ({type(plugin).__name__}) has an unknown hook {caller.name!r}.{hint}"
            )


class Providers:
    """The providers of one client: given ones first, then those installed, each loaded on first use."""

    def __init__(self, given: Mapping[str, type[Provider] | Provider] | None = None) -> None:
        self._given = dict(given or {})
        self._loaded: dict[str, LoadedProvider] = {}
        self._loading = threading.RLock()

    def names(self) -> list[str]:
        """Return every prefix that can be asked for; nothing is imported."""
        return sorted({*self._given, *(entry.name for entry in _scan().get(PROVIDERS, []))})

    def has(self, name: str) -> bool:
        """Return whether there is a provider for the prefix; nothing is imported."""
        return name in self._given or any(entry.name == name for entry in _scan().get(PROVIDERS, []))

    def get(self, name: str) -> LoadedProvider:
        """Return the provider, imported on first use. Raises NotFoundError or PluginError."""
        found = self._loaded.get(name)
        return self._load(name) if found is None else found

    def _load(self, name: str) -> LoadedProvider:
        with self._loading:  # a second instance would never be closed
            if name not in self._loaded:
                plugin = self._make(name)
                _learn_types(type(plugin).__module__)
                self._loaded[name] = LoadedProvider(name, plugin)
            return self._loaded[name]

    def loaded(self) -> list[LoadedProvider]:
        """Return the providers in use."""
        return list(self._loaded.values())

    def close(self) -> None:
        """Let every provider in use release what it holds."""
        while self._loaded:
            self._loaded.popitem()[1].hooks.close()

    def _make(self, name: str) -> Provider:
        kind: Any = self._given.get(name)
        if kind is None:
            entry = find(PROVIDERS, name)
            if entry is None:
                raise missing(name, self.names())
            kind = load(entry)
        if isinstance(kind, Provider):
            return kind
        if not (isinstance(kind, type) and issubclass(kind, Provider)):
            raise PluginError(f"The plugin {name!r} is {kind!r}; it must be a subclass of polyport.Provider.")
        try:
            return kind(name)
        except Exception as error:  # the border to a stranger's code, as in `load`
            raise PluginError(
                f"The plugin {name!r} ({kind.__name__}) cannot be made: {type(error).__name__}: {error}"
            ) from error


def _learn_types(module: str) -> None:
    """Have msgspec take in the Structs of a plugin's package before its first calls come, maybe several at once."""
    package = module.partition(".")[0]
    modules = [found for name, found in sys.modules.copy().items() if name == package or name.startswith(f"{package}.")]
    for value in [value for module in modules for value in [*vars(module).values()]]:
        if isinstance(value, type) and issubclass(value, msgspec.Struct):
            learn(value)


def missing(prefix: str, installed: list[str], model: str | None = None) -> NotFoundError:
    """Return the error for a prefix that nobody answers."""
    near = difflib.get_close_matches(prefix, installed, 1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    hint = f"{guess}Try: pip install polyport-{prefix.replace('_', '-')} or polyport-compatible"
    return NotFoundError(
        f"No provider for {model or prefix!r}. Installed: {', '.join(installed) or 'none'}. {hint}", model=model
    )


def globs() -> list[tuple[str, str]]:
    """Return (glob, provider) for bare model names, the most specific glob first."""
    pairs = {(entry.name, entry.value) for entry in _scan().get(MODELS, [])}
    return sorted(pairs, key=lambda pair: (-len(pair[0].rstrip("*")), pair))


def provider_of(model: str) -> str | None:
    """Return the provider whose glob fits a bare model name best, None where none does.

    Raises PluginError where two providers claim it equally.
    """
    fits = [(glob, provider) for glob, provider in globs() if fnmatch.fnmatchcase(model, glob)]
    if not fits:
        return None
    best = [provider for glob, provider in fits if len(glob.rstrip("*")) == len(fits[0][0].rstrip("*"))]
    if len(set(best)) > 1:
        raise PluginError(f"{' and '.join(sorted(set(best)))} both answer for {model!r}. Write {best[0]}/{model}.")
    return best[0]
