"""Costs computed again: what was recorded of calls, priced by what is known now, and where that differs.

Three kinds of JSON lines are read. A log line is what an observer of ours, or anybody, noted of a call: {"provider",
"model", "usage", "cost"} and, where they matter, "answered_by", "operation", "service_tier", "time". A recorded
exchange is a reply as it came, {"provider", "endpoint", "request", "response"}: it is read by its provider's plugin,
as a live one would be, and what the provider itself says it charged stands for the cost. A
line of a batch's results, {"custom_id", "response": {"status_code", "body"}}, is priced as its provider's batches
are; one of `run_batch` has its "cost" and was an ordinary call.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from polyport import metering
from polyport.batchcost import TIER, answer_of
from polyport.border import Call, Next
from polyport.catalog import TOKENS, UNITS
from polyport.client import Client
from polyport.drivers.simulation import Answer, Simulation
from polyport.errors import APIError, NotFoundError, PolyportError
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.models import SAMPLES
from polyport.money import completion_bill
from polyport.operations import BY_FUNCTION, OPERATIONS, Operation
from polyport.plugins import Providers
from polyport.prices import Used, rates_of
from polyport.routing import resolve
from polyport.types.messages import AnthropicMessage, MessageUsage
from polyport.types.record import Meta, learn
from polyport.types.responses import Response, ResponsesUsage
from polyport.types.usage import Usage

#: What `usage_buckets` may hold: what a provider counts in its total and nowhere else has no price.
BUCKETS = TOKENS | {"unattributed"}
#: Amounts that differ by less than this, in USD, are the same.
TOLERANCE = 1e-9
#: How recordings name operations, where that is not the name of the function or of its capability.
ENDPOINTS = {"chat": "completion", "image": "image_generation", "video": "video_generation"}
#: Fields of a recorded request that say what is billed.
TELLING = ("input", "documents", "query", "n", "size", "quality", "seconds", "service_tier")
MODEL_IN_URL = re.compile(r"/(?:models|deployments|model)/([^/:?]+)")


class Row(msgspec.Struct, kw_only=True):
    """One call. `verdict`: same, differs, new (nothing was recorded), unknown (no price), unread (`why` says)."""

    line: int
    provider: str = ""
    model: str = ""
    operation: str = ""
    recorded: float | None = None
    computed: float | None = None
    verdict: str = "unread"
    why: str | None = None


def audit(lines: Iterable[bytes | str], tolerance: float = TOLERANCE, *, provider: str | None = None) -> Iterator[Row]:
    """Give a row for each line that is about a call that was billed; `provider` is whose batch the results are of."""
    reader = _Exchanges()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = Row(line=number)
        try:
            record = msgspec.json.decode(line)
            if not isinstance(record, dict):
                row.why = "is no object"
            elif "endpoint" in record and "response" in record:
                if not reader.price(record, row):
                    continue
            elif "custom_id" in record and "response" in record:
                if not _price_result(record, row, provider):
                    continue
            elif record.get("error") or record.get("cache_hit"):
                continue
            else:
                _price(record, row)
        except msgspec.DecodeError as error:
            row.why = f"is no JSON of the form that is read: {error}"
        except PolyportError as error:
            row.why = error.message if isinstance(error, APIError) else str(error)
        yield _judged(row, tolerance)


def _judged(row: Row, tolerance: float) -> Row:
    if row.why is not None:
        return row
    if row.computed is None:
        row.verdict, row.why = "unknown", "no price is known, or not for all of it"
    elif row.recorded is None:
        row.verdict = "new"
    else:
        row.verdict = "same" if abs(row.computed - row.recorded) <= tolerance else "differs"
    return row


# --- log lines ---


def _price(record: Mapping[str, Any], row: Row) -> None:
    provider, model = record.get("provider"), str(record.get("model") or "")
    row.provider, row.model = resolve(model, Providers(), provider) if model else (str(provider or ""), model)
    row.operation = str(record.get("operation") or "")
    row.recorded = record.get("cost")
    usage = record.get("usage")
    if not isinstance(usage, Mapping) or not usage:
        row.why = "tells no usage"
        return
    used = used_of(usage)
    used.service_tier = _tier(record) or used.service_tier
    answered = record.get("answered_by")
    rates = rates_of(row.provider, row.model) or (rates_of(row.provider, str(answered)) if answered else None)
    when = _seconds(record.get("time") or record.get("started"))
    bill = None if rates is None else rates.bill(used) if when is None else rates.bill(used, lambda: when)
    row.computed = None if bill is None else bill.cost


def _price_result(record: Mapping[str, Any], row: Row, provider: str | None) -> bool:
    """Fill in the row of a batch's result; False for a request that failed and was not billed."""
    body = answer_of(record)
    if body is None:
        return False
    model = str(body.get("model") or "")
    row.provider, row.model = resolve(model, Providers(), provider) if model else (provider or "", model)
    row.operation, row.recorded = "batch", record.get("cost")
    if not body.get("usage"):
        row.why = "tells no usage"
        return True
    tier = None if "cost" in record else TIER
    bill = completion_bill(body, provider=row.provider, service_tier=tier)
    row.computed = None if bill is None else bill.cost
    return True


def _tier(record: Mapping[str, Any]) -> str | None:
    """Return the service tier: of the line itself, else of the answer that it keeps."""
    answer = record.get("response")
    found = record.get("service_tier") or (answer.get("service_tier") if isinstance(answer, Mapping) else None)
    return None if found is None else str(found)


def used_of(usage: Mapping[str, Any]) -> Used:
    """Return what a noted usage says: in buckets and units of ours, in OpenAI's words, or in Anthropic's."""
    counts = {name: value for name, value in usage.items() if value is not None}
    if counts.keys() <= BUCKETS | UNITS:
        tokens = {name: int(count) for name, count in counts.items() if name in BUCKETS and count}
        given = sum(c for name, c in tokens.items() if name.endswith("input") or name.startswith("cache"))
        return Used(tokens=tokens, units={name: n for name, n in counts.items() if name in UNITS}, prompt=given)
    found: Used | None
    if "cache_read_input_tokens" in counts or "cache_creation_input_tokens" in counts:
        message = AnthropicMessage(usage=msgspec.convert(counts, learn(MessageUsage), strict=False))
        found = metering.read("create_message", None, message)
    elif "input_tokens" in counts:
        response = Response(usage=msgspec.convert(counts, learn(ResponsesUsage), strict=False))
        found = metering.read("respond", None, response)
    else:
        found = metering.of_usage(msgspec.convert(counts, learn(Usage), strict=False))
    return found or Used()


def _seconds(time: Any) -> float | None:
    """Return a noted time in seconds since 1970: a number, or ISO 8601."""
    if isinstance(time, str):
        return datetime.datetime.fromisoformat(time).timestamp()
    return None if time is None else float(time)


# --- recorded exchanges ---


class _Exchanges:
    """Reads recorded replies with the plugins that are installed; nothing is sent."""

    def __init__(self) -> None:
        self._providers = Providers()
        self._reply = HttpReply(status=200)
        self._meta = Meta()
        self._client = Client(api_key="recorded", middleware=[self._note], num_retries=0)

    def _note(self, call: Call, proceed: Next) -> Flow[Any]:
        """Remember what is said of the call, which a stream's chunks do not carry."""
        self._meta = call.meta
        return (yield from proceed(call))

    def price(self, record: Mapping[str, Any], row: Row) -> bool:
        """Fill in the row; False for an exchange that is not billed: another operation, or an error."""
        operation = _operation(str(record.get("endpoint")))
        response = record["response"]
        status = response.get("status") or 200
        if operation is None or operation.hook not in metering.READERS or status >= 400 or not response.get("body"):
            return False
        row.provider, row.operation = str(record.get("provider")), operation.function
        if not self._providers.has(row.provider):
            raise NotFoundError(f"no provider {row.provider!r} is installed")
        content, stream = _content(response["body"])
        sent = _sent(record)
        row.model = _model(sent, record, content)
        headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
        self._reply = HttpReply(status=status, headers=headers, content=content)
        fields = {**_needed(operation), **{name: sent[name] for name in TELLING if name in sent}}
        known = operation.request.__struct_fields__
        fields = {name: value for name, value in fields.items() if name in known}
        if stream:
            fields["stream"] = True
        self._run(operation, {"model": row.model, "provider": row.provider, **fields}, row)
        return True

    def _run(self, operation: Operation, fields: dict[str, Any], row: Row) -> None:
        simulation = Simulation(self._answer)
        task = simulation.start(self._client.flow(operation.function, **fields))
        simulation.run()
        if isinstance(task.error, PolyportError):
            row.why = f"cannot be read: {task.error}"
        elif task.error is not None:
            raise task.error
        bill, row.recorded = self._meta.bill, self._meta.provider_cost
        if bill is not None and bill.estimated:
            row.why = "tells no usage"
        elif bill is not None:
            row.computed = bill.cost

    def _answer(self, _: HttpRequest, __: float) -> Answer:
        return Answer(0.0, self._reply)


def _operation(endpoint: str) -> Operation | None:
    """Return the operation that a recording's endpoint is: a function, or the first of a capability."""
    function = ENDPOINTS.get(endpoint, endpoint)
    return BY_FUNCTION.get(function) or next(
        (row for row in OPERATIONS if function in (row.hook, row.capability)), None
    )


def _needed(operation: Operation) -> dict[str, Any]:
    """Return what a request needs to be made, whatever it was."""
    required = [field.name for field in msgspec.structs.fields(operation.request) if field.required]
    return {name: SAMPLES[name] for name in required if name in SAMPLES}


def _content(body: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Return the bytes of a recorded body, and whether it was a stream of events."""
    if "json" in body:
        return msgspec.json.encode(body["json"]), False
    if "b64" in body:
        return base64.b64decode(body["b64"]), False
    if "chunks" in body:
        return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in body["chunks"]), True
    return str(body.get("sse") or body.get("text") or "").encode(), "sse" in body


def _sent(record: Mapping[str, Any]) -> Mapping[str, Any]:
    body = (record.get("request") or {}).get("body")
    sent = body.get("json") if isinstance(body, Mapping) else None
    return sent if isinstance(sent, Mapping) else {}


def _model(sent: Mapping[str, Any], record: Mapping[str, Any], content: bytes) -> str:
    """Return the model that was asked: by the request's body or address, else the one that answered."""
    if isinstance(sent.get("model"), str):
        return str(sent["model"])
    url = str((record.get("request") or {}).get("url") or "")
    match = MODEL_IN_URL.search(url)
    if match is not None:
        return match[1]
    named = re.search(rb'"model(?:Version)?":\s*"([^"]+)"', content)
    return named[1].decode() if named is not None else "unknown"
