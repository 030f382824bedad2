"""What of a guarded call logs may hold: the texts that were sent and handed out, masked as `logging_only` says."""

from __future__ import annotations

from typing import Any

from polyport.border import Call
from polyport.types.record import Request

PLACE = "_for_logs"


class Logged:
    """What logs may hold of a call.

    `request` is what stands for the call's own where texts were masked. `result`, or of a stream `chunks`, are set by
    guardrails that judge for the logs; `heard` is whether they did. `withheld`: no words of the request may be told;
    `silent`: none of the answer, nor of a stream that such guardrails were to hear and that was left before its end.
    """

    __slots__ = ("chunks", "heard", "request", "result", "silent", "withheld")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.result: Any = None
        self.chunks: list[Any] | None = None
        self.heard = self.withheld = self.silent = False

    @classmethod
    def of(cls, call: Call) -> Logged:
        """Return a new one, that goes along with the call as outer layers know it."""
        made = cls()
        call.request.__dict__[PLACE] = made
        return made

    def hear(self, chunks: list[Any] | None) -> None:
        """Take a stream's chunks as they may be logged; None where none may. Of several that judge, the last masks."""
        self.heard = True
        self.silent = chunks is None
        self.chunks = chunks


def for_logs(call: Call) -> Logged | None:
    """Return what logs may hold of a call; None where it is all that the call and its result say."""
    found: Logged | None = call.request.__dict__.get(PLACE)
    return found
