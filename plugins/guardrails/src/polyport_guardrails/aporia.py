"""`aporia`: the policies of a project of Aporia's. https://gr-docs.aporia.com/fundamentals/integration/rest-api"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.auth import ApiKey
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.guarding.guardrail import Service
from polyport.guarding.verdicts import PASS, Block, Mask, Mode, Seen, Verdict
from polyport.provider import decode
from polyport.types.guard import Finding

#: Roles that Aporia knows; any other is "other".
ROLES = frozenset({"system", "user", "assistant"})


class _Validated(msgspec.Struct):
    action: str
    revised_response: str | None = None
    explain_log: list[dict[str, Any]] = []


class Aporia(Service):
    """POST /{project}/validate. The project's address is `api_base`, as the dashboard tells it, or of `project_id`.

    What is asked is validated as the prompt, what is answered as the response: "block" blocks, "modify" and "rephrase"
    put the revised text in the place of an answer of one text. Of several texts, or of a request, nobody can tell what
    was revised, and they are blocked.
    """

    auth = ApiKey(header="x-aporia-api-key", env="APORIA_API_KEY")
    base_url = "https://gr-prd.aporia.com"
    base_env = ("APORIA_API_BASE",)
    modes: tuple[Mode, ...] = ("during_call",)

    def __init__(self, *, project_id: str | None = None) -> None:
        super().__init__()
        if project_id is not None and "/" in project_id:
            raise BadRequestError(f"project_id is an id, not {project_id!r}")
        self.project_id = project_id

    def check(self, seen: Seen) -> Flow[Verdict]:
        """Validate."""
        if not seen.texts:
            return PASS
        path = f"/{self.project_id}/validate" if self.project_id is not None else "/validate"
        reply: HttpReply = yield self.post(path, json=to_body(seen))
        return to_verdict(decode(reply, _Validated), seen)


def to_body(seen: Seen) -> dict[str, Any]:
    """Return the request: the messages, and of an answer its text too."""
    messages = [{"role": one.role if one.role in ROLES else "other", "content": one.text} for one in seen.texts]
    if seen.side == "request":
        return {"messages": messages, "validation_target": "prompt", "explain": True}
    return {"messages": messages, "response": seen.text, "validation_target": "response", "explain": True}


def to_verdict(validated: _Validated, seen: Seen) -> Verdict:
    """Return what becomes of it. The log quotes texts, so only the policies' names are told."""
    if validated.action == "passthrough":
        return PASS
    names = {str(entry.get("policy_type") or entry.get("policy_id") or "policy") for entry in validated.explain_log}
    findings = [Finding(name) for name in sorted(names)]
    if validated.action in ("modify", "rephrase"):
        if seen.side == "result" and len(seen.texts) == 1 and validated.revised_response is not None:
            return Mask.rewrite(seen.texts, [validated.revised_response], "revised")
        return Block("a policy would change it, and cannot say where", findings)
    if validated.action == "block":
        return Block("a policy blocked it", findings)
    raise InvalidResponseError(f"Aporia answered the action {validated.action!r}, which is none of its own")
