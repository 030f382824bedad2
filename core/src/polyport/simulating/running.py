"""Running a simulation: a router of the real flows, simulated deployments below it, callers above, a virtual clock."""

from __future__ import annotations

import copy
import difflib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from polyport import plugins
from polyport.drivers.simulation import Answer, Simulation
from polyport.errors import APIError, BadRequestError, NotFoundError
from polyport.flow import Flow, HttpRequest, Streaming
from polyport.plugins import Providers
from polyport.pricefile import PARAMETERS
from polyport.router import Router
from polyport.router.deployments import Deployment
from polyport.router.groups import Groups
from polyport.router.strategies import GROUP, STRATEGIES, find
from polyport.routing import resolve
from polyport.simulating import faults as faulty, report as reporting
from polyport.simulating.faults import Fault
from polyport.simulating.measuring import Callers, Loads, MeasuredClient, MeasuredState
from polyport.simulating.report import FaultTime, Report
from polyport.simulating.servers import ASKED, Behaviour, Server, SimulatedProvider, behaviours
from polyport.simulating.traffic import Asked, Calls, Traffic
from polyport.tokens import LETTERS
from polyport.types.record import convert

#: How finely a timeline is cut.
STEPS = 120
#: What a deployment's requests keep of its own parameters: prices. The others change nothing here.
KEPT = PARAMETERS
#: Options of a deployment that matter to a simulation.
OPTIONS = ("timeout", "num_retries", "prices", "provider")


class Setting(msgspec.Struct, kw_only=True):
    """Around the router: what deployments are like, what traffic comes, what fails. `path` and `folder` are for errors
    and for files of samples.
    """

    deployments: dict[str, Any] = {}
    traffic: Traffic = Traffic()
    faults: str | list[str] = ""
    seed: int = 0
    path: str = "$"
    folder: Path | None = None


def simulate(
    router: Router,
    *,
    traffic: Traffic | Mapping[str, Any] | None = None,
    deployments: Mapping[str, Any] | None = None,
    faults: str | Sequence[str] = "",
    seed: int = 0,
    strategy: str | None = None,
) -> Report:
    """Run a router's policy against simulated deployments, and return what came of it. Nothing is sent.

    `traffic` is described in `simulating.traffic`, `deployments` in `simulating.servers` (by id, group or pattern),
    `faults` in `simulating.faults`. The router itself is not touched: its deployments, strategy, limits, retries and
    fallbacks are tried in a twin of it, without its keys, cache, budget, callbacks and middleware. The same `seed`
    gives the same result; other strategies meet the same calls. Raises BadRequestError that names the place.
    """
    given = traffic if isinstance(traffic, Traffic) else convert(dict(traffic or {}), Traffic, "$.traffic")
    listed = faults if isinstance(faults, str) else list(faults)
    setting = Setting(deployments=dict(deployments or {}), traffic=given, faults=listed, seed=seed)
    return run(router, setting, strategy)


def compare(router: Router, setting: Setting, strategies: Sequence[str] | None = None) -> Iterator[Report]:
    """Run every strategy, or those named, on the same traffic, one after another."""
    for name in strategies or strategy_names():
        yield run(router, setting, name)


def strategy_names() -> list[str]:
    """Return the strategies there are, ours first."""
    return [*STRATEGIES, *(entry.name for entry in plugins.entries(GROUP) if entry.name not in STRATEGIES)]


def run(router: Router, setting: Setting, strategy: str | None = None) -> Report:
    """Run one simulation; `strategy` in place of the router's own."""
    return World(router, setting, strategy).run()


class World:
    """One simulation: its clock, its deployments, its router and its callers."""

    def __init__(self, router: Router, setting: Setting, strategy: str | None = None) -> None:
        own = router.groups.all()
        self.setting = setting
        self.traffic = Calls(setting.traffic, router.groups.names(), f"{setting.path}.traffic", setting.folder)
        _check_called(self.traffic.traffic, router, f"{setting.path}.traffic.models")
        self.faults = faulty.read(setting.faults)
        faulty.check_targets(self.faults, [name for one in own for name in _names(one)])
        _check_described(setting.deployments, own, f"{setting.path}.deployments")
        self.servers = {one.id: self._server(one) for one in own}
        self.clock = Simulation(self._wire)
        self.loads = Loads(self.traffic.seconds, STEPS)
        for one in own:
            self.loads.add(one.id, one.group, one.model)
        self.state = MeasuredState(self.loads)
        self.router = self._twin(router, own, strategy)
        self.callers = Callers()
        self._plan: Callable[..., Any] = self.router.plan

    def run(self) -> Report:
        """Let all calls come and go, and return the report."""
        started = time.perf_counter()
        self._next(self.traffic.drawn(self.setting.seed))
        self.clock.run()
        spans = [
            FaultTime(one.text, [[*piece] for span in one.spans for piece in span.within(self.traffic.seconds)])
            for one in self.faults
        ]
        made = reporting.made(
            self.router.strategy_name, self.setting.seed, self.traffic.seconds, self.callers, self.loads, spans
        )
        made.real_seconds = time.perf_counter() - started
        return made

    # --- callers ---

    def _next(self, coming: Iterator[Asked]) -> None:
        """Have the next call come at its time."""
        asked = next(coming, None)
        if asked is not None:
            self.clock.at(asked.time, lambda: self._come(asked, coming))

    def _come(self, asked: Asked, coming: Iterator[Asked]) -> None:
        task = self.clock.start(self._call(asked))
        if asked.leaves is not None and not task.done:
            self.clock.at(asked.time + asked.leaves, lambda: self.clock.cancel(task))
        self._next(coming)

    def _call(self, asked: Asked) -> Flow[None]:
        """One caller: asks, reads what comes, and says how it was."""
        clock, callers = self.clock, self.callers
        callers.calls += 1
        fields: dict[str, Any] = {"model": asked.model, "messages": prompt_of(asked.prompt), ASKED: asked}
        if asked.stream:
            fields["stream"] = True
        call, flow = self._plan("completion", **fields)
        meta, stayed = call.meta, False
        try:
            result = yield from flow
            if isinstance(result, Streaming):
                callers.first_tokens.append(clock.now - asked.time)
                yield from _read(result)
            callers.succeeded += 1
            callers.latencies.append(clock.now - asked.time)
            stayed = True
        except APIError as error:
            callers.failed(error)
            stayed = True
        finally:
            callers.left += not stayed
            callers.attempts[meta.attempts] += 1
            if meta.cost is not None:
                callers.paid(meta.cost)
                self.loads[meta.deployment or ""].cost += meta.cost

    # --- deployments ---

    def _wire(self, request: HttpRequest, now: float) -> Answer:
        server = self.servers.get(request.url)
        if server is None:  # a fallback to a model that is no group
            server = self.servers[request.url] = Server(request.url, Behaviour(), (), self.setting.seed)
        return server.answer(request.json, request.stream, now, request.timeout.read)

    def _server(self, one: Deployment) -> Server:
        names, path = _names(one), f"{self.setting.path}.deployments"
        found = behaviours(self.setting.deployments, names, path)
        faults: list[Fault] = [fault for fault in self.faults if fault.meets(names)]
        return Server(one.id, found, faults, self.setting.seed, path=f"{path}[{one.id!r}]", folder=self.setting.folder)

    def _twin(self, router: Router, own: Sequence[Deployment], strategy: str | None) -> Router:
        """Return the router with simulated deployments in place of its own."""
        twin = copy.copy(router)
        known = Providers()
        prefixes = {name for one in own if (name := _provider(one, known)) is not None}
        client = router.client
        twin.client = MeasuredClient(
            self.loads,
            lambda: self.clock.now,
            providers={name: SimulatedProvider(name) for name in {*prefixes, *known.names()}},
            timeout=client.timeout,
            num_retries=client.num_retries,
            secrets=lambda _: None,
            seed=self.setting.seed,
        )
        twin.state = self.state
        twin.groups = Groups([_simulated(one, self.servers[one.id].behaviour) for one in own], router.groups.aliases)
        if strategy is not None:
            twin.strategy_name, twin.strategy = strategy, find(strategy)
        return twin


def _simulated(one: Deployment, behaviour: Behaviour) -> Deployment:
    """Return a deployment whose requests go to its server here: its id stands for the address."""
    options = {name: one.options[name] for name in OPTIONS if name in one.options}
    options["api_base"] = one.id
    extra = {name: value for name, value in one.extra.items() if name in KEPT}
    if behaviour.prices is not None:
        options["prices"], extra = behaviour.prices, {}
    return replace(one, options=options, extra=extra)


def _provider(one: Deployment, known: Providers) -> str | None:
    """Return the provider a deployment's model leads to; of a prefix that nobody has installed, the prefix."""
    given = one.options.get("provider")
    if given is not None:
        return str(given)
    prefix, slash, _ = one.model.partition("/")
    if slash and not known.has(prefix) and plugins.provider_of(one.model) is None:
        return prefix if "*" not in prefix else None
    return resolve(one.model, known)[0] if "*" not in one.model else (prefix if slash else None)


def _names(one: Deployment) -> list[str]:
    """Return the names that settings and faults may call a deployment by."""
    return [one.id, one.group]


def _read(stream: Streaming[Any]) -> Flow[None]:
    error: BaseException | None = None
    try:
        while (yield from stream.pull()):
            continue
    except BaseException as raised:
        error = raised
        raise
    finally:
        yield from stream.end(error)


def prompt_of(tokens: int) -> list[dict[str, str]]:
    """Return messages that are estimated at about so many tokens."""
    return [{"role": "user", "content": "x" * max(1, int(LETTERS * tokens) - len("user\n"))}]


# --- checks ---


def _check_called(traffic: Traffic, router: Router, path: str) -> None:
    for name in traffic.models:
        try:
            router.groups.of(name)
        except NotFoundError as error:
            raise BadRequestError(f"{path}: {error.message}") from error


def _check_described(given: Mapping[str, Any], own: Sequence[Deployment], path: str) -> None:
    names = list(dict.fromkeys(name for one in own for name in _names(one)))
    for key in given:
        if not Fault(key, "").meets(names):
            near = difflib.get_close_matches(key, names, 1)
            guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise BadRequestError(f"{path} describes {key!r}, which is no deployment or group: {guess}")
