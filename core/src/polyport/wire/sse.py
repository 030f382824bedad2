"""Server-sent events, sans I/O. https://html.spec.whatwg.org/multipage/server-sent-events.html

The hot path of every stream: events are cut out of the bytes as bytes, and only their data is kept for the JSON
decoder, which reads UTF-8 itself. Nearly every event is one `data: ` line, and that case is one comparison.
"""

from __future__ import annotations

from polyport.errors import InvalidResponseError

#: An event larger than this is not an event: a base64 image is some 10 MB.
MAX_EVENT = 64 * 1024 * 1024

#: A byte order mark, which a stream may begin with.
BOM = b"\xef\xbb\xbf"

#: What ends an event.
END = b"\n\n"

Event = tuple[bytes, bytes]


class SSE:
    """Cuts a stream of bytes into events, wherever the pieces are cut. Lines end in LF, CRLF or CR."""

    __slots__ = ("_held", "_pieces", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._skip_lf = False
        self._started = False

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next piece and return the events it completed, as (event name or b"", data)."""
        found: list[Event] = []
        for block in self.whole(piece).split(END):
            if block[:6] == b"data: " and b"\n" not in block:
                found.append((b"", block[6:]))
            elif block:
                found += _parse(block)
        return found

    def whole(self, piece: bytes) -> bytes:
        """Take the next piece and return the events it completed as they came, each with its blank line."""
        if not self._started:
            piece = b"".join((*self._pieces, piece))
            self._started = len(piece) >= len(BOM) or not BOM.startswith(piece)
            self._pieces = [] if self._started else [piece]
            if not self._started:
                return b""
            piece = piece.removeprefix(BOM)
        if b"\r" in piece or self._skip_lf:
            piece = self._to_lf(piece)
        if self._pieces:
            if END not in piece and not (piece[:1] == b"\n" and self._pieces[-1][-1:] == b"\n"):
                return self._hold(piece)
            self._pieces.append(piece)
            piece = b"".join(self._pieces)
            self._pieces, self._held = [], 0
        if piece[-2:] == END:
            return piece
        place = piece.rfind(END)
        end = 0 if place < 0 else place + len(END)
        self._hold(piece[end:])
        return piece[:end]

    def close(self) -> list[Event]:
        """Return the last event of a stream that ends without the blank line; some servers leave it out."""
        return self.feed(END) if self._pieces else []

    def rest(self) -> bytes:
        """Return the last event as it came, of a stream that ends without the blank line, and with one."""
        return self.whole(END) if self._pieces else b""

    def _hold(self, piece: bytes) -> bytes:
        """Keep a piece of an event that is not complete: joined once, at its end, however many pieces it has."""
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
        if self._held > MAX_EVENT:
            raise InvalidResponseError(f"A streamed event is larger than {MAX_EVENT} bytes; is this an event stream?")
        return b""

    def _to_lf(self, piece: bytes) -> bytes:
        if self._skip_lf and piece:
            piece = piece.removeprefix(b"\n")
            self._skip_lf = False
        if piece.endswith(b"\r"):
            self._skip_lf = True
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse(block: bytes) -> list[Event]:
    """Read the lines of one event; one without data is none."""
    name, data = b"", []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line == b"data":
            data.append(b"")
    return [(name, b"\n".join(data))] if data else []
