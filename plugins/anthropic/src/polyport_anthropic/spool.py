"""Lines of batches to come, kept on this machine.

Anthropic's batches take their requests inline and its Files API gives uploaded files never back
(https://platform.claude.com/docs/en/build-with-claude/files), so an input file of OpenAI's kind has nowhere else to
wait between `create_file` and `create_batch`. Files are readable by their owner only and go after 30 days.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from pathlib import Path

from polyport.types.batch import FileObject
from polyport.types.upload import Upload

PREFIX = "file-polyport-"
KEEP_SECONDS = 30 * 24 * 3600


def is_ours(file_id: str) -> bool:
    """Whether an id names a file kept here."""
    return re.fullmatch(f"{PREFIX}[0-9a-f]{{32}}", file_id) is not None


def folder() -> Path:
    """Return where files are kept: `$XDG_CACHE_HOME/polyport/anthropic`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "polyport" / "anthropic"


def keep(upload: Upload) -> FileObject:
    """Keep a file and return it; the same content is kept once. Blocks."""
    sweep()
    content = upload.read()
    place = folder() / (PREFIX + hashlib.sha256(content).hexdigest()[:32])
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _file(place) or place / (re.sub(r"[^\w.-]", "_", Path(upload.filename).name) or "batch.jsonl")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return describe(path)


def find(file_id: str) -> Path | None:
    """Return a kept file's path, None where there is none. Blocks."""
    return _file(folder() / file_id) if is_ours(file_id) else None


def read(file_id: str) -> bytes | None:
    """Return a kept file's content, None where there is none. Blocks."""
    path = find(file_id)
    return path.read_bytes() if path is not None else None


def delete(file_id: str) -> bool:
    """Forget a file; False where there was none. Blocks."""
    path = find(file_id)
    if path is not None:
        shutil.rmtree(path.parent)
    return path is not None


def describe(path: Path) -> FileObject:
    """Return a kept file as users see it."""
    status = path.stat()
    made = int(status.st_mtime)
    return FileObject(
        id=path.parent.name,
        bytes=status.st_size,
        created_at=made,
        expires_at=made + KEEP_SECONDS,
        filename=path.name,
        purpose="batch",
        status="processed",
    )


def sweep() -> None:
    """Forget files older than 30 days. Blocks."""
    for place in folder().glob(f"{PREFIX}*"):
        path = _file(place)
        if path is None or path.stat().st_mtime < time.time() - KEEP_SECONDS:
            shutil.rmtree(place, ignore_errors=True)


def _file(place: Path) -> Path | None:
    return next(iter(place.iterdir()), None) if place.is_dir() else None
