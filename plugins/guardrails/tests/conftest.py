"""A guarded client over a simulated wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from polyport import Client
from polyport.guarding.rules import rule
from polyport.guarding.verdicts import Seen, Text, Verdict
from polyport.testing import Wire
from polyport.types.record import Request

ANSWER = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}  # fmt: skip


def entry(name: str, mode: Any = "pre_call", **params: Any) -> dict[str, Any]:
    """Return a configuration entry of an installed guardrail."""
    return {"guardrail_name": name, "litellm_params": {"guardrail": name, "mode": mode, **params}}


def verdict(name: str, *texts: str, role: str = "user", side: Any = "request", **params: Any) -> Verdict:
    """Return what an offline guardrail says of texts."""
    shown = [Text(("messages", n, "content"), text, role) for n, text in enumerate(texts)]
    seen = Seen(
        texts=shown, side=side, mode="pre_call", operation="completion", provider="p", model="m", request=Request(),
        ask=lambda function, **fields: iter(()),
    )  # fmt: skip
    return rule(entry(name, **params)).guardrail.check(seen)  # type: ignore[return-value]


def completion(text: str) -> dict[str, Any]:
    """An answer as it stands on the wire."""
    made = {**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}}
    return {**ANSWER, "choices": [made]}


@pytest.fixture
def guarded() -> Iterator[Callable[..., tuple[Client, Wire]]]:
    """Make clients of OpenAI's that answer from a wire, behind guardrails."""
    made: list[Client] = []

    def make(answers: Any, *entries: Any) -> tuple[Client, Wire]:
        wire = Wire(answers)
        client = Client(http=wire, api_key="k", num_retries=0, guardrails=entries)
        made.append(client)
        return client, wire

    yield make
    for client in made:
        client.close()
