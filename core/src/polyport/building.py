"""A call's parameters -> its request: validated, with a path in every error, and what nobody knows in `extra`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.types.chat import plain_messages
from polyport.types.record import Options, Request, convert, describe, learn
from polyport.types.schema import reader_for, strict_format

#: Arguments that hold plain data which users may give as another SDK's objects.
NESTED = ("messages", "tools", "input")


def build(kind: type[Request], fields: dict[str, Any], options: Options) -> Request:
    """Return the validated request. Unknown arguments go to `extra`. Raises BadRequestError naming the path."""
    known, standing = _fields_of(kind)
    for name in NESTED:
        value = fields.get(name)
        if value is not None and not isinstance(value, str) and name in known:
            fields[name] = plain_messages(value) if name == "messages" else _plain_list(value)
    reader = None
    response_format = fields.get("response_format")
    if isinstance(response_format, type):
        reader = reader_for(response_format)
        fields["response_format"] = strict_format(response_format)
    extra: dict[str, Any] = {}
    if not known.issuperset(fields):
        extra = {name: fields.pop(name) for name in [name for name in fields if name not in known]}
    try:
        request = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(describe(error, "$")) from error
    request.options, request.extra, request.adaptations = options, extra, []
    left_out = [name for name in standing if name not in fields] if standing else ()
    request.__dict__["_given"] = (*fields, *left_out)
    if reader is not None:
        request.__dict__["_reader"] = reader
    request.check()
    return request


def complete(request: Request, defaults: Mapping[str, Any], path: str) -> None:
    """Give a request parameters that its user left out. Raises BadRequestError that names the parameter."""
    known, _ = _fields_of(type(request))
    request.extra = {**{name: value for name, value in defaults.items() if name not in known}, **request.extra}
    given = [name for name in defaults if name in known and getattr(request, name) is None]
    for name in given:
        kind = next(field.type for field in msgspec.structs.fields(request) if field.name == name)
        setattr(request, name, convert(defaults[name], kind, f"{path}.{name}"))
    if given:
        request.__dict__["_given"] = (*request.__dict__["_given"], *given)


@lru_cache(maxsize=128)
def _fields_of(kind: type[Request]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the parameters of a request type, and those of them that have a value when they are left out."""
    parameters = [field for field in msgspec.structs.fields(learn(kind)) if field.name not in Request.FRAME]
    standing = tuple(field.name for field in parameters if field.default not in (None, msgspec.NODEFAULT))
    return frozenset(field.name for field in parameters), standing


def _plain_list(value: Any) -> Any:
    from polyport.types.record import plain

    return [plain(item) for item in value] if isinstance(value, Sequence) else value
