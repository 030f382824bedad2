"""Checks of the plugin as a whole: its hooks are known and recorded, and its models.json is plausible."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyport import catalog
from polyport.catalog import MODES, ModelInfo
from polyport.errors import PluginError, UnsupportedParamsError
from polyport.hookspecs import ProviderSpec
from polyport.operations import BY_HOOK
from polyport.plugins import LoadedProvider
from polyport.prices import problem
from polyport.testing.bench import Outcome, Subject, ensure, simulate, told
from polyport.testing.exchange import IN_PROCESS, Exchange

#: No model costs as much: USD per million tokens, or per image, second, page.
DEAREST = 10_000
MOST_PROBLEMS = 5


class _Models(msgspec.Struct, forbid_unknown_fields=True):
    """The form of a models.json; see `polyport.catalog`."""

    models: dict[str, ModelInfo]
    source: str | None = None
    read: str | None = None


def hooks(subject: Subject) -> list[str]:
    """Return the operations' hooks that the provider answers, in the table's order."""
    answers = LoadedProvider(subject.name, subject.provider(subject.name)).answers
    return [hook for hook in BY_HOOK if hook in answers]


def known_hooks(subject: Subject) -> list[str]:
    """Return the same, and none for a provider that does not load; `hooks_are_known` says why."""
    try:
        return hooks(subject)
    except PluginError:
        return []


def hooks_are_known(subject: Subject, _: Sequence[Exchange]) -> None:
    """The provider loads, every hook of it is one of polyport's, and it answers something."""
    try:
        answered = hooks(subject)
    except PluginError as error:
        raise AssertionError(error.message) from error
    ensure(answered, f"{subject.provider.__name__} answers no operation: mark its methods with @hookimpl")
    spec = {name for name in vars(ProviderSpec) if not name.startswith("_")}
    unmarked = [
        name
        for name in spec - set(answered)
        if name in vars(subject.provider) and not getattr(vars(subject.provider)[name], "polyport_impl", None)
    ]
    ensure(not unmarked, f"{', '.join(unmarked)} of {subject.provider.__name__} lack @hookimpl, so nobody calls them")


def hook_is_recorded(subject: Subject, exchanges: Sequence[Exchange], hook: str) -> None:
    """A hook has a recorded exchange, and a recorded stream unless it refuses to stream."""
    found = [exchange for exchange in exchanges if exchange.hook == hook]
    example = f"Exchange({hook!r}, {{...}}, reply=b'...')"
    ensure(found, f"{subject.provider.__name__} answers {hook}, and no exchange records it: add {example}")
    replies = [exchange for exchange in found if exchange.reply is not None]
    if BY_HOOK[hook].chunk is None or any(exchange.stream is not None for exchange in found):
        return
    for exchange in replies[:1]:
        _refuses_to_stream(_streamed(subject, exchange), exchange)


def _streamed(subject: Subject, exchange: Exchange) -> Outcome:
    recorded = msgspec.structs.replace(exchange, stream=exchange.reply)
    return simulate(subject, recorded, stream=True)


def _refuses_to_stream(outcome: Outcome, exchange: Exchange) -> None:
    if isinstance(outcome.error, UnsupportedParamsError):
        return
    if outcome.chunks is not None or outcome.error is not None:
        raise AssertionError(
            f"{exchange.hook} streams, and no exchange records it: add stream=b'...'"
        ) from outcome.error
    raise AssertionError(f"{exchange.hook} ignores stream=True in silence: call request.unsupported('stream', why)")


def exchange_is_of_a_hook(subject: Subject, exchanges: Sequence[Exchange]) -> None:
    """No exchange records a hook that the provider does not answer."""
    idle = sorted({exchange.hook for exchange in exchanges} - set(hooks(subject)))
    ensure(not idle, f"{subject.provider.__name__} does not answer {', '.join(idle)}, which exchanges record")


def closing_is_harmless(subject: Subject, _: Sequence[Exchange]) -> None:
    """A provider can be closed unused, and closed twice."""
    provider = LoadedProvider(subject.name, subject.provider(subject.name))
    for _time in range(2):
        try:
            provider.hooks.close()
        except Exception as error:
            raise AssertionError(f"close() raised {told(error)}") from error


# --- models.json ---


def models_path(subject: Subject) -> Path | None:
    """Return the models.json of the provider's package; None where it ships none."""
    package = subject.provider.__module__.partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # __main__ and test modules loaded from a path have no spec
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return catalog.models_path(package, subject.name)


def models_are_plausible(subject: Subject, _: Sequence[Exchange]) -> None:
    """models.json reads as the catalog's form; modes, sizes, prices and the pages they are from are plausible."""
    path = models_path(subject)
    ensure(path is not None, "the package ships no models.json")
    assert path is not None
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_Models)
    except msgspec.DecodeError as error:
        raise AssertionError(f"{path.name} does not read as the catalog's form: {error}") from error
    problems = [problem for name, info in file.models.items() for problem in _problems(name, info, file, subject)]
    more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    ensure(not problems, f"{path.name}: {'; '.join(problems[:MOST_PROBLEMS])}{more}")


def _problems(name: str, info: ModelInfo, file: _Models, subject: Subject) -> Iterator[str]:
    if name.startswith(f"{subject.name}/"):
        yield f"{name!r} begins with the prefix; names stand without it"
    if info.mode is not None and info.mode not in MODES:
        yield f"{name} has the mode {info.mode!r}, which is none of {', '.join(sorted(MODES))}"
    for what, size in {"context_window": info.context_window, "max_output_tokens": info.max_output_tokens}.items():
        if size is not None and not 0 < size <= 100_000_000:
            yield f"{name}: {what} is {size}"
    if info.dimensions is not None and info.dimensions <= 0:
        yield f"{name}: dimensions is {info.dimensions}"
    yield from (f"{name}: the price {what} is {price!r}" for what, price in _prices(info.prices) if _odd(price))
    if info.prices and (wrong := problem(info.prices, f"{name}: prices")) is not None:
        yield wrong
    if info.prices:
        yield from _unsourced(name, info.source or file.source, info.read or file.read)


def _prices(prices: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in (prices or {}).items():
        if isinstance(value, dict):
            yield from _prices(value, f"{name}{key}.")
        elif isinstance(value, list):
            for number, row in enumerate(value):
                yield from _prices({k: v for k, v in row.items() if k != "above"}, f"{name}{key}[{number}].")
        else:
            yield f"{name}{key}", value


def _odd(price: Any) -> bool:
    """Whether a price is a number that no price can be; what is not a number says something else, such as a unit."""
    return isinstance(price, bool) or (isinstance(price, int | float) and not 0 <= price < DEAREST)


def _unsourced(name: str, source: str | None, read: str | None) -> Iterator[str]:
    if not (source or "").startswith("http"):
        yield f"{name} has prices and no source: the page they were read from"
    try:
        when = datetime.date.fromisoformat(read or "")
    except ValueError:
        yield f"{name} has prices and no date on which they were read (read={read!r})"
        return
    if when > datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=1):
        yield f"{name}: its prices were read on {when}, in the future"


def in_process(exchange: Exchange) -> bool:
    """Whether nothing of the exchange goes over the wire."""
    return all(recorded in (None, IN_PROCESS) for recorded in (exchange.reply, exchange.stream))
