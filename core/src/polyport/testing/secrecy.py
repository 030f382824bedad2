"""The check that no key can be read where a person or a log would see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from polyport.testing.bench import KEY, Subject, ensure, simulate
from polyport.testing.exchange import IN_PROCESS, Exchange
from polyport.testing.requests import streams
from polyport.testing.wire import Reply


def key_is_never_shown(subject: Subject, exchange: Exchange) -> None:
    """No str or repr of client, provider, requests, result or errors has the key, wherever the user gave it."""
    hidden = (KEY, quote(KEY, safe=""))
    for what, text in _shown(subject, exchange):
        ensure(not any(key in text for key in hidden), f"{what} shows the key: {text[:300]}")


def _shown(subject: Subject, exchange: Exchange) -> Iterator[tuple[str, str]]:
    for given in ({"key": KEY}, {"key": None, "api_key": KEY}):
        yield from _of_run(subject, exchange, given)
        client = subject.simulated(exchange.env, given["key"])
        yield "repr(client)", repr(client)
        yield "repr(provider)", repr(client.providers.get(subject.name).plugin)


def _of_run(subject: Subject, exchange: Exchange, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    stream = streams(exchange) and exchange.stream is not None
    outcome = simulate(subject, exchange, stream=stream, **given)
    value = outcome.value()
    for part in value if isinstance(value, list) else [value]:
        yield "repr(result)", repr(part)
    yield "repr(result.meta)", repr(getattr(value, "meta", ""))
    for request in outcome.requests:
        yield "repr(request)", repr(request)
        yield "str(request)", str(request)
    if exchange.reply is IN_PROCESS or (exchange.reply is None and exchange.stream is IN_PROCESS):
        return
    for last in (Reply(refused=True), Reply.of({"error": f"{KEY} is wrong"}, status=401), Reply.of(b"{", status=200)):
        error = simulate(subject, exchange, stream=stream, last=last, **given).error
        yield "an error", f"{error} {error!r} {vars(error) if error else ''}"
