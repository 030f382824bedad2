"""Structured documents as YAML, the form that Rerank reads best. https://docs.cohere.com/docs/rerank-overview"""

from __future__ import annotations

import re
from typing import Any

import msgspec

#: Text that means itself in YAML without quotes. Anything else is written as JSON, which is YAML, too.
PLAIN = re.compile(r"[^\W_](?:[^\x00-\x1f\x7f:#]|:(?=\S)|(?<=\S)#)*(?<![\s:])")
#: And words that would mean something else.
WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


def to_yaml(document: dict[str, Any]) -> str:
    """Return a document as `name: value` lines, in its order."""
    return "\n".join(f"{_scalar(str(name))}: {_value(value)}" for name, value in document.items())


def _value(value: Any) -> str:
    return _scalar(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def _scalar(text: str) -> str:
    is_number = text.replace(".", "", 1).replace("-", "").replace("_", "").isdigit()
    plain = PLAIN.fullmatch(text) is not None and text.lower() not in WORDS and not is_number
    return text if plain else msgspec.json.encode(text).decode()
