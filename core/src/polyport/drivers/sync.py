"""The blocking driver, and the Stream it hands out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from polyport.flow import All, Call, Close, First, Flow, HttpRequest, Now, Read, Sleep, Streaming
from polyport.transport import Transport
from polyport.types.record import Meta

T = TypeVar("T")
C = TypeVar("C")


class SyncDriver:
    """Performs effects in the calling thread. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._perform: dict[type, Callable[[Any], Any]] = {
            HttpRequest: transport.send,
            Read: lambda effect: effect.source.read(),
            Close: lambda effect: effect.source.close(),
            Sleep: lambda effect: time.sleep(effect.seconds),
            Now: lambda _: time.monotonic(),
            Call: lambda effect: effect.blocking(),
            All: lambda effect: self._all(effect.flows),
            First: lambda effect: self._first(effect.flows),
        }

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result; a Streaming comes back as it is."""
        perform = self._perform
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
                send = perform[type(effect)](effect)
            except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
                error = raised

    def _all(self, flows: Any) -> list[Any]:
        with ThreadPoolExecutor(max_workers=max(1, len(flows))) as pool:
            futures = [pool.submit(self.run, flow) for flow in flows]
            return [future.result() for future in futures]

    def _first(self, flows: Any) -> Any:
        """Return the first success. The losers' effects cannot be interrupted; they are closed as they return."""
        over = threading.Event()
        pool = ThreadPoolExecutor(max_workers=len(flows))
        try:
            waiting = {pool.submit(self.run, _until(over, flow)) for flow in flows}
            failure: BaseException | None = None
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    failure = future.exception()
                    if failure is None:
                        return future.result()
            assert failure is not None
            raise failure
        finally:
            over.set()
            pool.shutdown(wait=False)


def _until(over: threading.Event, flow: Flow[T]) -> Flow[T]:
    """Run `flow`, and close it (and a stream it opened) once the race is over."""
    send: Any = None
    error: BaseException | None = None
    try:
        while not over.is_set():
            effect = flow.send(send) if error is None else flow.throw(error)
            send = error = None
            try:
                send = yield effect
            except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
                error = raised
    except StopIteration as stop:
        result = stop.value
        if over.is_set() and isinstance(result, Streaming):
            yield from result.end(None)
        return result  # type: ignore[no-any-return]
    finally:
        flow.close()
    raise InterruptedError("another flow was first")


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

    def __iter__(self) -> Iterator[C]:
        return self._chunks

    def __next__(self) -> C:
        return next(self._chunks)

    def __enter__(self) -> Stream[C]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and close the provider's reply; closing twice is fine."""
        self._chunks.close()
        if not self._streaming.ended:
            self._driver.run(self._streaming.end(None))

    def __del__(self) -> None:
        if hasattr(self, "_chunks"):
            self.close()

    # --- streams of bytes ---
    def iter_bytes(self) -> Iterator[C]:
        """Give the pieces of a stream of bytes."""
        return self._chunks

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
            yield from streaming.feed(source.read())
    except BaseException as raised:
        error = None if isinstance(raised, GeneratorExit) else raised
        raise
    finally:
        driver.run(streaming.end(error))
