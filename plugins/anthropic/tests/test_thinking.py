"""Thinking: efforts, budgets, and blocks that go back unchanged. https://platform.claude.com/docs/en/build-with-claude/thinking"""

from __future__ import annotations

import pytest

from polyport import errors

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}


def adaptive(effort):
    """What an effort is to a model that decides for itself."""
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def budget(tokens):
    """What an effort is to a model that is given a budget."""
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


CLAMPED, EMULATED, DROPPED = ([("reasoning_effort", action)] for action in ("clamped", "emulated", "dropped"))


@pytest.mark.parametrize(
    ("model", "effort", "fields", "adaptations"),
    [
        ("claude-opus-5-5", "high", adaptive("high"), []),
        ("claude-opus-5-5", "xhigh", adaptive("xhigh"), []),
        ("claude-opus-5-5", "minimal", adaptive("low"), CLAMPED),
        ("claude-sonnet-4-6", "xhigh", adaptive("max"), CLAMPED),
        ("claude-sonnet-4-6", "max", adaptive("max"), []),
        ("claude-future-9", "low", adaptive("low"), [("max_tokens", "emulated")]),
        ("claude-sonnet-4-5", "low", budget(2048), EMULATED),
        ("claude-opus-4-5", "high", budget(16384), EMULATED),
        ("claude-3-7-sonnet-20250219", "medium", budget(8192), EMULATED),
        ("claude-sonnet-4-5", "none", {"thinking": {"type": "disabled"}}, []),
        ("claude-haiku-5-5", "none", {"thinking": {"type": "disabled"}}, []),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}, []),
        ("claude-3-5-haiku-latest", "none", {}, []),
    ],
)
def test_an_effort_is_what_the_models_generation_takes(ask, model, effort, fields, adaptations):
    """A budget until 4.5, an effort from 4.6 on; levels a model lacks become the nearest one it has."""
    body, adapted, _ = ask(model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == fields
    assert adapted == adaptations


def test_a_budget_leaves_room_for_the_answer(ask):
    """Thinking counts toward max_tokens: it gets half at most, and with no room it is refused."""
    assert ask(reasoning_effort="high", max_tokens=6000)[0]["thinking"]["budget_tokens"] == 3000
    with pytest.raises(errors.UnsupportedParamsError, match="max_tokens=1000 leaves no room"):
        ask(reasoning_effort="high", max_tokens=1000)
    assert ask(reasoning_effort="high", max_tokens=1000, drop_params=True)[1] == DROPPED


def test_models_that_never_or_always_think_say_so(ask):
    """An effort needs a model that thinks, "none" one that can stop."""
    with pytest.raises(errors.UnsupportedParamsError, match="does not think"):
        ask("claude-3-5-haiku-latest", reasoning_effort="low")
    with pytest.raises(errors.UnsupportedParamsError, match="always thinks"):
        ask("claude-opus-5-5", reasoning_effort="none")


def test_an_unknown_effort_is_named(ask):
    """A misspelt effort is an error that lists the right ones."""
    with pytest.raises(errors.BadRequestError, match=r"'hard' is no effort at \$\.reasoning_effort"):
        ask(reasoning_effort="hard")


def test_thinking_passes_as_given(ask):
    """Anthropic's own parameter; a budget turns adaptive only where a model would refuse it."""
    given = {"type": "enabled", "budget_tokens": 2000}
    assert ask(thinking=given)[:2] == ({**ask()[0], "thinking": given}, [])
    body, adaptations, _ = ask("claude-opus-5", thinking=given)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert adaptations == [("thinking", "emulated")]
    body, _, _ = ask("claude-opus-5", thinking={"type": "adaptive"}, reasoning_effort="low")
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})


def test_thinking_blocks_come_out_and_go_back_unchanged(ask, message):
    """Signed and redacted blocks, in order, before the text and the calls they led to."""
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    message["content"] = [THOUGHT, REDACTED, {"type": "text", "text": "Well."}, call]
    message["stop_reason"] = "tool_use"
    answer = ask(reply=message)[2].choices[0].message
    assert answer.reasoning_content == "Hm."
    assert answer.thinking_blocks == [THOUGHT, REDACTED]
    assert answer.provider_specific_fields is None
    result = {"role": "tool", "tool_call_id": "t1", "content": "1"}
    body = ask(messages=[{"role": "user", "content": "x"}, answer, result])[0]
    assert body["messages"][1]["content"] == message["content"]


def test_interleaved_blocks_keep_their_order(ask, message):
    """Thinking between calls cannot be told by plain fields; the blocks are kept whole."""
    first = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    message["content"] = [THOUGHT, first, REDACTED, {"type": "text", "text": "So."}]
    answer = ask(reply=message)[2].choices[0].message
    body = ask(messages=[{"role": "user", "content": "x"}, answer])[0]
    assert body["messages"][1]["content"] == message["content"]


def test_a_message_that_was_changed_is_not_overruled_by_what_was_kept(ask, message):
    """Whoever edits an answer's text gets the edited text sent."""
    message["content"] = [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]
    answer = ask(reply=message)[2].choices[0].message
    answer.content = "Three."
    body = ask(messages=[{"role": "user", "content": "x"}, answer])[0]
    assert body["messages"][1] == {"role": "assistant", "content": "Three."}


def test_reasoning_without_a_signature_cannot_go_back(adapted):
    """What another provider thought is left out, and that is recorded."""
    foreign = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    unsigned = {"role": "assistant", "content": "Hi", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}
    asked = {"role": "user", "content": "x"}
    assert adapted(messages=[asked, foreign]) == [("messages", "dropped")]
    assert adapted(messages=[asked, unsigned]) == [("messages", "dropped")]
