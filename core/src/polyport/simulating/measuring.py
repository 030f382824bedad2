"""What is measured while a simulation runs: each attempt at its deployment, each call for its caller, and rests."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from polyport.border import Call
from polyport.client import Client
from polyport.errors import APIError, RateLimitError
from polyport.flow import Flow, HttpRequest, Streaming
from polyport.states import MemoryState, Outcome, Ticket

Clock = Callable[[], float]


class Load:
    """What one deployment had to do, in steps of time. `latencies` are of attempts that succeeded, by step."""

    def __init__(self, id: str, group: str, model: str, steps: int, step: float) -> None:
        self.id, self.group, self.model = id, group, model
        self._step, self._last = step, steps - 1
        self.busy = self.peak = 0
        self.requests = [0] * steps
        self.errors = [0] * steps
        self.cancelled = 0
        self.kinds: Counter[str] = Counter()
        self.latencies = [array("d") for _ in range(steps)]
        self.rests: list[list[float]] = []
        self.tokens = 0
        self.cost = 0.0

    def place(self, time: float) -> int:
        """Return the step a time is in; what comes after the end is in the last."""
        return min(int(time / self._step), self._last)

    def begin(self, now: float) -> None:
        """Count a request in."""
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        self.requests[min(int(now / self._step), self._last)] += 1

    def end(self, start: float, now: float, error: BaseException | None) -> None:
        """Count a request out: by its error, or by the time it took."""
        self.busy -= 1
        if error is None:
            self.latencies[min(int(start / self._step), self._last)].append(now - start)
        elif isinstance(error, APIError):
            self.kinds[type(error).__name__] += 1
            self.errors[self.place(now)] += 1
        else:
            self.cancelled += 1

    def rest(self, start: float, end: float) -> None:
        """Note a rest; one that begins while another lasts makes it longer."""
        if self.rests and start <= self.rests[-1][1]:
            self.rests[-1][1] = max(self.rests[-1][1], end)
        else:
            self.rests.append([start, end])

    @property
    def refused(self) -> int:
        """How many requests it refused for its limits."""
        return self.kinds[RateLimitError.__name__]


class Loads(dict[str, Load]):
    """The load of each deployment; one that is not in the configuration, as a fallback by a model's name, joins."""

    def __init__(self, seconds: float, steps: int) -> None:
        super().__init__()
        self.steps, self.step = steps, seconds / steps

    def add(self, id: str, group: str, model: str) -> None:
        """Have a deployment's load measured."""
        self[id] = Load(id, group, model, self.steps, self.step)

    def __missing__(self, id: str) -> Load:
        self.add(id, id, id)
        return self[id]


class MeasuredClient(Client):
    """A client whose attempts are measured. `clock` tells the virtual time."""

    def __init__(self, loads: Loads, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._loads, self._clock = loads, clock

    def send(self, call: Call, request: HttpRequest | None = None) -> Flow[Any]:
        """Return the flow of one attempt, measured from its request to the end of its answer."""
        clock = self._clock
        load = self._loads[call.meta.deployment or ""]
        start = clock()
        load.begin(start)
        try:
            result = yield from super().send(call, request)
        except BaseException as error:
            load.end(start, clock(), error)
            raise
        if isinstance(result, Streaming):
            return self._follow(result, load, start)
        load.tokens += result.usage.total_tokens
        load.end(start, clock(), None)
        return result

    def _follow(self, stream: Streaming[Any], load: Load, start: float) -> Streaming[Any]:
        """Measure a stream: to its first content, as routers do, and what it used."""
        first, whole = self._clock() - start, False

        def see(chunk: Any) -> None:
            nonlocal whole
            if chunk.usage is not None:
                load.tokens += chunk.usage.total_tokens
                whole = True

        def finish(error: BaseException | None) -> Flow[None]:
            yield from ()
            if error is None and not whole:
                load.busy -= 1
                load.cancelled += 1
            else:
                load.end(start, start + first if error is None else self._clock(), error)

        return stream.tap(see).epilogue(finish)


class MeasuredState(MemoryState):
    """A state that notes when deployments rest."""

    def __init__(self, loads: Loads) -> None:
        super().__init__()
        self._loads = loads

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> Flow[None]:
        """Count the call out; after a failure, see whether the deployment rests now."""
        yield from super().settle(ticket, outcome, now)
        if outcome.failed:
            cooling = (yield from self.look([ticket.id], now))[0].cooling
            if cooling:
                self._loads[ticket.id].rest(now, now + cooling)


class Callers:
    """What the callers saw, whatever the router did for it."""

    def __init__(self) -> None:
        self.calls = self.succeeded = self.left = 0
        self.errors: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()
        self.latencies, self.first_tokens = array("d"), array("d")
        self.cost: float | None = None
        self.examples: dict[str, str] = {}

    def failed(self, error: APIError) -> None:
        """Count a failure by its class, and keep the first message of each."""
        name = type(error).__name__
        self.errors[name] += 1
        self.examples.setdefault(name, str(error))

    def paid(self, cost: float | None) -> None:
        """Add what a call cost; unknown as long as no price is known."""
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that `share` of the values, in order, are not above; None of none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
