"""What is known of a model, by the name a call would use: `model_info("gpt-4o")`, `supports("gpt-4o", "tools")`."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from polyport import catalog
from polyport.catalog import ModelInfo
from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.operations import OPERATIONS, Operation
from polyport.plugins import Providers
from polyport.rendering import render
from polyport.routing import resolve
from polyport.types.record import Request

#: What a request needs besides the parameter in question.
SAMPLES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hello"}],
    "input": "Hello",
    "prompt": "Hello",
    "query": "Hello",
    "documents": ["Hello"],
    "file": ("hello.wav", b"RIFF\0\0\0\0WAVE"),
    "image": ("hello.png", b"\x89PNG\r\n\x1a\n"),
}
SAMPLE_OF: dict[Any, Any] = {bool: True, int: 2, float: 1.0, str: "auto", list[str]: ["auto"]}


def model_info(model: str, *, provider: str | None = None) -> ModelInfo:
    """Return mode, context window, prices and parameters of a model; what is None is not known.

    The name resolves as in a call: "openai/gpt-4o", or a bare "gpt-4o". Nothing is imported or asked over a
    network. Raises NotFoundError where no plugin knows the model.
    """
    name, bare = resolve(model, Providers(), provider)
    return catalog.info(name, bare)


def supports(model: str, parameter: str, *, provider: str | None = None) -> bool:
    """Return whether a model takes a parameter ("temperature") or has an ability ("vision").

    What the model's entry says decides. Where it says nothing, the provider's translation is asked: a parameter
    that it can put into a request counts, an ability does not. Raises NotFoundError where no provider answers.
    """
    name, bare = resolve(model, Providers(), provider)
    info = catalog.of_provider(name).get(bare) or ModelInfo()
    if parameter in info.unsupported or parameter in info.supports:
        return parameter in info.supports
    operation = next((row for row in OPERATIONS if (info.mode or "chat") in _modes(row)), None)
    field = _fields(operation.request).get(parameter) if operation else None
    return operation is not None and field is not None and _translates(operation, name, bare, parameter, field)


def _translates(operation: Operation, provider: str, model: str, parameter: str, kind: Any) -> bool:
    """Whether the provider puts the parameter into its request; one too intricate to make up counts as taken."""
    samples = {**SAMPLES, parameter: _sample(kind)}
    given = {name: samples[name] for name in (*_required(operation.request), parameter) if samples.get(name)}
    try:
        render(operation.function, provider=provider, model=model, **given)
    except UnsupportedParamsError:
        return False
    except BadRequestError:
        return True
    return True


def _sample(kind: Any) -> Any:
    """Return a value of a parameter's type, None for one that has too many shapes."""
    members = get_args(kind) or (kind,)
    return next((SAMPLE_OF[member] for member in members if member in SAMPLE_OF), None)


def _fields(request: type[Request]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(request) if field.name not in Request.FRAME}


def _required(request: type[Request]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(request) if field.required]


def _modes(operation: Operation) -> tuple[str, ...]:
    return operation.function, operation.hook, operation.capability
