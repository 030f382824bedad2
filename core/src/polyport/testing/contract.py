"""The contract: the table of checks, and the class that a plugin's tests subclass.

    from polyport.testing import Exchange, ProviderContract

    class TestContract(ProviderContract):
        provider = MyProvider
        exchanges = [Exchange("chat", {"model": "m", "messages": [...]}, reply=b"{...}", stream=b"data: ...")]

pytest makes one test of each check of each exchange. Nothing here needs pytest: `cases` is what the command
`polyport conformance` walks too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from polyport.provider import Provider
from polyport.testing import agreement, facts, failures, replies, requests, secrecy, streams
from polyport.testing.bench import Subject
from polyport.testing.exchange import IN_PROCESS, Exchange

ExchangeCheck = Callable[[Subject, Exchange], None]
PluginCheck = Callable[[Subject, Sequence[Exchange]], None]
#: Why a check does not apply to an exchange; None where it does.
Need = Callable[[Subject, Exchange], str | None]


def _wire(_: Subject, exchange: Exchange) -> str | None:
    return "nothing goes over the wire" if facts.in_process(exchange) else None


def _key(subject: Subject, exchange: Exchange) -> str | None:
    return _wire(subject, exchange) or (None if requests.keyed(subject) else "the provider asks for no key")


def _signature(subject: Subject, exchange: Exchange) -> str | None:
    return _wire(subject, exchange) or (None if requests.signs(subject) else "the provider signs nothing")


def _reply(_: Subject, exchange: Exchange) -> str | None:
    return "no reply is recorded" if exchange.reply is None else None


def _json_reply(_: Subject, exchange: Exchange) -> str | None:
    return None if replies.is_json(exchange) else "no JSON reply is recorded"


def _stream(_: Subject, exchange: Exchange) -> str | None:
    return "no stream is recorded" if exchange.stream is None else None


def _wire_stream(_: Subject, exchange: Exchange) -> str | None:
    return "no stream over the wire is recorded" if exchange.stream in (None, IN_PROCESS) else None


def _event_stream(_: Subject, exchange: Exchange) -> str | None:
    return None if streams.has_text_events(exchange) else "no stream of JSON lines or events is recorded"


def _ending_stream(subject: Subject, exchange: Exchange) -> str | None:
    if exchange.operation.chunk is bytes:
        return "a stream of bytes cannot tell that it was cut off"
    return _wire_stream(subject, exchange)


class Check(msgspec.Struct, frozen=True):
    """A row of the table: a function that raises AssertionError, and what it needs."""

    run: ExchangeCheck
    need: Need
    status: int | None = None

    @property
    def name(self) -> str:
        """What tests and the command's table call it."""
        return f"error_{self.status}" if self.status else self.run.__name__

    @property
    def about(self) -> str:
        """What it promises, in a sentence."""
        return (self.run.__doc__ or "").partition("\n")[0]


CHECKS: tuple[Check, ...] = (
    Check(requests.request_is_complete, _wire),
    Check(requests.request_leaves_input_alone, _wire),
    Check(requests.request_is_signed, _signature),
    Check(requests.request_needs_a_key, _key),
    Check(requests.request_has_extra_headers, _wire),
    Check(requests.request_has_extra_body, _wire),
    Check(requests.request_has_unknown_parameters, _wire),
    Check(replies.reply_is_parsed, _reply),
    Check(replies.reply_usage_adds_up, _reply),
    Check(replies.reply_with_broken_fields, _json_reply),
    Check(replies.reply_cut_short, _json_reply),
    Check(replies.reply_that_is_not_json, _json_reply),
    Check(streams.stream_is_parsed, _stream),
    Check(streams.stream_usage_adds_up, _stream),
    Check(streams.stream_cut_anywhere, _wire_stream),
    Check(streams.stream_that_breaks_off, _ending_stream),
    Check(streams.stream_with_broken_fields, _event_stream),
    Check(streams.stream_with_garbage, _event_stream),
    Check(streams.stream_left_early, _wire_stream),
    *(Check(failures.error_for(status), _wire, status) for status in failures.STATUSES),
    Check(failures.error_of_a_stream, _wire_stream),
    Check(failures.error_with_an_odd_body, _wire),
    Check(failures.error_is_not_blamed_on_the_user, _wire),
    Check(failures.connection_that_fails, _wire),
    Check(agreement.drivers_agree, _reply),
    Check(agreement.drivers_agree_on_streams, _stream),
    Check(secrecy.key_is_never_shown, _wire),
)

#: Checks of the plugin as a whole.
PLUGIN_CHECKS: tuple[PluginCheck, ...] = (
    facts.hooks_are_known,
    facts.exchange_is_of_a_hook,
    facts.closing_is_harmless,
)


class Case(msgspec.Struct, frozen=True):
    """One check of one exchange, or of the plugin. `skip` says why it does not apply; `run` raises AssertionError."""

    where: str
    check: str
    about: str
    run: Callable[[], None]
    skip: str | None = None

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.where}-{self.check}"


def cases(subject: Subject, exchanges: Sequence[Exchange]) -> list[Case]:
    """Return every case of a plugin, those that do not apply included: of the plugin, then hook by hook."""
    found = [_plugin_case(check, subject, exchanges) for check in PLUGIN_CHECKS]
    unshipped = None if facts.models_path(subject) else "the package ships no models.json"
    found.append(_plugin_case(facts.models_are_plausible, subject, exchanges, unshipped))
    about = (facts.hook_is_recorded.__doc__ or "").partition("\n")[0]
    for hook in facts.known_hooks(subject):
        run = _run(subject, facts.hook_is_recorded, subject, exchanges, hook)
        found.append(Case(hook, "hook_is_recorded", about, run))
    for where, exchange in _named(exchanges):
        found += [
            Case(
                where,
                check.name,
                check.about,
                _run(subject, check.run, subject, exchange),
                check.need(subject, exchange),
            )
            for check in CHECKS
        ]
    return found


def _plugin_case(check: PluginCheck, subject: Subject, exchanges: Sequence[Exchange], skip: str | None = None) -> Case:
    about = (check.__doc__ or "").partition("\n")[0]
    return Case("plugin", check.__name__, about, _run(subject, check, subject, exchanges), skip)


def _run(subject: Subject, check: Callable[..., None], *given: object) -> Callable[[], None]:
    """Return the run of a check; what the provider holds is released after it."""

    def run() -> None:
        __tracebackhide__ = True
        with contextlib.closing(subject):
            check(*given)

    return run


def _named(exchanges: Sequence[Exchange]) -> list[tuple[str, Exchange]]:
    """Return each exchange with a name of its own; the second of one name gets a number."""
    seen: dict[str, int] = {}
    named = []
    for exchange in exchanges:
        seen[exchange.name] = number = seen.get(exchange.name, 0) + 1
        named.append((exchange.name if number == 1 else f"{exchange.name}{number}", exchange))
    return named


class ProviderContract:
    """Subclass it in a plugin's tests, and give the provider's class and its recorded exchanges.

    `name` is the prefix where the provider's class alone does not tell which of its prefixes is meant. Each check
    that applies is a test of its own: `pytest -k 'chat and cut'`.
    """

    provider: ClassVar[type[Provider]]
    exchanges: ClassVar[Sequence[Exchange]] = ()
    name: ClassVar[str] = ""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make one test of each case; pytest calls this."""
        if "case" in metafunc.fixturenames:
            applying = [case for case in self.cases() if case.skip is None]
            metafunc.parametrize("case", applying, ids=[case.id for case in applying])

    @classmethod
    def cases(cls) -> list[Case]:
        """Return every case of the plugin under test."""
        if not hasattr(cls, "provider"):
            raise TypeError(f"{cls.__name__} needs `provider = YourProvider`, the class that your plugin registers")
        return cases(Subject(cls.provider, cls.name or cls.provider.__name__.lower()), cls.exchanges)

    def test_contract(self, case: Case) -> None:
        """Hold the provider to one promise of the contract."""
        __tracebackhide__ = True  # pytest then shows the check that failed, not how it was reached
        case.run()
