"""Checks of streams: wherever the bytes are cut, whatever breaks, whenever the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from polyport.drivers.simulation import Simulation
from polyport.errors import APIConnectionError
from polyport.testing.bench import KEY, Outcome, Subject, ensure, plain, simulate, told
from polyport.testing.exchange import IN_PROCESS, Exchange
from polyport.testing.reading import ended, text_of
from polyport.testing.replies import broken_documents, survives, usage_adds_up
from polyport.testing.shapes import CHUNKS
from polyport.testing.wire import Reply, Wire

#: Every position of so many first bytes is a cut of its own; beyond them the cuts are random.
EVERY_CUT = 1024
RANDOM_CUTS = 48
#: How many differently shaped events of a stream are broken, field by field.
MOST_EVENTS = 12


def run(subject: Subject, exchange: Exchange, **changes: Any) -> Outcome:
    """Run the streamed exchange, its recorded reply changed."""
    last = Reply.of(exchange.recorded(stream=True), **changes) if changes else None
    return simulate(subject, exchange, stream=True, last=last)


def stream_is_parsed(subject: Subject, exchange: Exchange) -> None:
    """The recorded stream becomes chunks of the operation's type, in their promised order."""
    outcome = run(subject, exchange)
    chunks = outcome.value("the recorded stream")
    ensure(outcome.chunks is not None, f"stream=True gave a {type(chunks).__name__}: return a Streaming")
    expected = exchange.operation.chunk
    ensure(expected is not None, f"{exchange.hook} does not stream")
    strange = {type(chunk).__name__ for chunk in chunks if not isinstance(chunk, expected or object)}
    ensure(not strange, f"the chunks are {', '.join(strange)}, not {expected and expected.__name__}")
    CHUNKS[exchange.hook](chunks, exchange)
    if exchange.text is not None:
        said = text_of(chunks)
        ensure(said == exchange.text, f"the stream says {said!r}, not {exchange.text!r}")


def stream_usage_adds_up(subject: Subject, exchange: Exchange) -> None:
    """Usage in a stream is in disjoint buckets that sum to the total."""
    for chunk in run(subject, exchange).value("the recorded stream"):
        usage_adds_up(getattr(chunk, "usage", None) if not isinstance(chunk, dict) else None)


def stream_cut_anywhere(subject: Subject, exchange: Exchange) -> None:
    """The chunks are the same wherever the stream's bytes are cut into pieces."""
    whole = run(subject, exchange).value("the recorded stream in one piece")
    size, expected = len(exchange.recorded(stream=True).content), plain(whole)
    for what, cuts in _cuts(size):
        chunks = run(subject, exchange, cuts=cuts).value(f"the stream cut {what}")
        if chunks != whole and plain(chunks) != expected:
            raise AssertionError(f"The stream cut {what} gives other chunks: {_difference(chunks, whole)}")


def _cuts(size: int) -> Iterator[tuple[str, list[int]]]:
    random = Random(size)  # noqa: S311  the same cuts every time
    yield "at every byte", list(range(1, size))
    for at in range(1, min(size, EVERY_CUT)):
        yield f"at byte {at}", [at]
    for _ in range(RANDOM_CUTS):
        cuts = sorted(random.choices(range(1, size), k=random.randint(1, 8)))
        yield f"at the bytes {cuts}", cuts


def _difference(chunks: list[Any], whole: list[Any]) -> str:
    if len(chunks) != len(whole):
        return f"{len(chunks)} of them, not {len(whole)}"
    at = next(number for number, pair in enumerate(zip(chunks, whole, strict=True)) if pair[0] != pair[1])
    return f"chunk {at} is {chunks[at]!r}, not {whole[at]!r}"


def stream_that_breaks_off(subject: Subject, exchange: Exchange) -> None:
    """A stream that ends or is reset before it is complete gives what came, then an APIConnectionError."""
    recorded = exchange.recorded(stream=True)
    complete = _complete_at(subject, exchange)
    ends = {0, 1, *Random(complete).choices(range(complete), k=40)}  # noqa: S311  the same places every time
    for end in sorted(ends):
        outcome = run(subject, exchange, ends_at=end)
        what = f"the stream that ends after {end} of {len(recorded.content)} bytes"
        if outcome.error is None and ended(exchange.hook, outcome.chunks or []):
            continue  # only the blank line after the last event was missing
        _is_broken(outcome, what)
    _is_broken(run(subject, exchange, reset_at=complete // 2), "the stream that is reset half way")


def _complete_at(subject: Subject, exchange: Exchange) -> int:
    """Return after how many bytes the stream is complete: its last promised event has come out."""
    recorded = exchange.recorded(stream=True)
    slow = Reply.of(recorded, cuts=range(1, len(recorded.content)), pause=1.0)
    wire = Wire(exchange.answers(stream=True, last=slow))
    client = subject.simulated(exchange.env, KEY)
    fields = exchange.fields(stream=True, provider=subject.name)
    simulation = Simulation(wire.simulated)
    task = simulation.start(client.flow(exchange.operation.function, **fields))
    for number in range(1, len(recorded.content) + 1):
        simulation.run(until=float(number))
        if task.chunks and ended(exchange.hook, task.chunks):
            simulation.run()
            return number
    raise AssertionError("the recorded stream never gets to its end: no finish reason, no last event")


def _is_broken(outcome: Outcome, what: str) -> None:
    if not isinstance(outcome.error, APIConnectionError):
        found = told(outcome.error) if outcome.error else f"{len(outcome.chunks or [])} chunks, as if it were complete"
        raise AssertionError(f"{what} gave {found}; it must be an APIConnectionError") from outcome.error


def stream_with_broken_fields(subject: Subject, exchange: Exchange) -> None:
    """Each field of each event, missing or of a wrong type, gives chunks or an error that names the place."""
    lines = exchange.recorded(stream=True).content.split(b"\n")
    for number, head, event in _distinct_events(lines):
        for what, name, broken in broken_documents(event):
            changed = [*lines[:number], head + msgspec.json.encode(broken), *lines[number + 1 :]]
            outcome = run(subject, exchange, content=b"\n".join(changed))
            survives(outcome, f"line {number + 1} of the stream, {what}", name)


def stream_with_garbage(subject: Subject, exchange: Exchange) -> None:
    """An event that is not JSON gives an error of polyport's, unless the provider has no use for that event."""
    whole = plain(run(subject, exchange).value("the recorded stream"))
    lines = exchange.recorded(stream=True).content.split(b"\n")
    for number, head, _ in _distinct_events(lines):
        for garbage in (b"{not json", b'{"a": ', b"\xff\xfe"):
            changed = [*lines[:number], head + garbage, *lines[number + 1 :]]
            outcome = run(subject, exchange, content=b"\n".join(changed))
            what = f"line {number + 1} of the stream replaced by {garbage!r}"
            survives(outcome, what, "")
            unharmed = outcome.error is not None or plain(outcome.chunks or []) == whole
            ensure(unharmed, f"{what} went unnoticed, and its chunks are missing")


def has_text_events(exchange: Exchange) -> bool:
    """Whether the recorded stream is of lines of JSON, server-sent events or not."""
    if exchange.stream is None or exchange.stream is IN_PROCESS or exchange.operation.chunk is bytes:
        return False
    return any(_event(line) for line in exchange.recorded(stream=True).content.split(b"\n"))


def _distinct_events(lines: list[bytes]) -> list[tuple[int, bytes, Any]]:
    """Return (line number, what precedes the JSON, the event) for the first event of each shape."""
    found: dict[str, tuple[int, bytes, Any]] = {}
    for number, line in enumerate(lines):
        event = _event(line)
        if event is not None:
            found.setdefault(_shape(event[1]), (number, *event))
    return list(found.values())[:MOST_EVENTS]


def _event(line: bytes) -> tuple[bytes, Any] | None:
    head = b"data: " if line.startswith(b"data: ") else b"data:" if line.startswith(b"data:") else b""
    try:
        event = msgspec.json.decode(line[len(head) :])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return (head, event) if isinstance(event, dict) else None


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        kind = value.get("type", "") if isinstance(value.get("type", ""), str) else ""
        return f"{kind}{{{','.join(f'{name}:{_shape(item)}' for name, item in sorted(value.items()))}}}"
    if isinstance(value, list):
        return f"[{','.join(sorted({_shape(item) for item in value[:2]}))}]"
    return type(value).__name__


def stream_left_early(subject: Subject, exchange: Exchange) -> None:
    """A reader who leaves closes the provider's reply, sync and async: before, in and after the first chunk."""
    recorded = exchange.recorded(stream=True)
    pieces = Reply.of(recorded, cuts=range(16, len(recorded.content), 16))
    for taken in (0, 1):
        wire = Wire(exchange.answers(stream=True, last=pieces))
        _leave(subject, exchange, wire, taken)
        ensure(wire.open == 0, f"a blocking reader left after {taken} chunks, and the reply stayed open")
        wire = Wire(exchange.answers(stream=True, last=pieces))
        asyncio.run(_aleave(subject, exchange, wire, taken))
        ensure(wire.open == 0, f"an asynchronous reader left after {taken} chunks, and the reply stayed open")


def _leave(subject: Subject, exchange: Exchange, wire: Wire, taken: int) -> None:
    with subject.client(wire, exchange.env) as client:
        fields = exchange.fields(stream=True, provider=subject.name)
        with getattr(client, exchange.operation.function)(**fields) as stream:
            for _ in range(taken):
                next(stream)
        ensure(wire.open == 0, f"a stream was closed after {taken} chunks, and the reply stayed open")


async def _aleave(subject: Subject, exchange: Exchange, wire: Wire, taken: int) -> None:
    async with subject.client(wire, exchange.env) as client:
        fields = exchange.fields(stream=True, provider=subject.name)
        async with await getattr(client, f"a{exchange.operation.function}")(**fields) as stream:
            for _ in range(taken):
                await anext(stream)
        ensure(wire.open == 0, f"an async stream was closed after {taken} chunks, and the reply stayed open")
