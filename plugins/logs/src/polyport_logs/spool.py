"""The spool: lines on disk until a store has them.

    <spool>/<writer>/lock                       held as long as the writer lives
    <spool>/<writer>/000001-20261123T1200.open  the batch that is being written
    <spool>/<writer>/000000-20261123T1159.ready a batch that is waiting to be stored

A batch is stored under a name that is made of the writer's and its own. Storing it again, after a crash between storing
and forgetting, replaces it by itself: no line is lost, and none is there twice. Who finds a writer whose lock is free
takes over what it left; a line that its end cut off is no line.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from polyport_logs.files import append
from polyport_logs.locks import Lock

OPEN, READY, LOCK = ".open", ".ready", "lock"


class Batch:
    """A batch that is ready: its bytes, and the name to store it under."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The object's name: by the hour it was begun, then writer and number."""
        number, _, time = self.path.stem.partition("-")
        return f"{time[:4]}/{time[4:6]}/{time[6:8]}/{time[9:11]}/{self.path.parent.name}-{number}.jsonl"

    def read(self) -> bytes:
        """Return the lines."""
        return self.path.read_bytes()

    def forget(self) -> None:
        """Take it from the disk: it is stored."""
        self.path.unlink(missing_ok=True)


class Writer:
    """Writes batches into a folder of its own. Not for several threads at once."""

    def __init__(self, root: Path, lines: int, size: int, seconds: float) -> None:
        self._limits = lines, size, seconds
        self.folder = root / f"{_now()}-{os.getpid()}-{uuid4().hex[:12]}"
        self._number = 0
        self._lines = self._size = 0
        self._begun = 0.0
        self._file: int | None = None
        self._path: Path | None = None
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        hidden = root / f".{self.folder.name}"  # nobody takes over a folder whose lock is not yet held
        hidden.mkdir(mode=0o700)
        self._lock = Lock(hidden / LOCK)
        self._lock.take()
        hidden.rename(self.folder)

    def write(self, line: bytes) -> bool:
        """Append a line; return whether that made a batch ready."""
        if self._file is None:
            self._path = self.folder / f"{self._number:06d}-{_now()}{OPEN}"
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            self._number += 1
            self._lines = self._size = 0
            self._begun = time.monotonic()
        append(self._file, line)
        self._lines += 1
        self._size += len(line)
        lines, size, _ = self._limits
        return self.seal() if self._lines >= lines or self._size >= size else False

    def is_due(self) -> bool:
        """Whether the open batch has waited long enough."""
        return self._file is not None and time.monotonic() - self._begun >= self._limits[2]

    def seal(self) -> bool:
        """Make the open batch ready; return whether there was one."""
        if self._file is None or self._path is None:
            return False
        os.close(self._file)
        self._path.rename(self._path.with_suffix(READY))
        self._file = self._path = None
        return True

    def batches(self) -> list[Batch]:
        """Return what is ready, the oldest first."""
        return [Batch(path) for path in sorted(self.folder.glob(f"*{READY}"))]

    def leave(self) -> None:
        """Let go of the folder: whoever finds it takes over what is in it. In a forked child, the parent keeps it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.release()

    def close(self) -> None:
        """Seal, and take away a folder that has nothing in it any more."""
        self.seal()
        if not self.batches():
            _remove(self.folder)
        self.leave()


class Abandoned:
    """What a writer that is no more has left; ours as long as its lock is held."""

    def __init__(self, folder: Path, lock: Lock) -> None:
        self._folder = folder
        self._lock = lock

    def batches(self) -> list[Batch]:
        """Return what it left, the oldest first: a line that its end cut off is taken away."""
        for path in sorted(self._folder.glob(f"*{OPEN}")):
            _cut(path)
            path.rename(path.with_suffix(READY))
        return [Batch(path) for path in sorted(self._folder.glob(f"*{READY}"))]

    def finish(self) -> None:
        """Give the folder back; one that has nothing in it any more is taken away."""
        if not [*self._folder.glob("*-*")]:
            _remove(self._folder)
        self._lock.release()


def abandoned(root: Path) -> Iterator[Abandoned]:
    """Give each folder whose writer is no more: take its batches, then `finish` with it."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        lock = Lock(folder / LOCK)
        try:
            if folder.name.startswith(".") or not folder.is_dir() or not lock.take(wait=False):
                continue
        except FileNotFoundError:
            continue  # another process has just finished with it
        yield Abandoned(folder, lock)


def _cut(path: Path) -> None:
    """Take away a last line that is not whole."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink()
        folder.rmdir()


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime())
