"""The blocking driver, and the Stream it hands out."""

from __future__ import annotations

import os
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from polyport.flow import NOW, All, Call, Close, First, Flow, HttpRequest, Now, Read, Sleep, Streaming
from polyport.steps import Steps
from polyport.transport import Transport
from polyport.types.record import Meta

T = TypeVar("T")
C = TypeVar("C")


class Performers(dict[type, Callable[[Any], Any]]):
    """Effect -> what performs it. Anything else that a flow yields is an error of its author."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        raise TypeError(f"A flow yielded a {kind.__name__}, which is no effect: see polyport.flow for those there are")


class SyncDriver:
    """Performs effects in the calling thread. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        #: Those that are open: kept here so that the collector finds a dropped Stream before it finds its socket.
        self.streams: set[Streaming[Any]] = set()
        self._perform: dict[type, Callable[[Any], Any]] = Performers(
            {
                HttpRequest: transport.send,
                Read: lambda effect: self.read(effect.source),
                Close: lambda effect: effect.source.close(),
                Sleep: lambda effect: time.sleep(effect.seconds),
                Now: lambda _: time.monotonic(),
                Call: lambda effect: effect.blocking(),
                All: lambda effect: self._all(effect.flows),
                First: lambda effect: self._first(effect.flows),
            }
        )

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result; a Streaming comes back as it is."""
        perform, monotonic = self._perform, time.monotonic
        send: Any = None
        error: BaseException | None = None
        while True:
            try:
                effect = flow.send(send) if error is None else flow.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            send = error = None
            try:
                send = monotonic() if effect is NOW else perform[type(effect)](effect)
            except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
                error = raised

    def read(self, source: Any) -> Any:
        """Return the next piece of an open body."""
        return self.run(source.read()) if type(source) is Steps else source.read()

    def end(self, streaming: Streaming[Any], error: BaseException | None) -> None:
        """Close a stream and run its epilogues; doing it twice does nothing more."""
        self.streams.discard(streaming)
        if not streaming.ended:
            self.run(streaming.end(error))

    def close(self) -> None:
        """Close the transport; streams go on to their ends."""
        self.transport.close()

    def _all(self, flows: Sequence[Flow[Any]]) -> list[Any]:
        """Return every result. After an error the others are cancelled, and the error is raised when they are gone."""
        if not flows:
            return []
        over = threading.Event()
        with ThreadPoolExecutor(max_workers=len(flows)) as pool:
            futures = [pool.submit(self.run, _until(over, flow)) for flow in flows]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                failed = next((future for future in futures if future in done and future.exception()), None)
                return [future.result() for future in ([failed] if failed else futures)]
            except BaseException:
                self._discard(over, futures)
                raise

    def _first(self, flows: Sequence[Flow[Any]]) -> Any:
        """Return the first success. What a loser waits for cannot be interrupted; it is cancelled when that returns."""
        over = threading.Event()
        pool = ThreadPoolExecutor(max_workers=max(1, len(flows)))
        futures = [pool.submit(self.run, _until(over, flow)) for flow in flows]
        winner: Future[Any] | None = None
        try:
            waiting = set(futures)
            failure: BaseException = ValueError("First needs at least one flow")
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    raised = future.exception()
                    if raised is None:
                        winner = future
                        return future.result()
                    failure = raised
            raise failure
        finally:
            self._discard(over, [future for future in futures if future is not winner])
            pool.shutdown(wait=False)

    def _discard(self, over: threading.Event, futures: Sequence[Future[Any]]) -> None:
        """Cancel flows, and end the streams that they open or opened."""
        over.set()
        for future in futures:
            future.add_done_callback(self._end_stream)

    def _end_stream(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None and isinstance(future.result(), Streaming):
            self.run(future.result().end(None))


def _until(over: threading.Event, flow: Flow[T]) -> Flow[T]:
    """Run `flow`, and throw CancelledError into it once the race is over; what it then yields is still done."""
    send: Any = None
    error: BaseException | None = None
    cancelled = False
    while True:
        if over.is_set() and not cancelled:
            error, cancelled = CancelledError(), True
        try:
            effect = flow.send(send) if error is None else flow.throw(error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        send = error = None
        try:
            if type(effect) is Sleep and not cancelled:
                over.wait(effect.seconds)
            else:
                send = yield effect
        except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
            error = raised


class Stream(Generic[C]):
    """What a streamed call returns: an iterator of chunks, and a context manager that closes it.

    Left early, by `break`, `close()` or garbage collection, it closes the provider's reply. `meta` says what
    happened; its latency is known at the end.
    """

    def __init__(self, streaming: Streaming[C], driver: SyncDriver, meta: Meta) -> None:
        self.meta = meta
        self.headers = streaming.headers
        self._streaming = streaming
        self._driver = driver
        self._chunks = _iterate(streaming, driver)
        driver.streams.add(streaming)

    def __iter__(self) -> Iterator[C]:
        return self  # not the generator: `for chunk in completion(...)` must keep this alive

    def __next__(self) -> C:
        return next(self._chunks)

    def __enter__(self) -> Stream[C]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and close the provider's reply; closing twice is fine."""
        self._chunks.close()
        self._driver.end(self._streaming, None)

    def __del__(self) -> None:
        if hasattr(self, "_chunks"):
            self.close()

    # --- streams of bytes ---
    def iter_bytes(self) -> Iterator[C]:
        """Give the pieces of a stream of bytes."""
        return self

    def read(self) -> bytes:
        """Return all that is left of a stream of bytes."""
        return b"".join(self._chunks)  # type: ignore[arg-type]

    def stream_to_file(self, path: str | os.PathLike[str]) -> None:
        """Write a stream of bytes to `path` as it comes."""
        with Path(path).open("wb") as file:
            file.writelines(self._chunks)  # type: ignore[arg-type]


def _iterate(streaming: Streaming[C], driver: SyncDriver) -> Generator[C, None, None]:
    """Give the chunks. A function, not a method: a stream that is dropped must be collected at once, not in a cycle."""
    error: BaseException | None = None
    try:
        yield from streaming.take()
        source: Any = streaming.source
        while not streaming.finished:
            yield from streaming.feed(driver.read(source))
    except BaseException as raised:
        error = None if isinstance(raised, GeneratorExit) else raised
        raise
    finally:
        driver.end(streaming, error)
