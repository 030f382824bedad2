"""The keeper: a gate with accounts. It knows who calls, reserves, and writes down what came of it.

admit:  identify the key -> may it be used here -> its limits and its customer's -> reserve on all of them
settle: into the journal, before the reply's last byte -> what was used in place of what was reserved

    keeper = Keeper(Store("sqlite:///gateway.db"), Path("journal"), master_key="sk-...", prices=prices_of(router))
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyport.errors import ServiceUnavailableError
from polyport.flow import Flow, Streaming
from polyport.types.record import Meta
from polyport_gateway import estimate
from polyport_gateway.config import General
from polyport_gateway.gate import Asked, Caller, GateError, Outcome
from polyport_gateway.identity import Identity, Party, Principal, allows_address, allows_route
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import ABOUT, Entry, Ledger, clean
from polyport_gateway.limits import Limit, Limits, MemoryLimits, Refusal, Reservation
from polyport_gateway.notices import Notices
from polyport_gateway.owning import BATCHES, LISTS, LONGEST, MADE, STREAMED, Owned, Owners, Results
from polyport_gateway.policy import Policy
from polyport_gateway.prompts import CURRENT, Prompts
from polyport_gateway.store import Store
from polyport_gateway.telling import refused, told
from polyport_gateway.upkeep import EVERY, Upkeep, drop_old

log = logging.getLogger("polyport.gateway.keeper")
#: Buckets of tokens that were written; all others were read.
WRITTEN = frozenset({"output", "reasoning", "audio_output", "image_output"})
#: The status of a caller that left before its answer was complete.
LEFT = 499
#: Headers that name tags.
TAGS = ("x-polyport-tags", "x-litellm-tags")
#: How many tags a request may name, how many of its attempts and adaptations are kept, and how much text of each.
MANY_TAGS, MANY_NOTES, LINE = 20, 20, 500


class Keeper:
    """A gate over a store, a journal's folder, and limits in this process (or those given, which others share).

    `on_store_failure` is "allow" (known keys go on while the database is away) or "deny". `on_soft_budget` is told
    of each soft budget that is crossed; `general` returns the settings that hold now. Times are in seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        journal: Path,
        *,
        master_key: str | None = None,
        prices: estimate.Prices | None = None,
        limits: Callable[[Ledger], Limits] | None = None,
        on_store_failure: str = "allow",
        on_soft_budget: Callable[[Limit], None] | None = None,
        general: Callable[[], General] = General,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.general, self.clock = store, general, clock
        self.allow = on_store_failure != "deny"
        self.identity = Identity(
            store,
            master_key=master_key,
            known_while_away=self.allow,
            stranger=self._stranger,
            clock=clock,
        )
        self.ledger = Ledger(store, Journal(journal))
        self.limits: Limits = limits(self.ledger) if limits else MemoryLimits(self.ledger.spent)
        self.limits.crossed = self._crossed
        self.ledger.charge = self._charge
        self.owners = Owners(store)
        self.prompts, self.notices = Prompts(), Notices(store)
        self._upkeep = Upkeep()
        self._secret = master_key or ""
        self._prices = prices
        self._on_soft_budget = on_soft_budget
        self._ready = False
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Bring the tables up to date and begin to drain. Raises ServiceUnavailableError."""
        async with self._starting:
            if not self._ready:
                await self.store.migrate()
                self.ledger.start()
                self._upkeep.start((1.0, self._write_prompts), (1.0, self._tell), (EVERY, self._drop_old))
                self._ready = True

    async def begin(self) -> None:
        """Start with the server; a database that is away then is asked again when the first request comes."""
        try:
            await self.start()
        except ServiceUnavailableError as error:
            log.warning("%s It is asked again when somebody calls.", error.message)

    async def identify(self, token: str | None, client: str | None = None, path: str = "") -> Principal:
        """Return who has a key, for the management's routes, if it may be used on a path. Raises GateError."""
        await self._started()
        principal = await self.identity.identify(token)
        if path and not allows_route(principal, path):
            raise GateError(403, "route_not_allowed", f"The key {principal.key_id} may not be used for {path}.")
        if not allows_address(principal, client):
            raise GateError(403, "address_not_allowed", f"The key {principal.key_id} may not be used from here.")
        return principal

    async def admit(self, asked: Asked) -> Admitted:
        """Return the admission of a request, with what it may use reserved. Raises GateError."""
        principal = await self.identify(asked.token, asked.client, asked.path)
        if not asked.operation:
            return Admitted(self, asked, principal, "", "", None)
        if principal.role == "viewer":
            raise GateError(403, "viewer", "A key with the role viewer reads, and calls no models.")
        model = principal.aliases.get(asked.model or "", asked.model or "")
        customer = clean(asked.user)
        party = await self.identity.customer(customer) if customer else None
        terms = self.general().terms
        others = [one for one in (party, terms.everybody) if one is not None]
        taken = await self._reserve(asked, model, [*principal.parties, *others] if others else principal.parties)
        if terms.store_prompts:
            CURRENT.set(asked.request_id)
        return Admitted(self, asked, principal, model, customer, taken)

    def follow(self, master_key: str | None, on_store_failure: str) -> None:
        """Go by another master key, and by another rule for a database that is away, from now on."""
        self.allow = on_store_failure != "deny"
        self.identity.follow(master_key, known_while_away=self.allow)
        self._secret = master_key or ""

    async def aclose(self) -> None:
        """Drain what there is, and close everything."""
        await self._upkeep.aclose()
        await self.ledger.aclose()
        with contextlib.suppress(ServiceUnavailableError):
            await self._write_prompts()
            await self.notices.write()
        await self.notices.aclose()
        await self.limits.aclose()
        await self.store.aclose()

    async def _started(self) -> None:
        if not self._ready:
            try:
                await self.start()
            except ServiceUnavailableError as error:
                raise GateError(503, "store_unavailable", error.message, retry_after=1) from error

    # --- before the call ---

    async def _reserve(self, asked: Asked, model: str, parties: Sequence[Party]) -> Reservation | None:
        limits = limits_of(parties, model)
        if not limits:
            return None
        tokens, nano = self._estimate(asked, model, limits)
        now = self.clock()
        try:
            found = await self.limits.reserve(limits, tokens, nano, now)
        except ServiceUnavailableError as error:
            if not self.allow:
                raise GateError(503, "store_unavailable", error.message, retry_after=1) from error
            log.warning("What was spent cannot be looked up now: a request is let in without its budgets")
            unpaid = [msgspec.structs.replace(limit, budget=None, soft=None) for limit in limits]
            found = await self.limits.reserve(unpaid, tokens, nano, now)
        if isinstance(found, Refusal):
            raise refused(found, tokens)
        return found

    def _estimate(self, asked: Asked, model: str, limits: Sequence[Limit]) -> tuple[int, int]:
        """Return the tokens and nano-dollars to reserve; models without a price reserve no money."""
        money = any(limit.budget is not None for limit in limits)
        if not money and all(limit.tpm is None for limit in limits):
            return 0, 0
        prompt, answer = estimate.tokens(asked.operation, asked.fields)
        if not money or self._prices is None or not model:
            return prompt + answer, 0
        nano = estimate.nano(prompt, answer, asked.fields, self._prices(model))
        return prompt + answer, nano or 0

    # --- after it ---

    async def settle(self, admitted: Admitted, outcome: Outcome) -> None:
        """Write an outcome down, then give back what was reserved. Raises GateError where it could not be kept."""
        taken, now = admitted.taken, self.clock()
        entry = entry_of(admitted, outcome, now, tagging=self.general().request_tags)
        try:
            if admitted.asked.operation:
                self.ledger.record(entry)
                for one in admitted.made:
                    self.owners.remember(one)
        except OSError as error:
            log.critical("The journal takes nothing any more (%s): nothing is acknowledged until it does", error)
            raise GateError(503, "journal_unavailable", "The gateway cannot write down what calls cost.") from error
        finally:
            if taken is not None:
                used = entry.prompt + entry.completion if outcome.usage or outcome.status >= 400 else None
                for limit in await self.limits.settle(taken, used, entry.nano, now):
                    self._crossed(limit)

    # --- now and then ---

    async def _charge(self, entry: Entry) -> None:
        """Have the accounts know of what was spent without them: a batch that is over."""
        parts = {name: getattr(entry, column) for name, column in ABOUT.items() if name not in ("model", "provider")}
        abouts: list[tuple[tuple[str, str], ...]] = [(), *(((kind, name),) for kind, name in parts.items() if name)]
        if entry.model:
            abouts += [(*one, ("model", entry.model)) for one in abouts]
        if entry.team_id and entry.user_id:
            abouts.append((("team", entry.team_id), ("user", entry.user_id)))
        await self.limits.charge([Limit(about=one).account for one in abouts], entry.nano)

    def _stranger(self, id: str) -> Party | None:
        return self.general().terms.customer(id)

    def _crossed(self, limit: Limit) -> None:
        self.notices.note(limit, self.clock())
        if self._on_soft_budget is not None:
            self._on_soft_budget(limit)

    async def _write_prompts(self) -> None:
        while await self.prompts.write(self.store):
            pass

    async def _tell(self) -> None:
        terms = self.general().terms
        await self.notices.send(terms.budget_webhook, terms.budget_webhook_secret or self._secret)

    async def _drop_old(self) -> None:
        await drop_old(self.store, self.general().terms)


class Admitted:
    """A request that was let in; see `polyport_gateway.gate.Admission`."""

    __slots__ = ("_keeper", "_settled", "asked", "caller", "customer", "made", "model", "principal", "taken")

    def __init__(
        self, keeper: Keeper, asked: Asked, principal: Principal, model: str, customer: str, taken: Reservation | None
    ) -> None:
        self._keeper, self.asked, self.principal = keeper, asked, principal
        self.model, self.customer, self.taken = model, customer, taken
        self.caller = Caller(id=principal.id, team=principal.team_id, tags=principal.tags, metadata=principal.metadata)
        self._settled = False
        self.made: list[Owned] = []

    @property
    def models(self) -> Collection[str] | None:
        """The names of models that the caller may use; None for all of them."""
        return self.principal.models

    @property
    def aliases(self) -> Mapping[str, str]:
        """The caller's own names of models."""
        return self.principal.aliases

    @property
    def policy(self) -> Policy | None:
        """What holds for each of the caller's calls."""
        return self.principal.policy

    @property
    def headers(self) -> Mapping[str, str]:
        """How much is left of the tightest limits, by the names that OpenAI's SDK knows."""
        return {} if self.taken is None else told(self.taken, self.asked.surface, self._keeper.clock())

    async def check(self, ids: Sequence[str]) -> None:
        """Raise GateError, 404, for what is not the caller's."""
        keeper = self._keeper
        await keeper.owners.check(self.principal, ids, keeper.general().terms.shared_within)

    async def note(self, function: str, fields: Mapping[str, Any], result: Any, meta: Meta) -> Any:
        """Take note of what was made, and of a batch that is over; return what of a list is the caller's."""
        owners = self._keeper.owners
        if function in MADE:
            self.own(MADE[function], getattr(result, "id", None))
        elif function in BATCHES:
            owner = (await owners.find([result.id])).get(result.id)
            if owner is not None:
                self.made += owners.outputs(result, owner)
                self._bill(owners.bill(result, owner, meta))
        elif function in LISTS:
            return await self._seen(result)
        elif function in STREAMED:
            await self._note_results(str(fields.get("file_id")), result, meta)
        return result

    def own(self, kind: str, name: object) -> None:
        """Take note of something that is the caller's from now on."""
        if isinstance(name, str) and 0 < len(name) <= LONGEST:
            who = self.principal
            self.made.append(Owned(
                id=clean(name, LONGEST), kind=kind, at=self._keeper.clock(), key_id=who.key_id, user_id=who.user_id,
                team_id=who.team_id, project_id=who.project_id, customer_id=self.customer, model=clean(self.model),
            ))  # fmt: skip

    async def _note_results(self, file_id: str, content: Any, meta: Meta) -> None:
        """Add up what the results of a batch cost, whole or while they go by."""
        owners = self._keeper.owners
        file = next((one for one in self.made if one.id == file_id), None)  # the batch was looked at just now
        file = file or (await owners.find([file_id])).get(file_id)
        batch = (await owners.find([file.batch])).get(file.batch) if file is not None and file.batch else None
        if file is None or batch is None:
            return
        results = Results(meta.provider)
        if not isinstance(content, Streaming):
            results.feed(content.content)
            results.finish()
            self._bill(owners.bill_results(results, file, batch, meta))
            return

        def finish(error: BaseException | None) -> Flow[None]:
            yield from ()
            if error is None:
                results.finish()
                self._bill(owners.bill_results(results, file, batch, meta))

        content.tap(results.feed).epilogue(finish)

    def _bill(self, entry: Entry | None) -> None:
        if entry is not None:
            try:
                self._keeper.ledger.record(entry)
            except OSError as error:
                self._keeper.owners.unpaid(entry)
                raise GateError(503, "journal_unavailable", "The gateway cannot write down what calls cost.") from error

    async def _seen(self, result: Any) -> Any:
        keeper = self._keeper
        ids = [one.id for one in result.data]
        mine = await keeper.owners.visible(self.principal, ids, keeper.general().terms.shared_within)
        if len(mine) == len(ids):
            return result
        data = [one for one in result.data if one.id in mine]
        plain: dict[str, Any] = {**result.to_dict(), "data": [one.to_dict() for one in data]}
        return plain | {name: data[place].id if data else None for name, place in (("first_id", 0), ("last_id", -1))}

    async def settle(self, outcome: Outcome) -> None:
        """Take note of how it ended. Only the first call counts."""
        if not self._settled:
            self._settled = True
            if outcome.kept and self.asked.operation == "responses":
                self.own("response", outcome.kept)
            await self._keeper.settle(self, outcome)


def limits_of(parties: Sequence[Party], model: str) -> list[Limit]:
    """Return the limits that a request falls under: of everybody for all models, and for this one."""
    found = []
    for party in parties:
        found.append(party.limit)
        if model in party.by_model:
            found.append(party.by_model[model])
    return [limit for limit in found if _says_something(limit)]


def _says_something(limit: Limit) -> bool:
    return any(one is not None for one in (limit.rpm, limit.tpm, limit.parallel, limit.budget, limit.soft))


def entry_of(admitted: Admitted, outcome: Outcome, now: float, *, tagging: bool = True) -> Entry:
    """Return what is kept of a request. What nobody told the cost of counts with what was reserved for it."""
    principal, asked, taken = admitted.principal, admitted.asked, admitted.taken
    usage = outcome.usage
    written = sum([count for bucket, count in usage.items() if bucket in WRITTEN])
    sent = outcome.status < 400 or (outcome.status == LEFT and outcome.attempts > 0)
    reserved = 0 if taken is None else taken.nano
    unknown = reserved if sent else 0
    return Entry(
        id=clean(outcome.request_id, 64),
        at=now,
        key_id=principal.key_id,
        user_id=principal.user_id,
        team_id=principal.team_id,
        project_id=principal.project_id,
        customer_id=admitted.customer,
        model=clean(_without(asked.token, admitted.model) if outcome.error else admitted.model),
        provider=clean(outcome.provider),
        upstream=clean(outcome.model),
        deployment=clean(outcome.deployment),
        operation=clean(asked.operation, 64),
        surface=asked.surface,
        stream=asked.stream,
        status=outcome.status,
        error=clean(outcome.error, 64),
        message=_without(asked.token, outcome.message) if outcome.message else "",
        prompt=sum(usage.values()) - written,
        completion=written,
        usage=usage,
        nano=unknown if outcome.nano is None else outcome.nano,
        reserved=reserved,
        estimated=outcome.estimated or (outcome.nano is None and unknown > 0),
        cache_hit=outcome.cache_hit,
        seconds=outcome.latency,
        first_byte=outcome.first_byte,
        attempts=outcome.attempts,
        failures=_plain(outcome.failures) if outcome.failures else (),
        adaptations=_plain(outcome.adaptations) if outcome.adaptations else (),
        guardrails=[
            {"guardrail": clean(one.guardrail), "mode": one.mode, "outcome": one.outcome} for one in outcome.guardrails
        ],
        upstream_id=clean(outcome.upstream_id),
        made=[msgspec.to_builtins(one) for one in admitted.made] if admitted.made else (),
        tags=tags_of(principal, asked) if tagging else principal.tags,
    )


def tags_of(principal: Principal, asked: Asked) -> Sequence[str]:
    """Return the tags of a request: its key's, user's and so on, then those that it names itself.

    They stand in `metadata.tags`, in `tags`, or behind commas in a header.
    """
    metadata = asked.fields.get("metadata")
    named = (metadata.get("tags") if isinstance(metadata, dict) else None) or asked.fields.get("tags")
    for header in TAGS:
        if header in asked.headers:
            named = [*_listed(named), *asked.headers[header].split(",")]
    if not named:
        return principal.tags
    own = [clean(one.strip(), 64) for one in _listed(named) if isinstance(one, str)]
    return list(dict.fromkeys([*principal.tags, *filter(None, own)]))[: MANY_TAGS + len(principal.tags)]


def _listed(named: object) -> Sequence[object]:
    return named.split(",") if isinstance(named, str) else named if isinstance(named, list) else ()


def _plain(found: Sequence[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return what was noted, as far as it is kept, fit for a database."""
    return [
        {
            name: clean(value, LINE) if isinstance(value, str) else value
            for name, value in msgspec.to_builtins(one).items()
        }
        for one in found[:MANY_NOTES]
    ]


def _without(token: str | None, message: str) -> str:
    """Return what went wrong, bounded, and without the caller's key should it be quoted."""
    return clean(message.replace(token, "***") if token else message, LINE)
