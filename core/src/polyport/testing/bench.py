"""The bench: runs one exchange of one provider under each driver, and says what came out.

Checks use it, and only it, to make a provider do something. Nothing here leaves the process.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.client import Client
from polyport.drivers.aio import AsyncStream
from polyport.drivers.simulation import Simulation
from polyport.drivers.sync import Stream
from polyport.errors import PolyportError
from polyport.flow import HttpRequest
from polyport.provider import Provider
from polyport.testing.exchange import Exchange
from polyport.testing.wire import Reply, Wire

#: The key of every call on the bench. Its odd characters show whether a key in a URL is quoted, and hidden so too.
KEY = "contract-key/Zr8+Q4="
#: Times differ from run to run; ids are replaced by their order of appearance.
VOLATILE = frozenset({"created", "created_at"})


class Subject:
    """The provider under test, and the prefix it answers for.

    Its clients for simulations are kept until `close`, as a check runs an exchange a thousand times.
    """

    def __init__(self, provider: type[Provider], name: str) -> None:
        self.provider = provider
        self.name = name
        self._clients: dict[tuple[Any, ...], Client] = {}

    def client(self, wire: Wire, env: Mapping[str, str], key: str | None = KEY) -> Client:
        """Return a new client that knows the one provider, reaches the one wire, and sees no environment but `env`."""
        return Client(
            providers={self.name: self.provider},
            http=wire,
            api_key=key,
            num_retries=0,
            secrets=dict(env).get,
        )

    def simulated(self, env: Mapping[str, str], key: str | None) -> Client:
        """Return the client that flows are taken from, to be run by drivers of one's own."""
        which = (key, *sorted(env.items()))
        if which not in self._clients:
            self._clients[which] = self.client(Wire([]), env, key)
        return self._clients[which]

    def close(self) -> None:
        """Close the clients, and with them what the provider holds; afterwards new ones are made."""
        while self._clients:
            self._clients.popitem()[1].close()


class Outcome(msgspec.Struct, kw_only=True):
    """What a run gave: a result, of a stream the chunks, or (chunks up to then and) an error."""

    result: Any = None
    chunks: list[Any] | None = None
    error: BaseException | None = None
    requests: list[HttpRequest] = []

    def value(self, what: str = "the recorded exchange") -> Any:
        """Return the result or the chunks. Raises AssertionError that says what failed, and where."""
        if self.error is not None:
            raise AssertionError(f"{what} raised {told(self.error)}") from self.error
        return self.result if self.chunks is None else self.chunks


def ensure(condition: object, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds; unlike `assert`, under `-O` too."""
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(message)


def one_of(value: object, allowed: frozenset[str], what: str) -> None:
    """Raise AssertionError unless the value is an allowed one."""
    __tracebackhide__ = True
    ensure(value in allowed, f"{what} is {value!r}; it must be one of {', '.join(sorted(allowed))}")


def told(error: BaseException) -> str:
    """Return an error in one line, with the place in the code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}, {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def simulate(
    subject: Subject,
    exchange: Exchange,
    *,
    stream: bool = False,
    last: Reply | None = None,
    key: str | None = KEY,
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Outcome:
    """Run the exchange under the simulating driver, which is the fastest and shows every request as a value."""
    wire = Wire(exchange.answers(stream=stream, last=last))
    outcome = Outcome()

    def answer(request: HttpRequest, now: float) -> Any:
        outcome.requests = [*outcome.requests, request]
        return wire.simulated(request, now)

    fields = exchange.fields(stream=stream, provider=subject.name, **more)
    client = subject.simulated(exchange.env if env is None else env, key)
    try:
        flow = client.flow(exchange.operation.function, **fields)
    except PolyportError as error:
        outcome.error = error
        return outcome
    simulation = Simulation(answer)
    task = simulation.start(flow)
    simulation.run()
    outcome.result, outcome.chunks, outcome.error = task.result, task.chunks, task.error
    return outcome


def blocking(subject: Subject, exchange: Exchange, wire: Wire, *, stream: bool = False, **more: Any) -> Outcome:
    """Run the exchange under the blocking driver, over the wire as an httpx transport."""
    fields = exchange.fields(stream=stream, provider=subject.name, **more)
    outcome = Outcome()
    with subject.client(wire, exchange.env) as client:
        try:
            outcome.result = getattr(client, exchange.operation.function)(**fields)
            if isinstance(outcome.result, Stream):
                outcome.chunks = []
                for chunk in outcome.result:
                    outcome.chunks.append(chunk)
        except Exception as error:  # noqa: BLE001  the error is what is looked at
            outcome.error = error
    return outcome


def asynchronous(subject: Subject, exchange: Exchange, wire: Wire, *, stream: bool = False, **more: Any) -> Outcome:
    """Run the exchange under the asynchronous driver, on an event loop of its own."""
    fields = exchange.fields(stream=stream, provider=subject.name, **more)
    outcome = Outcome()

    async def run() -> None:
        async with subject.client(wire, exchange.env) as client:
            outcome.result = await getattr(client, f"a{exchange.operation.function}")(**fields)
            if isinstance(outcome.result, AsyncStream):
                outcome.chunks = []
                async for chunk in outcome.result:
                    outcome.chunks.append(chunk)

    try:
        asyncio.run(run())
    except Exception as error:  # noqa: BLE001  the error is what is looked at
        outcome.error = error
    return outcome


def plain(value: Any) -> Any:
    """Return a result or chunks as plain data that two runs can be compared by: no times, ids by their order.

    Pieces of bytes are joined, as where they are cut says nothing.
    """
    if isinstance(value, list) and value and all(isinstance(piece, bytes) for piece in value):
        return b"".join(value)
    ids: dict[str, str] = {}
    return _plain(value, ids)


def _plain(value: Any, ids: dict[str, str]) -> Any:
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, list):
        return [_plain(item, ids) for item in value]
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name not in VOLATILE}
        return {
            name: ids.setdefault(item, f"<id {len(ids)}>") if _is_id(name, item) else _plain(item, ids)
            for name, item in kept.items()
        }
    return value


def _is_id(name: str, value: object) -> bool:
    return isinstance(value, str) and (name == "id" or name.endswith("_id"))
