"""Moments as seconds since 1970, as OpenAI's shapes have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime


def created_at(headers: Mapping[str, str]) -> int:
    """Return a reply's date, for bodies that do not tell when they were made; 0 where the headers do not either."""
    try:
        return int(parsedate_to_datetime(headers.get("date", "")).timestamp())
    except ValueError:
        return 0


def seconds(moment: datetime | None) -> int | None:
    """Return a moment, None for none."""
    return None if moment is None else int(moment.timestamp())
