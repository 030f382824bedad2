"""Files on their way in: what users give (bytes, a path, an open file, a pair) as one value."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias
from urllib.parse import unquote_to_bytes

from polyport.errors import BadRequestError

#: What users may give wherever a file is asked for; pairs are (filename, content[, content type]).
FileInput: TypeAlias = "bytes | str | os.PathLike[str] | IO[bytes] | tuple[str, Any] | tuple[str, Any, str] | Upload"

PIECE = 256 * 1024

#: First bytes -> media type, for files that come without a name.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)


class Upload:
    """A file to send: its name, media type and content, readable more than once.

    A path is read in pieces when it is sent. An open file is read from where it stands; one that cannot seek is
    read into memory, so that a retry sends the same bytes.
    """

    def __init__(self, filename: str, source: bytes | Path | IO[bytes], content_type: str | None = None) -> None:
        if not isinstance(source, bytes | Path):
            source = _binary(source)
        self.filename = filename
        self.source = source
        self._start = 0 if isinstance(source, bytes | Path) else source.tell()
        self.content_type = content_type or media_type(filename, self._head())

    @classmethod
    def of(cls, value: FileInput, name: str = "file") -> Upload:
        """Read what a user gave. `name` is used where the value brings none. Raises BadRequestError."""
        match value:
            case Upload():
                return value
            case bytes() | bytearray():
                data = bytes(value)
                return cls(_named(name, data), data)
            case str() | os.PathLike():
                return cls._of_path(value)
            case (str() as filename, content, *rest):
                inner = content.encode() if isinstance(content, str) else content
                upload = cls.of(inner, filename)
                return cls(filename, upload.source, rest[0] if rest else None)
        if hasattr(value, "read"):
            given = getattr(value, "name", None)
            return cls(os.path.basename(given) if isinstance(given, str) else name, value)
        raise BadRequestError(
            f"A file is bytes, a path, a file opened in binary mode or (name, content), not {type(value).__name__}."
        )

    @classmethod
    def _of_path(cls, value: str | os.PathLike[str]) -> Upload:
        text = os.fspath(value)
        if text.startswith("data:"):
            kind, data = split_data_url(text)
            return cls("file" + (mimetypes.guess_extension(kind) or ""), data, kind)
        path = Path(text)
        try:
            with path.open("rb") as file:
                file.read(1)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise _unreadable(path, error) from error
        return cls(path.name, path)

    @property
    def length(self) -> int:
        """The size in bytes."""
        if isinstance(self.source, bytes):
            return len(self.source)
        if isinstance(self.source, Path):
            try:
                return self.source.stat().st_size
            except OSError as error:
                raise _unreadable(self.source, error) from error
        end = self.source.seek(0, os.SEEK_END)
        self.source.seek(self._start)
        return end - self._start

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
        elif isinstance(self.source, Path):
            try:
                with self.source.open("rb") as file:
                    yield from iter(lambda: file.read(PIECE), b"")
            except OSError as error:
                raise _unreadable(self.source, error) from error
        else:
            source = self.source
            source.seek(self._start)
            yield from iter(lambda: source.read(PIECE), b"")

    def read(self) -> bytes:
        """Return the whole content."""
        return b"".join(self)

    def data_url(self) -> str:
        """Return `data:<type>;base64,<content>`."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.read()).decode()}"

    def _head(self) -> bytes:
        for piece in self:
            return piece[:16]
        return b""

    def __repr__(self) -> str:
        return f"<Upload {self.filename} {self.content_type}>"


def media_type(filename: str, head: bytes = b"") -> str:
    """Return the media type by first bytes, else by name, else application/octet-stream."""
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"WEBP"):
        return "audio/wav" if head[8:12] == b"WAVE" else "image/webp"
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:11] == b"M4A" else "video/mp4"
    if filename.endswith(".jsonl"):
        return "application/jsonl"
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def split_data_url(url: str) -> tuple[str, bytes]:
    """Return (media type, content) of a `data:` URL. Raises BadRequestError where it is malformed."""
    head, comma, body = url.removeprefix("data:").partition(",")
    if not comma:
        raise BadRequestError("A data URL reads data:<type>;base64,<content>; this one has no comma.")
    kind = head.split(";")[0] or "text/plain"
    content = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return kind, content
    content = content.translate(None, b" \t\n\f\r").rstrip(b"=")
    try:  # forgiving as browsers are: https://infra.spec.whatwg.org/#forgiving-base64-decode
        return kind, base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except ValueError as error:
        raise BadRequestError(f"The base64 of a data URL ({kind}) cannot be decoded: {error}.") from error


def _binary(source: IO[bytes]) -> bytes | IO[bytes]:
    """Return an open file, or the content of one that cannot be read twice. Raises BadRequestError."""
    name = getattr(source, "name", type(source).__name__)
    try:
        if getattr(source, "seekable", lambda: False)():
            start = source.tell()
            first: object = source.read(0)
            source.seek(start)
        else:
            first = source = source.read()  # type: ignore[assignment]
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise BadRequestError(f"Cannot read the open file {name!r}: {error}.") from error
    if not isinstance(first, bytes):
        raise BadRequestError(f"Open the file {name!r} in binary mode, open(..., 'rb'): it gives text, not bytes.")
    return source


def _unreadable(path: Path, error: OSError | ValueError) -> BadRequestError:
    return BadRequestError(f"Cannot read the file {str(path)!r}: {getattr(error, 'strerror', None) or error}.")


def _named(name: str, data: bytes) -> str:
    """Add the extension that fits `data` to a name that has none: some providers go by it."""
    if "." in name:
        return name
    kind = media_type("", data[:16])
    extension = {"audio/wav": ".wav", "audio/ogg": ".ogg"}.get(kind) or mimetypes.guess_extension(kind) or ""
    return name if extension == ".bin" else name + extension
