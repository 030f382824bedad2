"""What each call cost: `meta.cost` in USD, `meta.bill` what it is made of, `meta.provider_cost` what the provider said.

Prices come from the call (`prices=`, or the names that deployments use: `input_cost_per_token` ...), else from what is
known of the model asked for, else of the model that answered: an Azure deployment's own name says nothing. Of a
stream, the cost is known at its end; one that tells no usage, or is left early, is estimated by its letters, and
its bill says so. Where no price is known, the cost is what the provider told, or None. An attempt that was charged and
discarded by a layer further out is in the cost, the bill is of the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from polyport import tokens
from polyport.border import Call, Next
from polyport.flow import Flow, Streaming
from polyport.metering import METERS, READERS, Meter, Passing
from polyport.pricefile import PARAMETERS, of_params, rates_given
from polyport.prices import Rates, Used, rates_of
from polyport.types.bill import Bill

Clock = Callable[[], float]
#: What reading a reply of an unknown shape raises: events and messages pass as the provider's own plain data, and a
#: cost that cannot be told must not cost the answer.
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def cost(call: Call, proceed: Next, clock: Clock = time.time) -> Flow[Any]:
    """The layer: say what the call cost once that is known. `clock` tells the time, for prices by the hour."""
    hook = call.operation.hook
    extra = call.request.extra
    if extra and not PARAMETERS.isdisjoint(extra):
        call = without_prices(call)
    reader = READERS.get(hook)
    if reader is None:
        return (yield from proceed(call))
    before = call.meta.cost
    result = yield from proceed(call)
    if isinstance(result, Streaming):
        meter = METERS[hook](call.request)
        return _follow(result, call, Passing(meter) if result.passes else meter, before, clock)
    try:
        used = reader(call.request, result)
    except UNREADABLE:
        used = None
    if used is not None:
        charge(call, used, before, clock)
    return result


def _follow(stream: Streaming[Any], call: Call, meter: Meter, before: float | None, clock: Clock) -> Streaming[Any]:
    """Meter a stream: charge what it tells as soon as it does, at its end what it did not tell."""

    def tell(used: Used | None) -> None:
        if used is not None:
            charge(call, used, before, clock)

    readable = True

    def see(chunk: Any) -> Any:
        nonlocal readable
        try:
            if readable and meter.see(chunk):
                tell(meter.used())
        except UNREADABLE:
            readable = False
        return chunk

    def finish(_: BaseException | None) -> Flow[None]:
        if readable and meter.used() is None:
            tell(_estimated(call, meter))
        yield from ()

    tell(meter.used())
    return stream.map(see).epilogue(finish)


def _estimated(call: Call, meter: Meter) -> Used | None:
    """Return about what a stream used that did not tell: its prompt, and what was said of the answer."""
    if not meter.letters:
        return None
    prompt = tokens.of_request(call.request)
    told = {"input": prompt, "output": tokens.of_letters(meter.letters)}
    return Used(tokens=told, prompt=prompt, service_tier=getattr(call.request, "service_tier", None), estimated=True)


def charge(call: Call, used: Used, before: float | None, clock: Clock) -> None:
    """Write into `meta` what a call cost that used this, on top of what earlier attempts did.

    Prices and time are those of now; the sums are made when somebody asks for them, which not everybody does.
    """
    meta = call.meta
    meta.provider_cost = used.told
    rates = rates_for(call, used.model)
    meta.charged = Charge(rates, used, before, clock() if rates is not None and rates.hourly else 0.0).settle


class Charge(msgspec.Struct):
    """What was used, at which prices, when, and what earlier attempts cost."""

    rates: Rates | None
    used: Used
    before: float | None
    now: float

    def settle(self) -> tuple[float | None, Bill | None]:
        """Return what the call cost, and the bill of its last attempt."""
        try:
            bill = None if self.rates is None else self.rates.bill(self.used, lambda: self.now)
        except UNREADABLE:
            return self.before, None
        cost = self.used.told if bill is None else bill.cost
        return (self.before + cost if self.before and cost is not None else cost), bill


def rates_for(call: Call, answered: str | None = None) -> Rates | None:
    """Return the prices that hold for a call; None where none are known."""
    if call.options.prices is not None:
        return rates_given(call.options.prices)
    provider = call.provider.name
    found = rates_of(provider, call.request.model)
    return rates_of(provider, answered) if found is None and answered else found


def without_prices(call: Call) -> Call:
    """Return the call with the prices among its unknown parameters moved to its options, out of the wire's way."""
    request = call.request
    given = of_params(request.extra)
    options = call.options
    if options.prices is None and given:
        options = replace(options, prices=given)
    bare = replace(request, options=options, extra={k: v for k, v in request.extra.items() if k not in PARAMETERS})
    bare.__dict__.update(request.__dict__)
    return replace(call, request=bare, options=options)
