"""A guarded client over a simulated wire, and guardrails that do as their tests want."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from core.tests.conftest import DONE, ROLE, Fake, event

from polyport import Client
from polyport.dialects.openai import Images, Moderations, Rerank, Responses, Speech, Transcriptions
from polyport.guarding.verdicts import PASS, Block, Edit, Mask, Seen, Verdict
from polyport.testing import Wire
from polyport.types.guard import Finding

SECRET = re.compile(r"[a-z]+@[a-z]+\.com")
ASK = [{"role": "user", "content": "write to bob@example.com please"}]


class Everything(Fake, Images, Moderations, Rerank, Responses, Speech, Transcriptions):
    """Has every operation that has text."""


def masks(seen: Seen) -> Verdict:
    """Mask what looks like an address."""
    return Mask(
        [Edit(index, match.start(), match.end(), "[EMAIL]", "EMAIL")
         for index, one in enumerate(seen.texts) for match in SECRET.finditer(one.text)]
    )  # fmt: skip


def blocks(seen: Seen) -> Verdict:
    """Block what looks like an address."""
    found = [
        Finding("EMAIL", one.where, match.start(), match.end())
        for one in seen.texts
        for match in SECRET.finditer(one.text)
    ]
    return Block("an address", found) if found else PASS


def passes(seen: Seen) -> Verdict:
    """Let everything through."""
    return PASS


def entry(function: Any, mode: Any = "pre_call", name: str = "", **params: Any) -> dict[str, Any]:
    """Return a configuration entry."""
    return {"guardrail_name": name or function.__name__, "params": {"guardrail": function, "mode": mode, **params}}


def stream(*texts: str) -> bytes:
    """Return a chat's stream as it stands on the wire."""
    return ROLE + b"".join(event(text) for text in texts) + DONE


@pytest.fixture
def guarded() -> Iterator[Callable[..., Client]]:
    """Make clients that answer from a wire, behind guardrails."""
    made: list[Client] = []

    def make(answers: Any, *entries: Any, **options: Any) -> Client:
        wire = answers if isinstance(answers, Wire) else Wire(answers)
        client = Client(
            http=wire, api_key="k", num_retries=0, providers={"fake": Everything, "bare": Fake}, guardrails=entries,
            **options,
        )  # fmt: skip
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
