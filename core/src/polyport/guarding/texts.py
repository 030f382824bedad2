"""The texts of a request or a result with their paths, and masked ones written back to where they were.

Nothing is changed in place: what the user gave stays theirs, and what a masked text is in is made anew.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from polyport.border import Call
from polyport.guarding.escapes import shown, tokens, written
from polyport.guarding.shapes import (
    CALLS,
    FREE,
    KINDS,
    OWN,
    REQUESTS,
    RESULTS,
    ROLES,
    SCHEMA_TEXTS,
    SCHEMAS,
    SKIPPED,
    STRUCTURE,
    TOKENS,
    TOOL_RESULTS,
)
from polyport.guarding.verdicts import Edit, Kind, Path, Text, edited
from polyport.types.record import SECRET_SETTING, Options, Request, Result

T = TypeVar("T")
#: What a request is converted to on first use, and must be converted to anew.
VIEWS = frozenset({"_conversation", "_for_logs"})
#: Results that keep the bytes they were read from, where a masked text would still be.
KEPT = ("_bytes", "_raw", "_parsed")
NUMBERS = frozenset({int, float})
PLAIN = frozenset({"system", "developer", "user", "assistant"})


def of_request(call: Call) -> list[Text]:
    """Return the texts that a call would send: of its parameters, unknown ones and `extra_body` included."""
    request = call.request
    found: list[Text] = []
    for name in REQUESTS.get(call.operation.hook, ()):
        value = getattr(request, name)
        if value is not None:
            _walk(value, (name,), ROLES.get(name, "user"), KINDS.get(name, "content"), found)
    if request.extra:
        settings = {name for setting in call.provider.plugin.settings for name in setting.names}
        for name, value in request.extra.items():
            if name not in settings and not SECRET_SETTING.fullmatch(name):
                _walk(value, ("extra", name), "user", KINDS.get(name, "content"), found)
    if call.options.extra_body:
        _walk(call.options.extra_body, ("extra_body",), "user", "content", found)
    return found


def tokens_of(call: Call) -> str:
    """Return the name of the parameter that is tokens, which no guardrail can read; "" where all is text."""
    name = TOKENS.get(call.operation.hook, "")
    return name if name and _has_numbers(getattr(call.request, name)) else ""


def _has_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(type(one) in NUMBERS or _has_numbers(one) for one in value)


def of_result(hook: str, result: Any) -> list[Text]:
    """Return the texts of a result, fields that polyport does not model included."""
    found: list[Text] = []
    if isinstance(result, str):
        return [Text((), result, "assistant")] if result else []
    for name in RESULTS.get(hook, ()):
        value = getattr(result, name, None)
        if value is not None:
            _walk(value, (name,), "assistant", "content", found)
    if found and isinstance(result, Result) and result.extra:
        _walk(result.extra, ("extra",), "assistant", "content", found)
    return found


def below(value: Any, path: Path, role: str = "assistant", without: frozenset[str] = frozenset()) -> list[Text]:
    """Return the texts of plain data or a Struct, such as a stream's chunk."""
    found: list[Text] = []
    if without and isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in without}
    _walk(value, path, role, "content", found)
    return found


def _walk(value: Any, path: Path, role: str, kind: Kind, found: list[Text]) -> None:
    if type(value) is str:
        if value:
            found.append(_json(path, value, role, kind) if kind == "arguments" else Text(path, value, role, kind))
    elif isinstance(value, dict):
        _walk_fields(value, path, role, kind, found)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            if type(inner) not in NUMBERS:
                _walk(inner, (*path, index), role, kind, found)
    elif isinstance(value, msgspec.Struct):
        fields = {name: inner for name in value.__struct_fields__ if (inner := getattr(value, name)) is not None}
        _walk_fields(fields, path, role, kind, found)
    elif isinstance(value, str):  # an enum's member, say
        _walk(str.__str__(value), path, role, kind, found)


def _json(path: Path, value: str, role: str, kind: Kind) -> Text:
    """JSON text, without its escapes."""
    return Text(path, shown(tokens(value)) if "\\" in value else value, role, kind, value)


def _walk_fields(value: Mapping[str, Any], path: Path, role: str, kind: Kind, found: list[Text]) -> None:
    said, variant, content = value.get("role"), value.get("type"), value.get("content")
    if len(value) == 2 and type(said) is str and type(content) is str and said in PLAIN:  # most messages
        if content:
            found.append(Text((*path, "content"), content, said, kind))
        return
    if type(said) is str:
        role = said
        kind = "tool_result" if said in ("tool", "function") else kind
    if type(variant) is str:
        if variant in TOOL_RESULTS:
            role, kind = "tool", "tool_result"
        elif variant in OWN:
            role = "assistant"
        elif variant == "text" and isinstance(value.get("data"), str):  # a document that is plain text
            found.append(Text((*path, "data"), value["data"], role, kind))
    for name, inner in value.items():
        if inner is None or name in SKIPPED or (name in STRUCTURE and type(inner) is str):
            continue
        if name in FREE or (name == "input" and variant in CALLS) or (name == "arguments" and isinstance(inner, dict)):
            _walk_free(inner, (*path, name), role, "arguments", found)
        elif name in SCHEMAS and isinstance(inner, dict):
            _walk_schema(inner, (*path, name), role, kind, found)
        else:
            _walk(inner, (*path, name), role, KINDS.get(name, kind), found)


def _walk_free(value: Any, path: Path, role: str, kind: Kind, found: list[Text]) -> None:
    """JSON in which no name means anything to us: every string counts, and every number, which may be a card's."""
    if isinstance(value, str):
        if value:
            found.append(Text(path, value, role, "content" if kind == "arguments" else kind))
    elif isinstance(value, dict):
        for name, inner in value.items():
            _walk_free(inner, (*path, name), role, kind, found)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _walk_free(inner, (*path, index), role, kind, found)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found.append(Text(path, str(value), role, "content" if kind == "arguments" else kind))


def _walk_schema(value: Any, path: Path, role: str, kind: Kind, found: list[Text], is_text: bool = False) -> None:
    """A JSON schema: what describes is text, what constrains is not; names of properties may be any."""
    if isinstance(value, str):
        if is_text and value:
            found.append(Text(path, value, role, kind))
    elif isinstance(value, dict):
        for name, inner in value.items():
            leaf = is_text or (name in SCHEMA_TEXTS and not isinstance(inner, dict))
            _walk_schema(inner, (*path, name), role, kind, found, leaf)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _walk_schema(inner, (*path, index), role, kind, found, is_text)


# --- and back ---


def with_result(result: T, changed: Mapping[Path, str]) -> T:
    """Return a result or a chunk with other texts, and without the tokens (`logprobs`) that would tell them."""
    made = put(result, changed)
    for path in changed:
        holder: Any = made
        for step in path:
            if isinstance(holder, dict):
                holder.pop("logprobs", None)
            elif getattr(holder, "logprobs", None) is not None:
                holder.logprobs = None
            holder = getattr(holder, str(step)) if isinstance(holder, msgspec.Struct) else holder[step]
    return made


def changes(texts: list[Text], edits: Iterable[Edit]) -> dict[Path, str]:
    """Return the texts that edits change, by their paths."""
    by_text: dict[int, list[Edit]] = {}
    for edit in edits:
        by_text.setdefault(edit.text, []).append(edit)
    return {texts[index].path: changed(texts[index], some) for index, some in by_text.items()}


def changed(text: Text, edits: Iterable[Edit]) -> str:
    """Return a text with edits made; one that is JSON stays JSON."""
    if text.json is None:
        return edited(text.text, edits)
    return written(tokens(text.json), sorted(edits, key=lambda edit: (edit.start, edit.end)))


def with_request(call: Call, changed: Mapping[Path, str]) -> Call:
    """Return the call with other texts; the views that translators read are made anew."""
    request, options = call.request, call.options
    body = {path[1:]: text for path, text in changed.items() if path[0] == "extra_body"}
    if body:
        options = replace(options, extra_body=put(options.extra_body, body))
    rest = {path: text for path, text in changed.items() if path[0] != "extra_body"}
    made = _with_fields(request, rest, options)
    return replace(call, request=made, options=options)


def _with_fields(request: Request, changed: Mapping[Path, str], options: Options) -> Request:
    fields = {str(name): put(getattr(request, str(name)), some) for name, some in _grouped(changed).items()}
    made: Request = replace(request, options=options, **fields)
    kind = type(request)
    for name, value in request.__dict__.items():
        if name not in VIEWS and not isinstance(getattr(kind, name, None), cached_property):
            made.__dict__[name] = value
    return made


def put(value: T, changed: Mapping[Path, str]) -> T:
    """Return data with other texts at some paths; what is not on the way to them is shared."""
    if () in changed:
        return changed[()]  # type: ignore[return-value]
    groups = _grouped(changed)
    made: Any
    if isinstance(value, msgspec.Struct):
        made = _put_struct(value, groups)
    else:
        made = list(value) if isinstance(value, tuple) else copy.copy(value)
        for step, some in groups.items():
            made[step] = put(made[step], some)
    return made  # type: ignore[no-any-return]


def _put_struct(value: Any, groups: Mapping[str | int, dict[Path, str]]) -> Any:
    extra = groups.get("extra") if isinstance(value, Result) else None
    fields = {str(name): put(getattr(value, str(name)), some) for name, some in groups.items() if some is not extra}
    made = replace(value, **fields)
    if isinstance(value, Result):
        kept = value.extra
        made.__dict__.update(value.__dict__)
        made.__dict__["_extra"] = kept if extra is None else put(kept, extra)
        bare(made)
    return made


def bare(result: Any) -> None:
    """Have a result forget the bytes it was read from, of which nobody has judged everything; `extra` stays."""
    if isinstance(result, Result) and "_bytes" in result.__dict__:
        _ = result.extra
        for name in KEPT:
            result.__dict__.pop(name, None)


def _grouped(changed: Mapping[Path, str]) -> dict[str | int, dict[Path, str]]:
    groups: dict[str | int, dict[Path, str]] = {}
    for path, text in changed.items():
        groups.setdefault(path[0], {})[path[1:]] = text
    return groups
