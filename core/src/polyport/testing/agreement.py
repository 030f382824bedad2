"""The checks that every driver gives the same: one flow, run blocking, asynchronously and simulated."""

from __future__ import annotations

from polyport.testing.bench import Outcome, Subject, asynchronous, blocking, ensure, plain, simulate
from polyport.testing.exchange import Exchange
from polyport.testing.wire import Wire


def drivers_agree(subject: Subject, exchange: Exchange) -> None:
    """The reply becomes the same result, by the same requests, under all three drivers; nothing stays open."""
    _agree(subject, exchange, stream=False)


def drivers_agree_on_streams(subject: Subject, exchange: Exchange) -> None:
    """The stream becomes the same chunks, by the same requests, under all three drivers; nothing stays open."""
    _agree(subject, exchange, stream=True)


def _agree(subject: Subject, exchange: Exchange, *, stream: bool) -> None:
    simulated = simulate(subject, exchange, stream=stream)
    expected = plain(simulated.value("the simulating driver"))
    asked = [(request.method, request.url) for request in simulated.requests]
    for name, run in {"blocking": blocking, "asynchronous": asynchronous}.items():
        wire = Wire(exchange.answers(stream=stream))
        outcome: Outcome = run(subject, exchange, wire, stream=stream)
        given = plain(outcome.value(f"the {name} driver"))
        ensure(given == expected, f"the {name} driver gave {given!r}, the simulating one {expected!r}")
        sent = [(request.method, request.url) for request in wire.requests]
        ensure(sent == asked, f"the {name} driver sent {sent}, the simulating one {asked}")
        ensure(wire.open == 0, f"after the {name} driver {wire.open} replies are still open")
