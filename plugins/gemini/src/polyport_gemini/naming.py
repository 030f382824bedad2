"""Names: Google's JSON writes them in camelCase, Python's users in snake_case. Both are taken."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any


def camel(name: str) -> str:
    """Return a name in camelCase."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def known_as(name: str, known: Collection[str]) -> str:
    """Return a name in camelCase where that is one of `known`; any other name goes out as it came."""
    return camel(name) if camel(name) in known else name


#: Fields whose inside is the user's own: property names of a schema, labels.
OPAQUE = ("schema", "labels")


def camel_keys(value: Any) -> Any:
    """Return plain data with every key of its dicts in camelCase, down to where names are the user's own."""
    if isinstance(value, dict):
        return {
            camel(name): inner if name.lower().endswith(OPAQUE) else camel_keys(inner) for name, inner in value.items()
        }
    return [camel_keys(inner) for inner in value] if isinstance(value, list) else value
