"""How many threads to compute with."""

from __future__ import annotations

import os


def spare_cores() -> int:
    """Return the number of cores less one, at least one.

    The engines' threads wait for each other at every layer, so one that has to share its core holds all of them up:
    on two busy cores two threads wrote 5 tokens a second where one wrote 20 (2026-11-22).
    """
    return max(1, (os.cpu_count() or 1) - 1)
