"""The state in memory, held to a model of it that is slow and plain."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from polyport.states import WINDOW, Limits, MemoryState, Outcome, Refusal, Ticket, Window

LIMITS = Limits(rpm=5, tpm=100, parallel=3)


def run(flow):
    """Run a flow that yields nothing."""
    try:
        next(flow)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a state in memory yields no effects")


class States(RuleBasedStateMachine):
    """Takes and settles at any times, beside a list of all that was ever taken."""

    def __init__(self) -> None:
        super().__init__()
        self.state = MemoryState()
        self.now = 1000.0
        self.open: list[tuple[Ticket, list[float]]] = []
        self.requests: list[float] = []
        self.tokens: list[list[float]] = []
        self.cool_until = 0.0
        self.failures: list[float] = []

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds):
        self.now += seconds

    @rule(tokens=st.integers(0, 60))
    def take(self, tokens):
        got = run(self.state.take("d", LIMITS, tokens, self.now))
        recent = [at for at in self.requests if at > self.now - 60]
        used = sum(count for at, count in self.tokens if at > self.now - 60)
        may = self.now >= self.cool_until and len(self.open) < 3 and len(recent) < 5 and used + tokens <= 100
        if isinstance(got, Ticket):
            assert may
            self.requests.append(self.now)
            self.tokens.append([self.now, tokens])
            self.open.append((got, self.tokens[-1]))
        else:
            assert isinstance(got, Refusal)
            if got.limit == "cooling":
                assert abs(got.seconds - (self.cool_until - self.now)) < 1e-6
            elif got.seconds is not None:
                assert 0 <= got.seconds <= 62

    @rule(data=st.data(), used=st.none() | st.integers(0, 90), failed=st.booleans(), cool=st.sampled_from([0.0, 20.0]))
    def settle(self, data, used, failed, cool):
        if not self.open:
            return
        ticket, entry = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        run(self.state.settle(ticket, Outcome(tokens=used, failed=failed, cool=cool, allowed=1), self.now))
        if used is not None and used > ticket.tokens:
            self.tokens.append([self.now, used - ticket.tokens])
        elif used is not None:
            entry[1] = used
        if failed:
            self.failures.append(self.now)
            if cool and len([at for at in self.failures if int(at) >= int(self.now) - 60]) > 1:
                self.cool_until = max(self.cool_until, self.now + cool)
                self.failures.clear()

    @invariant()
    def stands_as_it_should(self):
        (standing,) = run(self.state.look(["d"], self.now))
        assert standing.busy == len(self.open)
        assert abs(standing.cooling - max(0.0, self.cool_until - self.now)) < 1e-6
        exact = len([at for at in self.requests if at > self.now - 60])
        at_most = len([at for at in self.requests if at > self.now - 61])
        assert exact <= standing.requests <= at_most


TestStates = States.TestCase
TestStates.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_what_was_never_seen_stands_at_nothing_and_can_be_forgotten():
    """A call that ends after its deployment was forgotten counts nowhere."""
    state = MemoryState()
    ticket = run(state.take("d", Limits(), 5, 0.0))
    run(state.forget(["d", "other"]))
    run(state.settle(ticket, Outcome(tokens=5), 1.0))
    (standing,) = run(state.look(["d"], 1.0))
    assert (standing.busy, standing.requests, standing.tokens) == (0, 0, 0)


def test_a_refusal_says_when_there_is_room():
    """Taken then, it can be taken; a second earlier it cannot, or not for sure."""
    state, limits = MemoryState(), Limits(rpm=2, tpm=50)
    for at in (0.0, 10.0):
        run(state.take("d", limits, 10, at))
    refusal = run(state.take("d", limits, 10, 20.0))
    assert (refusal.limit, refusal.seconds) == ("rpm", 41.0)
    assert isinstance(run(state.take("d", limits, 10, 20.0 + refusal.seconds)), Ticket)
    assert run(state.take("e", limits, 51, 0.0)).limit == "tpm"


def test_a_window_that_nobody_reads_does_not_grow():
    """It holds the seconds of a minute, however long it counts."""
    window = Window()
    for second in range(1000):
        window.add(2, second + 0.5)
    assert len(window._counts) <= WINDOW + 1
    assert window.read(1000.0) == 2 * WINDOW
    window.give_back(1, 990)
    window.give_back(1, 100)
    assert window.read(1000.0) == 2 * WINDOW - 1
    assert window.free_at(0, 1000.0) == 60.0
    assert window.read(1100.0) == 0
