"""Server-sent events, sans I/O. https://html.spec.whatwg.org/multipage/server-sent-events.html

The hot path of every stream: events are cut out of the bytes as bytes, and only their data is kept for the JSON
decoder, which reads UTF-8 itself.
"""

from __future__ import annotations

from polyport.errors import InvalidResponseError

#: An event larger than this is not an event: a base64 image is some 10 MB.
MAX_EVENT = 64 * 1024 * 1024


class SSE:
    """Cuts a stream of bytes into events, wherever the pieces are cut. Lines end in LF, CRLF or CR."""

    __slots__ = ("_event", "_lines", "_rest", "_skip_lf")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._event = b""
        self._skip_lf = False

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """Take the next piece and return the events it completed, as (event name or b"", data)."""
        if self._skip_lf and piece:
            piece = piece.removeprefix(b"\n")
            self._skip_lf = False
        if b"\r" in piece:
            self._skip_lf = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = (self._rest + piece if self._rest else piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT:
            raise InvalidResponseError(f"A streamed event is larger than {MAX_EVENT} bytes; is this an event stream?")
        found: list[tuple[bytes, bytes]] = []
        for line in lines:
            if not line:
                if self._lines:
                    data = self._lines[0] if len(self._lines) == 1 else b"\n".join(self._lines)
                    found.append((self._event, data))
                    self._lines = []
                self._event = b""
            elif line.startswith(b"data:"):
                self._lines.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                self._event = line[6:].strip()
        return found

    def close(self) -> list[tuple[bytes, bytes]]:
        """Return the last event of a stream that ends without the blank line; some servers leave it out."""
        return self.feed(b"\n\n") if self._rest or self._lines else []
