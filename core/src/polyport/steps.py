"""Steps: a stream's source whose pieces are made by flows, for layers that need effects between the chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.flow import Flow


class Steps:
    """An open body that each `read` makes the next piece of by a flow, which a driver runs; None at the end.

    It holds nothing that needs closing: whoever makes the pieces of another stream ends that one in an epilogue.
    """

    __slots__ = ("read",)

    def __init__(self, step: Callable[[], Flow[Any]]) -> None:
        self.read = step

    def close(self) -> None:
        """There is nothing to let go of."""
