"""What is known of a Gemini model's API by its name, and what `models.json` adds to that.

A model that is not known is taken for one of the newest generation: its API is the better judge.
https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

import re
from functools import lru_cache

#: What an unversioned name ("gemini-flash-latest") or one of another family is taken for.
NEWEST = 99.0
#: From here on models take a level of thinking, put signatures on calls and check them, and see images in results.
LEVELS_FROM = 3.0
#: From here on models think, to a budget of tokens.
BUDGETS_FROM = 2.5


@lru_cache(maxsize=512)
def generation(model: str) -> float:
    """Return a model's generation: 2.5 for "gemini-2.5-flash-lite", NEWEST where the name does not tell."""
    found = re.search(r"gemini-(?:live-)?(\d+(?:\.\d+)?)", model)
    return float(found[1]) if found else NEWEST


def takes_levels(model: str) -> bool:
    """Whether the model takes a level of thinking, and checks the signatures of its calls."""
    return generation(model) >= LEVELS_FROM


def takes_budget(model: str) -> bool:
    """Whether the model takes a budget for thinking and no level."""
    return BUDGETS_FROM <= generation(model) < LEVELS_FROM
