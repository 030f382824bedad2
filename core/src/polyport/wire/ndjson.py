"""JSON lines, sans I/O."""

from __future__ import annotations


class Lines:
    """Cuts a stream of bytes into lines, wherever the pieces are cut; blank ones are left out."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next piece and return the lines it completed."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        return [line for line in lines if line.strip()]

    def close(self) -> list[bytes]:
        """Return the last line of a stream that ends without a line feed."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []
