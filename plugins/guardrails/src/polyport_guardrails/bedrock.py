"""`bedrock`: a guardrail of an AWS account, applied without a model: pip install polyport-guardrails[bedrock].

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from polyport.auth import Auth
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.guarding.guardrail import Service
from polyport.guarding.verdicts import PASS, Block, Mask, Pass, Seen, Text, Verdict
from polyport.provider import decode
from polyport.types.guard import Finding
from polyport_bedrock import AwsAuth
from polyport_bedrock.settings import NAMES
from polyport_bedrock.wire import BedrockWire

INTERVENED = "GUARDRAIL_INTERVENED"


class _Output(msgspec.Struct):
    text: str = ""


class _Applied(msgspec.Struct):
    action: str
    outputs: list[_Output] = []
    assessments: list[dict[str, Any]] = []


class Bedrock(BedrockWire, Service):
    """POST /guardrail/{id}/version/{version}/apply, signed as polyport-bedrock signs: the same keys, roles and regions.

    What it blocks is blocked; where it only anonymizes, texts are masked as it does. `guardrailIdentifier` and
    `guardrailVersion` are accepted too.
    """

    auth: ClassVar[Auth] = AwsAuth()
    passed_on: ClassVar[frozenset[str]] = NAMES

    def __init__(
        self,
        *,
        guardrail_id: str | None = None,
        guardrail_version: str | int | None = None,
        guardrailIdentifier: str | None = None,  # noqa: N803  AWS' own names
        guardrailVersion: str | int | None = None,  # noqa: N803
    ) -> None:
        super().__init__()
        self.auth = AwsAuth()  # type: ignore[misc]  # credentials belong to one guardrail
        name = guardrail_id or guardrailIdentifier
        if not name:
            raise BadRequestError("A bedrock guardrail needs guardrail_id (or guardrailIdentifier)")
        version = guardrail_version or guardrailVersion or "DRAFT"
        self.path = f"/guardrail/{quote(name, safe='')}/version/{quote(str(version), safe='')}/apply"

    def check(self, seen: Seen) -> Flow[Verdict]:
        """Apply it to all texts; where one output stands for several that are masked, to each by itself."""
        if not seen.texts:
            return PASS
        applied = yield from self._apply(seen.texts, seen)
        verdict = _verdict(applied)
        if verdict is not None:
            return verdict
        if len(applied.outputs) == len(seen.texts):
            return Mask.rewrite(seen.texts, [one.text for one in applied.outputs], "anonymized")
        made: list[str | None] = []
        for one in seen.texts:
            applied = yield from self._apply([one], seen)
            verdict = _verdict(applied)
            if isinstance(verdict, Block) or (verdict is None and len(applied.outputs) != 1):
                return verdict or Block("it would be anonymized, and nobody says how")
            made.append(None if verdict is not None else applied.outputs[0].text)
        return Mask.rewrite(seen.texts, made, "anonymized")

    def _apply(self, texts: list[Text], seen: Seen) -> Flow[_Applied]:
        source = "INPUT" if seen.side == "request" else "OUTPUT"
        body = {"source": source, "content": [{"text": {"text": one.text}} for one in texts]}
        reply: HttpReply = yield self.post(self.path, json=body)
        return decode(reply, _Applied)


def _verdict(applied: _Applied) -> Verdict | None:
    """Return what becomes of texts; None where they are to be anonymized."""
    found = [*_found(applied.assessments)]
    if applied.action not in ("NONE", INTERVENED):
        raise InvalidResponseError(f"Bedrock answered the action {applied.action!r}, which is none of its own")
    if applied.action == "NONE":
        return Pass([Finding(name) for name, _ in found])
    actions = {action for _, action in found}
    if actions and actions <= {"ANONYMIZED", "NONE"} and "ANONYMIZED" in actions and applied.outputs:
        return None
    names = sorted({name for name, action in found if action != "NONE"})
    return Block(
        f"Bedrock's guardrail intervened ({', '.join(names) or 'no reason given'})", [Finding(n) for n in names]
    )


def _found(assessments: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give (what, action) of everything that was found; a `match` quotes the text and is not looked at."""
    for assessment in assessments:
        for policy, parts in assessment.items():
            if isinstance(parts, dict):
                for entries in parts.values():
                    for entry in entries if isinstance(entries, list) else ():
                        if isinstance(entry, dict) and isinstance(entry.get("action"), str):
                            kind = entry.get("type") if policy != "topicPolicy" else entry.get("name")
                            yield str(kind or policy.removesuffix("Policy")), entry["action"]
