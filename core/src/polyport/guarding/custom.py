"""Guardrails of your own: a function or a Guardrail, as an object, a Python path or a file.

    {"guardrail": "custom", "path": "my_package.rules:no_shouting"}
    {"guardrail": "rules.py:no_shouting"}

A function is given what is Seen and returns a verdict: Pass, Block, Mask; None or True passes, False blocks. It may be
a flow or a coroutine function. What it raises blocks the call.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from polyport.errors import BadRequestError, PluginError
from polyport.guarding.guardrail import Guardrail, Judged
from polyport.guarding.verdicts import Seen


class Function(Guardrail):
    """A guardrail that is a function."""

    def __init__(self, function: Callable[..., Judged], name: str = "") -> None:
        super().__init__(name or getattr(function, "__name__", "custom"))
        self._function = function

    def check(self, seen: Seen) -> Judged:
        """Return what the function does."""
        return self._function(seen)


def is_path(name: str) -> bool:
    """Whether a guardrail's name is a Python path or a file: "module:attribute", "file.py:attribute"."""
    return ":" in name


def load(name: str, settings: Mapping[str, Any], path: str) -> Guardrail:
    """Return the guardrail at a Python path or in a file; a class, or a function with settings, is given those.

    Raises PluginError where there is nothing, or what there is cannot be imported.
    """
    given = dict(settings)
    where = given.pop("path", None) if name == "custom" else name
    if not isinstance(where, str) or not is_path(where):
        raise BadRequestError(
            f"A custom guardrail needs path='module:attribute' or 'file.py:attribute' at {path}.litellm_params.path"
        )
    module, _, attribute = where.rpartition(":")
    try:
        found: Any = _module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # the border to a stranger's module: it may raise anything
        raise PluginError(f"The guardrail {where!r} cannot be loaded: {type(error).__name__}: {error}") from error
    return of(found, given, path)


def of(given: Any, settings: Mapping[str, Any] | None = None, path: str = "$.guardrails") -> Guardrail:
    """Return the guardrail that an object is: a Guardrail, a class of one, or a function."""
    if isinstance(given, type):
        return construct(given, settings or {}, given.__name__, path)
    if isinstance(given, Guardrail):
        if settings:
            raise BadRequestError(f"{', '.join(settings)} cannot be set of a guardrail that is made, at {path}")
        return given
    if not callable(given):
        raise PluginError(f"A guardrail is a Guardrail, a function, a name or an entry, not {given!r}")
    return Function(partial(given, **settings), getattr(given, "__name__", "")) if settings else Function(given)


def construct(factory: Callable[..., Any], settings: Mapping[str, Any], name: str, path: str) -> Guardrail:
    """Return what a class or factory makes of its settings. Raises BadRequestError that names those it takes."""
    try:
        inspect.signature(factory).bind(**settings)
    except TypeError as error:
        there = ", ".join(n for n in inspect.signature(factory).parameters if n != "name") or "none"
        raise BadRequestError(
            f"The guardrail {name!r} cannot be made so at {path}: {error}. Settings: {there}"
        ) from error
    made = factory(**settings)
    if not isinstance(made, Guardrail):
        raise PluginError(f"The guardrail {name!r} made {made!r}; it must be a polyport.guarding.guardrail.Guardrail")
    return made


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    file = Path(name).resolve()
    known = f"polyport_custom_{file.stem}_{abs(hash(str(file)))}"
    if known in sys.modules:
        return sys.modules[known]
    spec = importlib.util.spec_from_file_location(known, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known]
        raise
    return module
