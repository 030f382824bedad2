"""What is known of a Claude model, by whatever name a host gives it; read from this package's `models.json`.

`supports` there holds, besides what models can do ("vision", "pdf"), what their API takes: "thinking.enabled" (a
budget), "thinking.adaptive", "thinking.disabled", "thinking.between_tools", "effort" (with "effort.xhigh" and
"effort.max"), "forced_tools", "structured_output". A model that is not there is taken for one of the newest
generation that takes everything: its API is the better judge.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from polyport.catalog import ModelInfo, read_models

#: What a limit is where nothing is known of the model: every model that speaks the Messages API grants as much.
UNKNOWN_MAX_TOKENS = 4096
UNKNOWN = ModelInfo(
    supports=[
        "effort", "effort.xhigh", "effort.max", "forced_tools", "structured_output",
        "thinking.adaptive", "thinking.enabled", "thinking.disabled", "thinking.between_tools",
    ]
)  # fmt: skip


@lru_cache(maxsize=1)
def _models() -> dict[str, ModelInfo]:
    return read_models(Path(__file__).with_name("models.json"))


@lru_cache(maxsize=512)
def facts(model: str) -> ModelInfo:
    """Return what is known of a model; hosts' prefixes and dates in its name do not matter.

    "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929" and
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0" are one model.
    """
    found = re.search(r"claude-[a-z0-9-]+", model)
    name = re.sub(r"(-v\d+|-latest|-\d{8}(-v\d+)?)+$", "", found[0]) if found else model
    return _models().get(name, UNKNOWN)


def is_known(model: str) -> bool:
    """Return whether anything is known of the model."""
    return facts(model) is not UNKNOWN


def max_tokens(model: str) -> int:
    """Return the most tokens the model can answer with; UNKNOWN_MAX_TOKENS where nothing is known of it."""
    return facts(model).max_output_tokens or UNKNOWN_MAX_TOKENS
