"""A file of lines that survives a kill at any instant: each line is on the disk before `append` returns.

One process writes at a time. A last line that was cut off by a kill is as if it had never been written.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from polyport.errors import BadRequestError

if sys.platform != "win32":
    import fcntl


class Journal:
    """An append-only file of lines, safe for several threads.

    Every line begins with `start`: what does not is somebody else's, and is never cut off. Appends that wait for the
    disk at the same time share one flush. Raises BadRequestError where another process is writing to the file, or
    it cannot be opened; `append` raises the OSError of a disk that is full, from then on for every line.
    """

    def __init__(self, path: Path, start: bytes) -> None:
        self.path = path
        self._start = start
        self._failure: OSError | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise BadRequestError(f"Cannot write to {str(path)!r}: {error.strerror or error}.") from error
        self._waiting: list[bytes] = []
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._flushed = 0
        self._added = 0
        try:
            self._claim()
        except BaseException:
            self.close()
            raise

    def _claim(self) -> None:
        """Take the file for this process; the system gives it back when the process ends, however it ends."""
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadRequestError(f"Another run is writing to {str(self.path)!r}.") from error

    def lines(self) -> list[bytes]:
        """Return the whole lines. What follows the last of them was never acknowledged, and is cut off.

        Raises BadRequestError where that rest does not look like a line of ours: then the file is somebody else's.
        """
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return []  # a device or a pipe keeps nothing
        content = self.path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        if torn and torn[: len(self._start)] != self._start[: len(torn)]:
            raise BadRequestError(f"{str(self.path)!r} has an end that was not written here: {torn[:60]!r}.")
        if torn:
            os.ftruncate(self._file, len(content) - len(torn))
        return [line for line in whole.split(b"\n") if line]

    def append(self, line: bytes) -> None:
        """Add a line (without its end) and return when it is on the disk."""
        with self._lock:
            self._waiting.append(line + b"\n")
            self._added += 1
            mine = self._added
        with self._disk:
            if self._failure is not None:
                raise self._failure
            if self._flushed < mine:
                self._flush()

    def _flush(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
        try:
            self._write(b"".join(lines))
            os.fsync(self._file)
        except OSError as error:
            self._failure = error
            raise
        self._flushed += len(lines)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put other lines in place of all there are, at once: a kill leaves the old ones or the new ones."""
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with scratch.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
        self._claim()

    def close(self) -> None:
        """Let go of the file, when what is being written has been; closing twice is fine."""
        with self._disk:
            if self._failure is None:
                self._failure = OSError(f"{self.path} is closed")
                os.close(self._file)
