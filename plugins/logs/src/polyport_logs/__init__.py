"""Logs: each call as a line of JSON, in a file that is rotated or in an object store, through crashes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from polyport.errors import BadRequestError
from polyport.observing import Event, Observer
from polyport.observing.callbacks import content_allowed
from polyport_logs.files import RotatedFile
from polyport_logs.lines import line_of
from polyport_logs.objects import Objects

__all__ = ["Logs"]

URL = "POLYPORT_LOGS_URL"


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: bytes) -> None:
        """Take a line; when this returns, the end of the process does not lose it."""

    def flush(self) -> None:
        """Bring everything to where it belongs, or leave it for later within a bounded time."""

    def close(self) -> None:
        """Flush, and let go of files and threads."""


class Logs(Observer):
    """Writes a line of JSON for each call.

    `url` is the path of a file, or an object store's: `s3://bucket/prefix`, `gs://bucket/prefix`,
    `az://container/prefix`, `file:///folder`. A file is rotated when it reaches `max_bytes`; `backups` older ones are
    kept. To a store, lines go in objects of at most `batch_lines` lines, `batch_bytes` bytes or `batch_seconds`
    seconds, through a `spool` folder on disk that outlives a crash. `store` are settings of the store
    (https://developmentseed.org/obstore/latest/api/store/); without them its usual environment variables hold.
    `content=True` puts what was asked and answered into the lines.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        *,
        content: bool | None = None,
        max_bytes: int = 100_000_000,
        backups: int = 10,
        batch_lines: int = 1000,
        batch_bytes: int = 5_000_000,
        batch_seconds: float = 30.0,
        spool: str | os.PathLike[str] | None = None,
        store: Mapping[str, Any] | None = None,
    ) -> None:
        where = os.fspath(url) if url is not None else os.environ.get(URL)
        if not where:
            raise BadRequestError(f"Logs need a path or a URL: Logs('calls.jsonl'), or {URL} in the environment.")
        self.content = content_allowed() if content is None else content
        self._sink: Sink
        if "://" in where:
            self._sink = Objects(
                where,
                spool=None if spool is None else Path(spool),
                lines=batch_lines,
                size=batch_bytes,
                seconds=batch_seconds,
                options=dict(store or {}),
            )
        else:
            self._sink = RotatedFile(Path(where), max_bytes, backups)

    def on_success(self, event: Event) -> None:
        """Write a call that was answered."""
        self._sink.write(line_of(event))

    def on_failure(self, event: Event) -> None:
        """Write a call that failed."""
        self._sink.write(line_of(event))

    def flush(self) -> None:
        """Bring what is held back to where it belongs; what the store does not take now stays in the spool."""
        self._sink.flush()

    def close(self) -> None:
        """Flush, and let go of files and threads."""
        self._sink.close()
