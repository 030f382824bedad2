"""What is known of a Cohere model, read from this package's `models.json`.

`supports` there holds "reasoning" for models that can think. Of a model that is not there everything is taken for
possible: Cohere is the better judge.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from polyport.catalog import ModelInfo, read_models

#: The generations of Embed that take one picture a call, as `images`; later ones take `inputs` of text and pictures.
OLD_EMBED = re.compile(r"-v[23]\.0$")


@lru_cache(maxsize=1)
def _models() -> dict[str, ModelInfo]:
    return read_models(Path(__file__).with_name("models.json"))


def thinks(model: str) -> bool:
    """Whether the model can think; of an unknown one it is assumed."""
    info = _models().get(model)
    return info is None or "reasoning" in info.supports


def thinks_surely(model: str) -> bool:
    """Whether the model is known to think."""
    info = _models().get(model)
    return info is not None and "reasoning" in info.supports


def embeds_mixed(model: str) -> bool:
    """Whether a vector can be of text and pictures together, and a call hold several pictures."""
    return OLD_EMBED.search(model) is None
