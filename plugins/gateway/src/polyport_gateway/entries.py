"""An entry of the ledger: what is kept of a request, made of who asked, what was asked and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from polyport_gateway.gate import Asked, Outcome
from polyport_gateway.identity import Principal
from polyport_gateway.limits import Reservation
from polyport_gateway.lines import Entry, clean
from polyport_gateway.owning import Owned

#: Buckets of tokens that were written; all others were read.
WRITTEN = frozenset({"output", "reasoning", "audio_output", "image_output"})
#: The status of a caller that left before its answer was complete.
LEFT = 499
#: Parameters and headers that name tags.
NAMING_TAGS = frozenset({"metadata", "tags"})
TAGS = ("x-polyport-tags", "x-litellm-tags")
#: How many tags a request may name, how many of its attempts and adaptations are kept, and how much text of each.
MANY_TAGS, MANY_NOTES, LINE = 20, 20, 500
#: Names of models, providers and deployments come again and again.
_named = lru_cache(1024)(clean)


class Entered(Protocol):
    """A request that was let in: `model` is the one that it asks for, `made` what was made for the caller."""

    asked: Asked
    principal: Principal
    model: str
    customer: str
    taken: Reservation | None
    made: Sequence[Owned]


def entry_of(entered: Entered, outcome: Outcome, now: float, *, tagging: bool = True) -> Entry:
    """Return what is kept of a request. What nobody told the cost of counts with what was reserved for it."""
    principal, asked = entered.principal, entered.asked
    reserved = 0 if entered.taken is None else entered.taken.nano
    nano = outcome.nano
    estimated = outcome.estimated
    if nano is None:
        sent = outcome.status < 400 or (outcome.status == LEFT and outcome.attempts > 0)
        nano = reserved if sent else 0
        estimated = estimated or nano > 0
    read = written = 0
    for bucket, count in outcome.usage.items():
        if bucket in WRITTEN:
            written += count
        else:
            read += count
    entry = Entry(  # by position: a call with more than fifteen names goes through a dictionary, which takes longer
        principal.key_id,
        principal.user_id,
        principal.team_id,
        principal.project_id,
        entered.customer,
        clean(outcome.request_id, 64),
        now,  # at
        _named(entered.model),
        _named(outcome.provider),
        _named(outcome.model),  # upstream
        _named(outcome.deployment),
        asked.operation,
        asked.surface,
        outcome.status,
        "",  # error
        "",  # message
        read,  # prompt
        written,  # completion
        nano,
        reserved,
        outcome.latency,  # seconds
        outcome.first_byte,
        outcome.attempts,
        clean(outcome.upstream_id),
        asked.stream,
        estimated,
        outcome.cache_hit,
        outcome.usage,
        tags=tags_of(principal, asked) if tagging else principal.tags,
    )
    if outcome.error or outcome.failures or outcome.adaptations or outcome.guardrails or entered.made:
        return msgspec.structs.replace(entry, **_rare(entered, outcome))
    return entry


def _rare(entered: Entered, outcome: Outcome) -> dict[str, Any]:
    """Return what few entries have."""
    found: dict[str, Any] = {}
    if outcome.error:
        token = entered.asked.token
        found["error"] = clean(outcome.error, 64)
        found["model"] = clean(_without(token, entered.model))
        found["message"] = _without(token, outcome.message)
    if outcome.failures:
        found["failures"] = _plain(outcome.failures)
    if outcome.adaptations:
        found["adaptations"] = _plain(outcome.adaptations)
    if outcome.guardrails:
        found["guardrails"] = [
            {"guardrail": clean(one.guardrail), "mode": one.mode, "outcome": one.outcome} for one in outcome.guardrails
        ]
    if entered.made:
        found["made"] = [msgspec.to_builtins(one) for one in entered.made]
    return found


def tags_of(principal: Principal, asked: Asked) -> Sequence[str]:
    """Return the tags of a request: its key's, user's and so on, then those that it names itself.

    They stand in `metadata.tags`, in `tags`, or behind commas in a header.
    """
    if NAMING_TAGS.isdisjoint(asked.fields) and not any(map(asked.headers.get, TAGS)):
        return principal.tags
    metadata = asked.fields.get("metadata")
    named = (metadata.get("tags") if isinstance(metadata, dict) else None) or asked.fields.get("tags")
    for header in TAGS:
        given = asked.headers.get(header)
        if given:
            named = [*_listed(named), *given.split(",")]
    if not named:
        return principal.tags
    own = [clean(one.strip(), 64) for one in _listed(named) if isinstance(one, str)]
    return list(dict.fromkeys([*principal.tags, *filter(None, own)]))[: MANY_TAGS + len(principal.tags)]


def _listed(named: object) -> Sequence[object]:
    return named.split(",") if isinstance(named, str) else named if isinstance(named, list) else ()


def _plain(found: Sequence[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return what was noted, as far as it is kept, fit for a database."""
    return [
        {
            name: clean(value, LINE) if isinstance(value, str) else value
            for name, value in msgspec.to_builtins(one).items()
        }
        for one in found[:MANY_NOTES]
    ]


def _without(token: str | None, message: str) -> str:
    """Return what went wrong, bounded, and without the caller's key should it be quoted."""
    return clean(message.replace(token, "***") if token else message, LINE)
