"""Moderation by a guardrail of the account's own: its id, and its version, are the model (`abc123:1`).

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.conversation import ImagePart, TextPart, parts_of
from polyport.types.moderation import Moderation, ModerationRequest, ModerationResult
from polyport.types.upload import split_data_url
from polyport_bedrock.settings import extras
from polyport_bedrock.wire import ID, BedrockWire

DRAFT = "DRAFT"
#: A filter's confidence -> the score of it.
SCORES = {"NONE": 0.0, "LOW": 1 / 3, "MEDIUM": 2 / 3, "HIGH": 1.0}
PICTURES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg"}
Body = dict[str, Any]


class Moderations(BedrockWire):
    """POST /guardrail/{id}/version/{version}/apply."""

    @hookimpl
    def moderate(self, request: ModerationRequest) -> Flow[Moderation]:
        """Judge content by a guardrail, one verdict per input."""
        results: list[ModerationResult] = []
        reply = None
        for content in contents(request):
            body = {"source": "INPUT", "outputScope": "FULL", "content": content, **extras(request)}
            reply = yield self.post(path_of(request.model), json=body)
            results.append(to_verdict(reply))
        made = Moderation(id=reply.headers.get(ID, "") if reply else "", model=request.model, results=results)
        if reply is not None:
            made.keep(reply.content, extra={})
        return made


def path_of(model: str) -> str:
    """Return where a guardrail is applied; without a version its draft is."""
    name, version = model.removeprefix("guardrail/"), DRAFT
    head, colon, tail = name.rpartition(":")
    if colon and (tail.isdecimal() or tail == DRAFT) and not head.endswith(":guardrail"):
        name, version = head, tail
    if not name:
        raise BadRequestError("A guardrail is named as bedrock/<its id>:<its version> at $.model")
    return f"/guardrail/{quote(name, safe='')}/version/{version}/apply"


def contents(request: ModerationRequest) -> list[list[Body]]:
    """Return what is judged: each text by itself, parts together."""
    given = request.input
    if isinstance(given, str):
        return [[{"text": {"text": given}}]]
    if all(isinstance(one, str) for one in given):
        return [[{"text": {"text": one}}] for one in given]
    return [[_block(part) for part in parts_of(given, "$.input")]]


def _block(part: Any) -> Body:
    if isinstance(part, TextPart):
        return {"text": {"text": part.text}}
    if isinstance(part, ImagePart) and part.image.url.startswith("data:"):
        kind, content = split_data_url(part.image.url)
        if kind in PICTURES:
            return {"image": {"format": PICTURES[kind], "source": {"bytes": base64.b64encode(content).decode()}}}
    raise BadRequestError("Guardrails judge text, and PNG or JPEG given as data: URLs, at $.input")


class _Found(msgspec.Struct, rename="camel"):
    type: str = ""
    name: str = ""
    match: str = ""
    action: str = "NONE"
    confidence: str = "NONE"
    detected: bool | None = None


class _Topics(msgspec.Struct):
    topics: list[_Found] | None = None


class _Filters(msgspec.Struct):
    filters: list[_Found] | None = None


class _Words(msgspec.Struct, rename="camel"):
    custom_words: list[_Found] | None = None
    managed_word_lists: list[_Found] | None = None


class _Private(msgspec.Struct, rename="camel"):
    pii_entities: list[_Found] | None = None
    regexes: list[_Found] | None = None


class _Assessment(msgspec.Struct, rename="camel"):
    topic_policy: _Topics | None = None
    content_policy: _Filters | None = None
    word_policy: _Words | None = None
    sensitive_information_policy: _Private | None = None

    def found(self) -> list[tuple[str, _Found]]:
        """What was looked at, each under the name of its category."""
        topics, filters = self.topic_policy or _Topics(), self.content_policy or _Filters()
        words, private = self.word_policy or _Words(), self.sensitive_information_policy or _Private()
        return [
            *((f"topic/{one.name}", one) for one in topics.topics or []),
            *((f"content/{one.type}", one) for one in filters.filters or []),
            *(("word/custom", one) for one in words.custom_words or []),
            *((f"word/{one.type}", one) for one in words.managed_word_lists or []),
            *((f"private/{one.type}", one) for one in private.pii_entities or []),
            *((f"private/{one.name}", one) for one in private.regexes or []),
        ]


class _Applied(msgspec.Struct):
    action: str
    assessments: list[_Assessment] = []


def to_verdict(reply: HttpReply) -> ModerationResult:
    """Return the verdict of one application; what was found is flagged, blocked or not."""
    applied: _Applied = decode(reply, _Applied)
    categories: dict[str, bool | None] = {}
    scores: dict[str, float | None] = {}
    for name, one in (pair for assessment in applied.assessments for pair in assessment.found()):
        hit = one.detected if one.detected is not None else one.action != "NONE" or one.confidence != "NONE"
        categories[name] = bool(categories.get(name)) or hit
        score = SCORES.get(one.confidence, 0.0) if one.confidence != "NONE" else float(hit)
        scores[name] = max(scores.get(name) or 0.0, score)
    flagged = applied.action == "GUARDRAIL_INTERVENED"
    return ModerationResult(flagged=flagged, categories=categories or {"any": flagged}, category_scores=scores)
