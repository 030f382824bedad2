"""Secrets, where they are kept: what `os.environ/NAME` finds when the environment does not have it.

    POLYPORT_SECRETS=aws                 # or google, azure, vault; several with commas, asked in this order
    managers.make("vault", url="https://vault:8200", mount="secret")     # or made by hand: a function of a name

Nothing is imported, and nobody is asked, before a manager is named and a secret is wanted.
"""

from __future__ import annotations

import os
from functools import lru_cache

from polyport_secrets.managers import Manager, make

VARIABLE = "POLYPORT_SECRETS"


def secret(name: str) -> str | None:
    """Return what the managers that POLYPORT_SECRETS names have under a name; None where none has it."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return None
    return next((found for manager in _made(named) if (found := manager(name)) is not None), None)


@lru_cache(maxsize=4)
def _made(named: str) -> tuple[Manager, ...]:
    return tuple(make(one.strip()) for one in named.split(",") if one.strip())


__all__ = ["Manager", "make", "secret"]
