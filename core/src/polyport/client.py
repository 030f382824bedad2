"""Client: the main path, top to bottom.

completion(...) -> call -> flow:  prepare  validate, route, find the provider     -> Call
                                  onion    middleware around fallbacks around cost around retry
                                  send     the provider's hook, or a bridge, at the border to the wire
                        driver:   runs the flow; a Streaming becomes a Stream
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from polyport import ids, plugins
from polyport.border import Call, Middleware, Next, attribute, exchange, exchange_once, stamp
from polyport.building import build
from polyport.drivers import Drivers
from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.flow import NOW, Flow, HttpRequest, Streaming, TimeoutSpec
from polyport.interface import Closing, Interface
from polyport.middleware.budget import max_budget as budgeted
from polyport.middleware.cost import cost, without_prices
from polyport.middleware.fallbacks import fallbacks, one_by_one
from polyport.middleware.retry import retry
from polyport.operations import BY_HOOK, Operation
from polyport.plugins import Providers
from polyport.provider import Provider
from polyport.remote import Reach
from polyport.routing import resolve
from polyport.types.record import (
    NO_OPTIONS,
    OPTION_NAMES,
    Meta,
    Options,
    Result,
    convert,
)

if TYPE_CHECKING:
    import httpx

    from polyport.budgets import Budget
    from polyport.caching import Cache

T = TypeVar("T")
#: How many model names are remembered with where they lead.
MAX_ROUTES = 4096
#: How long closing waits for observers, in seconds.
FLUSH = 10.0
DEFAULTS = ("api_base", "api_version", "timeout", "num_retries", "drop_params", "strict")


class Client(Closing, Interface):
    """Calls models. Shares connections between calls; safe across threads and event loops. Close it when done.

    `api_key` is one key for all, or a mapping from provider to key. `providers` adds or replaces providers by
    prefix. `http` is your own `httpx.Client`, `httpx.AsyncClient` or httpx transport; `transport` names an
    installed one ("httpx", "reqwest"). `proxy`, `verify` (True, False, CA path or SSLContext) and `cert` (PEM, or
    certificate and key) are for the built-in ones. `headers` go with every request. `timeout` is in seconds.
    `cache` keeps answers, see `polyport.caching`; calls stay within `max_budget` (USD, or a Budget). `guardrails` judge
    what is asked and answered, see `polyport.guarding`. `callbacks`, `success_callback` and `failure_callback` are told
    of every call, see `polyport.observing`, but for the values of metadata and parameters that `redact` names.
    `middleware` are functions `(call, proceed) -> Flow`, or names of installed ones, the first one outermost; it stands
    within all of these but the budget.
    `remote_files` says where files that are given by URL may be fetched from: "any", "public" (not from machines of
    one's own network: for who calls on behalf of strangers), "none"; `max_remote_file_mb` how large one may be, by
    default 100 with "public". Over an `http` of yours that goes through a proxy, "public" reaches no https: host.
    `secrets` finds what environment variables would hold; by default the environment does, then secret plugins.
    """

    def __init__(
        self,
        *,
        api_key: str | Mapping[str, str] | None = None,
        api_base: str | None = None,
        api_version: str | None = None,
        timeout: float | TimeoutSpec | None = None,
        num_retries: int | None = None,
        drop_params: bool | None = None,
        strict: bool | None = None,
        headers: Mapping[str, str] | None = None,
        http: httpx.Client | httpx.AsyncClient | httpx.BaseTransport | httpx.AsyncBaseTransport | None = None,
        transport: str | None = None,
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
        cert: str | tuple[str, str] | None = None,
        trust_env: bool = True,
        providers: Mapping[str, type[Provider] | Provider] | None = None,
        cache: Cache | None = None,
        max_budget: float | Budget | None = None,
        guardrails: Sequence[Any] = (),
        callbacks: Sequence[Any] = (),
        success_callback: Sequence[Any] = (),
        failure_callback: Sequence[Any] = (),
        redact: Sequence[str] = (),
        middleware: Sequence[Middleware | str] = (),
        remote_files: str = "any",
        max_remote_file_mb: float | None = None,
        secrets: Callable[[str], str | None] | None = None,
        seed: int | None = None,
    ) -> None:
        self.reach = Reach.of(remote_files, max_remote_file_mb)
        self.api_key = api_key
        self.api_base = api_base
        self.api_version = api_version
        self.timeout = timeout
        self.num_retries = num_retries
        self.drop_params = drop_params
        self.strict = strict
        self.headers = dict(headers or {})
        self.providers = Providers(providers)
        self.cache = cache
        self.max_budget = max_budget
        self.guardrails = guardrails
        self.callbacks, self.success_callback, self.failure_callback = callbacks, success_callback, failure_callback
        self.redact = redact
        self.middleware = [plugins.middleware(layer) if isinstance(layer, str) else layer for layer in middleware]
        #: The settings last seen and the layers made of them; a budget's layer outlives other changes.
        self._layered: tuple[tuple[Any, ...], list[Middleware]] = ((), [])
        self._budgeted: tuple[float | Budget | None, list[Middleware]] = (None, [])
        self._layering = threading.Lock()
        #: The defaults last seen and their Options: most calls bring no options of their own.
        self._defaults: tuple[tuple[Any, ...], Options] = ((None,) * len(DEFAULTS), NO_OPTIONS)
        self.secrets = secrets or plugins.secret
        self._routes: dict[str, tuple[str, str]] = {}
        self.random = Random(seed)  # noqa: S311  jitter, not secrets
        self._drivers = Drivers(http, transport, proxy=proxy, verify=verify, cert=cert, trust_env=trust_env)

    # --- the entry: every public function of the Interface ends here ---

    def _call(self, operation: Operation, fields: dict[str, Any]) -> Any:
        call = self.prepare(operation, fields)
        return self.perform(self.onion(call), call)

    async def _acall(self, operation: Operation, fields: dict[str, Any]) -> Any:
        call = self.prepare(operation, fields)
        return await self.aperform(self.onion(call), call)

    def perform(self, flow: Flow[Any], call: Call) -> Any:
        """Run the flow of a call; of a Streaming, return the Stream."""
        driver = self._drivers.sync()
        result = driver.run(flow)
        if isinstance(result, Streaming):
            from polyport.drivers.sync import Stream

            return Stream(result, driver, call.meta)
        return result

    async def aperform(self, flow: Flow[Any], call: Call) -> Any:
        """`perform`, asynchronously."""
        driver = self._drivers.running() or await self._drivers.aio()
        result = await driver.run(flow)
        if isinstance(result, Streaming):
            from polyport.drivers.aio import AsyncStream

            return AsyncStream(result, driver, call.meta)
        return result

    def flow(self, function: str, **fields: Any) -> Flow[Any]:
        """Return the flow of a call without running it: for drivers of your own, such as the simulation."""
        from polyport.operations import BY_FUNCTION

        return self.onion(self.prepare(BY_FUNCTION[function], fields))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of your own over this client's connections, such as one that fetches what a reply's URL names."""
        return self._drivers.sync().run(flow)

    def arun(self, flow: Flow[T]) -> Coroutine[Any, Any, T]:
        """`run`, asynchronously."""
        driver = self._drivers.running()
        return self._arun(flow) if driver is None else driver.run(flow)

    async def _arun(self, flow: Flow[T]) -> T:
        return await (await self._drivers.aio()).run(flow)

    # --- step 1: what is asked of whom ---

    def prepare(self, operation: Operation, fields: dict[str, Any]) -> Call:
        """Return the call that is asked for: validated, at its provider. Raises BadRequestError, NotFoundError."""
        if "custom_llm_provider" in fields:
            fields["provider"] = fields.pop("custom_llm_provider") or fields.get("provider")
        options = self._options(fields)
        name, model = self._route(operation, fields, options)
        request = build(operation.request, fields, options)
        request.model = model
        return Call(
            operation=operation,
            request=request,
            provider=self.providers.get(name),
            options=request.options,
            meta=Meta(provider=name, model=model, adaptations=request.adaptations),
            api_key=request.options.api_key or self.key_of(name),
            headers=self.headers,
            secrets=self.secrets,
            random=self.random,
            reach=self.reach,
        )

    def options(self) -> Options:
        """Return the options of a call that brings none of its own."""
        defaults = (self.api_base, self.api_version, self.timeout, self.num_retries, self.drop_params, self.strict)
        if defaults != self._defaults[0]:
            self._defaults = (defaults, self._to_options({}, defaults))
        return self._defaults[1]

    def _options(self, fields: dict[str, Any]) -> Options:
        if OPTION_NAMES.isdisjoint(fields):
            return self.options()
        given = {name: fields.pop(name) for name in OPTION_NAMES.intersection(fields)}
        defaults = (self.api_base, self.api_version, self.timeout, self.num_retries, self.drop_params, self.strict)
        return self._to_options(given, defaults)

    @staticmethod
    def _to_options(given: dict[str, Any], defaults: tuple[Any, ...]) -> Options:
        for name, default in zip(DEFAULTS, defaults, strict=True):
            if default is not None and given.get(name) is None:
                given[name] = default
        if isinstance(given.get("timeout"), TimeoutSpec):
            spec = given.pop("timeout")
            timed: Options = replace(convert(given, Options, "$"), timeout=spec)
            return timed
        options: Options = convert(given, Options, "$")
        return options

    def _route(self, operation: Operation, fields: dict[str, Any], options: Options) -> tuple[str, str]:
        model, provider = fields.pop("model", None), options.provider
        issued = ids.read(str(fields.get(operation.id_field))) if operation.id_field else None
        if issued is not None and operation.id_field:
            fields[operation.id_field] = issued.id
            return issued.provider, model or issued.model
        if model is None and provider is None:
            provider = self._only_provider(operation)
        if model is None:
            return str(provider), ""
        if provider is not None:
            return resolve(model, self.providers, provider)
        found = self._routes.get(model) if isinstance(model, str) else None
        if found is None:
            found = resolve(model, self.providers)
            if len(self._routes) < MAX_ROUTES:
                self._routes[model] = found
        return found

    def _only_provider(self, operation: Operation) -> str:
        """Return the provider of a call that names neither model nor provider: unambiguous only if there is one."""
        names = self.providers.names()
        if len(names) == 1:
            return names[0]
        raise BadRequestError(
            f"{operation.function} needs to know whom to ask: provider=... (installed: {', '.join(names) or 'none'})"
        )

    def provider_of(self, operation: Operation, fields: Mapping[str, Any]) -> str | None:
        """Return whom a call without a model is for, by its id or `provider=`; None where it does not say."""
        issued = ids.read(str(fields.get(operation.id_field))) if operation.id_field else None
        return issued.provider if issued else fields.get("provider") or fields.get("custom_llm_provider")

    def key_of(self, provider: str) -> str | None:
        """Return the client's own key for a provider."""
        key = self.api_key
        return key if key is None or isinstance(key, str) else key.get(provider)

    # --- step 2: the onion ---

    def onion(self, call: Call, core: Next | None = None) -> Flow[Any]:
        """Return the flow of a call: middleware around `core`, which is the client's own unless a router brings one."""
        if call.options.cache is not None and self.cache is None:
            from polyport.caching import controls

            controls.read(call.options.cache, controls.Controls())  # wrong names are told, cache or not
        if call.options.guardrails and not self.guardrails:
            raise BadRequestError(f"No guardrail is called {next(iter(call.options.guardrails))!r}: there are none")
        proceed = core or self._attempts
        for layer in self._layers():
            proceed = _wrap(layer, proceed)
            call.relay = ""  # it may have to see, or to change, every chunk
        return _observe(call, proceed)

    def bare(self, call: Call, core: Next) -> Flow[Any]:
        """Return the flow of a call with no layer around `core`, where `is_bare` has said that there is none."""
        return _observe(call, core)

    def _layers(self) -> list[Middleware]:
        """Return what is around every call, the innermost first; made anew when a setting has changed."""
        if self.is_bare() and not self._layered[1]:
            return self._layered[1]
        told = (_listed(self.callbacks), _listed(self.success_callback), _listed(self.failure_callback))
        judges, redact = _listed(self.guardrails), _listed(self.redact)
        settings = (self.max_budget, *self.middleware, self.cache, judges, *told, redact)
        if settings != self._layered[0]:
            with self._layering:
                self._layered = (settings, [layer for layer in self._make_layers(*told) if layer is not None])
        return self._layered[1]

    def is_bare(self) -> bool:
        """Whether no setting asks for a layer around calls."""
        return (
            self.cache is None
            and self.max_budget is None
            and not (self.middleware or self.guardrails)
            and not (self.callbacks or self.success_callback or self.failure_callback)
        )

    def _make_layers(self, *told: Sequence[Any]) -> Iterator[Middleware | None]:
        if self._budgeted[0] != self.max_budget:
            self._budgeted = (self.max_budget, [] if self.max_budget is None else [budgeted(self.max_budget)])
        yield from self._budgeted[1]
        yield from reversed(self.middleware)
        if self.cache is not None:
            yield self.cache.layer_for(self)
        if self.guardrails:
            from polyport.middleware.guardrails import Guardrails

            yield Guardrails(_listed(self.guardrails), self, self.secrets)
        if any(told):
            from polyport.middleware.observers import observe

            redact = _listed(self.redact)
            yield observe(told[0], success_callback=told[1], failure_callback=told[2], redact=redact)

    def _attempts(self, call: Call) -> Flow[Any]:
        if not call.options.fallbacks:
            return cost(call, self._retried)
        following = one_by_one(call.options.fallbacks, self._reroute)
        return fallbacks(call, lambda call: cost(call, self._retried), following)

    def _retried(self, call: Call) -> Flow[Any]:
        return retry(call, self.send)

    def _reroute(self, call: Call, model: str) -> Call:
        """Return the same call, to another model; its meta goes on counting."""
        name, bare = resolve(model, self.providers)
        call = without_prices(call)
        options = replace(call.options, prices=None)  # they were the other model's
        if name != call.provider.name:
            options = replace(options, api_key=None, api_base=self.api_base)
        request = replace(call.request, model=bare, options=options)
        request.__dict__.update(call.request.__dict__)
        request.check()
        key = options.api_key or self.key_of(name)
        return replace(call, request=request, provider=self.providers.get(name), options=options, api_key=key)

    # --- step 3: the provider ---

    def send(self, call: Call, request: HttpRequest | None = None) -> Flow[Any]:
        """Return the flow of one attempt, which begins here; `request` is what asks it, of a hook with a `Turn`."""
        call.meta.provider, call.meta.model = call.provider.name, call.request.model
        turn = call.provider.turns.get(call.operation.hook)
        if request is None and turn is not None:
            request = turn.ask(call.request)
        if turn is None or request is None:
            flow = exchange(self.answer(call), call)
        else:
            flow = exchange_once(request, turn.tell, call)
        return _relayed(flow, call.relay) if call.relay else flow

    def answer(self, call: Call) -> Flow[Any]:
        """Return the provider's flow for a call, or a bridge's. Raises UnsupportedParamsError without either."""
        operation, provider = call.operation, call.provider
        if operation.hook in provider.answers:
            flow: Flow[Any] = provider.answers[operation.hook](request=call.request)
            return flow
        if operation.bridge is not None and "chat" in provider.answers:
            module, _, function = operation.bridge.partition(":")
            bridge = getattr(importlib.import_module(module), function)
            bridged: Flow[Any] = bridge(call.request, lambda request: provider.answers["chat"](request=request))
            return bridged
        can = ", ".join(BY_HOOK[hook].function for hook in sorted(provider.answers) if hook in BY_HOOK)
        raise UnsupportedParamsError(f"{provider.name!r} has no {operation.function}. It has: {can or 'nothing'}.")

    # --- the end ---

    def close(self) -> None:
        """Close connections and release what providers hold, for a client used without async code.

        Observers are told of every call that is over first, for at most `FLUSH` seconds.
        """
        self._tell()
        self._drivers.close()
        self.providers.close()

    async def aclose(self) -> None:
        """`close`, connections of this event loop included."""
        await asyncio.to_thread(self._tell)
        await self._drivers.aclose()
        await asyncio.to_thread(self.providers.close)

    def _tell(self) -> None:
        if self.callbacks or self.success_callback or self.failure_callback:
            from polyport.observing import flush_callbacks

            flush_callbacks(FLUSH)

    def __repr__(self) -> str:
        return f"<polyport.Client {', '.join(self.providers.names())}>"


def _listed(given: Any) -> tuple[Any, ...]:
    """Return what is given as a list, as one name, or not at all."""
    if not given:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _relayed(flow: Flow[Any], wire: str) -> Flow[Any]:
    """The same flow, whose stream lets events through as they come."""
    result = yield from flow
    if type(result) is Streaming:
        result.relay(wire)
    return result


def _wrap(layer: Middleware, inner: Next) -> Next:
    return lambda call: layer(call, inner)


def _observe(call: Call, proceed: Next) -> Flow[Any]:
    """The outermost layer: `meta`, the ids that carry their provider, and errors that say where they happened."""
    start: float = yield NOW
    try:
        result = yield from proceed(call)
    except BaseException as error:
        attribute(error, call)
        raise
    if isinstance(result, Streaming):

        def finish(error: BaseException | None) -> Flow[None]:
            attribute(error, call)
            call.meta.latency = (yield NOW) - start

        return result.epilogue(finish)
    call.meta.latency = (yield NOW) - start
    if call.operation.issues_id:
        _issue_ids(result, call)
    reader = call.request.__dict__.get("_reader")
    if reader is not None and isinstance(result, Result):
        result.__dict__["_reader"] = reader
    return stamp(result, call)


def _issue_ids(result: Any, call: Call) -> None:
    for video in getattr(result, "data", [result]):
        video.id = ids.issue(
            ids.Issued(
                provider=call.provider.name,
                id=video.id,
                model=getattr(video, "model", "") or call.request.model,
                deployment=call.meta.deployment or "",
            )
        )
