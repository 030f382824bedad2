"""The observers' layer: takes note of how a call went, and leaves the telling to another thread.

It stands second outermost, so that what it sees is what the user gets: after guardrails, from the cache or not, with
what all attempts together took and cost. On the calling thread it reads the clock, keeps references, and queues them;
of a stream it keeps each chunk. Everything else, from putting a stream together to making the event, is done by
`polyport.observing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from polyport.border import Call, Next
from polyport.flow import NOW, Decoder, Flow, Streaming
from polyport.middleware.retry import is_content
from polyport.observing.border import captured
from polyport.observing.callbacks import Watcher, redacted, watchers
from polyport.observing.dispatcher import END, START, Dispatcher, shared
from polyport.observing.records import Record


class Observers:
    """The middleware `(call, proceed) -> Flow` of some observers. `clock` tells the time of day, for `started`.

    `redact` are names of metadata and parameters whose values nobody is to see; by default those that
    POLYPORT_OBSERVE_REDACT lists.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        *,
        redact: Collection[str] | None = None,
        dispatcher: Dispatcher | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.watchers = tuple(watchers)
        self.dispatcher = dispatcher or shared()
        self._redact = redacted() if redact is None else frozenset(redact)
        self._clock = clock
        self._starts = any(one.start is not None for one in self.watchers)
        self._captures = any(one.capture is not None for one in self.watchers)

    def __call__(self, call: Call, proceed: Next) -> Flow[Any]:
        """Wrap a call."""
        taken = [captured(one) for one in self.watchers] if self._captures else None
        record = Record(call, self._clock(), (yield NOW), self._redact, taken)
        if self._starts:
            self.dispatcher.put(START, record, self.watchers)
        try:
            result = yield from proceed(call)
        except BaseException as error:
            record.error = error
            record.ended = yield NOW
            self.dispatcher.put(END, record, self.watchers)
            raise
        now = record.ended = yield NOW
        if isinstance(result, Streaming):
            record.ended = None
            return self._follow(result, record, now)
        record.result = result
        self.dispatcher.put(END, record, self.watchers)
        return result

    def _follow(self, stream: Streaming[Any], record: Record, now: float) -> Streaming[Any]:
        record.complete = stream.finished
        chunks = record.chunks = []
        stream.decoder = _Ending(stream.decoder, record)
        stream.map(_counting(record) if record.call.operation.chunk is bytes else _keeping(record, chunks))
        if record.first is not None:  # it was there already: the attempt engine reads as far as the first content
            record.first = now

        def finish(error: BaseException | None) -> Flow[None]:
            record.error = error
            record.ended = yield NOW
            self.dispatcher.put(END, record, self.watchers)

        return stream.epilogue(finish)

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Wait until observers were told of every call that is over; whether that was done in `timeout` seconds."""
        return self.dispatcher.flush(timeout)


class _Ending:
    """A stream's decoder, which notes that the stream came to its end: who leaves early never closes it."""

    __slots__ = ("_close", "_record", "feed")

    def __init__(self, decoder: Decoder[Any], record: Record) -> None:
        self.feed = decoder.feed
        self._close = decoder.close
        self._record = record

    def close(self) -> list[Any]:
        """Return what is left; a stream that was cut off raises."""
        left = self._close()
        self._record.complete = True
        return left


def _keeping(record: Record, chunks: list[Any]) -> Callable[[Any], Any]:
    """Return what keeps each chunk, and notes when the first content came."""
    keep = chunks.append
    waiting = True

    def see(chunk: Any) -> Any:
        nonlocal waiting
        keep(chunk)
        if waiting and is_content(chunk):
            waiting = False
            record.first = time.monotonic()
        return chunk

    return see


def _counting(record: Record) -> Callable[[Any], Any]:
    """Return what counts the bytes, and notes when the first came."""

    def see(piece: Any) -> Any:
        record.size += len(piece)
        if record.first is None and piece:
            record.first = time.monotonic()
        return piece

    return see


def observe(
    callbacks: Iterable[Any] = (),
    *,
    success_callback: Iterable[Any] = (),
    failure_callback: Iterable[Any] = (),
    redact: Collection[str] | None = None,
    dispatcher: Dispatcher | None = None,
    clock: Callable[[], float] = time.time,
) -> Observers | None:
    """Return the layer that tells these observers of calls; None where there are none, so that nothing is paid.

    The lists hold names of installed observers, functions and objects: see `polyport.observing.callbacks`. Those in
    `callbacks` are told of successes and failures. Raises BadRequestError for what is no callback, PluginError for a
    name that nobody has installed.
    """
    found = watchers(callbacks, success_callback, failure_callback)
    return Observers(found, redact=redact, dispatcher=dispatcher, clock=clock) if found else None
