"""What guardrails say of a call, never the text itself; and what logs may hold of a call that they judged."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["passed", "masked", "blocked", "failed"]
#: The worse of two outcomes is the one that is told.
RANK: dict[str, int] = {"passed": 0, "masked": 1, "failed": 2, "blocked": 3}
#: Where a request keeps what logs may hold of it.
PLACE = "_for_logs"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found, without its text.

    `path` is the text it is in ("$.messages[0].content"), `start` and `end` count that text's characters; None where
    a service does not say. `score` is from 0 to 1.
    """

    entity: str
    path: str = ""
    start: int | None = None
    end: int | None = None
    score: float | None = None


class Guarded(msgspec.Struct, kw_only=True):
    """What one guardrail said in one mode. `checks` counts how often it was asked: of a stream, once a window.

    "failed": it could not judge, and the call went on since its `on_failure` is "allow".
    """

    guardrail: str
    mode: str
    outcome: Outcome = "passed"
    reason: str | None = None
    findings: list[Finding] = []
    checks: int = 0

    def add(self, outcome: Outcome, reason: str | None, findings: list[Finding]) -> None:
        """Take in one more check's outcome."""
        self.checks += 1
        if RANK[outcome] >= RANK[self.outcome]:
            self.outcome, self.reason = outcome, reason or self.reason
        if findings:
            self.findings = [*self.findings, *(one for one in findings if one not in self.findings)]


class Logged:
    """What logs may hold of a call that was judged: the texts that were sent, masked as `logging_only` says.

    `request` is what stands for the call's own where texts were masked. `result`, or of a stream `chunks`, are set by
    guardrails that judge for the logs; `heard` is whether they did. `withheld`: no words of the request may be told;
    `silent`: none of the answer, nor of a stream that such guardrails were to hear and that was left before its end.
    """

    __slots__ = ("chunks", "heard", "request", "result", "silent", "withheld")

    def __init__(self) -> None:
        self.request: Any = None
        self.result: Any = None
        self.chunks: list[Any] | None = None
        self.heard = self.withheld = self.silent = False

    @classmethod
    def of(cls, request: Any) -> Logged:
        """Return a new one, that goes along with a request as outer layers know it."""
        made = cls()
        request.__dict__[PLACE] = made
        return made

    def hear(self, chunks: list[Any] | None) -> None:
        """Take a stream's chunks as they may be logged; None where none may. Of several that judge, the last masks."""
        self.heard = True
        self.silent = chunks is None
        self.chunks = chunks


def for_logs(request: Any) -> Logged | None:
    """Return what logs may hold of a call; None where it is all that its request and its result say."""
    found: Logged | None = request.__dict__.get(PLACE)
    return found
