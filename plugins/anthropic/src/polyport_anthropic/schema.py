"""JSON schemas as Claude's structured outputs take them.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from typing import Any

import msgspec

#: What a schema may say; anything else is told to the model in the description instead.
KEPT = frozenset({
    "type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "properties", "required",
    "additionalProperties", "items", "description", "title", "default", "format", "minItems",
})  # fmt: skip
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
MAPS = ("properties", "$defs", "definitions")
LISTS = ("anyOf", "allOf", "oneOf")


def constrain(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return (the schema as Claude takes it, the constraints that only its descriptions still hold).

    Objects are closed, `oneOf` becomes `anyOf`, and what cannot be enforced (minimum, pattern ...) moves into the
    description, where the model may still heed it.
    """
    told: list[str] = []
    return _node(schema, told), sorted(set(told))


def _node(node: dict[str, Any], told: list[str]) -> dict[str, Any]:
    made = {name: _value(name, value, told) for name, value in node.items()}
    if "oneOf" in made:
        made["anyOf"] = made.pop("oneOf")
    loose = {name: made.pop(name) for name in list(made) if not _is_kept(name, made[name])}
    if loose:
        told += loose
        said = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in loose.items())
        made["description"] = f"{made['description']} ({said})" if made.get("description") else said
    if made.get("type") == "object" or "properties" in made:
        if made.get("additionalProperties", False) is not False:
            told.append("additionalProperties")
        made["additionalProperties"] = False
    return made


def _value(name: str, value: Any, told: list[str]) -> Any:
    if name in MAPS and isinstance(value, dict):
        return {key: _node(inner, told) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if name in LISTS and isinstance(value, list):
        return [_node(inner, told) if isinstance(inner, dict) else inner for inner in value]
    if name == "items" and isinstance(value, dict):
        return _node(value, told)
    return value


def _is_kept(name: str, value: Any) -> bool:
    if name == "format":
        return value in FORMATS
    if name == "minItems":
        return value in (0, 1)
    return name in KEPT
