"""The layer: what each mode does with what a guardrail says."""

from __future__ import annotations

import asyncio

import pytest
from core.tests.conftest import completion
from core.tests.guarding.conftest import ASK, blocks, entry, masks, passes

from polyport import GuardrailError
from polyport.testing import Wire


def test_what_is_masked_is_sent_masked_and_the_users_messages_stay(guarded):
    """Of the request only the text differs; the result tells what was found and not what it was."""
    wire = Wire(completion())
    messages = [{**ASK[0], "name": "amy"}, {"role": "assistant", "content": None, "refusal": "no"}]
    given = [dict(message) for message in messages]
    result = guarded(wire, entry(masks)).completion("fake/m", messages, temperature=0.5)
    assert wire.requests[0].json == {
        "model": "m",
        "messages": [{"role": "user", "content": "write to [EMAIL] please", "name": "amy"}, given[1]],
        "temperature": 0.5,
    }
    assert messages == given
    (said,) = result.meta.guardrails
    assert (said.guardrail, said.mode, said.outcome, said.checks) == ("masks", "pre_call", "masked", 1)
    assert [(f.entity, f.path, f.start, f.end) for f in said.findings] == [("EMAIL", "$.messages[0].content", 9, 24)]


def test_what_is_blocked_before_the_call_is_not_sent(guarded):
    """The error names guardrail, mode and reason, and quotes nothing."""
    wire = Wire([])
    with pytest.raises(GuardrailError, match=r"'blocks' \(pre_call\) blocked the request: an address") as caught:
        guarded(wire, entry(blocks)).completion("fake/m", ASK)
    error = caught.value
    assert (error.guardrail, error.mode, error.reason, error.status_code) == ("blocks", "pre_call", "an address", 400)
    assert error.findings[0].entity == "EMAIL"
    assert "bob" not in f"{error!r} {error} {error.findings}"
    assert not wire.requests


def test_an_answer_is_masked_before_it_is_handed_out(guarded):
    """Also in the bytes it was read from, which are not kept."""
    result = guarded(completion("from amy@example.com"), entry(masks, "post_call")).completion("fake/m", ASK)
    assert result.text == "from [EMAIL]"
    assert result.raw is None
    assert "amy" not in result.to_json()


def test_an_answer_is_blocked(guarded):
    """The caller gets the error in its place."""
    client = guarded(completion("from amy@example.com"), entry(passes), entry(blocks, "post_call"))
    with pytest.raises(GuardrailError, match="blocked the answer: an address"):
        client.completion("fake/m", ASK)
    with pytest.raises(GuardrailError, match="blocked the answer: an address"):
        asyncio.run(client.acompletion("fake/m", ASK))


def test_without_a_guardrail_nothing_is_in_the_way(guarded):
    """And nothing is told."""
    assert guarded(completion()).completion("fake/m", ASK).meta.guardrails == []
