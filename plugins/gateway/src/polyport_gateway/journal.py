"""The journal: what was settled, in a local file, before the last byte of a reply goes out.

A line is one `write(2)`: it is in the kernel's hands when `append` returns, and a `kill -9` right after takes nothing
back. (Against a power cut, pass `fsync=True`; each reply then waits for the disk.) The journal is a folder of
segments, each one process's own by `flock`. The ledger takes segments that are complete, and those whose process is
gone; a line that was cut off was never acknowledged.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import threading
import time
from pathlib import Path

from polyport.errors import BadRequestError

log = logging.getLogger("polyport.gateway.journal")
SUFFIX = ".journal"


class Segment:
    """A file of lines that this process holds, until it is dropped or closed."""

    __slots__ = ("_file", "drained", "path", "size", "unreadable")

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.size = os.fstat(file).st_size
        self._file = file
        #: What its reader has done with it: bytes that are in the ledger, lines that could not be read.
        self.drained = self.unreadable = 0

    def write(self, data: bytes) -> None:
        """Add bytes whole, or not at all. Raises the OSError of a disk that is full."""
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, self.size)  # half a line would spoil the next one
            raise OSError(f"{self.path} took only {written} of {len(data)} bytes: is the disk full?")
        self.size += written

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._file)

    def read(self, offset: int, size: int) -> bytes:
        """Return whole lines from an offset on: what is in `size` bytes, or one that is longer; at the end, b""."""
        while True:
            data = os.pread(self._file, size, offset)
            whole, end, torn = data.rpartition(b"\n")
            if end:
                return whole + end
            if len(data) < size:
                if torn:
                    log.warning(
                        "%s ends in %d bytes that a kill cut off; they were never acknowledged", self.path, len(torn)
                    )
                return b""
            size *= 2

    def set_aside(self) -> None:
        """Keep the file for a person to look at, and out of the ledger's way."""
        os.replace(self.path, self.path.with_suffix(".unreadable"))
        self.close()

    def drop(self) -> None:
        """Remove the file: everything in it is in the ledger."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file, for whoever takes it next."""
        os.close(self._file)


class Journal:
    """The segments of one folder, which any number of processes share. Safe across threads.

    Raises BadRequestError where the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = folder
        self._fsync = fsync
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._current = self._open()
        except OSError as error:
            raise BadRequestError(f"Cannot keep the journal in {str(folder)!r}: {error.strerror or error}.") from error

    def append(self, line: bytes) -> None:
        """Add a line (without its end). Raises OSError where it could not be kept: then do not acknowledge."""
        with self._lock:
            self._current.write(line + b"\n")
            if self._fsync:
                self._current.sync()

    def take(self) -> list[Segment]:
        """Return what can be drained: this process's lines so far, and what processes that are gone left behind."""
        found = self._orphans()
        with self._lock:
            if self._current.size:
                complete, self._current = self._current, self._open()
                found.append(complete)
        return found

    def close(self) -> None:
        """Let go of the current segment; lines in it stay for whoever drains next."""
        with self._lock:
            if self._current.size:
                self._current.close()
            else:
                self._current.drop()

    def _open(self) -> Segment:
        while True:
            path = self.folder / f"{time.time_ns():020}-{os.getpid()}-{next(self._numbers)}{SUFFIX}"
            segment = claim(path, create=True)
            if segment is not None:
                return segment

    def _orphans(self) -> list[Segment]:
        claimed = (claim(path) for path in sorted(self.folder.glob(f"*{SUFFIX}")))
        return [segment for segment in claimed if segment is not None]


def claim(path: Path, *, create: bool = False) -> Segment | None:
    """Take a file for this process; None where another process holds it, or has just removed it."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        file = os.open(path, flags, 0o600)
    except (FileNotFoundError, FileExistsError):
        if create and not path.parent.is_dir():
            raise
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(file).st_ino:
            return Segment(path, file)
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None
