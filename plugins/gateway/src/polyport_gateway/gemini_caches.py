"""Caches at Gemini, and what they cost: what is read into one, and that it is kept. https://ai.google.dev/api/caching

Google bills a cache's tokens for the time that it is there: https://ai.google.dev/gemini-api/docs/pricing

Here that is paid in advance, for the time that was asked for: in the row of what made the cache, and of what lengthened
it. So a budget has room for it or refuses it, and nothing is left to be paid when it is over. What is deleted before,
or shortened, is not given back, and so the rows say that they are estimates: ask for a short time, and lengthen it.
Without a price of storage (`cache_storage`) in the model's, or its deployment's, it counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from polyport import metering
from polyport.border import Call
from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.middleware.cost import charge, rates_for
from polyport.operations import Operation
from polyport.prices import Used
from polyport.types.usage import usage
from polyport_gateway.effects import awaiting
from polyport_gateway.gate import Admission, GateError
from polyport_gateway.gemini import camels
from polyport_gateway.gemini_kept import PROVIDER, Came, Keeping, Making, decoded, row, send
from polyport_gateway.running import Running

#: The unit of storage, in `polyport.catalog`.
STORED = "cache_storage"
MILLION_HOURS = 1e6 * 3600
LOOK, DELETE = row("GET", "", "caches.get"), row("DELETE", "", "caches.delete")


class Caching(Making):
    """A cache that is made."""

    def __init__(self) -> None:
        super().__init__("cache", told="model", guarded="what a cache holds")

    def made(self, running: Running, admission: Admission, told: dict[str, Any], body: bytes, call: Call) -> Flow[Came]:
        """Return the reply. A cache that no budget has room for is deleted again."""
        count, begins, ends = _tokens(told), _instant(told.get("createTime")), _instant(told.get("expireTime"))
        if count is None:
            return Came(body=body)
        used = metering.of_usage(usage(count, 0))
        stored = _stored(call, count, (ends - begins).total_seconds() if begins and ends else 0.0)
        read = _nano(call, used)
        if stored:
            used.units, used.estimated = {**used.units, STORED: stored}, True
        charge(call, used, None, time.time)
        try:
            yield awaiting(lambda: admission.afford((_nano(call, used) or 0) - (read or 0)))
        except GateError:
            used.units, used.estimated = {}, False
            charge(call, used, None, time.time)
            yield from send(call, DELETE, {"path": f"/{told.get('name')}", "query": {}})
            raise
        return Came(body=body, used={**used.tokens})


class Lengthening(Keeping):
    """A cache that is to be kept for longer, or shorter."""

    def ask(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any], call: Call
    ) -> Flow[Any]:
        """Return the reply, once the time that it adds is paid. Raises GateError where no budget has room for that."""
        wanted = _wanted(fields["body"])
        before = decoded((yield from send(call, LOOK, {**fields, "query": {}})))
        ends, count = _instant(before.get("expireTime")), _tokens(before)
        _of_model(running, call, str(before.get("model", "")).removeprefix("models/"))
        if wanted is not None and ends is not None and count is not None:
            added = _stored(call, count, (wanted - ends).total_seconds())
            yield awaiting(lambda: admission.afford(_nano(call, _storing(added)) or 0))
        reply = yield from send(call, operation, fields)
        now = _instant(decoded(reply).get("expireTime"))
        if now is not None and ends is not None and count is not None:
            added = _stored(call, count, (now - ends).total_seconds())
            if added:
                charge(call, _storing(added), None, time.time)
        return Came(body=reply.content)


def _of_model(running: Running, call: Call, model: str) -> None:
    """Have a call be one of a model's: its prices are those of its deployment, if it has its own."""
    rates = running.rates_of(PROVIDER, model)
    call.request.model = call.meta.model = model
    call.options = msgspec.structs.replace(call.options, prices=None if rates is None else {**rates.prices})


def _stored(call: Call, count: int, seconds: float) -> float:
    """Return the millions of tokens times hours that are to be paid; none where they have no price."""
    rates = rates_for(call, None)
    return 0.0 if rates is None or STORED not in rates.prices else count * max(0.0, seconds) / MILLION_HOURS


def _storing(stored: float) -> Used:
    return Used(tokens={"input": 0}, units={STORED: stored}, estimated=True)


def _nano(call: Call, used: Used) -> int | None:
    rates = rates_for(call, None)
    bill = None if rates is None else rates.bill(used)
    return None if bill is None else bill.nano


def _tokens(told: Mapping[str, Any]) -> int | None:
    found = (told.get("usageMetadata") or {}).get("totalTokenCount")
    return found if isinstance(found, int) else None


def _wanted(body: Any) -> datetime | None:
    """Return until when a cache is to be kept; None where that is not said. Raises BadRequestError."""
    given = camels(body)
    if isinstance(ttl := given.get("ttl"), str):
        try:
            return datetime.now(UTC) + timedelta(seconds=float(ttl.removesuffix("s")))
        except (ValueError, OverflowError):
            raise BadRequestError(f"{ttl[:40]!r} is no time such as 3600s at $.ttl") from None
    return _instant(given.get("expireTime"))


def _instant(text: Any) -> datetime | None:
    """Return an instant as Google writes it, with up to nine digits of a second; None for what is none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)
