"""How the last requests on each deployment went, in this process: counts of some minutes, and the last error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from polyport_gateway.gate import Admission, Asked, Outcome

#: Seconds that are counted, and the steps in which they are forgotten.
SPAN, STEP = 300, 10
#: Deployments that are counted; a pattern among the models may lead to any number.
MANY = 10_000
#: Requests that are counted in one go: done many times in a row, it costs half of what it costs in between others.
ROUND = 50
#: Statuses of requests that any deployment would have refused.
WRONG = (400, 413, 422)


class _Counts:
    __slots__ = ("error", "error_at", "steps", "success_at")

    def __init__(self) -> None:
        self.steps: deque[list[int]] = deque()
        self.error: str | None = None
        self.error_at: float | None = None
        self.success_at: float | None = None


class Recent:
    """Counts by deployment. Its `tap` is told of each request that is over."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._by_id: dict[str, _Counts] = {}
        self._waiting: list[tuple[Outcome, float]] = []

    def tap(self, asked: Asked | None, admission: Admission | None, outcome: Outcome) -> None:
        """Count who answered, and who failed on the way; a request that was wrong says nothing of a deployment."""
        self._waiting.append((outcome, self._clock()))
        if len(self._waiting) >= ROUND:
            self._count_all()

    def _count_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for outcome, now in waiting:
            self._count(outcome, now)

    def _count(self, outcome: Outcome, now: float) -> None:
        for failure in outcome.failures:
            if failure.status not in WRONG:
                counts = self._counted(failure.deployment, now, failed=True)
                counts.error, counts.error_at = failure.error, now
        if outcome.deployment and outcome.status < 400 and outcome.attempts and not outcome.cache_hit:
            self._counted(outcome.deployment, now, failed=False).success_at = now

    def _counted(self, deployment: str, now: float, *, failed: bool) -> _Counts:
        counts = self._by_id.get(deployment)
        if counts is None:
            if len(self._by_id) >= MANY:
                del self._by_id[next(iter(self._by_id))]
            counts = self._by_id[deployment] = _Counts()
        step = int(now) // STEP
        if not counts.steps or counts.steps[-1][0] != step:
            counts.steps.append([step, 0, 0])
            while counts.steps[0][0] <= step - SPAN // STEP:
                counts.steps.popleft()
        counts.steps[-1][1 + failed] += 1
        return counts

    def succeeded_at(self, id: str) -> float | None:
        """Return when a deployment last answered, in seconds since 1970."""
        self._count_all()
        counts = self._by_id.get(id)
        return None if counts is None else counts.success_at

    def of(self, id: str) -> dict[str, Any]:
        """Return what is known of a deployment."""
        self._count_all()
        counts = self._by_id.get(id) or _Counts()
        oldest = int(self._clock()) // STEP - SPAN // STEP
        steps = [step for step in counts.steps if step[0] > oldest]
        return {
            "seconds": SPAN,
            "successes": sum(step[1] for step in steps),
            "failures": sum(step[2] for step in steps),
            "last_success_at": counts.success_at,
            "last_error_at": counts.error_at,
            "last_error": counts.error,
        }
