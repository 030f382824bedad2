"""Budgets that somebody keeps beside a router: asked before each attempt, told after it, and left out when spent."""

from __future__ import annotations

import pytest
from core.tests.conftest import ASK
from core.tests.router.conftest import Field, fails, ok
from hypothesis import given, settings, strategies as st

from polyport.errors import APIError, RateLimitError
from polyport.states import Refusal

#: USD of a token: a call has fifteen.
PRICE = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
COST = 15_000


class Kept:
    """Budgets by deployment, in nano-dollars; a call sets as much aside as it costs."""

    def __init__(self, **left: int) -> None:
        self.left = left
        self.held: list[str] = []
        self.settled: list[tuple[str, int | None]] = []

    def reserve(self, one, call):
        yield from ()
        name = one.deployment.id
        if name not in self.left:
            return None
        if self.left[name] < COST:
            return Refusal("budget", 90.0, f"{name} has nothing left")
        self.left[name] -= COST
        self.held.append(name)
        return name

    def settle(self, held, nano):
        yield from ()
        self.held.remove(held)
        self.left[held] += COST - (COST if nano is None else nano)
        self.settled.append((held, nano))


def budgeted(kept, field, *entries, **settings):
    """A router over a field, with these budgets."""
    router = field.router(*entries, **settings)
    router.budgets = kept
    return router


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_an_attempt_cost_takes_the_place_of_what_was_set_aside(stream):
    """Of each attempt by itself: one that failed cost nothing."""
    kept = Kept(a=COST, b=3 * COST)
    field = Field(a=fails(), b=ok())
    router = budgeted(kept, field, field.entry("a", **PRICE), field.entry("b", order=1, **PRICE))
    field.ask(router, stream=stream)
    assert kept.settled == [("a", 0), ("b", COST)]
    assert (kept.held, kept.left) == ([], {"a": COST, "b": 2 * COST})


def test_one_that_is_spent_is_left_out():
    """Of a group's others one is taken; a group without any is told of, and another group fallen back to."""
    kept = Kept(a=0, b=2 * COST)
    field = Field(a=ok(), b=ok(), c=ok())
    entries = (field.entry("a", **PRICE), field.entry("b", **PRICE), field.entry("c", "other", **PRICE))
    router = budgeted(kept, field, *entries, num_retries=3)
    for _ in range(2):
        field.ask(router)
    assert field.seen == {"b": 2}
    with pytest.raises(RateLimitError, match=r"a has nothing left; b .*b has nothing left") as error:
        field.ask(router)
    assert (error.value.retry_after, field.seen.total()) == (90.0, 2)
    falling = budgeted(kept, field, *entries, fallbacks=[{"g": ["other"]}])
    field.ask(falling)
    assert field.seen == {"b": 2, "c": 1}


def test_a_stream_that_nobody_waits_for_costs_what_it_told():
    """And whatever was set aside for it is given back."""
    kept = Kept(a=COST)
    field = Field(a=ok())
    router = budgeted(kept, field, field.entry("a", **PRICE))

    def leave():
        stream = yield from router.flow("completion", model="g", messages=ASK, stream=True)
        yield from stream.pull()
        yield from stream.end(None)

    field.simulation.run_flow(leave())
    assert kept.held == []
    assert len(kept.settled) == 1
    assert kept.settled[0][1] is not None


def test_a_deployment_at_its_limit_sets_nothing_aside():
    """Its budget is asked first, and told at once that nothing came of it."""
    kept = Kept(a=9 * COST)
    field = Field(a=ok())
    router = budgeted(kept, field, field.entry("a", rpm=1, **PRICE), num_retries=0)
    field.ask(router)
    with pytest.raises(RateLimitError, match="1 requests in the last minute"):
        field.ask(router)
    assert kept.held == []
    assert kept.left == {"a": 8 * COST}


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 4).map(lambda many: many * COST)),
    st.lists(st.sampled_from([200, 500, 429]), min_size=3, max_size=3),
    st.booleans(),
    st.sampled_from([None, 0.5]),
    st.integers(1, 4),
)
def test_whatever_happens_nothing_stays_set_aside(left, statuses, stream, hedge, calls):
    """With failures, retries, races and streams; and no budget is ever overdrawn."""
    kept = Kept(**left)
    hosts = {name: ok() if status == 200 else fails(status) for name, status in zip("abc", statuses, strict=True)}
    field = Field(**hosts)
    entries = [field.entry(name, **PRICE) for name in hosts]
    router = budgeted(kept, field, *entries, hedge_after=hedge, num_retries=2)
    for _ in range(calls):
        try:
            field.ask(router, stream=stream)
        except APIError:
            continue
    assert kept.held == []
    assert all(amount >= 0 for amount in kept.left.values())
