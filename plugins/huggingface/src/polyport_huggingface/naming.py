"""What a model's name says: the repository on the Hub, and the provider that is to serve it.

`org/model`, `org/model:provider`, `org/model:fastest`; `provider/org/model` is the older way to write the second.
https://huggingface.co/docs/inference-providers#provider-selection
"""

from __future__ import annotations

import re

import msgspec

from polyport.provider import join
from polyport.types.record import Request

ROUTER = "https://router.huggingface.co"
#: What may stand after the colon instead of a provider.
POLICIES = frozenset({"fastest", "cheapest", "preferred", "auto"})


class Name(msgspec.Struct, frozen=True):
    """A repository, and the provider or policy that was asked for, "" where none was."""

    repo: str
    provider: str = ""

    def __str__(self) -> str:
        return f"{self.repo}:{self.provider}" if self.provider else self.repo


def read(model: str) -> Name:
    """Return what a model's name says."""
    repo, _, provider = model.partition(":")
    if not provider and repo.count("/") == 2:
        provider, _, repo = repo.partition("/")
    return Name(repo, "" if provider == "auto" else provider)


def dedicated(request: Request) -> bool:
    """Whether a request goes to an endpoint of the user's own, not to the router."""
    base = (request.options.api_base or "").rstrip("/")
    return bool(base) and not re.fullmatch(rf"{re.escape(ROUTER)}(/v1)?", base)


def place(base: str, path: str) -> str:
    """Return the URL of a path: the router's paths begin at its root, an endpoint's own root is its address."""
    base = base.rstrip("/")
    if base == f"{ROUTER}/v1":
        base = ROUTER
    return base if path == "/" else join(base, path)
