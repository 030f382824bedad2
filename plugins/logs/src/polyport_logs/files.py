"""A file of lines that is rotated when it is full: `calls.jsonl`, `calls.jsonl.1` (the newest), `calls.jsonl.2` ..."""

from __future__ import annotations

import os
from pathlib import Path

from polyport_logs.locks import Lock


class RotatedFile:
    """Appends lines. Several processes may share a file: each line is one write, and one of them rotates at a time."""

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._file: int | None = None

    def write(self, line: bytes) -> None:
        """Append a line; rotate first where it would not fit."""
        if self._file is None or not self._is_current():
            self._open()
        if self._size() and self._size() + len(line) > self._max_bytes:
            self._rotate(len(line))
        append(self._descriptor(), line)

    def _descriptor(self) -> int:
        if self._file is None:
            self._open()
        assert self._file is not None
        return self._file

    def _open(self) -> None:
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _is_current(self) -> bool:
        """Whether the path still leads to the open file: another process may have rotated it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor()), self._path.stat())
        except FileNotFoundError:
            return False

    def _size(self) -> int:
        return os.fstat(self._descriptor()).st_size

    def _rotate(self, needed: int) -> None:
        with Lock(self._path.with_name(f"{self._path.name}.lock")):
            self._open()
            if self._size() + needed <= self._max_bytes:
                return  # another process was quicker
            self.close()  # Windows renames no open file
            self._backup(self._backups).unlink(missing_ok=True)
            for number in range(self._backups - 1, -1, -1):
                if self._backup(number).exists():
                    self._backup(number).replace(self._backup(number + 1))
            if not self._backups:
                self._path.unlink()
            self._open()

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def flush(self) -> None:
        """Nothing is held back: each line is in the file at once."""
        return

    def close(self) -> None:
        """Close the file; a further line opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def append(file: int, line: bytes) -> None:
    """Write a line whole, or not at all: what a full disk cut off is taken back."""
    size = os.fstat(file).st_size
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        if written:
            os.ftruncate(file, size)
        raise
