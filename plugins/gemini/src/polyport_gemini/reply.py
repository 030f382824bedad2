"""A reply of `generateContent` as a ChatCompletion. https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse

What the completion's own fields cannot hold (signatures on text, code that Google ran, pictures among text) is
kept whole in `provider_specific_fields["gemini_parts"]`, and goes back with the message in the next turn.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, Choice, Message
from polyport.wire.dates import created_at, seconds
from polyport_gemini.contents import KEPT
from polyport_gemini.errors import blocked, from_body, misshapen
from polyport_gemini.grounding import Citations, Grounding, annotate
from polyport_gemini.media import Piece
from polyport_gemini.parts import call_id, image, is_plain, is_text, join, spoken, tool_call, verify
from polyport_gemini.usage import UsageMetadata

#: https://ai.google.dev/api/generate-content#FinishReason; what is not here is a stop.
FINISH: dict[str, str] = {
    "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter",
    "LANGUAGE": "content_filter", "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter", "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter", "MODEL_ARMOR": "content_filter",
}  # fmt: skip
#: Finish reasons as numbers, which `$alt=json;enum-encoding=int` has instead of names.
NUMBERED = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 6: "BLOCKLIST",
            7: "PROHIBITED_CONTENT", 8: "SPII", 9: "MALFORMED_FUNCTION_CALL"}  # fmt: skip
#: Finish reasons that `finish_reason` says all there is to say about.
PLAIN_REASONS = frozenset({"STOP", "MAX_TOKENS"})


class Content(msgspec.Struct):
    """What a candidate says."""

    parts: list[Piece] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One answer, or in a stream a piece of it."""

    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    index: int = 0
    safety_ratings: list[dict[str, Any]] | None = None
    citation_metadata: dict[str, Any] | None = None
    grounding_metadata: dict[str, Any] | None = None
    url_context_metadata: dict[str, Any] | None = None
    avg_logprobs: float | None = None
    logprobs_result: dict[str, Any] | None = None

    @property
    def reason(self) -> str | None:
        """Why it ended, by name."""
        return NUMBERED.get(self.finish_reason, "OTHER") if isinstance(self.finish_reason, int) else self.finish_reason


class Feedback(msgspec.Struct, rename="camel"):
    """Whether the prompt was let through."""

    block_reason: str | int | None = None
    block_reason_message: str | None = None


class Generated(msgspec.Struct, rename="camel"):
    """A reply, or an event of a stream. `error` is a stream's, or a batch's, that went wrong."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str = ""
    response_id: str = ""
    create_time: datetime | None = None
    error: dict[str, Any] | None = None


def to_completion(reply: HttpReply | bytes, model: str = "") -> ChatCompletion:
    """Return the completion that a reply says; `model` is who answered where the reply does not tell.

    Raises ContentPolicyViolationError where the prompt was blocked, InvalidResponseError where it is no reply.
    """
    if isinstance(reply, bytes):
        reply = HttpReply(status=200, content=reply)
    generated: Generated = decode(reply, Generated)
    completion = from_generated(generated, model, created_at(reply.headers), reply.content)
    completion.keep(reply.content, extra={})
    return completion


def from_generated(generated: Generated, model: str, created: int, body: Any) -> ChatCompletion:
    """Return the completion that a decoded reply says."""
    check(generated, body)
    candidates = generated.candidates or []
    if not candidates:
        raise InvalidResponseError("The reply has no answer at $.candidates, and does not say why.", body=body)
    usage = generated.usage_metadata
    return ChatCompletion(
        id=generated.response_id,
        created=seconds(generated.create_time) or created,
        model=generated.model_version or model,
        choices=[choice(candidate, generated.response_id, body) for candidate in candidates],
        usage=usage.to_usage() if usage is not None else None,
        service_tier=usage.tier if usage is not None else None,
    )


def check(generated: Generated, body: Any) -> None:
    """Raise the error that a reply, or an event of a stream, tells of."""
    if generated.error is not None:
        raise from_body({"error": generated.error})
    feedback = generated.prompt_feedback
    if feedback is not None and feedback.block_reason and not generated.candidates:
        raise blocked(str(feedback.block_reason), feedback.block_reason_message, body)


def choice(candidate: Candidate, seed: str, body: Any) -> Choice:
    """Return one answer as a choice."""
    try:
        teller = Teller(candidate.index, seed)
        for number, part in enumerate(candidate.content.parts or [] if candidate.content else []):
            teller.take(part, f"$.candidates[{candidate.index}].content.parts[{number}]")
        teller.note(candidate)
        message = teller.message()
        return Choice(
            index=candidate.index,
            message=message,
            finish_reason=finish_reason(teller.reason, called=bool(message.tool_calls)),
            logprobs=logprobs(candidate.logprobs_result),
        )
    except msgspec.ValidationError as error:
        raise misshapen(error, body) from error


class Teller:
    """Collects what one candidate says, whole or in pieces, and tells it as a message at its end."""

    def __init__(self, index: int, seed: str) -> None:
        self.index = index
        self.seed = seed
        self.parts: list[Piece] = []
        self.calls = 0
        self.reason: str | None = None
        self.told: dict[str, Any] = {}
        self.grounding: Grounding | None = None
        self.citations: Citations | None = None

    def take(self, part: Piece, path: str) -> Piece:
        """Add a part and return it, verified; a call without an id is given one."""
        verify(part, path)
        if None in part.values():
            part = {name: value for name, value in part.items() if value is not None}
        if isinstance(part.get("functionCall"), dict):
            call = {**part["functionCall"], "id": call_id(part, f"{self.seed}/{self.index}", self.calls)}
            part = {**part, "functionCall": call}
            self.calls += 1
        join(self.parts, part)
        return part

    def note(self, candidate: Candidate) -> None:
        """Remember what a candidate says beside its parts; in a stream the latest word counts."""
        self.reason = candidate.reason or self.reason
        if candidate.grounding_metadata is not None:
            self.grounding = msgspec.convert(candidate.grounding_metadata, Grounding)
        if candidate.citation_metadata is not None:
            self.citations = msgspec.convert(candidate.citation_metadata, Citations)
        said = {
            "finish_message": candidate.finish_message,
            "safety_ratings": candidate.safety_ratings,
            "citation_metadata": candidate.citation_metadata,
            "grounding_metadata": candidate.grounding_metadata,
            "url_context_metadata": candidate.url_context_metadata,
            "avg_logprobs": candidate.avg_logprobs,
        }
        self.told.update({name: value for name, value in said.items() if value is not None})

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(part["text"] for part in self.parts if is_text(part) and not part.get("thought"))

    def message(self) -> Message:
        """Return the whole message."""
        texts = [part for part in self.parts if is_text(part) and not part.get("thought")]
        thoughts = [part["text"] for part in self.parts if is_text(part) and part.get("thought")]
        pictures = [part for part in self.parts if image(part, 0) is not None]
        return Message(
            content=self.text if texts else None,
            reasoning_content="".join(thoughts) or None,
            tool_calls=[tool_call(part) for part in self.parts if "functionCall" in part] or None,
            audio=spoken(self.parts),
            images=[made for number, part in enumerate(pictures) if (made := image(part, number))] or None,
            annotations=self.annotations(),
            refusal=self.refusal(),
            provider_specific_fields=self.specifics(),
        )

    def annotations(self) -> list[dict[str, Any]] | None:
        """Return what the answer is grounded in."""
        if self.grounding is None and self.citations is None:
            return None
        return annotate(self.text, self.grounding, self.citations) or None

    def refusal(self) -> str | None:
        """Return why the answer was withheld, where Google says so."""
        said: str | None = self.told.get("finish_message")
        return said if FINISH.get(self.reason or "") == "content_filter" else None

    def specifics(self) -> dict[str, Any] | None:
        """Return what has no field in OpenAI's shape."""
        made = {**self.told}
        if self.reason is None or self.reason in PLAIN_REASONS:
            made.pop("finish_message", None)
        else:
            made["finish_reason"] = self.reason
        if not is_plain(self.parts):
            made[KEPT] = self.parts
        return made or None


def finish_reason(reason: str | None, *, called: bool) -> str | None:
    """Return OpenAI's word for why an answer ended."""
    if reason is None:
        return None
    word = FINISH.get(reason, "stop")
    return "tool_calls" if word == "stop" and called else word


def logprobs(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the log probabilities in OpenAI's form. https://ai.google.dev/api/generate-content#LogprobsResult"""
    if result is None:
        return None
    read = msgspec.convert(result, _Logprobs)
    tops = [[token.to_dict() for token in top.candidates] for top in read.top_candidates]
    tops += [[] for _ in range(len(read.chosen_candidates) - len(tops))]
    return {
        "content": [
            {**token.to_dict(), "top_logprobs": top} for token, top in zip(read.chosen_candidates, tops, strict=False)
        ]
    }


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"token": self.token, "logprob": self.log_probability, "bytes": list(self.token.encode())}


class _Tops(msgspec.Struct):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tops] = []
