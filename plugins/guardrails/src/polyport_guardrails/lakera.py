"""`lakera`: Lakera Guard's detectors, as a project's policy says. https://docs.lakera.ai/docs/api/guard"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from polyport.auth import Bearer
from polyport.errors import BadRequestError
from polyport.flow import Flow, HttpReply
from polyport.guarding.guardrail import Service
from polyport.guarding.verdicts import PASS, Block, Edit, Mask, Pass, Seen, Verdict
from polyport.provider import decode
from polyport.types.guard import Finding

ROLES = frozenset({"system", "user", "assistant", "tool"})


class _Detector(msgspec.Struct):
    detector_type: str = ""
    detected: bool = False
    message_id: int | None = None


class _Place(msgspec.Struct):
    start: int
    end: int
    detector_type: str = ""
    message_id: int | None = None


class _Screened(msgspec.Struct):
    flagged: bool
    breakdown: list[_Detector] | None = None
    payload: list[_Place] | None = None


class Lakera(Service):
    """POST /v2/guard. `project_id` names the project whose policy holds; without, the account's own.

    What is flagged is blocked. With `action="mask"` texts are masked where only `pii/...` was found and Guard tells
    each place; with "detect" it is told, and the call goes on.
    """

    auth = Bearer(env="LAKERA_API_KEY")
    base_url = "https://api.lakera.ai"
    base_env = ("LAKERA_API_BASE",)

    def __init__(self, *, project_id: str | None = None, action: Literal["block", "mask", "detect"] = "block") -> None:
        super().__init__()
        if action not in ("block", "mask", "detect"):
            raise BadRequestError(f'action is "block", "mask" or "detect", not {action!r}')
        self.project_id, self.action = project_id, action

    def check(self, seen: Seen) -> Flow[Verdict]:
        """Have the texts screened, as messages."""
        if not seen.texts:
            return PASS
        messages = [{"role": _role(one.role, seen), "content": one.text} for one in seen.texts]
        body: dict[str, Any] = {"messages": messages, "breakdown": True}
        if self.action == "mask":
            body["payload"] = True
        if self.project_id is not None:
            body["project_id"] = self.project_id
        reply: HttpReply = yield self.post("/v2/guard", json=body)
        return self._verdict(decode(reply, _Screened), seen)

    def _verdict(self, screened: _Screened, seen: Seen) -> Verdict:
        if not screened.flagged:
            return PASS
        detected = [one for one in screened.breakdown or [] if one.detected]
        findings = [Finding(one.detector_type, _where(one.message_id, seen)) for one in detected]
        if self.action == "detect":
            return Pass(findings)
        if self.action == "mask":
            masked = _masked(detected, screened.payload or [], seen)
            if masked is not None:
                return masked
        names = ", ".join(sorted({one.detector_type for one in detected})) or "its policy"
        return Block(f"Lakera flagged it ({names})", findings)


def _masked(detected: list[_Detector], places: list[_Place], seen: Seen) -> Mask | None:
    """Return the mask, where everything that was detected has its places."""
    kinds = {one.detector_type for one in detected}
    told = {place.detector_type for place in places}
    if not kinds or not all(kind.startswith("pii/") for kind in kinds) or kinds - told:
        return None
    edits = []
    for place in places:
        index = place.message_id if place.message_id is not None else len(seen.texts) - 1
        name = place.detector_type.removeprefix("pii/").upper()
        edits.append(Edit(index, place.start, place.end, f"[{name}]", place.detector_type))
    return Mask(edits)


def _role(role: str, seen: Seen) -> str:
    if role == "developer":
        return "system"
    return role if role in ROLES else "assistant" if seen.side == "result" else "user"


def _where(index: int | None, seen: Seen) -> str:
    return seen.texts[index].where if index is not None and 0 <= index < len(seen.texts) else ""
