"""Jobs that take their time: when they are asked after, when they are given up."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from polyport.drivers.simulation import Simulation
from polyport.errors import AuthenticationError, RateLimitError, Timeout
from polyport.flow import TimeoutSpec
from polyport.types.record import Options, Request
from polyport.waiting import growing, wait_for


def wait(answers: Any, pauses: Any = (), **options: Any) -> tuple[Any, float, int]:
    """Wait under a virtual clock; return the result or error, the time it took, and how often was asked."""
    asked = iter(answers)
    count = 0

    def ask():
        nonlocal count
        count += 1
        answer = next(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer
        yield

    request = Request(options=Options(**options))
    simulation = Simulation(lambda request, now: None)
    task = simulation.start(wait_for(ask, request, "The job", pauses or growing(1, 4, 2)))
    simulation.run()
    return task.error or task.result, simulation.now, count


def test_pauses_grow():
    """Up to the longest; a first one that is longer stays."""
    assert list(islice(growing(1, 4, 2), 5)) == [1, 2, 4, 4, 4]
    assert list(islice(growing(9, 4, 2), 3)) == [9, 9, 9]


def test_an_answer_ends_the_wait():
    """The one that is not None."""
    assert wait([None, None, "done"]) == ("done", 7, 3)
    assert wait(["done"], [0]) == ("done", 0, 1)


@pytest.mark.parametrize("timeout", [10, TimeoutSpec(total=10)])
def test_a_wait_is_not_longer_than_the_calls_timeout(timeout):
    """And is not tried again: the job goes on."""
    error, took, asked = wait([None] * 9, timeout=timeout)
    assert isinstance(error, Timeout)
    assert (took, asked, error.retryable) == (7, 3, False)
    assert "The job was not done within 10 s" in error.message


def test_without_a_timeout_it_is_ten_minutes_and_with_none_for_ever():
    """As of every call."""
    assert 590 < wait([None] * 999)[1] <= 600
    assert wait([*[None] * 999, "done"], timeout=TimeoutSpec(total=None))[0] == "done"
    assert "after the last question" in wait([None], [1], timeout=TimeoutSpec(total=None))[0].message


def test_passing_trouble_is_waited_out():
    """After as long as was asked for; four times in a row is no passing trouble."""
    busy = RateLimitError("busy", retry_after=30.0)
    assert wait([busy, busy, busy, None, busy, "done"]) == ("done", 1 + 30 + 30 + 30 + 4 + 30, 6)
    assert wait([busy] * 4)[0] is busy


def test_trouble_that_does_not_pass_is_raised_at_once():
    """A key that is taken away."""
    error = AuthenticationError("no")
    assert wait([None, error]) == (error, 3, 2)


def test_a_job_that_cannot_be_asked_after_is_not_begun_anew():
    """After several questions in vain the error is raised, and says that trying again would not help."""
    error, _, asked = wait([RateLimitError("later", retryable=True) for _ in range(9)])
    assert isinstance(error, RateLimitError)
    assert (error.retryable, asked) == (False, 4)
