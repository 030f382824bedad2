"""/metrics: what happens here, as Prometheus reads it, of all processes of this gateway together.

Each process writes what it has counted into a file of the gateway's folder once a second; the one that is scraped adds
up. So a scrape is at most a second behind, costs requests nothing, and what a process that died had counted stays.
Metrics of the observer `prometheus`, where `callbacks` names it, are there as well.

Who may scrape: `general_settings.metrics_key`, or a key with the role admin or viewer; everybody, with
`metrics_public: true` or where the gateway has no keys at all.
https://prometheus.io/docs/concepts/metric_types/ and https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hmac
import logging
import os
import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Sample

from polyport.errors import PolyportError
from polyport.flow import NOW, Flow
from polyport.observing.callbacks import installed
from polyport.states import Standing
from polyport.types.bill import NANO
from polyport_gateway import replies
from polyport_gateway.app import ASGI
from polyport_gateway.asked import Receive
from polyport_gateway.console import READERS, caller, reply
from polyport_gateway.counts import Counter, Counts, Team, Timed, pack, together, unpack
from polyport_gateway.exchange import Send
from polyport_gateway.gate import GateError
from polyport_gateway.journal import SUFFIX
from polyport_gateway.signon import credential
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI
from polyport_gateway.upkeep import Upkeep
from polyport_prometheus.metrics import DURATIONS, FIRSTS

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway.metrics")
#: Seconds between two writes, between two measures of the loop's lag, and of how many the worst is told.
EVERY, TICK, TICKS = 1.0, 0.25, 60
#: The observer whose metrics are told as well.
OBSERVER = "prometheus"
PLACE = ("operation", "model", "provider")
PREFIX = "polyport_gateway_"


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part."""
    metrics = Metrics(gateway)
    gateway.app.taps.append(metrics.counter.tap)
    gateway.app.starting.append(metrics.start)
    gateway.app.closing.append(metrics.aclose)
    return {"metrics": metrics}


class Metrics:
    """An ASGI application over a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.counter = Counter()
        self._board = Board(gateway.data / "metrics")
        self._upkeep = Upkeep()
        self._measuring: asyncio.Task[None] | None = None
        self._lags: list[float] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id, status = uuid.uuid4().hex, 200
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if scope["type"] != "http" or scope["path"] != "/metrics":
                raise GateError(404, "not_found", "The metrics are at /metrics.")
            if scope["method"] not in ("GET", "HEAD"):
                raise GateError(405, "method_not_allowed", "/metrics takes GET.", headers={"allow": "GET, HEAD"})
            await self._may(headers, scope)
            kind, body = await self.scrape(headers.get("accept", ""))
        except PolyportError as error:
            problem = problem_of(error, request_id)
            status, kind, body = problem.status, replies.JSON, replies.encode(OPENAI.problem(problem))
        await reply(send, status, kind, body, request_id)

    async def _may(self, headers: Mapping[str, str], scope: Mapping[str, Any]) -> None:
        general = self._gateway.config.general
        if general.metrics_public:
            return
        given = (credential.of(headers, scope) or "").encode(errors="replace")
        if general.metrics_key is not None and hmac.compare_digest(given, general.metrics_key.encode()):
            return
        await caller(self._gateway, headers, scope, READERS)

    async def scrape(self, accept: str) -> tuple[str, bytes]:
        """Return the media type and the metrics: in OpenMetrics' form for who asks for it, else in Prometheus' own."""
        mine, store = await self._mine(), await self._store_up()
        return await asyncio.to_thread(self._told, mine, store, accept)

    def _told(self, mine: Counts, store: bool | None, accept: str) -> tuple[str, bytes]:
        whole = together(mine, self._board.others())
        registry = CollectorRegistry()
        registry.register(_Collected([*_families(whole), *_surroundings(self._gateway.data / "journal", store)]))
        encode, kind = choose_encoder(accept)
        return kind, encode(registry)

    # --- what this process has ---

    async def _mine(self) -> Counts:
        counts, app = self.counter.counts, self._gateway.app
        used = resource.getrusage(resource.RUSAGE_SELF)
        counts.cpu = used.ru_utime + used.ru_stime
        counts.resident, counts.processes = _resident(used.ru_maxrss), 1
        counts.in_flight = app.in_flight
        counts.lag = max(self._lags, default=0.0)
        counts.resting = await self._resting()
        keeper = self._gateway.keeper
        counts.redis_away = int(keeper is not None and bool(getattr(keeper.limits, "away", False)))
        if keeper is not None:
            counts.batches, counts.held = keeper.batches.seen
        counts.others = _of_observer(app.running.config.options)
        return counts

    async def _resting(self) -> dict[tuple[str, str, str], float]:
        router = self._gateway.app.running.router
        all_ = router.groups.all()

        def look() -> Flow[list[Standing]]:
            now: float = yield NOW
            return (yield from router.state.look([one.id for one in all_], now))

        try:
            standings = await router.client.arun(look())
        except PolyportError:  # the state that routers share is away
            return {}
        return {
            (one.id, one.group, router.place_of(one)[0]): standing.cooling
            for one, standing in zip(all_, standings, strict=True)
        }

    async def _store_up(self) -> bool | None:
        keeper = self._gateway.keeper
        if keeper is None:
            return None
        try:
            async with asyncio.timeout(1.0):
                await keeper.start()
                await keeper.store.revision()
        except (PolyportError, TimeoutError):
            return False
        return True

    # --- its life ---

    async def start(self) -> None:
        """Write what is counted down from now on."""
        await asyncio.to_thread(self._board.open, self._gateway.app.group)
        self._upkeep.start((EVERY, self._write))
        self._measuring = asyncio.create_task(self._measure())

    async def aclose(self) -> None:
        """Write it down for the last time."""
        if self._measuring is not None:
            self._measuring.cancel()
            await self._upkeep.aclose()
            await self._write()
        self._board.close()

    async def _write(self) -> None:
        await asyncio.to_thread(self._board.write, pack(await self._mine()))

    async def _measure(self) -> None:
        """Measure by how much later than it should the event loop does what waits."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self._lags.append(max(0.0, time.monotonic() - before - TICK))
            del self._lags[:-TICKS]


class Board:
    """A folder where the processes of one gateway leave their counts, each in a file that it holds while it lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._group = ""
        self._name = ""
        self._last = b""

    def open(self, group: str) -> None:
        """Begin a file; those of gateways that are no more go."""
        self._group, self._name = group, f"{group}.{os.getpid()}.counts"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in self._folder.glob("*.counts"):
                if not path.name.startswith(f"{group}.") and not _held(path):
                    path.unlink(missing_ok=True)
            self._file = os.open(self._folder / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_SH)
        except OSError as error:
            log.error("/metrics tells only of single processes: %s", error)

    def write(self, data: bytes) -> None:
        """Put counts into this process's file."""
        if self._file is None or data == self._last:
            return
        try:  # length first, so that who reads in between sees that it does not fit
            os.pwrite(self._file, len(data).to_bytes(8, "big") + data, 0)
            os.ftruncate(self._file, len(data) + 8)
            self._last = data
        except OSError as error:
            log.error("what was counted cannot be written down: %s", error)

    def others(self) -> Iterator[tuple[Counts, bool]]:
        """Yield what the other processes counted, and whether each lives."""
        if self._file is None:
            return
        for path in sorted(self._folder.glob(f"{self._group}.*.counts")):
            if path.name != self._name and (found := _read(path)) is not None:
                yield found, _held(path)

    def close(self) -> None:
        """Let go of the file; what is in it counts as long as others of the gateway live."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _held(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _read(path: Path) -> Counts | None:
    for _ in range(5):  # it may be written just now
        try:
            data = path.read_bytes()
            if len(data) >= 8 and int.from_bytes(data[:8], "big") == len(data) - 8:
                return unpack(data[8:])
        except (OSError, msgspec.MsgspecError):
            pass
        time.sleep(0.01)
    return None


class _Collected:
    """Families, as a registry wants them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


# --- names ---


def _families(counts: Counts) -> Iterator[Metric]:
    yield from _of_places(counts)
    yield from _of_teams(counts)
    refused = _counter("refusals", "Requests that were let in nowhere, by the reason", ("reason", "status"))
    for (reason, status), count in counts.refusals.items():
        refused.add_metric((reason, str(status)), count)
    errors = _counter("errors", "Requests that failed, by the class of error", (*PLACE, "error"))
    for labels, count in counts.errors.items():
        errors.add_metric(labels, count)
    failed = _counter("attempt_failures", "Attempts that failed", ("deployment", "provider", "error"))
    for key, count in counts.failures.items():
        failed.add_metric(key, count)
    resting = _gauge("deployment_resting_seconds", "For how long it still rests", ("deployment", "model", "provider"))
    for place, seconds in counts.resting.items():
        resting.add_metric(place, seconds)
    yield from (refused, errors, failed, resting)
    yield _gauge("in_flight", "Requests on their way", value=counts.in_flight)
    yield _gauge("limits_redis_up", "Whether the limits' Redis answers", value=1 - counts.redis_away)
    yield _gauge("open_batches", "Batches of all replicas that are not paid yet", value=counts.batches)
    yield _gauge("open_batches_usd", "What these may cost, and so hold of budgets", value=counts.held / NANO)
    yield _gauge("processes", "Processes that serve", value=counts.processes)
    yield _gauge("resident_memory_bytes", "Memory of all processes", value=counts.resident)
    yield _counter("cpu_seconds", "Time of the processor, of all processes", value=counts.cpu)
    yield _gauge("event_loop_lag_seconds", f"The worst of the last {TICK * TICKS:g} seconds", value=counts.lag)
    yield from _of_others(counts)


def _of_places(counts: Counts) -> Iterator[Metric]:
    requests = _counter("requests", "Requests that were let in and are over", (*PLACE, "status"))
    tokens = _counter("tokens", "Tokens, in disjoint buckets", (*PLACE, "bucket"))
    cost = _counter("cost_usd", "What requests cost", PLACE)
    hits = _counter("cache_hits", "Requests that the cache answered", PLACE)
    unpriced = _counter("unpriced", "Requests whose price nobody knows", PLACE)
    duration = HistogramMetricFamily(
        f"{PREFIX}request_duration_seconds", "From the request to its last byte", labels=PLACE
    )
    first = HistogramMetricFamily(f"{PREFIX}first_byte_seconds", "From the request to a stream's first", labels=PLACE)
    for labels, place in counts.places.items():
        for status, count in place.statuses.items():
            requests.add_metric((*labels, str(status)), count)
        for bucket, count in place.tokens.items():
            tokens.add_metric((*labels, bucket), count)
        cost.add_metric(labels, place.nano / NANO)
        if place.hits:
            hits.add_metric(labels, place.hits)
        if place.unpriced:
            unpriced.add_metric(labels, place.unpriced)
        for family, bounds, timed in ((duration, DURATIONS, place.duration), (first, FIRSTS, place.first)):
            if any(timed.buckets):
                family.add_metric(labels, [*_cumulated(bounds, timed)], timed.total)
    yield from (requests, tokens, cost, hits, unpriced, duration, first)


def _of_teams(counts: Counts) -> Iterator[Metric]:
    told: tuple[tuple[str, str, Callable[[Team], float]], ...] = (
        ("team_requests", "Requests of a team", lambda one: one.requests),
        ("team_errors", "Requests of a team that failed", lambda one: one.errors),
        ("team_tokens", "Tokens of a team", lambda one: one.tokens),
        ("team_cost_usd", "What a team's requests cost", lambda one: one.nano / NANO),
    )
    for name, what, value in told:
        family = _counter(name, what, ("team",))
        for team, one in counts.teams.items():
            family.add_metric((team,), value(one))
        yield family


def _of_others(counts: Counts) -> Iterator[Metric]:
    families: dict[str, Metric] = {}
    for (name, what, kind, sample, labels), value in counts.others.items():
        families.setdefault(name, Metric(name, what, kind)).samples.append(Sample(sample, dict(labels), value))
    yield from families.values()


def _surroundings(journal: Path, store: bool | None) -> Iterator[Metric]:
    if store is None:
        return
    yield _gauge("store_up", "Whether the database answers", value=int(store))
    sizes, oldest = [], time.time()
    for path in journal.glob(f"*{SUFFIX}") if journal.is_dir() else ():
        with contextlib.suppress(OSError):
            found = path.stat()
            if found.st_size:
                sizes.append(found.st_size)
                oldest = min(oldest, found.st_mtime)
    yield _gauge("journal_bytes", "What is settled and not yet in the database", value=sum(sizes))
    yield _gauge("journal_segments", "Files of the journal that are not empty", value=len(sizes))
    yield _gauge("journal_oldest_seconds", "How far the database is behind the journal", value=time.time() - oldest)


def _cumulated(bounds: tuple[float, ...], timed: Timed) -> Iterator[tuple[str, float]]:
    so_far = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), timed.buckets, strict=True):
        so_far += count
        yield bound, so_far


def _counter(name: str, what: str, labels: tuple[str, ...] = (), value: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, what, value=value, labels=labels if value is None else None)


def _gauge(name: str, what: str, labels: tuple[str, ...] = (), value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, what, value=value, labels=labels if value is None else None)


def _of_observer(options: Mapping[str, Any]) -> dict[Any, float]:
    """Return the samples of the observer that counts calls, where the configuration names it."""
    named = [options.get(name) for name in ("callbacks", "success_callback", "failure_callback")]
    if not any(OBSERVER in given for given in named if isinstance(given, str | list | tuple)):
        return {}
    found: dict[Any, float] = {}
    for family in installed(OBSERVER).registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # when a process began to count, which no sum has
                labels = tuple(sorted(sample.labels.items()))
                found[family.name, family.documentation, family.type, sample.name, labels] = sample.value
    return found


def _resident(highest: int) -> int:
    """Return the memory of this process in bytes; where the system does not tell it, the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return highest * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()
