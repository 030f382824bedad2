"""Iterators fed from a worker thread: how libraries that call back become streams that can be closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Stream(Generic[T]):
    """Items that `work(stream)` puts, in a thread that runs from the first read on.

    `close` may be called from any thread, also while another one waits for an item: the reader then sees the end,
    and the work sees `closed` and should stop. What the work raises is raised to the reader. `done` is
    called once the work is over, or when the stream is closed without having been read.
    """

    def __init__(self, work: Callable[[Stream[T]], None], done: Callable[[Stream[T]], None] | None = None) -> None:
        self._work = work
        self._done = done
        self._items: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._start()
        item = None if self._closed and self._items.empty() else self._items.get()
        if isinstance(item, tuple):
            return item[0]
        self.close()
        if item is not None:
            raise item
        raise StopIteration

    @property
    def closed(self) -> bool:
        """Whether nobody reads on."""
        return self._closed

    def put(self, item: T) -> None:
        """Give the reader an item; called by the work."""
        if not self._closed:
            self._items.put((item,))

    def close(self) -> None:
        """Stop the work and end the stream; does not wait. Calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            started = self._thread is not None
        self._items.put(None)
        if not started and self._done is not None:
            self._done(self)

    def join(self) -> None:
        """Wait until the work has stopped."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                # A daemon, so that a forgotten stream cannot keep the interpreter from ending.
                self._thread = threading.Thread(target=self._run, name="polyport-local-stream", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001  the reader's thread raises it
            self._items.put(error)
        else:
            self._items.put(None)
        finally:
            if self._done is not None:
                self._done(self)
