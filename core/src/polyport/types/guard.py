"""What guardrails say of a call: what they found and where, never the text itself."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["passed", "masked", "blocked", "failed"]
#: The worse of two outcomes is the one that is told.
RANK: dict[str, int] = {"passed": 0, "masked": 1, "failed": 2, "blocked": 3}


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
        self.findings = [*self.findings, *(one for one in findings if one not in self.findings)]
