"""Any function of the operations table, asked for by its name and positional values: for `call` and `render`."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec

from polyport.cli.settings import Settings
from polyport.errors import BadRequestError, NotFoundError
from polyport.operations import BY_FUNCTION, BY_HOOK, OPERATIONS, Operation
from polyport.plugins import Providers


def operation_named(name: str) -> Operation:
    """Return the operation of a function ("embedding") or a hook ("embed"). Raises NotFoundError naming near misses."""
    name = name.replace("-", "_")
    found = BY_FUNCTION.get(name) or BY_HOOK.get(name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, [*BY_FUNCTION, *BY_HOOK], 3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(BY_FUNCTION)}."
    raise NotFoundError(f"There is no operation {name!r}. {hint}")


def arguments(operation: Operation, values: list[str], settings: Settings) -> dict[str, Any]:
    """Return a call's arguments: the model (or the provider) first, then what the operation needs, in order.

    Operations about something whose id says where it is take no model. A list takes all the values that are left;
    text given for messages is a user's message. Raises BadRequestError that says what is missing.
    """
    fields = settings.parameters(operation.function)
    rest = list(values)
    if rest and takes_model(operation) and "model" not in fields:
        fields.update(_whom(rest.pop(0)))
    for name, kind in needed(operation):
        if name not in fields and rest:
            fields[name] = _take(name, kind, rest)
    if rest:
        raise BadRequestError(f"{operation.function} has no place for {rest[0]!r}. Usage: {usage(operation)}")
    missing = [name for name, _ in needed(operation) if name not in fields]
    if missing:
        raise BadRequestError(f"{operation.function} needs {', '.join(missing)}. Usage: {usage(operation)}")
    return fields


def usage(operation: Operation) -> str:
    """Return an operation's positional values as a usage line shows them."""
    first = ["MODEL" if not operation.by_provider else "PROVIDER"] if takes_model(operation) else []
    return " ".join([operation.function, *first, *(name.upper() for name, _ in needed(operation)), "[-o KEY=VALUE]"])


def takes_model(operation: Operation) -> bool:
    """Whether the first value says whom to ask; ids of jobs say it themselves."""
    return operation.by_provider or operation.id_field is None


def needed(operation: Operation) -> list[tuple[str, Any]]:
    """Return the parameters an operation cannot do without, and their types."""
    return [(field.name, field.type) for field in msgspec.structs.fields(operation.request) if field.required]


def _whom(value: str) -> dict[str, Any]:
    return {"provider": value} if Providers().has(value) else {"model": value}


def _take(name: str, kind: Any, rest: list[str]) -> Any:
    if name == "messages":
        return [{"role": "user", "content": rest.pop(0)}]
    if getattr(kind, "__origin__", None) is list:
        taken, rest[:] = list(rest), []
        return taken
    return rest.pop(0)


def names() -> str:
    """Return all functions, for the help."""
    return ", ".join(operation.function for operation in OPERATIONS)
