"""What a call leaves behind for its observers: a Record, taken on the way, and the Event that is made of it later."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from polyport.border import Call
from polyport.bridges.assembling import assembled
from polyport.errors import APIError, PolyportError
from polyport.observing.event import Event, Failure
from polyport.observing.redaction import (
    Copier,
    may_quote,
    outline_of_answer,
    outline_of_request,
    secrets_of,
)
from polyport.types.guard import Logged, for_logs
from polyport.types.record import Result

#: Parameters that stand in an event by themselves.
LABELS = frozenset({"metadata", "litellm_metadata", "user", "tags"})


class Record:
    """References to what a call was asked and answered: all that is taken while the call runs.

    The lists and dicts of a request are the request's own since it was validated, so a caller who goes on with their
    messages changes nothing here. `chunks` is None for what is no stream; of a stream of bytes, `size` is all that is
    kept.
    """

    #: What is known later. Defaults of the class: a record is made on the caller's path.
    id: str | None = None
    ended: float | None = None
    first: float | None = None
    result: Any = None
    chunks: list[Any] | None = None
    size = 0
    complete = True
    error: BaseException | None = None
    answer: Any = None

    def __init__(self, call: Call, started: float, start: float, redact: Collection[str], captured: Any) -> None:
        self.call = call
        self.started = started
        self.start = start
        self.redact = redact
        self.captured = captured

    def whole(self) -> Any:
        """Return the answer; a stream's is put together once."""
        if self.chunks is None:
            return self.result
        if self.answer is None:
            self.answer = assembled(self.call.operation.response, self.chunks)
        return self.answer


def event_of(record: Record, *, content: bool) -> Event:
    """Return the event of a call that is over, or has begun. `content` says whether it holds what was said."""
    call = record.call
    meta, request = call.meta, call.request
    copier = Copier(secrets_of(call), record.redact)
    record.id = record.id or os.urandom(16).hex()
    logged = for_logs(request)
    told = request if logged is None or logged.request is None else logged.request
    asked = {**told.given(), **told.extra}
    withheld: list[str] = []
    if not content or (logged is not None and logged.withheld):
        asked, withheld = outline_of_request({name: value for name, value in asked.items() if name not in LABELS})
    answer = record.whole()
    response = _response(record, _masked(record, answer, logged), content and not (logged and logged.silent), copier)
    metadata = _metadata(call)
    over = record.ended is not None
    return Event(
        id=record.id,
        operation=call.operation.hook,
        function=call.operation.function,
        provider=meta.provider or call.provider.name,
        model=call.group or request.model,
        answered_by=(getattr(answer, "model", None) or meta.model or None) if over else None,
        group=call.group or meta.group,
        deployment=meta.deployment,
        started=record.started,
        latency=_since(record, record.ended),
        time_to_first_content=_since(record, record.first),
        attempts=meta.attempts,
        stream=record.chunks is not None or bool(getattr(request, "stream", None)),
        complete=record.complete,
        request={
            name: copier.named(name, value, deep=name in LABELS or name in request.extra)
            for name, value in asked.items()
        },
        response=response,
        finish_reasons=_finish_reasons(answer),
        error=_failure(record.error, copier, content),
        usage=_usage(answer, meta),
        cost=meta.cost,
        provider_cost=meta.provider_cost,
        cache_hit=meta.cache_hit,
        adaptations=[*meta.adaptations],
        request_id=meta.request_id,
        metadata={name: copier.named(name, value, deep=True) for name, value in metadata.items()},
        user=copier.copy(_text(getattr(request, "user", None) or request.extra.get("user") or metadata.get("user_id"))),
        tags=[copier.text(str(tag)) for tag in _tags(call, metadata)],
        withheld=withheld,
    )


def _masked(record: Record, answer: Any, logged: Logged | None) -> Any:
    """Return the answer as guardrails that judge for logs let it be told."""
    if logged is None or not logged.heard or answer is None:
        return answer
    if logged.chunks is not None:
        return assembled(record.call.operation.response, logged.chunks)
    return answer if logged.result is None else logged.result


def _since(record: Record, time: float | None) -> float | None:
    """Return the seconds from the call's beginning, to the microsecond."""
    return None if time is None else round(time - record.start, 6)


def _response(record: Record, answer: Any, content: bool, copier: Copier) -> dict[str, Any] | None:
    plain: dict[str, Any]
    if isinstance(answer, Result):
        plain = _fields(answer, copier)
    elif isinstance(answer, str):
        plain = {"text": copier.text(answer)}
    elif record.size:
        plain = {"content": f"<{record.size} bytes>"}
    else:
        return None
    return plain if content else outline_of_answer(plain)


def _fields(answer: Result, copier: Copier) -> dict[str, Any]:
    """Return a copy of an answer as plain data; bytes are named by their length."""
    if hasattr(answer, "content_type"):  # bytes: the copier says how many
        fields = {name: getattr(answer, name) for name in answer.__struct_fields__}
    elif type(answer).to_dict is Result.to_dict:
        made: dict[str, Any] = copier.fresh(msgspec.to_builtins(answer, str_keys=True))
        return {**copier.copy(answer.extra), **made} if answer.extra else made
    else:
        fields = answer.to_dict()
    copied: dict[str, Any] = copier.copy({**answer.extra, **fields})
    return copied


def _metadata(call: Call) -> Mapping[str, Any]:
    request = call.request
    found = getattr(request, "metadata", None) or request.extra.get("metadata")
    more = request.extra.get("litellm_metadata")
    return {**(more if isinstance(more, Mapping) else {}), **(found if isinstance(found, Mapping) else {})}


def _tags(call: Call, metadata: Mapping[str, Any]) -> Sequence[Any]:
    tags = call.request.extra.get("tags") or metadata.get("tags")
    if isinstance(tags, str):
        return [tags]
    return tags if isinstance(tags, list | tuple) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _finish_reasons(answer: Any) -> list[str]:
    choices = getattr(answer, "choices", None)
    if choices is not None:
        return [choice.finish_reason for choice in choices if choice.finish_reason]
    reason = getattr(answer, "stop_reason", None) or getattr(answer, "status", None)
    return [reason] if isinstance(reason, str) else []


def _usage(answer: Any, meta: Any) -> dict[str, int]:
    """Return the tokens that were told; of a stream that was left before it told them, those of its bill."""
    told = answer.usage_buckets if isinstance(answer, Result) else {}
    if not told and meta.bill is not None and meta.bill.estimated:
        return {line.unit: round(line.quantity) for line in meta.bill.lines}
    return told


def _failure(error: BaseException | None, copier: Copier, content: bool) -> Failure | None:
    if error is None:
        return None
    message = getattr(error, "message", None) or str(error)
    return Failure(
        kind=type(error).__name__,
        status=error.status_code if isinstance(error, PolyportError) else None,
        message=copier.text(message) if content or not may_quote(error) else None,
        code=copier.copy(_code(error.body)) if isinstance(error, APIError) else None,
        request_id=error.request_id if isinstance(error, APIError) else None,
    )


def _code(body: Any) -> str | None:
    """Return what the provider calls the error, wherever its dialect puts it."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return None
    named = (inner.get(name) for name in ("code", "type", "status"))
    return next((str(value) for value in named if isinstance(value, str | int) and value), None)
