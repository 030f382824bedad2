"""What has to be quicker than a limit, on a machine of any pace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest


def given_time(attempt: Callable[[float], None], *seconds: float) -> None:
    """Try something with a limit of so many seconds, and with a longer one where the machine was not quick enough.

    What is wrong fails with each of them; what only came late, on a machine that stood still, has room with the last.
    """
    for limit in seconds[:-1]:
        with suppress(Exception, pytest.fail.Exception):
            return attempt(limit)
    return attempt(seconds[-1])
