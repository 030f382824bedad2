"""What the functions behind the desk read of what they are asked, and refuse of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.errors import BadRequestError

#: Rows that a list returns at most.
PAGE = 1000
#: Columns of numbers go as far as this.
LARGEST = 2**31 - 1


def only(known: set[str], where: str, body: Mapping[str, Any]) -> None:
    """Raise BadRequestError for a name that is not known."""
    unknown = next((name for name in body if name not in known), None)
    if unknown is not None:
        raise BadRequestError(f"{where} has no {str(unknown)[:60]!r}; there are {', '.join(sorted(known))}.")


def limit_of(body: Mapping[str, Any]) -> int:
    """Return how many rows are asked for."""
    return max(1, min(int(number("limit", body.get("limit", 100))), PAGE))


def number(name: str, value: Any) -> float:
    """Read a number that may come from a query string."""
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"{name} must be a number.") from error
    if not abs(found) < 2**53:
        raise BadRequestError(f"{name} must be a number that can be counted to.")
    return found


def texts(name: str, value: Any) -> list[str]:
    """Read a text, or a list of them; of a query string, "a,b" is a list."""
    found = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    if len(found) > 200 or any(isinstance(one, dict | list) for one in found):
        raise BadRequestError(f"{name} must be a text, or a list of at most 200.")
    return [str(one).replace("\x00", "").encode(errors="replace").decode() for one in found]
