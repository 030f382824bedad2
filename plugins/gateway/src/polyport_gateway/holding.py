"""A batch's start with its budgets held: before its provider is asked, and given back where that refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.border import Call
from polyport.errors import APIConnectionError, APIError
from polyport.flow import Flow
from polyport.types.batch import Batch
from polyport_gateway.effects import awaiting
from polyport_gateway.foreseen import Foreseen
from polyport_gateway.gate import Admission, Start
from polyport_gateway.running import Running


def held(
    running: Running, admission: Admission, call: Call, start: Flow[Batch], asks: Callable[[], Foreseen] | None = None
) -> Flow[Batch]:
    """Return the flow that starts a batch, with what it may cost held. `asks` tells what for, else its file does.

    Where nobody knows whether it was started (no answer, a server's error, a caller that left), it is held until that
    has been found out: see `looking`.
    """
    request: Any = call.request
    provider = call.meta.provider
    named = call.meta.model or ""
    told = Start(
        provider=provider,
        deployment=call.meta.deployment or "",
        model_of=lambda model: running.group_of(provider, model or named),
        rates_of=lambda model: running.rates_of(provider, model or named),
        may_use=lambda model: running.may_use(admission, provider, model or named),
        file=request.input_file_id,
        asks=None if asks is None else asks(),
    )
    yield awaiting(lambda: admission.hold(told))
    try:
        return (yield from start)
    except APIError as error:
        if not isinstance(error, APIConnectionError) and (error.status_code or 500) < 500 and error.status_code != 408:
            yield awaiting(admission.let_go)
        raise
