"""Labels whose number is bounded: each value of one is a time series of its own, kept for good."""

from __future__ import annotations

OTHER = "other"


class Bounded:
    """Lets the first `limit` different values through; those that come after are all one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def bound(self, value: str) -> str:
        """Return the value, or "other"."""
        if value not in self._known:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(value)
        return value
