"""The simulating driver: a virtual clock, a simulated wire, and as many flows side by side as you like.

    def wire(request, now):
        return Answer(0.8, HttpReply(status=200, content=b"..."))     # 0.8 virtual seconds later

    simulation = Simulation(wire)
    simulation.arrive((n / 100, client.flow("completion", ...)) for n in range(200_000))   # 100 a second
    simulation.run()

Nothing is sent and nobody waits: an hour of traffic passes as fast as its flows can be run.
"""

from __future__ import annotations

import heapq
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from polyport.errors import Timeout
from polyport.flow import (
    NOW,
    All,
    Call,
    Close,
    First,
    Flow,
    HttpReply,
    HttpRequest,
    Items,
    Now,
    Read,
    Sleep,
    Streaming,
)
from polyport.steps import Steps


class Answer(msgspec.Struct):
    """What the simulated wire does with a request: after `latency` virtual seconds a reply, or an error.

    For a stream, `pieces` are (seconds to wait, bytes or the error that breaks it); the reply's content is not used.
    Where the decoder takes other things than bytes, pieces may be such.
    """

    latency: float
    reply: HttpReply | None = None
    error: Exception | None = None
    pieces: Sequence[tuple[float, Any]] | None = None


Wire = Callable[[HttpRequest, float], Answer]


#: What stands at the end of every body.
END: tuple[float, Any] = (0.0, None)


class SimulatedSource:
    """An open body whose pieces come at virtual times. `limit` is the longest wait for a piece, in seconds."""

    __slots__ = ("_next", "_pieces", "closed", "limit")

    def __init__(self, pieces: Iterable[tuple[float, Any]], limit: float | None = None) -> None:
        self._pieces = iter(pieces)
        self._next = next(self._pieces, END)
        self.limit = limit
        self.closed = False

    def following(self) -> tuple[float, Any]:
        """Return how long the next piece takes, and the piece; None at the end."""
        found, self._next = self._next, next(self._pieces, END)
        return found

    def is_ready(self) -> bool:
        """Whether the next piece is there without a wait."""
        return self._next[0] <= 0

    def read(self) -> Any:
        """Return the next piece at once: for code that reads a simulated body without a clock."""
        piece = self.following()[1]
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        """Remember that the reader has gone."""
        self.closed = True


class Task:
    """A flow on its way. `result` or `error` is set when it is `done`; streams are read to their end first."""

    __slots__ = (
        "_cancelled", "_children", "_flow", "_on_done", "chunks", "done", "ended", "error", "result", "started"
    )  # fmt: skip

    def __init__(self, flow: Flow[Any], started: float, on_done: Callable[[Task], None] | None) -> None:
        self._flow = flow
        self._on_done = on_done
        self._cancelled = False
        self._children: Sequence[Task] = ()
        self.started = started
        self.ended = started
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.chunks: list[Any] | None = None


class Simulation:
    """Runs flows against a simulated wire. `now` is the virtual time in seconds."""

    def __init__(self, wire: Wire) -> None:
        self.now = 0.0
        self._wire = wire
        self._order = 0
        #: (when, which of several then, the flow that goes on, what with); without a flow, a function to call.
        self._agenda: list[tuple[float, int, Task | None, Any, BaseException | None]] = []
        self._perform: dict[type, Callable[[Task, Any], None]] = {
            HttpRequest: self._send,
            Read: self._read,
            Sleep: lambda task, effect: self._later(effect.seconds, task, None, None),
            All: self._all,
            First: self._first,
        }
        self._at_once: dict[type, Callable[[Any], Any]] = {
            Now: lambda _: self.now,
            Call: lambda effect: effect.blocking(),
            Close: lambda effect: effect.source.close(),
        }

    # --- what users call ---

    def start(self, flow: Flow[Any], on_done: Callable[[Task], None] | None = None) -> Task:
        """Start a flow now; `on_done` is called with its task when it ends."""
        task = Task(flow, self.now, on_done)
        self._resume(task, None, None)
        return task

    def arrive(
        self, arrivals: Iterable[tuple[float, Flow[Any]]], on_done: Callable[[Task], None] | None = None
    ) -> None:
        """Start each flow at its time, (virtual seconds, flow) in order; the iterable is read as time passes."""
        self._next_arrival(iter(arrivals), on_done)

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Call a function at a virtual time."""
        self._order += 1
        heapq.heappush(self._agenda, (time, self._order, None, act, None))

    def cancel(self, task: Task) -> None:
        """Cancel a flow and those it waits for: its caller has gone. One that is done stays as it is."""
        if not task.done:
            for child in task._children:
                child._on_done = None
                self.cancel(child)
            task._cancelled = True
            self._resume(task, None, CancelledError())

    def run(self, until: float | None = None) -> None:
        """Let time pass until nothing is left to happen, or until a virtual time."""
        agenda, pop, resume = self._agenda, heapq.heappop, self._resume
        while agenda and (until is None or agenda[0][0] <= until):
            self.now, _, task, value, error = pop(agenda)
            if task is None:
                value()
            else:
                resume(task, value, error)
        if until is not None:
            self.now = max(self.now, until)

    def run_flow(self, flow: Flow[Any]) -> Any:
        """Run one flow to its end and return its result, of a stream the list of its chunks. Raises its error."""
        task = self.start(flow)
        self.run()
        if task.error is not None:
            raise task.error
        return task.result if task.chunks is None else task.chunks

    # --- time ---

    def _later(self, seconds: float, task: Task, value: Any, error: BaseException | None) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (self.now + seconds, self._order, task, value, error))

    def _next_arrival(
        self, arrivals: Iterator[tuple[float, Flow[Any]]], on_done: Callable[[Task], None] | None
    ) -> None:
        following = next(arrivals, None)
        if following is None:
            return
        time, flow = following

        def act() -> None:
            self.start(flow, on_done)
            self._next_arrival(arrivals, on_done)

        self.at(time, act)

    # --- one step of one flow ---

    def _resume(self, task: Task, value: Any, error: BaseException | None) -> None:
        if task._cancelled and not isinstance(error, CancelledError):
            return
        flow = task._flow
        task._children = ()
        while True:
            try:
                effect = flow.send(value) if error is None else flow.throw(error)
            except StopIteration as stop:
                self._finish(task, stop.value, None)
                return
            except BaseException as raised:  # noqa: BLE001  the driver's border: the error is the flow's result
                self._finish(task, None, raised)
                return
            value = error = None
            if effect is NOW:
                value = self.now
                continue
            kind = type(effect)
            at_once = self._at_once.get(kind)
            if kind is Read and type(effect.source) is SimulatedSource and effect.source.is_ready():
                at_once = _read_now
            if at_once is None:
                self._perform[kind](task, effect)
                return
            try:
                value = at_once(effect)
            except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
                error = raised

    def _finish(self, task: Task, result: Any, error: BaseException | None) -> None:
        if isinstance(result, Streaming) and error is None:
            task.chunks, task.result = [], result
            task._flow = _drain(result, task.chunks)
            self._resume(task, None, None)
            return
        task.done, task.error, task.ended = True, error, self.now
        if task.chunks is None:
            task.result = result
        if task._on_done is not None:
            task._on_done(task)

    # --- the effects that take time ---

    def _send(self, task: Task, request: HttpRequest) -> None:
        answer = self._wire(request, self.now)
        limit = request.timeout.total
        if limit is not None and answer.latency > limit:
            self._later(limit, task, None, Timeout(f"no answer within {limit} s (total timeout)"))
            return
        reply = answer.reply or HttpReply(status=200)
        if request.stream and reply.status < 400:
            pieces = [(0.0, reply.content)] if answer.pieces is None else answer.pieces
            source = SimulatedSource(pieces, request.timeout.read)
            reply = HttpReply(status=reply.status, headers=reply.headers, source=source)
        self._later(answer.latency, task, reply, answer.error)

    def _read(self, task: Task, effect: Read) -> None:
        source: Any = effect.source
        if type(source) is Steps:
            self._step(task, source)
        elif isinstance(source, SimulatedSource):
            seconds, piece = source.following()
            broken = piece if isinstance(piece, Exception) else None
            if source.limit is not None and seconds > source.limit:
                seconds, broken = source.limit, Timeout(f"nothing came within {source.limit} s (read timeout)")
            self._later(seconds, task, None if broken else piece, broken)
        else:
            assert isinstance(source, Items), f"{source!r} is not a simulated body"
            self._later(0.0, task, source.read(), None)

    def _step(self, task: Task, source: Steps) -> None:
        """Run the flow that makes the next piece."""
        inner = Task(source.read(), self.now, lambda inner: self._later(0.0, task, inner.result, inner.error))
        task._children = (inner,)
        self._resume(inner, None, None)

    def _all(self, task: Task, effect: All) -> None:
        left = len(effect.flows)
        children: list[Task] = []
        if not left:
            self._later(0.0, task, [], None)

        def done(child: Task) -> None:
            nonlocal left
            left -= 1
            if child.error is not None and not task._cancelled and left >= 0:
                left = -1
                self._cancel(children, child)
                self._later(0.0, task, None, child.error)
            elif left == 0:
                self._later(0.0, task, [one.result for one in children], None)

        self._start_all(task, effect.flows, children, done)

    def _first(self, task: Task, effect: First) -> None:
        left = len(effect.flows)
        children: list[Task] = []

        def done(child: Task) -> None:
            nonlocal left
            left -= 1
            if left >= 0 and child.error is None:
                left = -1
                self._cancel(children, child)
                self._later(0.0, task, child.result, None)
            elif left == 0:
                self._later(0.0, task, None, child.error)

        self._start_all(task, effect.flows, children, done)

    def _start_all(
        self, task: Task, flows: Sequence[Flow[Any]], children: list[Task], done: Callable[[Task], None]
    ) -> None:
        children += [Task(flow, self.now, done) for flow in flows]
        task._children = children
        for child in children:
            if not child._cancelled:
                self._resume(child, None, None)

    def _cancel(self, children: list[Task], winner: Task) -> None:
        for child in children:
            if child is not winner and not child.done:
                child._on_done = None
                self.cancel(child)


def _read_now(effect: Read) -> Any:
    source: Any = effect.source
    return source.read()


def _drain(stream: Streaming[Any], chunks: list[Any]) -> Flow[None]:
    """Read a stream as a user would, to its end."""
    error: BaseException | None = None
    try:
        while found := (yield from stream.pull()):
            chunks += found
    except BaseException as raised:
        error = raised
        raise
    finally:
        yield from stream.end(error)
