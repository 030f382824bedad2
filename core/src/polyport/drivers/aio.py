"""The asynchronous driver, and the AsyncStream it hands out."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from polyport.drivers.sync import Performers
from polyport.flow import NOW, All, Call, Close, First, Flow, HttpRequest, Items, Now, Read, Sleep, Streaming
from polyport.steps import Steps
from polyport.transport import AsyncTransport
from polyport.types.record import Meta

T = TypeVar("T")
C = TypeVar("C")


class AsyncDriver:
    """Performs effects on the running event loop. Cancelling `run` is thrown into the flow, which cleans up."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport
        self.streams: set[Streaming[Any]] = set()
        self.keeper = Keeper(self)
        self._ending: set[asyncio.Future[None]] = set()
        self._perform: dict[type, Callable[[Any], Awaitable[Any]]] = Performers(
            {
                HttpRequest: transport.send,
                Read: lambda effect: self.read(effect.source),
                Close: lambda effect: close(effect.source),
                Sleep: lambda effect: asyncio.sleep(effect.seconds),
                Now: _now,
                Call: _call,
                All: lambda effect: self._all(effect.flows),
                First: lambda effect: self._first(effect.flows),
            }
        )

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result; a Streaming comes back as it is."""
        perform = self._perform
        step: Callable[[Any], Any] = flow.send
        given: Any = None
        while True:
            try:
                effect = step(given)
                while effect is NOW:
                    effect = flow.send(time.monotonic())
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                given, step = await perform[type(effect)](effect), flow.send
            except BaseException as raised:  # noqa: BLE001  the driver's border: the flow decides
                given, step = raised, flow.throw

    def read(self, source: Any) -> Awaitable[Any]:
        """Return what to await for the next piece of an open body."""
        return self.run(source.read()) if type(source) is Steps else read(source)

    async def end(self, streaming: Streaming[Any], error: BaseException | None) -> None:
        """Close a stream and run its epilogues; doing it twice does nothing more."""
        if not streaming.ended:
            await self.run(streaming.end(error))
        self.streams.discard(streaming)

    def end_soon(self, streaming: Streaming[Any]) -> None:
        """Start to end a stream that was dropped."""
        task = asyncio.ensure_future(self.end(streaming, None))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def shut_down(self) -> None:
        """End every stream and close every connection: the loop is about to close."""
        if self._ending:
            await asyncio.wait(self._ending)
        for streaming in list(self.streams):
            await self.end(streaming, None)
            await close(streaming.source)  # the loop's end may have interrupted an earlier one
        await self.transport.aclose()

    async def aclose(self) -> None:
        """Close the transport; streams go on to their ends."""
        await self.transport.aclose()
        if not self.streams:
            await self.keeper.aclose()

    async def _all(self, flows: Sequence[Flow[Any]]) -> list[Any]:
        tasks = [asyncio.create_task(self.run(flow)) for flow in flows]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            await self._discard(tasks)
            raise

    async def _first(self, flows: Sequence[Flow[Any]]) -> Any:
        tasks = [asyncio.create_task(self.run(flow)) for flow in flows]
        winner: asyncio.Task[Any] | None = None
        try:
            waiting = set(tasks)
            failure: BaseException = ValueError("First needs at least one flow")
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    raised = asyncio.CancelledError() if task.cancelled() else task.exception()
                    if raised is None:
                        winner = task
                        return task.result()
                    failure = raised
            raise failure
        finally:
            await self._discard([task for task in tasks if task is not winner])

    async def _discard(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Cancel flows, and end the streams that they opened meanwhile."""
        for task in tasks:
            if not task.cancelling():  # a second cancellation would break into its cleaning up
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Streaming):
                await self.run(result.end(None))


async def _now(_: Now) -> float:
    return time.monotonic()


async def _call(effect: Call) -> Any:
    if effect.awaitable is not None:
        return await effect.awaitable()
    return await asyncio.to_thread(effect.blocking)


async def read(source: Any) -> Any:
    """Return the next piece of an open body; one made in this process is waited for in a worker thread."""
    if isinstance(source, Items):
        return await asyncio.to_thread(source.read)
    return await source.read()


async def close(source: Any) -> None:
    """Let go of an open body."""
    if isinstance(source, Items):
        await asyncio.to_thread(source.close)
    elif type(source) is not Steps:
        await source.aclose()


class Keeper:
    """Sees to a driver's end: lets go when its client is dropped, and shuts it down with the loop.

    asyncio.run shuts a loop's generators down before it closes the loop. A generator that waits for that is the one
    way to still close connections properly in a program that did not do so itself.
    """

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Future[None] | None = None
        self._watch = self._until_shutdown()
        self._finalizer: weakref.finalize[Any, Any] | None = None

    async def keep(self, owner: object) -> None:
        """Begin; `owner` is whose end means that the driver will not be asked again."""
        self._finalizer = weakref.finalize(owner, self._let_go)
        self._finalizer.atexit = False
        await anext(self._watch)

    async def aclose(self) -> None:
        """Shut the driver down now."""
        await self._watch.aclose()

    def _let_go(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._closing = asyncio.ensure_future(self._driver.transport.aclose())

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self._finalizer is not None:
                self._finalizer.detach()
            if self._closing is not None:
                await asyncio.wait([self._closing])
            await self._driver.shut_down()


class AsyncStream(Generic[C]):
    """What a streamed call returns: an async iterator of chunks, and an async context manager that closes it.

    Left early, by `break`, `aclose()` or cancellation, it closes the provider's reply. `meta` says what happened;
    its latency is known at the end.
    """

    def __init__(self, streaming: Streaming[C], driver: AsyncDriver, meta: Meta) -> None:
        self.meta = meta
        self.headers = streaming.headers
        self._streaming = streaming
        self._driver = driver
        self._chunks = _iterate(streaming, driver)
        self._loop = asyncio.get_running_loop()
        driver.streams.add(streaming)

    def __aiter__(self) -> AsyncIterator[C]:
        return self  # not the generator: `async for chunk in await acompletion(...)` must keep this alive

    def __anext__(self) -> Awaitable[C]:
        return self._chunks.__anext__()

    async def __aenter__(self) -> AsyncStream[C]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading and close the provider's reply; closing twice is fine."""
        await self._chunks.aclose()
        await self._driver.end(self._streaming, None)

    close = aclose

    def __del__(self) -> None:
        if hasattr(self, "_loop") and not self._streaming.ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._driver.end_soon, self._streaming)

    # --- streams of bytes ---
    def iter_bytes(self) -> AsyncIterator[C]:
        """Give the pieces of a stream of bytes."""
        return self

    async def read(self) -> bytes:
        """Return all that is left of a stream of bytes."""
        return b"".join([piece async for piece in self._chunks])  # type: ignore[misc]

    async def stream_to_file(self, path: str | os.PathLike[str]) -> None:
        """Write a stream of bytes to `path` as it comes."""
        with Path(path).open("wb") as file:  # noqa: ASYNC230  a local file's write is buffered
            async for piece in self._chunks:
                file.write(piece)  # type: ignore[arg-type]


async def _iterate(streaming: Streaming[C], driver: AsyncDriver) -> AsyncGenerator[C, None]:
    """Give the chunks. A function, not a method: a stream that is dropped must be collected at once, not in a cycle."""
    error: BaseException | None = None
    try:
        for chunk in streaming.take():
            yield chunk
        source = streaming.source
        while not streaming.finished:
            for chunk in streaming.feed(await driver.read(source)):
                yield chunk
    except BaseException as raised:
        error = None if isinstance(raised, GeneratorExit) else raised
        raise
    finally:
        await driver.end(streaming, error)
