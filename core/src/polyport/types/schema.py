"""Structured output: from a `response_format` to a JSON schema, and from the answer's text to an instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.types.record import learn


class Schema(msgspec.Struct):
    """A JSON schema to answer in. `value` None means any JSON object (`json_object`)."""

    name: str
    value: dict[str, Any] | None
    strict: bool | None = None
    description: str | None = None


def schema_of(response_format: Any) -> Schema | None:
    """Read a `response_format`: the dict forms. Classes were turned into json_schema when the request was built."""
    if not isinstance(response_format, dict) or response_format.get("type") in (None, "text"):
        return None
    if response_format["type"] == "json_object":
        return Schema("json", None)
    if response_format["type"] != "json_schema":
        raise BadRequestError(f"Unknown type {response_format['type']!r} at $.response_format.type")
    inner = response_format.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise BadRequestError("`json_schema` needs `name` and `schema` at $.response_format.json_schema")
    return Schema(inner.get("name", "answer"), inner["schema"], inner.get("strict"), inner.get("description"))


def reader_for(kind: type) -> Callable[[str], Any]:
    """Return what turns JSON text into an instance of a msgspec Struct or pydantic model class."""

    def read(text: str) -> Any:
        try:
            if hasattr(kind, "model_validate_json"):
                return kind.model_validate_json(text)
            return msgspec.json.decode(text, type=learn(kind))
        except ValueError as error:  # msgspec's and pydantic's validation errors are both ValueErrors
            raise InvalidResponseError(f"The answer does not fit {kind.__name__}: {error}", body=text) from error

    return read


def strict_format(kind: type) -> dict[str, Any]:
    """Return the strict `response_format` for a msgspec Struct, dataclass, TypedDict or pydantic model class."""
    if hasattr(kind, "model_json_schema"):
        schema = kind.model_json_schema()
    else:
        try:
            schema = msgspec.json.schema(kind)
        except TypeError as error:
            raise BadRequestError(f"{kind!r} cannot be a response_format: {error}") from error
    return {
        "type": "json_schema",
        "json_schema": {"name": kind.__name__, "strict": True, "schema": strict_schema(schema)},
    }


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema as strict providers want it: the root inline, every property required, nothing extra.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    definitions = schema.get("$defs", {})
    root = schema
    if "$ref" in schema:
        root = {**definitions[schema["$ref"].rpartition("/")[2]]}
        if definitions:
            root["$defs"] = definitions
    tightened: dict[str, Any] = _tighten(root)
    return tightened


#: Keywords that hold values, and those that hold schemas by name: neither is a schema itself.
_VALUES = frozenset({"enum", "const", "examples"})
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


def _tighten(node: Any) -> Any:
    if isinstance(node, list):
        return [_tighten(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return {"$ref": node["$ref"]}
    made = {key: value if key in _VALUES else _tighten(value) for key, value in node.items() if key != "default"}
    for key in _NAMED:
        if isinstance(node.get(key), dict):
            made[key] = {name: _tighten(value) for name, value in node[key].items()}
    if isinstance(node.get("properties"), dict):
        made["required"] = list(node["properties"])
        made["additionalProperties"] = False
    return made
