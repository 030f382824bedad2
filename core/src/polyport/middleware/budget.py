"""`max_budget`: calls stay within an amount of USD: an estimate is set aside before each, and its cost counts after it.

    client = Client(middleware=[max_budget(5.0, duration="30d")])

The estimate is what the prompt costs, and as much of an answer as `max_tokens` allows (else DEFAULT_ANSWER tokens).
So what is spent never exceeds the budget by more than the calls on their way exceed their estimates. A stream is
settled at its end, also when its reader leaves. A call that succeeded and told nothing counts with its estimate; one
whose length nobody knows before, such as a transcript's, sets nothing aside. The layer stands outside the one that
says the cost, which every client has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from polyport import tokens
from polyport.border import Call, Middleware, Next
from polyport.budgets import Budget, Owner, nano, owner
from polyport.errors import BadRequestError
from polyport.flow import NOW, Flow, Streaming
from polyport.metering import READERS, kinds
from polyport.middleware.cost import rates_for, without_prices
from polyport.pricefile import PARAMETERS
from polyport.prices import Rates, Used

#: Tokens of an answer that has no limit, for the estimate; most are shorter.
DEFAULT_ANSWER = 1000
#: Parameters that limit an answer, by the interfaces that have them.
LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def max_budget(
    budget: float | Budget | Mapping[str, Budget] | Owner,
    duration: str | float | None = None,
    *,
    unpriced: str = "refuse",
) -> Middleware:
    """Return the layer. `budget` is in USD, or whose it is: a Budget, one for each `user=`, a function of the call.

    A call for which there is no Budget is not limited. `unpriced="allow"` lets calls pass of which no price is known;
    otherwise they are refused, since nothing would be counted. Raises BudgetExceededError before anything is sent.
    """
    if unpriced not in ("refuse", "allow"):
        raise BadRequestError(f'unpriced is "refuse" or "allow", not {unpriced!r}')
    if isinstance(budget, int | float):
        budget = Budget(budget, duration)
    elif duration is not None:
        raise BadRequestError("duration goes with an amount; a Budget has its own.")
    whose = owner(budget)

    def layer(call: Call, proceed: Next) -> Flow[Any]:
        account = whose(call) if call.operation.hook in READERS else None
        if account is None:
            return (yield from proceed(call))
        estimate = estimated(call)
        if estimate is None and unpriced == "refuse":
            raise BadRequestError(
                f"No price is known for {call.provider.name}/{call.request.model}, so no budget can be kept: pass "
                'prices={...}, register_prices(...), or let such calls pass with max_budget(..., unpriced="allow").'
            )
        return (yield from _within(account, estimate or 0, call, proceed))

    return layer


def _within(budget: Budget, estimate: int, call: Call, proceed: Next) -> Flow[Any]:
    """Run a call within a budget; whatever becomes of it, what was set aside is given back once."""
    budget.reserve(estimate, (yield NOW))
    before = call.meta.cost or 0.0
    try:
        result = yield from proceed(call)
    except BaseException:
        budget.settle(estimate, _spent(call, before, 0))
        raise
    if not isinstance(result, Streaming):
        budget.settle(estimate, _spent(call, before, estimate))
        return result

    def finish(_: BaseException | None) -> Flow[None]:
        budget.settle(estimate, _spent(call, before, estimate))
        yield from ()

    return result.epilogue(finish)


def _spent(call: Call, before: float, unknown: int) -> int:
    """Return what the call cost, in nano-dollars; `unknown` where nobody can say."""
    cost = call.meta.cost
    return unknown if cost is None else max(nano(cost) - nano(before), 0)


def estimated(call: Call) -> int | None:
    """Return about what a call will cost at most, in nano-dollars; None where no price is known."""
    if call.request.extra and not PARAMETERS.isdisjoint(call.request.extra):
        call = without_prices(call)
    rates = rates_for(call)
    if rates is None:
        return None
    used = expected(call.request, rates)
    bill = rates.bill(used)
    if bill is None:
        return 0 if rates.holds_at(used.service_tier) else None
    return bill.nano


def expected(request: Any, rates: Rates) -> Used:
    """Return about what a request will use at most."""
    prompt = tokens.of_request(request)
    limit = next((value for name in LIMITS if (value := getattr(request, name, None)) is not None), DEFAULT_ANSWER)
    answers = getattr(request, "n", None) or 1
    buckets = {"input": prompt, **({"output": limit * answers} if "output" in rates.prices else {})}
    length = len(getattr(request, "input", None) or "")
    documents = len(getattr(request, "documents", None) or ())
    size = getattr(request, "size", None)
    units = {
        "image": answers,
        "character": length,
        "search": math.ceil(documents / 100) or 1,
        "video_second": _number(getattr(request, "seconds", None)),
    }
    return Used(
        tokens=buckets,
        units={unit: quantity for unit, quantity in units.items() if quantity is not None},
        kinds=kinds(size, getattr(request, "quality", None)),
        prompt=prompt,
        service_tier=getattr(request, "service_tier", None),
    )


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
