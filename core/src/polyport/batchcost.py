"""What a provider's batch cost: `batch_cost(client.retrieve_batch(...))`, or of its results, line by line.

A provider's batch is billed at its batch prices, whatever tier the answers name: OpenAI's say "default". Lines of
`run_batch` were ordinary calls; they say themselves what they cost. Requests that failed are not billed. None is
returned where a price or a count is not known, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from polyport import metering, money
from polyport.errors import BadRequestError, NotFoundError
from polyport.plugins import Providers
from polyport.pricefile import rates_given
from polyport.prices import Rates, rates_of
from polyport.routing import resolve
from polyport.types.audio import Binary
from polyport.types.batch import Batch
from polyport.types.bill import NANO, Bill
from polyport.types.record import Fields, describe, learn
from polyport.types.responses import Response, ResponsesUsage

#: The service tier whose prices hold in a batch.
TIER = "batch"


def batch_cost(
    batch: Any,
    *,
    model: str | None = None,
    provider: str | None = None,
    custom_llm_provider: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> float | None:
    """Return what a batch cost in USD; None where that is not known.

    `batch` is a `Batch` that tells its usage, or its results: the path of a file, what `file_content` returned,
    JSON lines as bytes or text, or an iterable of lines such as `run_batch` returns. `provider` and `model` decide
    whose prices hold, else the answers' model does.
    """
    provider = provider or custom_llm_provider
    if isinstance(batch, Batch):
        bill = bill_of(batch, model=model, provider=provider, prices=prices)
        return None if bill is None else bill.cost
    total = 0
    for line in lines_of(batch):
        nano = line_nano(line, model=model, provider=provider, prices=prices)
        if nano is None:
            return None
        total += nano
    return total / NANO


def line_nano(
    line: Mapping[str, Any],
    *,
    model: str | None = None,
    provider: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> int | None:
    """Return what one line of results cost, in nano-dollars: 0 for a request that failed, None where unknown."""
    body = answer_of(line)
    if body is None:
        return 0
    if "cost" in line:
        return None if line["cost"] is None else round(line["cost"] * NANO)
    bill = line_bill(body, model=model, provider=provider, prices=prices)
    return None if bill is None else bill.nano


def line_bill(
    body: Mapping[str, Any],
    *,
    model: str | None = None,
    provider: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> Bill | None:
    """Return the bill of an answer that came in a provider's batch."""
    return money.completion_bill(body, model=model, provider=provider, service_tier=TIER, prices=prices)


def answer_of(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the body of a line that was answered; None for one that failed."""
    response = line.get("response")
    if not isinstance(response, Mapping) or (response.get("status_code") or 200) >= 400:
        return None
    body = response.get("body")
    return body if isinstance(body, Mapping) else None


def bill_of(
    batch: Batch, *, model: str | None = None, provider: str | None = None, prices: Mapping[str, Any] | None = None
) -> Bill | None:
    """Return the bill of a whole batch by the usage that it tells; None where it tells none.

    It tells sums, not how long each prompt was: where that decides the price, and one prompt could have been long
    enough, the bill is None; the lines of its results say more.
    """
    usage = msgspec.convert(batch.usage, learn(ResponsesUsage), strict=False) if batch.usage else None
    used = None if usage is None else metering.read("respond", None, Response(usage=usage))
    rates = rates_given(prices) if prices is not None else _rates(model or batch.model, provider or batch.meta.provider)
    if used is None or rates is None or not used.tokens:
        return None
    limit = _shortest_long_prompt(rates)
    if limit is not None and used.prompt > limit:
        return None
    used.service_tier = TIER
    return rates.bill(used)


def _rates(model: str | None, provider: str | None) -> Rates | None:
    if not model:
        return None
    try:
        return rates_of(*resolve(model, Providers(), provider or None))
    except NotFoundError:
        return None


def _shortest_long_prompt(rates: Rates) -> int | None:
    """Return above how many tokens a prompt's price differs; None where it does not."""
    rows = [*(rates.prices.get("tiers") or ()), *((rates.prices.get(TIER) or {}).get("tiers") or ())]
    return min((int(row["above"]) for row in rows), default=None)


def lines_of(results: Any) -> Iterator[Mapping[str, Any]]:
    """Give the lines of a batch's results as plain data. Raises BadRequestError that names one which is none."""
    if isinstance(results, Binary):
        results = results.content
    if isinstance(results, os.PathLike):
        results = Path(results).read_bytes()
    raw: Iterable[Any] = results.splitlines() if isinstance(results, str | bytes) else results
    for number, line in enumerate(raw, start=1):
        if isinstance(line, str | bytes) and not line.strip():
            continue
        yield _line(line, number)


def _line(line: Any, number: int) -> Mapping[str, Any]:
    if isinstance(line, Fields):
        return line.to_dict()
    if isinstance(line, Mapping):
        return line
    try:
        found: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, TypeError) as error:
        told = describe(error, "$") if isinstance(error, msgspec.ValidationError) else str(error)
        raise BadRequestError(f"Line {number} is no result of a batch: {told}") from error
    return found
