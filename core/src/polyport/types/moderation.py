"""Moderation: whether content is harmful. https://platform.openai.com/docs/api-reference/moderations"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.types.record import Fields, Request, Result, empty


class ModerationResult(Fields):
    """One input's verdict: by category whether it was flagged, and the score (0 to 1)."""

    flagged: bool = msgspec.field(default_factory=bool)
    categories: dict[str, bool | None] = msgspec.field(default_factory=dict)
    category_scores: dict[str, float | None] = msgspec.field(default_factory=dict)
    category_applied_input_types: dict[str, list[str] | None] | None = None


class Moderation(Result):
    """One verdict per input, in input order (parts of one input share one)."""

    id: str = ""
    model: str = ""
    results: list[ModerationResult] = empty()


class ModerationRequest(Request):
    """What to judge: a text, texts, or content parts."""

    input: str | list[Any]
