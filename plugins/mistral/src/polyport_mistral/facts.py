"""What is known of a model, read from this package's `models.json`. One that is not there is its API's to judge."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from polyport.catalog import ModelInfo, read_models


@lru_cache(maxsize=1)
def _models() -> dict[str, ModelInfo]:
    return read_models(Path(__file__).with_name("models.json"))


def thinks(model: str) -> bool:
    """Whether a model may be sent chunks of thinking; others have no tokens to write it with."""
    known = _models().get(model)
    return known is None or "reasoning" in known.supports
