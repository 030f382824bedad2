"""multipart/form-data, written in pieces. https://www.rfc-editor.org/rfc/rfc7578"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from polyport.types.upload import Upload

_LINE_BREAKS = str.maketrans({"\r": " ", "\n": " "})
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class Multipart:
    """A form as a request body: `length` bytes, `content_type` with its boundary, iterated in pieces.

    Fields are (name, value): an Upload, bytes, text, a number, a bool (true/false), or a dict or list (as JSON).
    """

    def __init__(self, fields: Sequence[tuple[str, Any]], boundary: str | None = None) -> None:
        self.boundary = boundary or secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={self.boundary}"
        self._parts = [(self._head(name, value), _content(value)) for name, value in fields]
        self._end = f"--{self.boundary}--\r\n".encode()
        self.length: int | None = sum(len(head) + _length(content) + 2 for head, content in self._parts) + len(
            self._end
        )

    def __iter__(self) -> Iterator[bytes]:
        for head, content in self._parts:
            yield head
            if isinstance(content, Upload):
                yield from content
            else:
                yield content
            yield b"\r\n"
        yield self._end

    def _head(self, name: str, value: Any) -> bytes:
        head = f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
        if isinstance(value, Upload):
            kind = value.content_type.translate(_LINE_BREAKS)
            head += f'; filename="{value.filename.translate(_ESCAPES)}"\r\nContent-Type: {kind}'
        return f"{head}\r\n\r\n".encode()


def _content(value: Any) -> bytes | Upload:
    if isinstance(value, Upload | bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return msgspec.json.encode(value)


def _length(content: bytes | Upload) -> int:
    return content.length if isinstance(content, Upload) else len(content)
